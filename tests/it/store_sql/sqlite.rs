//! The SQLite projection.

use std::path::Path;
use std::time::Duration;

use sqlx::{ConnectOptions as _, Connection as _, Executor as _, Row as _};
use telegram_gateway::config;
use telegram_gateway::event::{Body, Changed, Origin};
use telegram_gateway::store::contract::VERIFIED;
use telegram_gateway::store::sqlite::Sqlite;
use telegram_gateway::store::{Entry, Projection as _, ProjectionError};

use super::{
    batch, check_counter_history, check_poison, check_retries, check_snapshots, checkpoint,
    everything, folded, mixed_log, posts, wait,
};
use crate::support::events::{entries, event, message, peer};

fn sqlite(dir: &Path) -> Sqlite {
    sampling(dir, None)
}

/// With a history of counters in intervals of so many seconds.
fn sampling(dir: &Path, seconds: Option<u64>) -> Sqlite {
    Sqlite::new(config::Sqlite {
        path: dir.join("messages.sqlite"),
        counter_history: seconds.map(Duration::from_secs),
    })
}

#[test]
fn the_history_of_counters_follows_its_switch() {
    let dir = tempfile::tempdir().expect("a directory");
    wait(check_counter_history(|seconds| {
        sampling(dir.path(), seconds)
    }));
}

#[test]
fn a_snapshot_is_one_moment() {
    let dir = tempfile::tempdir().expect("a directory");
    wait(check_snapshots(sqlite(dir.path())));
}

#[test]
fn quarantines_poison() {
    let dir = tempfile::tempdir().expect("a directory");
    wait(async {
        let mut store = sqlite(dir.path());
        store.checkpoint().await.expect("made");
        let mut connection = open_sqlite(dir.path()).await;
        connection
            .execute(
                "create trigger refuse before insert on message_content when new.text = 'poison' \
                 begin select raise(abort, 'refused'); end",
            )
            .await
            .expect("a trigger");
        let log = check_poison(&mut store).await;
        let found: Vec<(i64, i64, Vec<u8>)> =
            sqlx::query_as("select seq, kind, raw from quarantine order by seq")
                .fetch_all(&mut connection)
                .await
                .expect("quarantine");
        let found: Vec<_> = found
            .iter()
            .map(|row| (row.0, row.1, row.2.len() > 2))
            .collect();
        assert_eq!(found, [(8, 1, true), (32, 1, true), (41, 99, true)]);
        let mend = async {
            let gone = connection.execute("drop trigger refuse").await;
            gone.expect("no trigger");
        };
        check_retries(&mut store, &log, mend).await;
    });
}

#[test]
fn two_rebuilds_are_equal_and_a_replay_rewrites_nothing() {
    let log = mixed_log();
    let dirs = [
        tempfile::tempdir().expect("a"),
        tempfile::tempdir().expect("b"),
    ];
    wait(async {
        let mut both = Vec::new();
        for (dir, size) in dirs.iter().zip([7, 1000]) {
            let mut store = sqlite(dir.path());
            for part in log.chunks(size) {
                let end = checkpoint(1, part[part.len() - 1].seq().get());
                store.apply(&batch(part, Some(end))).await.expect("apply");
            }
            both.push(everything(&mut store).await);
        }
        assert_eq!(both[0], both[1]);
        assert_eq!(both[0], folded(&log));

        let mut connection = open_sqlite(dirs[0].path()).await;
        for table in ["message_content", "message_state", "message_version"] {
            for change in ["insert", "update", "delete"] {
                let sql = format!(
                    "create trigger no_{change}_{table} after {change} on {table} \
                     begin select raise(abort, 'rewritten'); end"
                );
                connection
                    .execute(sqlx::AssertSqlSafe(sql))
                    .await
                    .expect("a trigger");
            }
        }
        let mut store = sqlite(dirs[0].path());
        store.apply(&batch(&log, None)).await.expect("a replay");
        let quarantined: i64 = sqlx::query_scalar("select count(*) from quarantine")
            .fetch_one(&mut connection)
            .await
            .expect("quarantine");
        assert_eq!(quarantined, 0);
    });
}

async fn open_sqlite(dir: &Path) -> sqlx::SqliteConnection {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(dir.join("messages.sqlite"));
    sqlx::SqliteConnection::connect_with(&options)
        .await
        .expect("open the file")
}

#[test]
fn refuses_a_schema_it_does_not_know() {
    let dir = tempfile::tempdir().expect("a directory");
    wait(async {
        sqlite(dir.path()).checkpoint().await.expect("made");
        let mut connection = open_sqlite(dir.path()).await;
        connection
            .execute(
                "insert into schema_migrations (version, description, success, checksum, execution_time) \
                 values (99, 'newer', true, x'00', 0)",
            )
            .await
            .expect("a newer step");
        let error = sqlite(dir.path()).checkpoint().await.expect_err("newer");
        assert!(
            matches!(error, ProjectionError::UnknownSchema { found: 99, .. }),
            "{error:?}"
        );
    });
}

#[cfg(unix)]
#[test]
fn file_is_private_and_searchable_by_others_while_it_is_written() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().expect("a directory");
    wait(async {
        let mut store = sqlite(dir.path());
        let mut log = posts(&["Caf\u{e9} au lait", "tea", "coffee"]);
        store.apply(&batch(&log, None)).await.expect("apply");
        for file in std::fs::read_dir(dir.path()).expect("files") {
            let file = file.expect("a file");
            let mode = file.metadata().expect("its mode").permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{:?}", file.path());
        }
        let mut reader = open_sqlite(dir.path()).await;
        let sql = "select m.message_id, snippet(messages_fts, 0, '[', ']', '...', 5) \
                   from messages_fts f join messages m using (peer_id, message_id) where messages_fts match ?";
        let mut find = async |word: &'static str| -> Vec<(i64, String)> {
            sqlx::query_as(sql)
                .bind(word)
                .fetch_all(&mut reader)
                .await
                .expect("search")
        };
        assert_eq!(find("CAFE").await, [(1, "[Caf\u{e9}] au lait".to_owned())]);
        let mut edited = posts(&["x", "x", "x", "green tea"]);
        if let Some(Entry::Event(envelope)) = edited.get_mut(3) {
            let changed = Changed {
                text: true,
                ..Changed::default()
            };
            let message = Box::new(message(1, "green tea"));
            envelope.event.body = Body::Edited { message, changed };
        }
        log.push(edited.remove(3));
        store.apply(&batch(&log, None)).await.expect("an edit");
        assert_eq!(find("cafe").await, []);
        assert_eq!(find("green").await.len(), 1);
    });
}

#[test]
fn a_file_is_read_by_the_sqlite_of_the_system_too() {
    // That of Debian 12 is 3.40, and refuses a whole file for one view that it cannot parse.
    const READ_ALL: &str = "\
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
names = [name for (name,) in db.execute(\"select name from sqlite_schema where type in ('table', 'view')\")]
for name in names:
    db.execute(f'select * from \"{name}\" limit 5').fetchall()
print(len(names), db.execute('select count(*) from messages').fetchone()[0])";
    let dir = tempfile::tempdir().expect("a directory");
    wait(async {
        let mut store = sqlite(dir.path());
        let log = posts(&["a", "b", "c"]);
        store.apply(&batch(&log, None)).await.expect("apply");
        let read = std::process::Command::new("python3")
            .args(["-c", READ_ALL])
            .arg(dir.path().join("messages.sqlite"))
            .output()
            .expect("python3 is on PATH");
        let told = String::from_utf8_lossy(&read.stdout);
        let words = String::from_utf8_lossy(&read.stderr);
        let counts: Vec<usize> = told.split_whitespace().flat_map(str::parse).collect();
        let [names, messages] = counts[..] else {
            panic!("{told}{words}");
        };
        assert!(names > 20 && messages == 3, "{told}");
    });
}

/// Words are found in any script that parts them, and by their beginning in those that do not; for what is inside a run of
/// Chinese, Japanese or Thai there is `like`.
#[test]
fn search_knows_every_script_and_its_limits_are_as_documented() {
    const NEWS: &str = "\u{43d}\u{43e}\u{432}\u{43e}\u{441}\u{442}\u{438}"; // Russian
    const SHOUTED: &str = "\u{41d}\u{41e}\u{412}\u{41e}\u{421}\u{422}\u{418}";
    const AKHBAR: &str = "\u{623}\u{62e}\u{628}\u{627}\u{631}"; // Arabic
    const SHANGHAI: &str = "\u{4e0a}\u{6d77}"; // Chinese
    const XINWEN: &str = "\u{65b0}\u{95fb}";
    let dir = tempfile::tempdir().expect("a directory");
    wait(async {
        let texts = [
            format!("x {NEWS} y"),
            format!("{AKHBAR} x"),
            format!("{SHANGHAI}{XINWEN}\u{9891}\u{9053}"),
        ];
        let mut store = sqlite(dir.path());
        let log = posts(&texts.each_ref().map(String::as_str));
        store.apply(&batch(&log, None)).await.expect("apply");
        let mut reader = open_sqlite(dir.path()).await;
        let mut find = async |sql: &'static str, what: String| -> Vec<i64> {
            let query = sqlx::query_scalar(sql).bind(what);
            query.fetch_all(&mut reader).await.expect("search")
        };
        let word = "select message_id from messages_fts where messages_fts match ?";
        assert_eq!(find(word, NEWS.to_owned()).await, [1]);
        assert_eq!(find(word, SHOUTED.to_owned()).await, [1]);
        let beginning: String = NEWS.chars().take(4).collect();
        assert_eq!(find(word, format!("{beginning}*")).await, [1]);
        assert_eq!(find(word, AKHBAR.to_owned()).await, [2]);
        assert_eq!(find(word, format!("{SHANGHAI}*")).await, [3]);
        assert!(find(word, XINWEN.to_owned()).await.is_empty());
        let inside = "select message_id from messages where text like ?";
        assert_eq!(find(inside, format!("%{XINWEN}%")).await, [3]);
    });
}

#[test]
fn a_reader_sees_one_moment_and_holds_nobody_up() {
    let dir = tempfile::tempdir().expect("a directory");
    wait(async {
        let mut store = sqlite(dir.path());
        let log = posts(&["a", "b", "c"]);
        store.apply(&batch(&log[..1], None)).await.expect("apply");
        let mut reader = sqlx::sqlite::SqliteConnectOptions::new()
            .filename(dir.path().join("messages.sqlite"))
            .read_only(true)
            .connect()
            .await
            .expect("the file");
        let mode: String = sqlx::query_scalar("pragma journal_mode")
            .fetch_one(&mut reader)
            .await
            .expect("the mode");
        assert_eq!(mode, "wal");
        let mut count = async |before: &'static str| -> i64 {
            reader.execute(before).await.expect(before);
            let count = sqlx::query_scalar("select count(*) from messages");
            count.fetch_one(&mut reader).await.expect("rows")
        };
        assert_eq!(count("begin").await, 1);
        // The reader's transaction is open all the while.
        store.apply(&batch(&log[1..2], None)).await.expect("apply");
        store.apply(&batch(&log[2..], None)).await.expect("apply");
        assert_eq!(count("select 1").await, 1, "still the moment of its begin");
        assert_eq!(count("commit").await, 3);
    });
}

#[test]
fn schema_is_the_contract() {
    let dir = tempfile::tempdir().expect("a directory");
    wait(async {
        sqlite(dir.path()).checkpoint().await.expect("made");
        let mut connection = open_sqlite(dir.path()).await;
        for table in &VERIFIED {
            let found: Vec<String> =
                sqlx::query("select name from pragma_table_info(?) order by cid")
                    .bind(table.name)
                    .fetch_all(&mut connection)
                    .await
                    .expect("columns")
                    .iter()
                    .map(|row| row.get(0))
                    .collect();
            let expected: Vec<&str> = table.columns.iter().map(|(name, _)| *name).collect();
            assert_eq!(found, expected, "{}", table.name);
        }
    });
}

#[test]
fn albums_are_one_item_once_they_are_quiet() {
    let dir = tempfile::tempdir().expect("a folder");
    wait(async {
        let mut store = sqlite(dir.path());
        let part = |id, text: &str, group| {
            let mut message = message(id, text);
            message.grouped_id = group;
            event(peer(1), Origin::Live, Body::Posted(Box::new(message)))
        };
        let log = entries(vec![
            part(3, "caption", Some(9)),
            part(2, "", Some(9)),
            part(4, "alone", None),
            part(5, "deleted part", Some(9)),
            event(peer(1), Origin::Live, Body::Deleted { message_id: 5 }),
        ]);
        store.apply(&batch(&log, None)).await.expect("apply");
        let mut connection = open_sqlite(dir.path()).await;
        let past = "update message_content set received_at = '2020-01-01T00:00:00.000000Z'";
        connection.execute(past).await.expect("updated");
        let all = "select grouped_id, message_id, parts, text, message_ids from albums";
        let albums: Vec<(i64, i64, i64, String, String)> = sqlx::query_as(all)
            .fetch_all(&mut connection)
            .await
            .expect("rows");
        let expected = (9, 2, 2, "caption".to_owned(), "[2,3]".to_owned());
        assert_eq!(albums, [expected]);
        let late = "update message_content set received_at = '2999-01-01T00:00:00.000000Z' where message_id = 2";
        sqlx::query(late)
            .execute(&mut connection)
            .await
            .expect("updated");
        let albums: Vec<(i64, i64, i64, String, String)> = sqlx::query_as(all)
            .fetch_all(&mut connection)
            .await
            .expect("rows");
        assert_eq!(albums, [], "a part has just come");
    });
}
