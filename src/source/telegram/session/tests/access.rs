//! Who may have it: the right key, one process, one user. And what a damaged or unfinished file costs.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::failure::{Classify, Exit};

const DEADLINE: std::time::Duration = std::time::Duration::from_secs(120);

fn mode(path: &std::path::Path) -> u32 {
    let found = fs::symlink_metadata(path).expect("there");
    found.permissions().mode() & 0o7777
}

#[test]
fn file_and_folders_are_made_for_this_user_alone() {
    let home = Home::new();
    drop(home.create());
    let file = home.place().file();
    assert_eq!(mode(&file), 0o600);
    for folder in file.ancestors().skip(1).take(2) {
        assert_eq!(mode(folder), 0o700, "{}", folder.display());
    }
}

#[test]
fn what_others_may_touch_is_refused() {
    let home = Home::new();
    drop(home.create());
    let file = home.place().file();
    let folder = file.parent().expect("a folder").to_owned();
    for (path, wrong, right) in [(&file, 0o640, 0o600), (&folder, 0o750, 0o700)] {
        fs::set_permissions(path, Permissions::from_mode(wrong)).expect("changed");
        let refused = home.place().claim();
        let refused = refused.and_then(|claim| FileSession::open(&claim, &home.key, None));
        let error = refused.expect_err("open to others");
        assert!(matches!(error, SessionError::Exposed { .. }), "{error:?}");
        assert_eq!(error.exit(), Exit::Auth);
        let hint = error.hint().expect("a hint");
        assert!(hint.starts_with(&format!("chmod {right:o}")), "{hint}");
        fs::set_permissions(path, Permissions::from_mode(right)).expect("changed");
    }
    drop(home.sound());
}

#[test]
fn a_link_in_place_of_the_file_is_refused() {
    let home = Home::new();
    drop(home.create());
    let file = home.place().file();
    let elsewhere = home.folder.path().join("elsewhere");
    fs::rename(&file, &elsewhere).expect("moved");
    std::os::unix::fs::symlink(&elsewhere, &file).expect("linked");
    let refused = home.reopen();
    assert!(
        matches!(refused, Err(SessionError::Misplaced(_))),
        "{refused:?}"
    );
}

#[test]
fn the_second_opener_hears_who_the_first_is() {
    let home = Home::new();
    let session = home.create();
    let error = home.place().claim().expect_err("in use");
    assert_eq!(error.exit(), Exit::Locked);
    let text = error.to_string();
    let holder = format!("in use by process {}", std::process::id());
    assert!(
        text.contains("account main") && text.contains(&holder),
        "{text}"
    );
    let other = Place::new(home.folder.path(), "other");
    drop(other.claim().expect("another account is free"));
    drop(session);
    drop(home.claim());
}

#[test]
fn whoever_gets_it_next_finds_the_file_closed() {
    let home = Home::new();
    drop(home.create());
    let handed_on = 200;
    let opener = || {
        let (mut opened, deadline) = (0, std::time::Instant::now() + DEADLINE);
        while opened < handed_on {
            assert!(std::time::Instant::now() < deadline, "only {opened} times");
            match home.place().claim() {
                Ok(claim) => {
                    let session = FileSession::open(&claim, &home.key, None);
                    // Only the session keeps it now.
                    drop(claim);
                    drop(session.expect("closed by whoever had it before"));
                    opened += 1;
                }
                Err(SessionError::Held { .. }) => std::thread::yield_now(),
                Err(error) => panic!("{error}"),
            }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(opener);
        scope.spawn(opener);
    });
}

#[test]
fn another_key_does_not_open_it_and_changes_nothing() {
    let mut home = Home::new();
    for (right, wrong) in [
        (raw(1), raw(2)),
        (passphrase("correct horse"), passphrase("battery staple")),
        (passphrase("correct horse"), raw(1)),
    ] {
        home.key = right.clone();
        drop(home.create());
        home.key = wrong;
        let error = home.reopen().expect_err("sealed by another key");
        assert!(matches!(error, SessionError::WrongKey(_)), "{error:?}");
        assert_eq!(error.exit(), Exit::Auth);
        home.key = right;
        drop(home.sound());
    }
}

#[tokio::test]
async fn a_changed_file_is_refused_or_gives_what_was_written() {
    let home = Home::new();
    let session = home.create();
    let dc = session.dc_option(2).expect("known").expect("there");
    let dc = DcOption {
        auth_key: Some([9; 256]),
        ..dc
    };
    session.set_dc_option(&dc).await.expect("kept");
    session.cache_peer(channel(5, Some(6))).await.expect("kept");
    drop(session);
    let file = home.place().file();
    let sound = fs::read(&file).expect("read");
    let mut refused = 0;
    let tried = 60;
    for number in 0..tried {
        let mut changed = sound.clone();
        // Spread over the whole file, and over the bits.
        let at = number * sound.len() / tried + number % 61;
        changed[at.min(sound.len() - 1)] ^= 1 << (number % 8);
        fs::write(&file, &changed).expect("written");
        match home.reopen() {
            Ok(session) => {
                let session = session.expect("there");
                assert_eq!(session.dc_option(2).expect("known"), Some(dc.clone()));
                let peer = session.peer(channel(5, None).id()).await.expect("read");
                assert_eq!(peer, Some(channel(5, Some(6))));
            }
            Err(error) => {
                refused += 1;
                let kind = error.class();
                assert_ne!(kind, crate::failure::Class::Bug, "{error:?}");
            }
        }
    }
    for length in [0, 1, 512, sound.len() / 2] {
        fs::write(&file, &sound[..length]).expect("written");
        let error = home.reopen().expect_err("cut off");
        assert_ne!(error.class(), crate::failure::Class::Bug, "{error:?}");
    }
    assert!(refused > 0, "no change was seen");
    fs::write(&file, &sound).expect("written");
    drop(home.sound());
}

#[test]
fn no_secret_is_in_the_file_or_shown() {
    let home = Home::new();
    let made = FileSession::create(&home.claim(), &home.key, Some(&centre(0xa7, 1000)));
    let made = made.expect("a session");
    assert_eq!(format!("{made:?}"), "FileSession(\"main\")");
    drop(made);
    let bytes = fs::read(home.place().file()).expect("read");
    assert!(
        !bytes.windows(16).any(|part| part == [0xa7; 16]),
        "the key is in the clear"
    );
}

#[test]
fn a_file_that_was_not_finished_counts_as_none_and_is_in_nobodys_way() {
    let home = Home::new();
    let claim = home.claim();
    let failed: Result<(), _> = claim.make(|path| {
        fs::write(path, b"half").expect("written");
        Err(SessionError::Unfinished)
    });
    failed.expect_err("cut off");
    assert!(!home.place().is_taken().expect("looked"));
    drop(claim);
    assert!(home.reopen().expect("looked").is_none());
    drop(home.create());
    let claim = home.claim();
    // A new one that is cut off costs the old one nothing.
    let failed: Result<(), _> = claim.make(|_| Err(SessionError::Unfinished));
    failed.expect_err("cut off");
    drop(claim);
    drop(home.sound());
    home.claim().wipe().expect("wiped");
    assert!(home.reopen().expect("looked").is_none());
}
