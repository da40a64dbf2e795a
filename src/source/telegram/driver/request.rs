//! What the driver wants asked, and what it may be told.

use grammers_tl_types as tl;

/// A call that the driver wants made. Whoever makes it hands it back, once, with the answer or with the failure.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// `updates.getState`: where the account is now. Asked when nothing is known, or the server refused what was.
    State,
    /// `updates.getDifference`: what the account missed.
    Difference(tl::functions::updates::GetDifference),
    /// `updates.getChannelDifference`: what a channel missed.
    ChannelDifference {
        /// The channel's bare id.
        channel: i64,
        /// The call, complete but for the access hash, which is 0: the session knows it.
        call: tl::functions::updates::GetChannelDifference,
    },
    /// Where a channel is now: `channels.getFullChannel` tells its pts. Asked when no position is known, or the
    /// server refused the one that was.
    ChannelState {
        /// The channel's bare id.
        channel: i64,
    },
}

impl Request {
    /// The channel that is asked about.
    pub fn channel(&self) -> Option<i64> {
        match self {
            Request::State | Request::Difference(_) => None,
            Request::ChannelDifference { channel, .. } | Request::ChannelState { channel } => {
                Some(*channel)
            }
        }
    }

    /// The method, as Telegram and the counters name it.
    pub fn method(&self) -> &'static str {
        match self {
            Request::State => "updates.getState",
            Request::Difference(_) => "updates.getDifference",
            Request::ChannelDifference { .. } => "updates.getChannelDifference",
            Request::ChannelState { .. } => "channels.getFullChannel",
        }
    }
}

/// The answer to a [`Request`], each to its own.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "few exist at a time, and each is taken apart at once"
)]
pub enum Answer {
    /// To [`Request::State`].
    State(tl::enums::updates::State),
    /// To [`Request::Difference`].
    Difference(tl::enums::updates::Difference),
    /// To [`Request::ChannelDifference`].
    ChannelDifference(tl::enums::updates::ChannelDifference),
    /// To [`Request::ChannelState`].
    ChannelState {
        /// The channel's pts now.
        pts: i32,
    },
}
