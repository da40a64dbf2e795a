//! What a reader of a replica does, as `docs/redis.md` says it.

use std::time::Duration;

use redis::aio::MultiplexedConnection;

use super::gateway::repository;

/// What the block of the document gave.
pub(crate) struct Reading {
    /// Of the checkpoint.
    pub(crate) seq: u64,
    /// How far it may be behind; none where the server cannot tell.
    pub(crate) age: Option<Duration>,
    /// The newest ids of the channel.
    pub(crate) ids: Vec<i64>,
}

/// Carries the block of the document out, for keys of this prefix and a channel.
pub(crate) async fn read(
    connection: &mut MultiplexedConnection,
    prefix: &str,
    peer: i64,
) -> redis::RedisResult<Reading> {
    let text = std::fs::read_to_string(repository("docs/redis.md")).expect("the document");
    let (_, block) = text.split_once("<!-- recipe: replica -->").expect("marked");
    let lines = block.lines().skip_while(|line| *line != "MULTI").skip(1);
    let mut pipeline = redis::pipe();
    pipeline.atomic();
    for line in lines.take_while(|line| *line != "EXEC") {
        let line = line.replace("tgw:", &format!("{prefix}:"));
        let line = line.replace("-1001000000001", &peer.to_string());
        let mut words = line.split(' ');
        let mut command = redis::cmd(words.next().expect("a command"));
        command.arg(words.collect::<Vec<_>>());
        pipeline.add_command(command);
    }
    type Answers = ((u64, u64), (Option<u64>, Option<u64>), Vec<i64>);
    let ((seconds, micros), (seq, checked), ids): Answers =
        pipeline.query_async(connection).await?;
    let now = seconds * 1000 + micros / 1000;
    Ok(Reading {
        seq: seq.unwrap_or(0),
        age: checked.map(|at| Duration::from_millis(now.saturating_sub(at))),
        ids,
    })
}
