//! Stopping: the first signal asks for a drain, the second ends the process at once.

use std::future::Future;
use std::io;

use tokio_util::sync::CancellationToken;

/// A signal that asks the program to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT: a person pressed Ctrl-C.
    Interrupt,
    /// SIGTERM: the service manager.
    Terminate,
}

impl Signal {
    /// What a process that the signal ended exits with, as shells count it.
    pub fn exit_code(self) -> u8 {
        match self {
            Signal::Interrupt => 130,
            Signal::Terminate => 143,
        }
    }
}

/// Listens for signals from now on; the token is cancelled by the first one. Needs a tokio runtime.
///
/// The second signal ends the process without unwinding or draining. Nothing that was acknowledged is lost by that:
/// it is what the log is for.
pub fn listen() -> io::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let mut signals = Signals::new()?;
    let token = stop.clone();
    tokio::spawn(async move {
        let next = async |signals: &mut Signals| signals.next().await;
        if let Some(signal) = second(&token, &mut signals, next).await {
            tracing::warn!("second signal: ending at once");
            std::process::exit(signal.exit_code().into());
        }
    });
    Ok(stop)
}

/// Cancels at the first signal and gives the second one; none when the signals end before.
async fn second<S, F>(stop: &CancellationToken, signals: &mut S, next: F) -> Option<Signal>
where
    F: AsyncFn(&mut S) -> Option<Signal>,
{
    next(signals).await?;
    tracing::info!("stopping: draining; a second signal ends at once");
    stop.cancel();
    next(signals).await
}

/// Runs until the work is done, or gives up on it once `limit` has passed since the stop was asked for.
pub async fn drained<F: Future>(
    work: F,
    stop: &CancellationToken,
    limit: std::time::Duration,
) -> Option<F::Output> {
    let deadline = async {
        stop.cancelled().await;
        tokio::time::sleep(limit).await;
    };
    tokio::select! {
        biased;
        output = work => Some(output),
        () = deadline => None,
    }
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Signals> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) -> Option<Signal> {
        tokio::select! {
            got = self.interrupt.recv() => got.map(|()| Signal::Interrupt),
            got = self.terminate.recv() => got.map(|()| Signal::Terminate),
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> io::Result<Signals> {
        Ok(Signals)
    }

    async fn next(&mut self) -> Option<Signal> {
        tokio::signal::ctrl_c()
            .await
            .ok()
            .map(|()| Signal::Interrupt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::mpsc;

    async fn next(signals: &mut mpsc::Receiver<Signal>) -> Option<Signal> {
        signals.recv().await
    }

    #[tokio::test]
    async fn the_first_signal_drains_and_the_second_ends() {
        let (sender, mut signals) = mpsc::channel(2);
        let stop = CancellationToken::new();
        let listening = second(&stop, &mut signals, next);
        let sending = async {
            assert!(!stop.is_cancelled());
            sender.send(Signal::Terminate).await.expect("listening");
            stop.cancelled().await;
            sender.send(Signal::Interrupt).await.expect("listening");
        };
        let (signal, ()) = tokio::join!(listening, sending);
        assert_eq!(signal, Some(Signal::Interrupt));
        assert_eq!(signal.map(Signal::exit_code), Some(130));
    }

    #[tokio::test]
    async fn a_drain_has_a_limit() {
        let stop = CancellationToken::new();
        let limit = std::time::Duration::from_millis(10);
        assert_eq!(drained(async { 7 }, &stop, limit).await, Some(7));
        stop.cancel();
        let stuck = std::future::pending::<()>();
        assert_eq!(drained(stuck, &stop, limit).await, None);
    }
}
