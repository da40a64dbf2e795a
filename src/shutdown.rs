//! Stopping: the first signal asks for a drain, the second ends the process at once.

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
}
