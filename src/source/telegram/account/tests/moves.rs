//! An account that Telegram moves to another data centre: the real client between two of them.

use std::net::{Ipv6Addr, SocketAddrV6};

use datacentre::{DataCentre, Options, Reaction, RpcError, Rule};
use grammers_session::storages::MemorySession;
use grammers_session::types::DcOption;

use super::super::*;
use super::servers::start;

const OLD: i32 = 2;
const NEW: i32 = 3;

/// One session, whoever opens it.
pub(super) struct Kept(pub(super) Arc<MemorySession>);

impl Door for Kept {
    type Session = MemorySession;

    async fn open(&self) -> Result<Arc<MemorySession>, Closed> {
        Ok(Arc::clone(&self.0))
    }
}

/// Two data centres of one world, and a session that is logged in at the old one.
pub(super) async fn world(options: Options) -> (DataCentre, Arc<MemorySession>) {
    let dc = DataCentre::start(Options {
        dc_id: OLD,
        other_dcs: vec![NEW],
        ..options
    });
    let dc = dc.await.expect("a data centre");
    let session = MemorySession::default();
    for (id, auth_key) in [(OLD, dc.auth_key()), (NEW, dc.add_key(None))] {
        let option = DcOption {
            id,
            ipv4: dc.address_of(id).expect("it listens"),
            ipv6: SocketAddrV6::new(Ipv6Addr::LOCALHOST, 0, 0, 0),
            auth_key: Some(auth_key),
        };
        session.set_dc_option(&option).await.expect("kept");
    }
    session.set_home_dc_id(OLD).await.expect("kept");
    (dc, Arc::new(session))
}

/// What is first asked is refused: the account is somewhere else.
fn moved_to(dc: i32) -> Rule {
    let refusal = RpcError::migrate("USER", dc);
    Rule::on("updates.getState", Reaction::Fail(refusal))
}

#[tokio::test]
async fn an_account_that_is_moved_takes_its_login_along_and_is_live_there() {
    let (dc, session) = world(Options::default()).await;
    dc.add_fault(moved_to(NEW).times(1));
    let account = start(Kept(Arc::clone(&session)));
    account.until("live", |it| it.state == "live").await;
    assert_eq!(session.home_dc_id().expect("known"), NEW);
    let copied = ["auth.exportAuthorization", "auth.importAuthorization"].map(|it| dc.count(it));
    assert_eq!(copied, [1, 1]);
    account.end().await;
}

#[tokio::test]
async fn a_move_that_fails_changes_nothing_and_is_a_state_for_the_operator() {
    for (place, told) in [
        (NEW, "cannot be taken along"),
        (9, "where data centre 9 is"),
    ] {
        let (dc, session) = world(Options::default()).await;
        dc.add_fault(moved_to(place));
        let refusal = RpcError::new(400, "DC_ID_INVALID");
        dc.add_fault(Rule::on(
            "auth.exportAuthorization",
            Reaction::Fail(refusal),
        ));
        let account = start(Kept(Arc::clone(&session)));
        account
            .until("stuck", |it| {
                let reason = it.reason.as_deref().unwrap_or_default();
                let has_remedy = reason.contains("telegram-gateway login");
                it.state == "stuck" && it.needs_operator && has_remedy && reason.contains(told)
            })
            .await;
        assert_eq!(session.home_dc_id().expect("known"), OLD);
        assert_eq!(dc.count("updates.getState"), 1, "nobody is asked again");
        account.end().await;
    }
}

#[tokio::test]
async fn an_account_that_is_sent_on_and_on_is_no_loop() {
    let (dc, session) = world(Options::default()).await;
    dc.add_fault(moved_to(NEW));
    let account = start(Kept(session));
    account
        .until("stuck", |it| {
            let reason = it.reason.as_deref().unwrap_or_default();
            it.state == "stuck" && reason.contains("without an end")
        })
        .await;
    assert!(dc.count("updates.getState") <= 3);
    account.end().await;
}
