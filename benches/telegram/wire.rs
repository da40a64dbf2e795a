//! Over the wire: accounts as configured, the real client, and the data centre of the tests in the same process.

use std::time::Instant;

use datacentre::{ChannelSpec, DataCentre, Options};
use telegram_gateway::daemon::Daemon;
use telegram_gateway::status::Status;
use tokio_util::sync::CancellationToken;

use crate::house::House;

const UPDATES: usize = 50_000;
const CHANNELS: usize = 50;
/// On their way at a time.
const WINDOW: u64 = 4_000;

/// A house that is connected to a data centre, with its channels known.
pub(crate) struct Wired {
    pub(crate) house: House,
    dc: DataCentre,
    channels: Vec<i64>,
}

impl Wired {
    pub(crate) async fn start(channels: usize) -> Wired {
        let dc = DataCentre::start(Options::default()).await;
        let dc = dc.expect("a data centre");
        let named = (0..channels).map(|n| ChannelSpec::broadcast(&format!("Channel {n}")));
        let channels: Vec<i64> = named.map(|spec| dc.add_channel(spec)).collect();
        let keys = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(keys.path(), dc.auth_key()).expect("written");
        let settings = [
            ("TELEGRAM__API_ID", "1".to_owned()),
            ("TELEGRAM__API_HASH", "unused".to_owned()),
            ("TELEGRAM__SESSION_KEY", "a passphrase".to_owned()),
            ("TELEGRAM__FOLLOW", "all".to_owned()),
            ("TELEGRAM__BACKFILL_DEPTH", "0".to_owned()),
            ("TELEGRAM__DC__ID", dc.dc_id().to_string()),
            ("TELEGRAM__DC__ADDRESS", dc.address().to_string()),
            (
                "TELEGRAM__DC__AUTH_KEY_FILE",
                keys.path().display().to_string(),
            ),
        ];
        let start = async |daemon: &Daemon, _: &Status, stop: &CancellationToken| {
            daemon.telegram(stop).await.expect("accounts")
        };
        let mut house = House::open(&settings, start).await;
        let before = house.tail();
        for channel in &channels {
            dc.post(*channel, "first");
        }
        // Each is described and has a post.
        house.reaches(before + 2 * channels.len() as u64).await;
        Wired {
            house,
            dc,
            channels,
        }
    }

    /// The nth post.
    pub(crate) fn post(&self, n: usize) {
        self.dc
            .post(self.channels[n % self.channels.len()], text(n));
    }
}

/// As long as a signal usually is.
pub(crate) fn text(n: usize) -> String {
    format!("{n:08} BUY EURUSD 1.08450, stop 1.08200, target 1.09100 ").repeat(4)
}

/// Updates a second.
pub(crate) async fn rate() -> f64 {
    let mut it = Wired::start(CHANNELS).await;
    let before = it.house.tail();
    let start = Instant::now();
    for n in 0..UPDATES {
        it.post(n);
        if n % 100 == 99 {
            it.house
                .reaches((before + n as u64).saturating_sub(WINDOW))
                .await;
        }
    }
    it.house.reaches(before + UPDATES as u64).await;
    let rate = UPDATES as f64 / start.elapsed().as_secs_f64();
    it.house.stop().await;
    rate
}
