//! What can be set when the data centre starts, and changed while it runs.

/// How the data centre behaves when nothing is wrong with it.
#[derive(Clone, Debug)]
pub struct Options {
    /// The data centre that accounts live in.
    pub dc_id: i32,
    /// Others of the same world, each on a port of its own: files and logins can be there.
    pub other_dcs: Vec<i32>,
    /// Where answers are cut.
    pub limits: Limits,
    /// Whether a message with a salt that is not valid is sent back, as the first one of every session is.
    pub checks_salts: bool,
    /// Whether a message with an id far from the server's time is sent back. Off, because the client never gets out of
    /// being told that its ids are too high.
    pub checks_message_times: bool,
    /// Whether to pts above its own the server answers with an error; with an empty difference otherwise.
    pub refuses_pts_above: bool,
    /// Answers longer than this are compressed.
    pub pack_over: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            dc_id: 2,
            other_dcs: Vec::new(),
            limits: Limits::default(),
            checks_salts: true,
            checks_message_times: false,
            refuses_pts_above: true,
            pack_over: 16 << 10,
        }
    }
}

/// Where answers are cut.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Entries in one `updates.difference`; more make it a slice.
    pub difference: usize,
    /// More missed entries than this are `updates.differenceTooLong`.
    pub difference_too_long: usize,
    /// Entries in one `updates.channelDifference`, if the client asks for as many.
    pub channel_difference: usize,
    /// More missed entries than this are `updates.channelDifferenceTooLong`.
    pub channel_difference_too_long: usize,
    /// Messages in `updates.channelDifferenceTooLong`.
    pub too_long_messages: usize,
    /// Whether `updateChannelTooLong` says the pts of the channel.
    pub too_long_tells_pts: bool,
    /// The `timeout` of channel differences, in seconds.
    pub channel_timeout: Option<i32>,
    /// Messages in one page of a history, and dialogs in one page of the list.
    pub page: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            difference: 100,
            difference_too_long: usize::MAX,
            channel_difference: 100,
            channel_difference_too_long: usize::MAX,
            too_long_messages: 1,
            too_long_tells_pts: false,
            channel_timeout: Some(30),
            page: 100,
        }
    }
}
