//! What is kept is there after the file was opened anew, and a key stays.

use grammers_session::types::ChannelKind;
use proptest::prelude::*;

use super::*;

fn with_key(id: i32, key: Option<u8>, port: u16) -> DcOption {
    DcOption {
        id,
        ipv4: SocketAddrV4::new(Ipv4Addr::LOCALHOST, port),
        ipv6: SocketAddrV6::new(Ipv6Addr::LOCALHOST, port, 0, 0),
        auth_key: key.map(|byte| [byte; 256]),
    }
}

#[tokio::test]
async fn everything_is_there_after_the_file_was_opened_anew() {
    let home = Home::new();
    let session = home.create();
    assert_eq!(session.own(), None);
    let known = session
        .dc_option(2)
        .expect("known")
        .expect("of the library");
    assert_eq!(known.auth_key, None);
    session.set_home_dc_id(4).await.expect("kept");
    session
        .set_dc_option(&with_key(4, Some(9), 443))
        .await
        .expect("kept");
    let own = Own {
        id: 42,
        is_bot: true,
    };
    session.logged_in(own).await.expect("kept");
    let oneself = PeerInfo::User {
        id: 42,
        auth: None,
        bot: Some(true),
        is_self: Some(true),
    };
    session
        .cache_peers(vec![channel(5, Some(-6)), oneself.clone()])
        .await
        .expect("kept");
    drop(session);
    let session = home.sound();
    assert_eq!(session.home_dc_id().expect("known"), 4);
    let dc = session.dc_option(4).expect("known");
    assert_eq!(dc, Some(with_key(4, Some(9), 443)));
    assert_eq!(session.own(), Some(own));
    let peer = session.peer(channel(5, None).id()).await.expect("read");
    assert_eq!(peer, Some(channel(5, Some(-6))));
    let found = session.peer(PeerId::self_user()).await.expect("read");
    assert_eq!(found, Some(oneself));
}

#[tokio::test]
async fn a_key_is_never_replaced_and_never_lost() {
    let home = Home::new();
    let session = home.create();
    session
        .set_dc_option(&with_key(4, Some(9), 443))
        .await
        .expect("the first one");
    let refused = session.set_dc_option(&with_key(4, Some(8), 443)).await;
    assert!(
        matches!(refused, Err(SessionError::KeyKept(4))),
        "{refused:?}"
    );
    session
        .set_dc_option(&with_key(4, None, 444))
        .await
        .expect("an address");
    drop(session);
    let kept = home.sound().dc_option(4).expect("known");
    assert_eq!(kept, Some(with_key(4, Some(9), 444)));
}

#[tokio::test]
async fn what_a_peer_leaves_open_stays_as_it_was() {
    let home = Home::new();
    let session = home.create();
    let full = PeerInfo::Channel {
        id: 5,
        auth: Some(grammers_session::types::PeerAuth::from_hash(77)),
        kind: Some(ChannelKind::Megagroup),
    };
    session.cache_peer(full.clone()).await.expect("kept");
    session.cache_peer(channel(5, None)).await.expect("kept");
    assert_eq!(
        session.peer(full.id()).await.expect("read"),
        Some(full.clone())
    );
    session
        .cache_peer(channel(5, Some(78)))
        .await
        .expect("kept");
    let found = session.peer(full.id()).await.expect("read").expect("there");
    assert_eq!(found.auth().map(|auth| auth.hash()), Some(78));
    // An id that is none costs its neighbours nothing.
    session
        .cache_peers(vec![channel(-3, Some(1)), channel(6, Some(2))])
        .await
        .expect("kept");
    let found = session.peer(channel(6, None).id()).await.expect("read");
    assert_eq!(found, Some(channel(6, Some(2))));
}

#[tokio::test]
async fn a_given_centre_stays_where_the_configuration_says_and_is_no_other() {
    let home = Home::new();
    let claim = home.claim();
    let session = FileSession::create(&claim, &home.key, Some(&centre(9, 1000)));
    let session = session.expect("a session");
    assert!(session.is_given());
    assert_eq!(session.home_dc_id().expect("known"), 7);
    session
        .set_dc_option(&with_key(7, Some(9), 443))
        .await
        .expect("nothing new");
    let dc = session.dc_option(7).expect("known").expect("there");
    assert_eq!((dc.ipv4.port(), dc.auth_key), (1000, Some([9; 256])));
    drop(session);
    let moved = FileSession::open(&claim, &home.key, Some(&centre(9, 2000)));
    let moved = moved.expect("opens").expect("there");
    let dc = moved.dc_option(7).expect("known").expect("there");
    assert_eq!(dc.ipv4.port(), 2000);
    drop(moved);
    let other = FileSession::open(&claim, &home.key, Some(&centre(8, 1000)));
    assert!(
        matches!(other, Err(SessionError::OtherCentre(_))),
        "{other:?}"
    );
    drop(FileSession::create(&claim, &home.key, None).expect("an ordinary one"));
    let ordinary = FileSession::open(&claim, &home.key, Some(&centre(9, 1000)));
    assert!(
        matches!(ordinary, Err(SessionError::OtherCentre(_))),
        "{ordinary:?}"
    );
}

#[tokio::test]
async fn positions_stay_in_memory() {
    let home = Home::new();
    let session = home.create();
    let all = UpdatesState {
        pts: 5,
        ..UpdatesState::default()
    };
    session
        .set_update_state(UpdateState::All(all.clone()))
        .await
        .expect("kept");
    assert_eq!(session.updates_state().await.expect("known"), all);
    drop(session);
    let state = home.sound().updates_state().await.expect("known");
    assert_eq!(state, UpdatesState::default());
}

#[tokio::test]
async fn a_process_that_is_gone_at_any_moment_leaves_what_was_acknowledged() {
    let home = Home::new();
    let session = home.create();
    for number in 1..12_u8 {
        let (id, hash) = (i64::from(number), Some(i64::from(number)));
        let dc = with_key(i32::from(number), Some(number), 443);
        session.set_dc_option(&dc).await.expect("kept");
        session.cache_peer(channel(id, hash)).await.expect("kept");
        // The file as the disk has it now, never closed by anybody.
        let after = Home::new();
        drop(after.claim());
        std::fs::copy(home.place().file(), after.place().file()).expect("copied");
        let found = after.sound();
        for number in 1..=number {
            let kept = found.dc_option(i32::from(number)).expect("known");
            let kept = kept.and_then(|dc| dc.auth_key);
            assert_eq!(kept, Some([number; 256]));
            let peer = channel(i64::from(number), Some(i64::from(number)));
            let kept = found.peer(peer.id()).await.expect("read");
            assert_eq!(kept, Some(peer));
        }
    }
}

/// What a process may do to a session before it is gone.
#[derive(Debug, Clone)]
enum Step {
    Key(i32, u8),
    Home(i32),
    Peer(i64, Option<i64>),
    Login(i64),
    /// The process ends and another opens the file.
    Reopen,
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (1..6_i32, 0..3_u8).prop_map(|(dc, key)| Step::Key(dc, key)),
        (1..6_i32).prop_map(Step::Home),
        (1..6_i64, any::<Option<i64>>()).prop_map(|(id, hash)| Step::Peer(id, hash)),
        (1..6_i64).prop_map(Step::Login),
        Just(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn it_is_always_what_was_acknowledged(steps in proptest::collection::vec(any_step(), 1..24)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let home = Home::new();
            let mut session = home.create();
            let (mut dc, mut own) = (session.home_dc_id().expect("known"), None);
            let (mut keys, mut hashes) = (BTreeMap::new(), BTreeMap::new());
            for step in steps {
                match step {
                    Step::Key(id, key) => {
                        let told = session.set_dc_option(&with_key(id, Some(key), 443)).await;
                        let kept = *keys.entry(id).or_insert(key);
                        prop_assert_eq!(told.is_ok(), kept == key);
                    }
                    Step::Home(id) => {
                        session.set_home_dc_id(id).await.expect("kept");
                        dc = id;
                    }
                    Step::Peer(id, hash) => {
                        session.cache_peer(channel(id, hash)).await.expect("kept");
                        let known = hashes.entry(id).or_insert(None);
                        *known = hash.or(*known);
                    }
                    Step::Login(id) => {
                        let new = Own { id, is_bot: false };
                        session.logged_in(new).await.expect("kept");
                        own = Some(new);
                    }
                    Step::Reopen => {
                        drop(session);
                        session = home.sound();
                    }
                }
                prop_assert_eq!(session.home_dc_id().expect("known"), dc);
                prop_assert_eq!(session.own(), own);
                for (id, key) in &keys {
                    let kept = session.dc_option(*id).expect("known").expect("there");
                    prop_assert_eq!(kept.auth_key, Some([*key; 256]));
                }
                for (id, hash) in &hashes {
                    let kept = session.peer(channel(*id, None).id()).await.expect("read");
                    prop_assert_eq!(kept, Some(channel(*id, *hash)));
                }
            }
            Ok(())
        })?;
    }
}
