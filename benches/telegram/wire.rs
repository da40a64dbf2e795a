//! Over the wire: the real client, and the data centre of the tests in the same process.

use std::net::{Ipv6Addr, SocketAddrV6};
use std::sync::Arc;
use std::time::Instant;

use datacentre::{ChannelSpec, DataCentre, Options};
use grammers_session::Session;
use grammers_session::storages::MemorySession;
use grammers_session::types::DcOption;
use telegram_gateway::source::telegram::account::{Closed, Door};

use crate::house::House;

const UPDATES: usize = 50_000;
const CHANNELS: usize = 50;
/// On their way at a time.
const WINDOW: u64 = 4_000;

struct Key(Arc<DataCentre>);

impl Door for Key {
    type Session = MemorySession;

    async fn open(&self) -> Result<Arc<MemorySession>, Closed> {
        let session = MemorySession::default();
        let home = DcOption {
            id: self.0.dc_id(),
            ipv4: self.0.address(),
            ipv6: SocketAddrV6::new(Ipv6Addr::LOCALHOST, 0, 0, 0),
            auth_key: Some(self.0.auth_key()),
        };
        session.set_dc_option(&home).await.expect("in memory");
        session.set_home_dc_id(home.id).await.expect("in memory");
        Ok(Arc::new(session))
    }
}

/// A house that is connected to a data centre, with its channels known.
pub(crate) struct Wired {
    pub(crate) house: House,
    dc: Arc<DataCentre>,
    channels: Vec<i64>,
}

impl Wired {
    pub(crate) async fn start(channels: usize) -> Wired {
        let dc = DataCentre::start(Options::default()).await;
        let dc = Arc::new(dc.expect("a data centre"));
        let named = (0..channels).map(|n| ChannelSpec::broadcast(&format!("Channel {n}")));
        let channels: Vec<i64> = named.map(|spec| dc.add_channel(spec)).collect();
        let mut house = House::open(Key(Arc::clone(&dc))).await;
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
