-- What is old: compressed where the edition can, and dropped where a person wants that. The daemon makes the calls; no
-- job of the server has a part in it.

-- Messages that Telegram dates before this are not kept; none: all are. Rows are a function of the log and of this.
alter table telegram.generations add column since timestamptz;

-- Counts again the hours of generation n that changed and begin before that; returns how many. No batch comes in between.
create function telegram.recount_hours_before(n integer, upto timestamptz, at_most integer) returns integer
language plpgsql set search_path = pg_catalog as $function$
declare
    g text := 'telegram_g' || n;
    counted integer;
begin
    perform pg_advisory_xact_lock(7628663, n);
    execute format($sql$
        with due as (
            delete from %1$I.message_hour_stale s using (
                select peer_id, hour from %1$I.message_hour_stale where hour < $1 order by hour limit $2
            ) d where s.peer_id = d.peer_id and s.hour = d.hour
            returning s.peer_id, s.hour
        ), gone as (
            delete from %1$I.message_hour h using due where h.peer_id = due.peer_id and h.hour = due.hour
            returning h.peer_id
        ), counted as (
            select c.* from due cross join lateral %1$I.count_hour(due.peer_id, due.hour) c
        ), written as (
            insert into %1$I.message_hour select * from counted
            on conflict (peer_id, hour) do update set
                messages = excluded.messages, edits = excluded.edits, deleted = excluded.deleted, media = excluded.media,
                live = excluded.live, latency_micros = excluded.latency_micros, latency_max = excluded.latency_max
        )
        select count(*) from due$sql$, g) into counted using upto, at_most;
    return counted;
end
$function$;

create or replace function telegram.recount_hours(n integer, at_most integer) returns integer
language sql set search_path = pg_catalog as $function$
    select telegram.recount_hours_before(n, now() - interval '1 hour', at_most)
$function$;

-- Counts all hours of generation n anew; nobody may write to it meanwhile. Hours of messages that it does not keep are
-- those that the one shown counted while it had them.
create or replace function telegram.count_hours(n integer) returns void
language plpgsql set search_path = pg_catalog as $function$
declare
    g text := 'telegram_g' || n;
    earliest timestamptz := (select since from telegram.generations where generation = n);
    shown integer := (select generation from telegram.generations where generations.shown);
begin
    execute format('truncate %1$I.message_hour, %1$I.message_hour_stale', g);
    execute format($sql$
        insert into %1$I.message_hour
        select c.* from (
            select distinct peer_id, date_trunc('hour', posted_at, 'UTC') as hour from %1$I.message_content
        ) k cross join lateral %1$I.count_hour(k.peer_id, k.hour) c$sql$, g);
    if earliest is not null and shown <> n then
        execute format('insert into %I.message_hour select * from %I.message_hour where hour < $1 on conflict do nothing',
                       g, 'telegram_g' || shown) using earliest;
    end if;
end
$function$;

-- Drops the oldest chunk of messages of generation n, when all of it is older than that, with all that is about them but
-- the counts by hour. Returns up to which date; none when there is nothing to drop. What a consumer has not seen is not
-- taken away from it: then nothing is dropped, and its name is told.
create function telegram.drop_oldest(n integer, older_than timestamptz, out upto timestamptz, out held_by text)
language plpgsql set search_path = pg_catalog as $function$
declare
    g text := 'telegram_g' || n;
    ext text := (select s.nspname from pg_extension e join pg_namespace s on s.oid = e.extnamespace
                 where e.extname = 'timescaledb');
    newest bigint;
begin
    -- Only at a full hour, so that no hour is counted in part.
    select min(k.range_end) into upto from timescaledb_information.chunks k
    where k.hypertable_schema = g and k.hypertable_name = 'message_content' and k.range_end <= older_than
      and k.range_end = date_trunc('hour', k.range_end, 'UTC');
    if upto is null then
        return;
    end if;
    perform pg_advisory_xact_lock(7628663, n);
    execute format('select max(seq) from %I.message_content where posted_at < $1', g) into newest using upto;
    held_by := (select c.name from telegram.consumers c where c.seq < newest order by c.seq limit 1);
    if held_by is not null then
        return;
    end if;
    perform telegram.recount_hours_before(n, upto, null);
    update telegram.generations set since = greatest(since, upto) where generation = n;
    -- A number that came with two dates keeps what is about the later one.
    execute format($sql$
        delete from %1$I.message_state s using %1$I.message_content c
        where c.posted_at < $1 and s.peer_id = c.peer_id and s.message_id = c.message_id and not exists (
            select from %1$I.message_content o
            where o.peer_id = c.peer_id and o.message_id = c.message_id and o.posted_at >= $1
        )$sql$, g) using upto;
    execute format('delete from %I.message_version where posted_at < $1', g) using upto;
    execute format('select count(*) from %I.drop_chunks(%L::regclass, older_than => $1)', ext, g || '.message_content')
        using upto;
    execute format('select count(*) from %I.drop_chunks(%L::regclass, older_than => $1)', ext, g || '.counter_sample')
        using upto;
    execute format('delete from %I.counter_sample where interval_at < $1', g) using upto;
end
$function$;

-- Compresses the oldest chunk of messages of generation n that is older than that and not compressed whole; returns its
-- name, or none when there is nothing to do. The Apache edition has no columnstore, and nothing to do.
create function telegram.compress_oldest(n integer, older_than timestamptz) returns text
language plpgsql set search_path = pg_catalog as $function$
declare
    -- a replay leaves rows beside those that are compressed: a bit of the chunk's status
    partly constant integer := 8;
    g text := 'telegram_g' || n;
    ext text := (select s.nspname from pg_extension e join pg_namespace s on s.oid = e.extnamespace
                 where e.extname = 'timescaledb');
    chunk text;
begin
    if current_setting('timescaledb.license', true) is distinct from 'timescale' then
        return null;
    end if;
    select format('%I.%I', k.chunk_schema, k.chunk_name) into chunk
    from timescaledb_information.chunks k
    join _timescaledb_catalog.chunk c on c.schema_name = k.chunk_schema and c.table_name = k.chunk_name
    where k.hypertable_schema = g and k.hypertable_name = 'message_content' and k.range_end <= older_than
      and (not k.is_compressed or c.status & partly <> 0)
    order by k.range_start limit 1;
    if chunk is null then
        return null;
    end if;
    if not exists (
        select from timescaledb_information.hypertables h
        where h.hypertable_schema = g and h.hypertable_name = 'message_content' and h.compression_enabled
    ) then
        execute format('alter table %I.message_content set (timescaledb.compress, '
                       'timescaledb.compress_segmentby = ''peer_id'', '
                       'timescaledb.compress_orderby = ''posted_at, message_id'')', g);
    end if;
    execute format('select %I.compress_chunk(%L::regclass, if_not_compressed => true)', ext, chunk);
    return chunk;
end
$function$;

-- What each generation has on the disk, chunk by chunk, with what of it is compressed.
create or replace view telegram.storage as
select g.generation, g.shown, k.chunk_schema, k.chunk_name, k.range_start, k.range_end, k.is_compressed,
       pg_catalog.pg_total_relation_size(format('%I.%I', k.chunk_schema, k.chunk_name)::regclass)
           + case when z.id is null then 0
                  else pg_catalog.pg_total_relation_size(format('%I.%I', z.schema_name, z.table_name)::regclass) end as bytes
from telegram.generations g
join timescaledb_information.chunks k on k.hypertable_schema = 'telegram_g' || g.generation
join _timescaledb_catalog.chunk c on c.schema_name = k.chunk_schema and c.table_name = k.chunk_name
left join _timescaledb_catalog.chunk z on z.id = c.compressed_chunk_id;

revoke execute on function telegram.recount_hours_before(integer, timestamptz, integer),
    telegram.drop_oldest(integer, timestamptz), telegram.compress_oldest(integer, timestamptz) from public;
