//! What a test makes go wrong.

use std::net::SocketAddrV4;

use grammers_tl_types as tl;

use crate::centre::DataCentre;
use crate::connection::{Command, service};
use crate::faults::Rule;
use crate::incoming::announce_session;
use crate::options::{Limits, Options};
use crate::wire::seal::Key;
use crate::world::{Attach, Delivery, Order, Style};

impl DataCentre {
    /// Makes calls fail as a rule says; the number is for [`DataCentre::remove_fault`].
    pub fn add_fault(&self, rule: Rule) -> u64 {
        self.shared.change(|world| world.faults.add(rule))
    }

    /// Lets calls be answered again that a rule was about.
    pub fn remove_fault(&self, number: u64) {
        self.shared.change(|world| world.faults.remove(number));
    }

    /// Removes all rules.
    pub fn clear_faults(&self) {
        self.shared.change(|world| world.faults.clear());
    }

    /// Answers that [`crate::Reaction::Hold`] kept are sent, on connections that are still there.
    pub fn release_answers(&self) {
        self.shared.change(|world| {
            for held in std::mem::take(&mut world.faults.held) {
                if let Some(link) = world.links.get(&held.link) {
                    link.send(held.answer);
                }
            }
        });
    }

    /// Closes all connections. New ones may come at once.
    pub fn cut(&self) {
        self.shared
            .change(|world| world.links.values().for_each(|link| link.close()));
    }

    /// Closes each new connection as soon as it is made, or no longer does.
    pub fn refuse_connections(&self, refuses: bool) {
        self.shared
            .change(|world| world.faults.is_refusing = refuses);
    }

    /// A black hole: connections are taken, but what arrives is thrown away and nothing is sent.
    pub fn mute(&self, is_mute: bool) {
        self.shared.change(|world| world.faults.is_mute = is_mute);
    }

    /// The connections that there are now become black holes for ever; new ones work.
    pub fn half_open(&self) {
        self.shared.change(|world| {
            world
                .links
                .values_mut()
                .for_each(|link| link.is_mute = true)
        });
    }

    /// What happens to updates from now on. Those that are withheld are never pushed later.
    pub fn deliver(&self, delivery: Delivery) {
        self.shared.change(|world| world.outbox.delivery = delivery);
    }

    /// Sends the updates that [`Delivery::Held`] kept.
    pub fn release(&self, order: Order) {
        self.shared.change(|world| world.release(order));
    }

    /// The constructor that updates are wrapped in from now on.
    pub fn wrap_in(&self, style: Style) {
        self.shared.change(|world| world.outbox.style = style);
    }

    /// How channels are attached to updates from now on.
    pub fn attach(&self, attach: Attach) {
        self.shared.change(|world| world.outbox.attach = attach);
    }

    /// The same for one channel, whatever the others do.
    pub fn attach_channel(&self, channel: i64, attach: Attach) {
        self.shared
            .change(|world| world.channel(channel).attach = Some(attach));
    }

    /// Changes where answers are cut.
    pub fn change_limits(&self, change: impl FnOnce(&mut Limits)) {
        self.shared
            .change(|world| change(&mut world.options.limits));
    }

    /// Changes how the data centre behaves. Its numbers and those of the others are fixed when it starts.
    pub fn change_options(&self, change: impl FnOnce(&mut Options)) {
        self.shared.change(|world| {
            let (dc_id, others) = (world.options.dc_id, world.options.other_dcs.clone());
            change(&mut world.options);
            (world.options.dc_id, world.options.other_dcs) = (dc_id, others);
        });
    }

    /// No salt is valid any more that a client has been given.
    pub fn rotate_salts(&self) {
        self.shared.change(|world| world.salts.rotate());
    }

    /// Tells every client that its session was made anew, as after a loss on the server.
    pub fn announce_sessions(&self) {
        self.shared.change(|world| {
            world
                .links
                .keys()
                .for_each(|link| announce_session(world, *link, 1));
        });
    }

    /// Sends every client a packet for a session that is not its own.
    pub fn send_wrong_session(&self) {
        self.shared.change(|world| {
            for link in world.links.values() {
                let pong = tl::enums::Pong::from(tl::types::Pong {
                    msg_id: 0,
                    ping_id: 0,
                });
                link.command(Command::SendToWrongSession(service(&pong, false, false)));
            }
        });
    }

    /// Sends every client an error of the transport, as 404 or 429.
    pub fn send_transport_error(&self, code: u16) {
        self.shared.change(|world| {
            let links = world.links.values();
            links.for_each(|link| link.command(Command::TransportError(code)));
        });
    }

    /// Forgets a key: -404 for whoever uses it.
    pub fn forget_key(&self, key: [u8; 256]) {
        self.shared
            .change(|world| world.keys.remove(&Key::new(key).id()));
    }

    /// Ends the login of a key: `AUTH_KEY_UNREGISTERED` for whoever uses it.
    pub fn log_out(&self, key: [u8; 256]) {
        self.shared.change(|world| {
            if let Some(state) = world.keys.get_mut(&Key::new(key).id()) {
                state.account = None;
            }
        });
    }

    /// Bans an account from a channel, or lets it in again. Nothing is pushed to say so.
    pub fn forbid(&self, channel: i64, account: usize, forbids: bool) {
        self.shared.change(|world| {
            let forbidden = &mut world.channel(channel).forbidden;
            if forbids {
                forbidden.insert(account);
            } else {
                forbidden.remove(&account);
            }
        });
    }

    /// Puts an account out of a channel that it may still look at, or in again.
    pub fn set_member(&self, channel: i64, account: usize, is_member: bool) {
        self.shared.change(|world| {
            let outside = &mut world.channel(channel).outside;
            if is_member {
                outside.remove(&account);
            } else {
                outside.insert(account);
            }
        });
    }

    /// What `help.getConfig` says instead of the true addresses.
    pub fn tell_addresses(&self, addresses: Option<Vec<(i32, SocketAddrV4)>>) {
        self.shared.change(|world| world.told_addresses = addresses);
    }

    /// Moves the clock of the server, forwards or back.
    pub fn shift_clock(&self, seconds: i64) {
        self.shared.change(|world| world.clock.shift(seconds));
    }

    /// Stops the clock of the server at a date, or lets it go on.
    pub fn stop_clock(&self, date: Option<i32>) {
        self.shared.change(|world| match date {
            Some(date) => world.clock.stop_at(date),
            None => world.clock.run(),
        });
    }

    /// Pushes updates to an account, among them one that no client can read.
    pub fn push_garbled(&self, account: usize, updates: Vec<tl::enums::Update>) {
        self.shared
            .change(|world| world.send_garbled(account, updates));
    }

    /// Forgets all that ever happened: positions begin again below those that clients have.
    pub fn wipe(&self) {
        self.shared.change(|world| world.wipe());
    }
}
