//! What happens to single accounts: private chats, basic groups, and updates of any kind.

use std::collections::BTreeMap;

use grammers_tl_types as tl;
use tl::Serializable;

use crate::centre::DataCentre;
use crate::content::{ChannelSpec, Draft, group_as_chat, group_peer, user_peer};
use crate::world::{Account, Group, World};

impl DataCentre {
    /// Where the common box of an account is.
    pub fn common_pts(&self, account: usize) -> i32 {
        self.shared
            .look(|world| world.accounts[account].mailbox.pts)
    }

    /// A message that an account gets from a user; its id, which counts for this account alone.
    pub fn receive(&self, account: usize, from: i64, draft: impl Into<Draft>) -> i32 {
        self.shared.change(|world| {
            let (date, own) = (world.date(), &mut world.accounts[account]);
            if !own.correspondents.contains(&from) {
                own.correspondents.push(from);
            }
            let (id, update) = own.mailbox.post(draft.into(), user_peer(from), date);
            world.publish(account, update);
            id
        })
    }

    /// Makes something happen in the boxes of an account, and tells it.
    fn befall(&self, account: usize, happen: impl FnOnce(&mut Account, i32) -> tl::enums::Update) {
        self.shared.change(|world| {
            let date = world.date();
            let update = happen(&mut world.accounts[account], date);
            world.publish(account, update);
        });
    }

    /// An edit in a private chat or a group, of the id that the account has for it.
    pub fn edit_for(&self, account: usize, id: i32, draft: impl Into<Draft>) {
        self.befall(account, |account, date| {
            let edited = account.mailbox.edit(id, draft.into(), date);
            edited.expect("a message to edit")
        });
    }

    /// A deletion in private chats and groups: the update does not say in which.
    pub fn delete_for(&self, account: usize, ids: &[i32]) {
        self.befall(account, |account, date| account.mailbox.delete(ids, date));
    }

    /// Any update of the common box, which is given its pts.
    pub fn common_update(
        &self,
        account: usize,
        pts_count: i32,
        update: impl FnOnce(i32) -> tl::enums::Update,
    ) {
        self.befall(account, |account, date| {
            account.mailbox.log(pts_count, date, update)
        });
    }

    /// Any update of the secondary box, which is given its qts.
    pub fn secondary_update(&self, account: usize, update: impl FnOnce(i32) -> tl::enums::Update) {
        self.befall(account, |account, _| {
            let qts = account.qts() + 1;
            let update = update(qts);
            account.secondary.push((qts, update.clone()));
            update
        });
    }

    /// A basic group of some accounts.
    pub fn add_group(&self, title: &str, members: &[usize]) -> i64 {
        self.shared.change(|world| {
            let id = world.next_peer_id();
            let group = Group {
                inner: group_as_chat(id, title, world.date()),
                members: members.to_vec(),
                twins: BTreeMap::new(),
                moved_to: None,
            };
            world.groups.insert(id, group);
            id
        })
    }

    /// A message in a basic group: the id that it has for the first member. Each member has its own.
    pub fn post_in_group(&self, group: i64, from: i64, draft: impl Into<Draft>) -> i32 {
        let draft = draft.into().from_user(from);
        self.shared
            .change(|world| post_in_group(world, group, &draft))
    }

    /// The id that a message of a group has for a member, from the one that it has for the first.
    pub fn id_in_group(&self, group: i64, id: i32, member: usize) -> Option<i32> {
        self.shared.look(|world| {
            let twins = world.groups.get(&group)?.twins.get(&id)?;
            let own = twins.iter().find(|(account, _)| *account == member);
            own.map(|(_, id)| *id)
        })
    }

    /// A group becomes a supergroup of the same members, and both say so; the id of the supergroup.
    pub fn move_group(&self, group: i64, by: i64, spec: ChannelSpec) -> i64 {
        let channel_id = self.add_channel(spec);
        let title = self.shared.change(|world| {
            let strangers = (0..world.accounts.len())
                .filter(|account| !world.groups[&group].members.contains(account));
            let strangers = strangers.collect::<Vec<_>>();
            world.channel(channel_id).outside.extend(strangers);
            let moved = tl::types::MessageActionChatMigrateTo { channel_id };
            let last = Draft::service(moved.into()).from_user(by);
            post_in_group(world, group, &last);
            let group = world.groups.get_mut(&group).expect("a group of this world");
            group.moved_to = Some(channel_id);
            group.inner.title.clone()
        });
        let came = tl::types::MessageActionChannelMigrateFrom {
            title,
            chat_id: group,
        };
        self.post(channel_id, Draft::service(came.into()).from_user(by));
        channel_id
    }

    /// Pushes what `happen` makes happen in one container per account.
    pub fn together(&self, happen: impl FnOnce(&Self)) {
        self.shared.change(World::begin_together);
        happen(self);
        self.shared.change(World::end_together);
    }

    /// Pushes an update that nothing is known of, as it is.
    pub fn push(&self, account: usize, update: tl::enums::Update) {
        self.shared.change(|world| world.publish(account, update));
    }

    /// Pushes a container as it is.
    pub fn push_updates(&self, account: usize, updates: &tl::enums::Updates) {
        self.shared
            .change(|world| world.send_to_account(account, updates.to_bytes()));
    }
}

fn post_in_group(world: &mut World, group: i64, draft: &Draft) -> i32 {
    let date = world.date();
    let mut twins = Vec::new();
    for member in world.groups[&group].members.clone() {
        let mailbox = &mut world.accounts[member].mailbox;
        let (id, update) = mailbox.post(draft.clone(), group_peer(group), date);
        twins.push((member, id));
        world.publish(member, update);
    }
    let id = twins.first().expect("a member").1;
    let group = world.groups.get_mut(&group).expect("a group of this world");
    group.twins.insert(id, twins);
    id
}
