//! How the daemon comes to a session while somebody logs in beside it.

use std::time::Duration;

use datacentre::{DataCentre as Server, Options};

use super::*;
use crate::config;
use crate::source::telegram::account::{Closed, Door};

/// Longest wait for anything: far beyond what a busy machine needs.
const DEADLINE: Duration = Duration::from_secs(60);

/// A configuration of the account `main` in this folder, with a given data centre if there is one.
fn configured(folder: &TempDir, server: Option<&Server>) -> config::Telegram {
    use std::os::unix::fs::PermissionsExt;
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).expect("written");
        let private = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(&path, private).expect("ours alone");
        path
    };
    let mut text = format!(
        "[telegram]\napi_id = 1\nfollow = \"all\"\napi_hash = {{ file = \"{}\" }}\nsession_key = {{ file = \"{}\" }}\n",
        file("hash", b"0123456789abcdef0123456789abcdef").display(),
        file("key", b"a passphrase of the test").display(),
    );
    if let Some(server) = server {
        text.push_str(&format!(
            "dc = {{ id = {}, address = \"{}\", auth_key_file = \"{}\" }}\n",
            server.dc_id(),
            server.address(),
            file("dc.key", &server.auth_key()).display()
        ));
    }
    let sources = config::Sources {
        file: Some(file("config.toml", text.as_bytes())),
        data_dir: Some(folder.path().join("data")),
        ..config::Sources::default()
    };
    let loaded = config::load(&sources).expect("a configuration");
    std::fs::create_dir(&loaded.config.data_dir).expect("a folder");
    loaded.config.telegram.expect("configured")
}

fn gate(folder: &TempDir, config: &config::Telegram) -> (Place, Gate) {
    let data_dir = folder.path().join("data");
    let place = Place::new(&data_dir, "main");
    (place, Gate::new(&data_dir, config, "main"))
}

/// What is behind the gate once nothing of the last connection holds it any more: those end by themselves.
async fn settled(gate: &Gate) -> Result<Arc<FileSession>, Closed> {
    let opened = async {
        loop {
            match gate.open().await {
                Err(Closed::Busy(_)) => tokio::time::sleep(Duration::from_millis(5)).await,
                opened => return opened,
            }
        }
    };
    let opened = tokio::time::timeout(DEADLINE, opened).await;
    opened.expect("in time")
}

#[test]
fn another_login_makes_another_file_and_use_does_not() {
    let home = Home::new();
    assert_eq!(home.place().mark(), None);
    drop(home.create());
    let first = home.place().mark();
    drop(home.sound());
    assert!(first.is_some());
    assert_eq!(home.place().mark(), first);
    // In its place, as `login` does it.
    drop(home.create());
    let second = home.place().mark();
    assert_ne!(second, first);
    // And after a logout, when the number of the file may be given again.
    home.claim().wipe().expect("gone");
    assert_eq!(home.place().mark(), None);
    drop(home.create());
    assert_ne!(home.place().mark(), second);
}

#[tokio::test]
async fn a_session_that_a_command_holds_is_a_login_under_way_and_nothing_to_mend() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = configured(&folder, None);
    let (place, gate) = gate(&folder, &config);
    assert_eq!(gate.open().await.err(), Some(Closed::NeedsLogin));
    let claim = place.claim().expect("free");
    drop(FileSession::create(&claim, &config.session_key, None).expect("begun"));
    match gate.open().await.err() {
        Some(Closed::Busy(whose)) => {
            assert!(whose.starts_with("a login is under way"), "{whose}");
            let holder = format!("process {}", std::process::id());
            assert!(whose.contains(&holder), "{whose}");
        }
        other => panic!("{other:?}"),
    }
    drop(claim);
    let closed = gate.open().await.err();
    assert_eq!(closed, Some(Closed::NeedsLogin), "nobody finished it");
}

#[tokio::test]
async fn a_given_key_that_nobody_is_logged_in_with_is_asked_for_once_until_another_login() {
    let server = Server::start(Options::default()).await.expect("a server");
    server.log_out(server.auth_key());
    let folder = tempfile::tempdir().expect("a folder");
    let config = configured(&folder, Some(&server));
    let (place, gate) = gate(&folder, &config);
    for _ in 0..3 {
        assert_eq!(settled(&gate).await.err(), Some(Closed::NeedsLogin));
    }
    assert_eq!(server.count("users.getUsers"), 1, "no storm");
    // The same key in another file: somebody has logged in beside the daemon.
    let claim = place.claim().expect("free");
    let own = Own {
        id: 7,
        is_bot: false,
    };
    let centre = config.dc.as_ref();
    let made = FileSession::create(&claim, &config.session_key, centre).expect("made");
    made.logged_in(own).await.expect("kept");
    drop((made, claim));
    let session = settled(&gate).await.expect("taken up");
    assert_eq!(session.own(), Some(own));
}
