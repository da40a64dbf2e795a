//! `demo`: the main job on the embedded default, with a live view.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::args::{DemoArgs, Globals};
use super::{CommandResult, output, view};
use crate::config::Config;
use crate::daemon::{Daemon, Options};
use crate::event::Timestamp;
use crate::failure::Exit;
use crate::source::synthetic::{self, Synthetic};
use crate::status::Status;

pub(super) async fn run(globals: &Globals, args: &DemoArgs) -> CommandResult {
    let config = globals.load_demo()?.config;
    let stop = super::stop_on_signals()?;
    let status = Status::new();
    let daemon = Daemon::open(config.clone(), status.clone())?;
    // Each demo goes on with the channels of the last one: its position is in the log.
    let bookmark = daemon.bookmark(synthetic::BOOKMARK).await?;
    let options = synthetic::Options {
        seed: args.seed,
        rate: args.rate,
        base: Timestamp::now(),
        ..synthetic::Options::default()
    };
    let source = Synthetic::resume(&options, bookmark.as_deref())?;
    if let Some(seconds) = args.seconds {
        let stop = stop.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            stop.cancel();
        });
    }
    let title = format!(
        "demo: {} messages a second, seed {}; Ctrl-C ends it",
        args.rate, args.seed
    );
    let view_stop = CancellationToken::new();
    let view = tokio::spawn(view::follow(title, status.clone(), view_stop.clone()));
    let ran = daemon
        .run(
            Some(source),
            Options {
                receipts: None,
                drain: true,
            },
            stop,
        )
        .await;
    view_stop.cancel();
    let _ = view.await;
    ran?;
    output::print(&farewell(&config, &status))?;
    Ok(Exit::Ok)
}

fn farewell(config: &Config, status: &Status) -> String {
    let board = status.snapshot();
    let log = config.data_dir.join(crate::journal::LOG_DIR);
    let mut text = format!(
        "{} events received, durable up to {}\nlog      {}\n",
        board.received,
        board.durable,
        log.display()
    );
    if let Some(sqlite) = &config.sqlite {
        let file = sqlite.path.display();
        text.push_str(&format!(
            "sqlite   {file}\n\
             try      sqlite3 {file} \"select c.title, count(*) as messages, max(m.posted_at) as newest \
             from messages m join channels c using (peer_id) group by 1 order by 2 desc\"\n\
             check    {} verify all --data-dir {}\n",
            std::env::args().next().unwrap_or_default(),
            config.data_dir.display()
        ));
    }
    text
}
