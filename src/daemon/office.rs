//! What is asked of the live source: which chats there are, who is behind a name, and what of the past is to be fetched.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::mirror::policy;
use super::refusal::{not_taken, refused};
use crate::config::{Chat, Follow, Telegram};
use crate::event::{PeerId, PeerKind};
use crate::failure::Exit;
use crate::journal::control::{Answer, Ask, Chats, Refusal};
use crate::journal::{JournalError, JournalReader};
use crate::source::telegram::account::{Met, NoOrder, Order, Orders, Question, positions};
use crate::source::telegram::backfill::Job;
use crate::source::telegram::driver::BoxName;
use crate::source::telegram::index::Index;
use crate::source::telegram::normalise::Sight;
use crate::source::telegram::policy::Policy;
use crate::status::{AccountReport, BackfillReport, ChatReport, GapReport, Status, UnresolvedName};

/// How long an account may take to take an order, and to ask a question: it may be connecting anew.
const TAKE_PATIENCE: Duration = Duration::from_secs(60);
const MEET_PATIENCE: Duration = Duration::from_secs(300);
/// How long an order that was taken may take to be durable.
const DURABLE_PATIENCE: Duration = Duration::from_secs(15);
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Knows the chats of the configured accounts, and reaches those accounts that run.
#[derive(Clone)]
pub(super) struct Office(Arc<Shared>);

struct Shared {
    config: Telegram,
    index: Arc<Index>,
    reader: JournalReader,
    status: Status,
    /// Those that run.
    accounts: BTreeMap<String, Orders>,
}

/// A command that was done, or refused; or a log that cannot be read.
type Done<T> = Result<Result<T, Refusal>, JournalError>;

impl Office {
    pub(super) fn new(
        config: &Telegram,
        index: &Arc<Index>,
        reader: &JournalReader,
        status: &Status,
        accounts: BTreeMap<String, Orders>,
    ) -> Office {
        Office(Arc::new(Shared {
            config: config.clone(),
            index: Arc::clone(index),
            reader: reader.clone(),
            status: status.clone(),
            accounts,
        }))
    }

    /// Does what is asked.
    pub(super) async fn run(&self, ask: Ask) -> Result<Answer, JournalError> {
        let done = match ask {
            Ask::Chats => Ok(Answer::Chats(self.chats().await?)),
            Ask::Backfills => Ok(Answer::Backfills {
                accounts: self.backfills(),
            }),
            Ask::Meet {
                account,
                chat,
                keep,
            } => {
                let met = self.meet(&account, chat.as_deref(), keep).await;
                met.map(Answer::Chats)
            }
            Ask::Backfill {
                account,
                chat,
                since,
                limit,
            } => {
                let order = |channel| Order::Backfill {
                    channel,
                    since,
                    limit,
                };
                self.order(&account, &chat, order).await?
            }
            Ask::Cancel { account, chat } => {
                let order = |channel| Order::Cancel { channel };
                self.order(&account, &chat, order).await?
            }
        };
        Ok(done.unwrap_or_else(Answer::Refused))
    }

    /// The accounts that run, with what their channels are called.
    pub(super) fn accounts(&self) -> Vec<AccountReport> {
        let mut accounts = self.0.status.accounts();
        for account in &mut accounts {
            for it in &mut account.channels {
                it.name = self.channel_name(it.channel);
            }
            self.name_all(&mut account.backfills);
        }
        accounts
    }

    fn backfills(&self) -> Vec<(String, Vec<BackfillReport>)> {
        let names = self.0.accounts.keys().cloned();
        let accounts = names.map(|name| {
            let mut all = self.0.status.backfills(&name);
            self.name_all(&mut all);
            (name, all)
        });
        accounts.collect()
    }

    fn name_all(&self, backfills: &mut [BackfillReport]) {
        for it in backfills {
            it.name = self.channel_name(it.channel);
        }
    }

    /// The gaps that nobody has closed.
    pub(super) fn gaps(&self) -> Vec<GapReport> {
        let open = self.0.index.open_gaps().into_iter();
        let gaps = open.map(|open| GapReport {
            chat: open.peer.map(PeerId::marked),
            name: open.peer.and_then(|peer| self.name(peer)),
            cause: open.gap.cause.as_str().to_owned(),
            after_pts: open.gap.after_pts,
            until_pts: open.gap.until_pts,
            after_message_id: open.gap.after_message_id,
            until_message_id: open.gap.until_message_id,
        });
        gaps.collect()
    }

    /// All chats that the log knows, or the configuration names.
    pub(super) async fn chats(&self) -> Result<Chats, JournalError> {
        let bookmarks = self.0.reader.bookmarks().await?;
        let office = self.clone();
        let listed = tokio::task::spawn_blocking(move || office.listed(&bookmarks));
        Ok(listed.await.unwrap_or_default())
    }

    fn listed(&self, bookmarks: &[(String, Vec<u8>)]) -> Chats {
        let config = &self.0.config;
        let mut peers: BTreeSet<PeerId> = self.0.index.chats().into_iter().collect();
        peers.retain(|peer| peer.kind() != PeerKind::User);
        for account in &config.accounts {
            // What cannot be read is told when the daemon starts.
            let positions = positions(account, bookmarks).unwrap_or_default();
            peers.extend(positions.iter().filter_map(|it| match it.name() {
                BoxName::Channel(id) => PeerId::new(PeerKind::Channel, id).ok(),
                BoxName::Common => None,
            }));
        }
        peers.extend(self.named().filter_map(|chat| self.peer(chat)));
        let policy = policy(config, true);
        let reports = peers.into_iter().map(|peer| {
            let report = self.sight(&policy).peer(peer);
            self.heard(peer, report)
        });
        Chats {
            chats: reports.collect(),
            unresolved: self.unresolved(),
        }
    }

    /// The chats that the configuration names.
    fn named(&self) -> impl Iterator<Item = &Chat> {
        let config = &self.0.config;
        let follow = match &config.follow {
            Follow::All => &[][..],
            Follow::Only(chats) => chats,
        };
        follow.iter().chain(&config.hot)
    }

    fn unresolved(&self) -> Vec<UnresolvedName> {
        let mut told: BTreeMap<String, String> = BTreeMap::new();
        for account in self.0.status.accounts() {
            told.extend(
                account
                    .unresolved
                    .into_iter()
                    .map(|it| (it.name, it.reason)),
            );
        }
        let names: BTreeSet<String> = self
            .named()
            .filter(|chat| matches!(chat, Chat::Username(_)) && self.peer(chat).is_none())
            .map(Chat::to_string)
            .collect();
        let names = names.into_iter().map(|name| {
            let reason = told.remove(&name);
            UnresolvedName {
                name,
                reason: reason.unwrap_or_else(|| "not asked for yet".to_owned()),
            }
        });
        names.collect()
    }

    /// With what the accounts that run have heard of it.
    fn heard(&self, peer: PeerId, mut report: ChatReport) -> ChatReport {
        report.hot = self
            .0
            .config
            .hot
            .iter()
            .any(|hot| self.peer(hot) == Some(peer));
        if peer.kind() != PeerKind::Channel {
            return report;
        }
        let mut accounts = self.0.accounts.keys();
        let heard = accounts.find_map(|account| self.0.status.channel(account, peer.bare()));
        if let Some(heard) = heard {
            report.age_seconds = heard.age_seconds;
            report.usual_seconds = heard.usual_seconds;
            report.late = heard.late;
        }
        report
    }

    /// What to ask about a chat; without one, about all dialogs.
    pub(super) fn question(&self, chat: Option<&Chat>) -> Question {
        match chat {
            None => Question::Dialogs,
            Some(Chat::Username(name)) => Question::Name {
                name: name.clone(),
                known: self.peer_named(name).map(PeerId::bare),
            },
            Some(Chat::Id(id)) => match PeerId::from_marked(*id) {
                Ok(peer) if peer.kind() == PeerKind::Chat => Question::Group(peer.bare()),
                Ok(peer) => Question::Channel(peer.bare()),
                // No chat has it, which is what the answer will say.
                Err(_) => Question::Channel(*id),
            },
        }
    }

    /// The chats that an answer is about.
    pub(super) fn seen(&self, account: &str, met: &[Met]) -> Chats {
        let is_first = self
            .0
            .config
            .accounts
            .first()
            .is_some_and(|it| it == account);
        let policy: Policy = policy(&self.0.config, is_first);
        let sight = self.sight(&policy);
        let seen = met.iter().flat_map(|page| {
            let asked: BTreeSet<PeerId> = page.asked().collect();
            let chats = page.chats.iter().filter_map(|chat| sight.chat(chat));
            chats.filter(move |(peer, _)| asked.contains(peer))
        });
        Chats {
            chats: seen
                .map(|(peer, report)| self.heard(peer, report))
                .collect(),
            unresolved: Vec::new(),
        }
    }

    async fn meet(&self, account: &str, chat: Option<&str>, keep: bool) -> Result<Chats, Refusal> {
        let chat = chat.map(read).transpose()?;
        let orders = self.orders(account)?;
        let question = self.question(chat.as_ref());
        let met = timeout(MEET_PATIENCE, orders.meet(question, keep)).await;
        let met = met.unwrap_or(Err(NoOrder::Interrupted));
        let seen = self.seen(account, &met.map_err(not_taken)?);
        match (chat, seen.chats.is_empty()) {
            (Some(chat), true) => Err(refused::no_chat(&chat)),
            _ => Ok(seen),
        }
    }

    async fn order(
        &self,
        account: &str,
        chat: &str,
        order: impl FnOnce(i64) -> Order,
    ) -> Done<Answer> {
        let found = self.orders(account).and_then(|orders| {
            let peer = self.channel(&read(chat)?)?;
            Ok((orders, peer))
        });
        let (orders, peer) = match found {
            Ok(found) => found,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let before = self.job(account, peer.bare()).await?;
        let order = order(peer.bare());
        let taken = timeout(TAKE_PATIENCE, orders.order(order)).await;
        let waiting = match taken.unwrap_or(Err(NoOrder::Interrupted)) {
            Ok(waiting) => waiting,
            Err(why) => return Ok(Err(not_taken(why))),
        };
        if !self.is_durable(account, &order, before).await? {
            return Ok(Err(refused::not_durable()));
        }
        let policy = policy(&self.0.config, true);
        let chat = Box::new(self.sight(&policy).peer(peer));
        Ok(Ok(Answer::Ordered { chat, waiting }))
    }

    /// Waits until the log has an order, so that it outlives a crash; whether it has. One that is over by then is as good.
    async fn is_durable(
        &self,
        account: &str,
        order: &Order,
        before: Option<Vec<u8>>,
    ) -> Result<bool, JournalError> {
        let (channel, started) = (order.channel(), Instant::now());
        while started.elapsed() < DURABLE_PATIENCE {
            let job = self.0.status.backfill(account, channel);
            let is_over =
                matches!(order, Order::Backfill { .. }) && job.is_some_and(|job| job.waiting == 0);
            if is_over || self.job(account, channel).await? != before {
                return Ok(true);
            }
            sleep(LOOK_AGAIN).await;
        }
        Ok(false)
    }

    /// What the log has of the past that is to be fetched of a channel.
    async fn job(&self, account: &str, channel: i64) -> Result<Option<Vec<u8>>, JournalError> {
        let name = Job::bookmark_name(account, channel);
        let mut bookmarks = self.0.reader.bookmarks().await?.into_iter();
        let found = bookmarks.find(|(known, _)| *known == name);
        Ok(found.map(|(_, bytes)| bytes))
    }

    /// A way to an account, if it can do anything.
    fn orders(&self, account: &str) -> Result<&Orders, Refusal> {
        let orders = self.0.accounts.get(account);
        let orders = orders.ok_or_else(|| refused::no_account(account, &self.0.config.accounts))?;
        let boards = self.0.status.accounts();
        match boards.iter().find(|board| board.name == account) {
            Some(board) if board.needs_operator => Err(refused::needs_operator(board)),
            _ => Ok(orders),
        }
    }

    /// The channel that is meant, where histories can be fetched.
    fn channel(&self, chat: &Chat) -> Result<PeerId, Refusal> {
        let peer = self.peer(chat).ok_or_else(|| refused::unknown(chat))?;
        match peer.kind() {
            PeerKind::Channel => Ok(peer),
            _ => Err(Refusal::new(
                Exit::Usage,
                "only channels and supergroups have a history that can be fetched",
                "name one as @name or -100...",
            )),
        }
    }

    fn peer(&self, chat: &Chat) -> Option<PeerId> {
        match chat {
            Chat::Id(id) => PeerId::from_marked(*id).ok(),
            Chat::Username(name) => self.peer_named(name),
        }
    }

    fn peer_named(&self, name: &str) -> Option<PeerId> {
        let peer = self.0.index.named(name)?;
        (peer.kind() == PeerKind::Channel).then_some(peer)
    }

    fn channel_name(&self, channel: i64) -> Option<String> {
        self.name(PeerId::new(PeerKind::Channel, channel).ok()?)
    }

    fn name(&self, peer: PeerId) -> Option<String> {
        self.0.index.facts(peer)?.info.title
    }

    fn sight<'a>(&'a self, policy: &'a Policy) -> Sight<'a> {
        let index = &*self.0.index;
        Sight { policy, index }
    }
}

fn read(text: &str) -> Result<Chat, Refusal> {
    Chat::parse(text).ok_or_else(|| refused::no_name(text))
}
