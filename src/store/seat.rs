//! The seat at a store: of several projectors that could feed it, the one that does.
//!
//! A seat saves work; it guards nothing. Each batch is judged by the store's own checkpoint, in its own transaction (I5):
//! one that would leave a hole is refused, one that is known already changes nothing, and one of another log, or from an
//! epoch that is over, is refused. So a holder that was frozen, lost its seat, and wakes up in the middle of a batch does
//! no harm, and no second count of terms has to be kept beside the checkpoint.

use std::future::Future;
use std::time::{Duration, Instant};

use super::ProjectionError;

/// How long a seat lasts that its holder does not renew; the store itself sees to that.
pub(super) const LIFE: Duration = Duration::from_secs(3);
/// How often it is renewed, or asked for.
pub const RENEWAL: Duration = Duration::from_secs(1);

/// A seat.
pub trait Seat: Send {
    /// Takes it if it is free, or renews it; whether it is held now.
    fn hold(&mut self) -> impl Future<Output = Result<bool, ProjectionError>> + Send;
    /// Gives it up, so that nobody has to wait until it is over. Whether that was heard does not matter.
    fn leave(&mut self) -> impl Future<Output = ()> + Send;
}

/// Renews a seat that is held, and returns once it is lost: somebody else has it, or it can have run out because the
/// store cannot be reached.
pub async fn until_lost(seat: &mut impl Seat) {
    let mut renewed = Instant::now();
    while let Some(left) = LIFE.checked_sub(renewed.elapsed()) {
        tokio::time::sleep(RENEWAL.min(left)).await;
        let asked = Instant::now();
        let left = LIFE.saturating_sub(renewed.elapsed());
        match tokio::time::timeout(left, seat.hold()).await {
            Ok(Ok(true)) => renewed = asked,
            Ok(Ok(false)) => return,
            // The projector, which is always at it, tells of a store that is away.
            Ok(Err(_)) | Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::failure::Class;
    use crate::store::ProjectionName;
    use crate::store::sql::refusal;

    /// Answers as it was told, and then never again.
    struct Told(VecDeque<Option<bool>>);

    impl Seat for Told {
        async fn hold(&mut self) -> Result<bool, ProjectionError> {
            let away = || {
                refusal(
                    ProjectionName::Redis,
                    "renewing",
                    Class::Transient,
                    None,
                    "away",
                )
            };
            match self.0.pop_front() {
                Some(said) => said.ok_or_else(away),
                None => std::future::pending().await,
            }
        }

        async fn leave(&mut self) {}
    }

    #[tokio::test]
    async fn a_seat_is_lost_when_another_has_it_or_when_it_may_have_run_out() {
        let mut taken = Told([None, Some(true), Some(false), Some(true)].into());
        until_lost(&mut taken).await;
        assert_eq!(
            taken.0.len(),
            1,
            "one failure is survived, another holder is not"
        );
        let mut silent = Told([Some(true)].into());
        until_lost(&mut silent).await;
        assert!(silent.0.is_empty());
    }
}
