//! Files, asked for: parts of them wherever they are, and the messages that carry them.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use grammers_session::Session;
use grammers_tl_types as tl;

use super::super::budget::Priority;
use super::super::driver::Failure;
use super::super::link::{Fault, Place, panic_text};
use super::super::media::{self, Ask, At, PART_BYTES, Refusal, Seat, Supply};
use super::asking::Asker;
use super::history;
use super::peers;
use crate::event::{PeerId, PeerKind};

/// How often to look whether the account has caught up.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// After a panic.
const BEGIN_AGAIN: Duration = Duration::from_secs(10);

/// Fetches files as long as the connection lives.
pub(super) async fn fetch<S: Session>(seat: Seat, asker: Asker<S>)
where
    S::Error: std::error::Error + Send + Sync + 'static,
{
    let link = asker.link.with_budget(seat.budget());
    let is_first = seat.is_first();
    let files = Files {
        asker: Asker { link, ..asker },
        is_first,
    };
    loop {
        let run = AssertUnwindSafe(media::run(&seat, &files)).catch_unwind();
        if let Err(panic) = run.await {
            tracing::error!(
                panic = panic_text(panic),
                "downloads panicked, and begin again"
            );
            tokio::time::sleep(BEGIN_AGAIN).await;
        }
    }
}

/// An account, as downloads need it.
struct Files<S> {
    asker: Asker<S>,
    /// Private chats and basic groups are told by the first account alone.
    is_first: bool,
}

impl<S: Session> Supply for Files<S>
where
    S::Error: std::error::Error + Send + Sync + 'static,
{
    async fn part(&self, ask: &Ask) -> Result<Vec<u8>, Refusal> {
        self.until_live().await;
        let home = self.asker.session.home_dc_id().map_err(peers::unreadable);
        let is_home = home.map_err(|fault| refusal(fault, true))? == ask.dc;
        let request = tl::functions::upload::GetFile {
            precise: false,
            cdn_supported: false,
            location: ask.location.clone(),
            offset: ask.offset,
            limit: PART_BYTES,
        };
        let answer = match is_home {
            true => self.asker.link.call(Priority::History, &request).await,
            false => self.afar(ask.dc, &request).await,
        };
        match answer.map_err(|fault| refusal(fault, is_home))? {
            tl::enums::upload::File::File(file) => Ok(file.bytes),
            tl::enums::upload::File::CdnRedirect(_) => {
                let text = "Telegram wants it fetched from servers of others";
                Err(Refusal::Refused(text.to_owned()))
            }
        }
    }

    async fn message(&self, (peer, id): At) -> Result<Option<tl::enums::Message>, Refusal> {
        self.until_live().await;
        let refused = |text: &str| Err(Refusal::Refused(text.to_owned()));
        let Ok(id) = i32::try_from(id) else {
            return refused("no message of Telegram has such a number");
        };
        if peer.kind() != PeerKind::Channel && !self.is_first {
            return refused("only the first account has private chats and basic groups");
        }
        let found = self.message_of(peer, id).await;
        found.map_err(|fault| refusal(fault, true))
    }
}

impl<S: Session> Files<S>
where
    S::Error: std::error::Error + Send + Sync + 'static,
{
    /// The text comes first.
    async fn until_live(&self) {
        while !self.asker.link.is_live() {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Asks another data centre, which may have to be shown first who asks.
    async fn afar(
        &self,
        dc: i32,
        request: &tl::functions::upload::GetFile,
    ) -> Result<tl::enums::upload::File, Fault> {
        let link = &self.asker.link;
        let answer = link.call_in(dc, Priority::History, request).await;
        match answer {
            Err(fault) if fault.failure == Failure::SessionEnded => {}
            answer => return answer,
        }
        let export = tl::functions::auth::ExportAuthorization { dc_id: dc };
        let exported = link.call(Priority::History, &export).await?;
        let tl::enums::auth::ExportedAuthorization::Authorization(proof) = exported;
        let import = tl::functions::auth::ImportAuthorization {
            id: proof.id,
            bytes: proof.bytes,
        };
        link.call_in(dc, Priority::History, &import).await?;
        link.call_in(dc, Priority::History, request).await
    }

    async fn message_of(&self, peer: PeerId, id: i32) -> Result<Option<tl::enums::Message>, Fault> {
        let link = &self.asker.link;
        let ids = vec![tl::types::InputMessageId { id }.into()];
        let answer = match peer.kind() {
            PeerKind::Channel => {
                let call = tl::functions::channels::GetMessages {
                    channel: self.asker.input(peer.bare()).await?,
                    id: ids,
                };
                link.call(Priority::History, &call).await?
            }
            PeerKind::User | PeerKind::Chat => {
                let call = tl::functions::messages::GetMessages { id: ids };
                link.call(Priority::History, &call).await?
            }
        };
        let mut messages = history::read(answer)?.messages.into_iter();
        Ok(messages.find(|message| message.id() == id))
    }
}

/// What a fault means for a file. What ends the session at home, the account itself will see.
fn refusal(fault: Fault, is_home: bool) -> Refusal {
    if let Some(error) = &fault.error {
        match (error.name.as_str(), error.number) {
            ("FILE_MIGRATE", Some(dc)) => {
                let dc = i32::try_from(dc);
                return dc.map_or(Refusal::Refused(fault.text), Refusal::Elsewhere);
            }
            // A location of another account is as good as none.
            ("LOCATION_INVALID" | "FILE_ID_INVALID", _) => return Refusal::Stale,
            (name, _) if name.starts_with("FILE_REFERENCE_") => return Refusal::Stale,
            _ => {}
        }
    }
    let is_away = match fault.failure {
        Failure::SessionEnded => is_home,
        Failure::Temporary => matches!(fault.place, Place::Line | Place::Here),
        _ => false,
    };
    match is_away {
        true => Refusal::Away(fault.text),
        false => Refusal::Refused(fault.text),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::link::RpcName;
    use super::*;

    fn said(name: &str, number: Option<u32>) -> Refusal {
        let name = name.to_owned();
        let fault = Fault {
            error: Some(RpcName { name, number }),
            place: Place::Server,
            ..Fault::here(Failure::Refused, "so".to_owned())
        };
        refusal(fault, true)
    }

    #[test]
    fn what_telegram_says_of_files_is_understood() {
        assert_eq!(said("FILE_MIGRATE", Some(4)), Refusal::Elsewhere(4));
        assert_eq!(said("FILE_REFERENCE_EXPIRED", None), Refusal::Stale);
        assert_eq!(said("FILE_REFERENCE_INVALID", None), Refusal::Stale);
        // Its number is the place in the request.
        assert_eq!(said("FILE_REFERENCE_EXPIRED", Some(0)), Refusal::Stale);
        assert_eq!(said("LOCATION_INVALID", None), Refusal::Stale);
        let other = said("OFFSET_INVALID", None);
        assert_eq!(other, Refusal::Refused("so".to_owned()));
    }

    #[test]
    fn a_lost_line_is_not_the_files_fault() {
        let fault = |failure, place| Fault {
            place,
            ..Fault::here(failure, "so".to_owned())
        };
        let away = Refusal::Away("so".to_owned());
        let refused = Refusal::Refused("so".to_owned());
        for place in [Place::Line, Place::Here] {
            assert_eq!(refusal(fault(Failure::Temporary, place), true), away);
        }
        for place in [Place::Server, Place::Silence] {
            assert_eq!(refusal(fault(Failure::Temporary, place), true), refused);
        }
        let ended = || fault(Failure::SessionEnded, Place::Server);
        assert_eq!(refusal(ended(), true), away);
        assert_eq!(refusal(ended(), false), refused, "only there");
    }
}
