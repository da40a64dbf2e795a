//! Opening may take long after an unclean stop: somebody should say so.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Nothing is said about an opening that is faster than this.
const SILENCE: Duration = Duration::from_secs(1);
/// And after that this often.
const EVERY: Duration = Duration::from_secs(2);

/// How far opening the log is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Opening {
    /// Since it began.
    pub elapsed: Duration,
    /// The part that is done, 0 to 1, where that is known.
    pub done: Option<f64>,
}

/// Where the work notes how far it is.
#[derive(Debug, Clone, Default)]
pub(super) struct Meter(Arc<Mutex<Option<f64>>>);

impl Meter {
    /// Notes the part that is done, 0 to 1.
    fn note(&self, done: f64) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(done.clamp(0.0, 1.0));
    }

    /// The options with which the log notes it here.
    pub(super) fn on(&self, options: &wal::Options) -> wal::Options {
        let meter = self.clone();
        wal::Options {
            progress: Some(wal::Progress::new(move |done| meter.note(done))),
            ..options.clone()
        }
    }

    fn read(&self) -> Option<f64> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Does the work here and says how far it is from another thread, once it takes longer than a second.
pub(super) fn watched<T>(
    say: &mut (dyn FnMut(Opening) + Send),
    work: impl FnOnce(&Meter) -> T,
) -> T {
    watched_from(SILENCE, say, work)
}

fn watched_from<T>(
    silence: Duration,
    say: &mut (dyn FnMut(Opening) + Send),
    work: impl FnOnce(&Meter) -> T,
) -> T {
    let meter = &Meter::default();
    let started = Instant::now();
    let (done, ended) = channel::<()>();
    std::thread::scope(|scope| {
        let watch = move || {
            let mut wait = silence;
            while ended.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
                say(Opening {
                    elapsed: started.elapsed(),
                    done: meter.read(),
                });
                wait = EVERY;
            }
        };
        // Without the thread nothing is said, which is no reason not to open.
        let _ = std::thread::Builder::new().spawn_scoped(scope, watch);
        let result = work(meter);
        drop(done);
        result
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_long_opening_is_told() {
        let mut told = 0;
        assert_eq!(watched(&mut |_| told += 1, |_| 7), 7);
        assert_eq!(told, 0);
        let (sender, heard) = channel();
        let mut say = move |opening: Opening| sender.send(opening.done).expect("listening");
        let said = watched_from(Duration::ZERO, &mut say, |meter| {
            meter.note(0.25);
            // The first may have come before the note.
            let first = heard.recv().expect("told");
            first.or_else(|| heard.recv().expect("told again"))
        });
        assert_eq!(said, Some(0.25));
    }
}
