//! Files: the whole program fetches what the configuration says, behind the text.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use datacentre::{ChannelSpec, Draft, Options, Reaction, RpcError, Rule};
use grammers_session::Session;
use grammers_session::types::DcOption;
use serde_json::Value;
use telegram_gateway::source::telegram::session::{FileSession, Place};

use super::login::Entrance;
use super::program::state;
use crate::support::gateway::{Running, wait_until};

const GET_FILE: &str = "upload.getFile";

fn followed(it: &mut Entrance) {
    it.gateway.set("TGW_TELEGRAM__FOLLOW", "all");
    it.gateway
        .set("TGW_TELEGRAM__MEDIA__DOWNLOAD", "photo,document");
    it.gateway.set("TGW_TELEGRAM__MEDIA__BYTES_MAX", "1MiB");
}

async fn entrance() -> Entrance {
    let mut it = Entrance::new(Some(0)).await;
    followed(&mut it);
    it
}

/// Starts the daemon, and looks only when it has its log: a command that looks at a log after a kill repairs it, and
/// has it locked for that instant.
fn live(it: &Entrance) -> Running {
    let connections = it.dc.connections_made();
    let daemon = it.gateway.start(&["run"]);
    wait_until("it is connected", || it.dc.connections_made() > connections);
    wait_until("it is live", || state(&it.gateway) == "live");
    daemon
}

fn files(it: &Entrance) -> Vec<Value> {
    let listed = it.gateway.ok(&["media", "list", "--json"]);
    let lines = listed.lines();
    lines
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

fn states(it: &Entrance) -> Vec<String> {
    let mut states: Vec<String> = files(it)
        .iter()
        .map(|file| file["state"].as_str().expect("a state").to_owned())
        .collect();
    states.sort();
    states
}

fn place(it: &Entrance, file: &Value) -> PathBuf {
    let digest = file["sha256"].as_str().expect("stored");
    let (shelf, name) = digest.split_at(2);
    it.gateway.data_dir().join("media").join(shelf).join(name)
}

/// What is stored, smallest first.
fn contents(it: &Entrance) -> Vec<Vec<u8>> {
    let stored = files(it).into_iter().filter(|it| it["state"] == "stored");
    let mut contents: Vec<Vec<u8>> = stored
        .map(|file| fs::read(place(it, &file)).expect("there"))
        .collect();
    contents.sort_by_key(Vec::len);
    contents
}

fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|n| (n % 249) as u8).collect()
}

fn sound(it: &Entrance, mut daemon: Running) {
    it.gateway.ok(&["media", "verify"]);
    assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.words());
    it.gateway.ok(&["media", "verify"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_photo_and_a_document_are_fetched_and_what_is_too_large_is_not() {
    let it = entrance().await;
    let channel = it.dc.add_channel(ChannelSpec::broadcast("Files"));
    let other = it.dc.add_channel(ChannelSpec::broadcast("More files"));
    let photo = it.dc.add_photo(&bytes(90_000));
    let (document, large) = (bytes(300_000), bytes(2 << 20));
    let document = it.dc.add_document("a.pdf", "application/pdf", &document);
    let large = it.dc.add_document("b.bin", "application/zip", &large);
    tokio::task::block_in_place(|| {
        let daemon = live(&it);
        it.dc.post(channel, Draft::from("one").photo(&photo));
        it.dc.post(channel, Draft::from("two").document(&document));
        it.dc.post(channel, Draft::from("three").document(&large));
        wait_until("all is settled", || {
            states(&it) == ["stored", "stored", "too_large"]
        });
        assert_eq!(contents(&it), [bytes(90_000), bytes(300_000)]);
        for file in files(&it).iter().filter(|it| it["state"] == "stored") {
            let mode = fs::metadata(place(&it, file)).expect("there").permissions();
            assert_eq!(mode.mode() & 0o777, 0o600);
        }
        // The same file in another channel is the same file.
        let asked = it.dc.count(GET_FILE);
        let again = it.dc.post(other, Draft::from("four").document(&document));
        let peer = format!("-100{other:010}");
        wait_until("it is listed there too", || {
            let listed = it.gateway.ok(&["media", "list", "--peer", &peer, "--json"]);
            let file: Value = serde_json::from_str(&listed).unwrap_or_default();
            file["message_id"] == again && file["state"] == "stored"
        });
        assert_eq!(it.dc.count(GET_FILE), asked);
        let status = it.gateway.json(&["media", "status", "--json"]);
        assert_eq!(status["stored_bytes"], 390_000);
        assert_eq!(status["is_on"], true);
        sound(&it, daemon);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_reference_is_asked_for_again_and_a_gone_message_is_the_end() {
    let it = entrance().await;
    let channel = it.dc.add_channel(ChannelSpec::broadcast("Files"));
    let first = it.dc.add_document("0.txt", "text/plain", &bytes(500));
    let kept = it.dc.add_document("a.txt", "text/plain", &bytes(1_000));
    let gone = it.dc.add_document("b.txt", "text/plain", &bytes(2_000));
    tokio::task::block_in_place(|| {
        let daemon = live(&it);
        let hold = it.dc.add_fault(Rule::on(GET_FILE, Reaction::Hold));
        it.dc.post(channel, Draft::from("first").document(&first));
        wait_until("one is asked for", || it.dc.count(GET_FILE) > 0);
        it.dc.post(channel, Draft::from("kept").document(&kept));
        let gone = it.dc.post(channel, Draft::from("gone").document(&gone));
        wait_until("all are listed", || states(&it).len() == 3);
        it.dc.expire_file_references();
        it.dc.delete(channel, &[gone]);
        it.dc.remove_fault(hold);
        it.dc.release_answers();
        wait_until("all are settled", || {
            states(&it) == ["failed", "stored", "stored"]
        });
        assert_eq!(contents(&it), [bytes(500), bytes(1_000)]);
        assert_eq!(it.dc.count("channels.getMessages"), 2, "once for each");
        let failed = it
            .gateway
            .json(&["media", "list", "--state", "failed", "--json"]);
        let reason = failed["reason"].as_str().expect("a reason");
        assert!(reason.contains("gone"), "{reason}");
        sound(&it, daemon);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn the_text_does_not_wait_for_files() {
    let it = entrance().await;
    let channel = it.dc.add_channel(ChannelSpec::broadcast("Files"));
    let document = it
        .dc
        .add_document("a.bin", "application/zip", &bytes(700_000));
    tokio::task::block_in_place(|| {
        let daemon = live(&it);
        let wait = Reaction::Fail(RpcError::flood_wait(3_600));
        let wait = it.dc.add_fault(Rule::on(GET_FILE, wait));
        it.dc.post(channel, Draft::from("file").document(&document));
        wait_until("the wait is shown", || {
            let report = it.gateway.json(&["status", "--json"]);
            report["accounts"][0]["waits"][0]["method"] == GET_FILE
        });
        let tail = it.gateway.tail();
        it.dc.post(channel, "text");
        wait_until("the text is in the log", || it.gateway.tail() > tail);
        daemon.kill();
        it.dc.remove_fault(wait);
        // The wait was forgotten with the life; Telegram would say again what still holds.
        let daemon = live(&it);
        wait_until("it is there", || states(&it) == ["stored"]);
        assert_eq!(contents(&it), [bytes(700_000)]);
        let unfinished = it.gateway.data_dir().join("media/tmp");
        assert_eq!(fs::read_dir(unfinished).expect("there").count(), 0);
        sound(&it, daemon);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_between_any_two_parts_costs_nothing() {
    let it = entrance().await;
    let channel = it.dc.add_channel(ChannelSpec::broadcast("Files"));
    let document = it
        .dc
        .add_document("a.bin", "application/zip", &bytes(400_000));
    tokio::task::block_in_place(|| {
        let mut daemon = live(&it);
        let hold = it.dc.add_fault(Rule::on(GET_FILE, Reaction::Hold));
        it.dc.post(channel, Draft::from("file").document(&document));
        let mut before = 0;
        for parts in 1..=3 {
            // Each life gets one part more than the one before.
            for part in 1..=parts {
                wait_until("a part is asked for", || {
                    it.dc.count(GET_FILE) >= before + part
                });
                it.dc.release_answers();
            }
            wait_until("the next is asked for", || {
                it.dc.count(GET_FILE) > before + parts
            });
            daemon.kill();
            before = it.dc.count(GET_FILE);
            daemon = live(&it);
        }
        it.dc.remove_fault(hold);
        it.dc.release_answers();
        wait_until("it is there", || states(&it) == ["stored"]);
        assert_eq!(contents(&it), [bytes(400_000)]);
        sound(&it, daemon);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_another_data_centre_is_fetched_there_with_the_login_copied() {
    let options = Options {
        other_dcs: vec![4],
        ..Options::default()
    };
    let mut it = Entrance::of(options, Some(0)).await;
    followed(&mut it);
    let channel = it.dc.add_channel(ChannelSpec::broadcast("Files"));
    let document = it
        .dc
        .add_document_in(4, "a.txt", "text/plain", &bytes(200_000));
    let mut daemon = tokio::task::block_in_place(|| live(&it));
    tokio::task::block_in_place(|| daemon.terminate());
    know_the_key(&it).await;
    tokio::task::block_in_place(|| {
        let daemon = live(&it);
        it.dc.post(channel, Draft::from("file").document(&document));
        wait_until("it is there", || states(&it) == ["stored"]);
        assert_eq!(contents(&it), [bytes(200_000)]);
        assert_eq!(it.dc.count("auth.importAuthorization"), 1);
        sound(&it, daemon);
    });
}

/// Keys are not exchanged here: the session is given one for the other data centre.
async fn know_the_key(it: &Entrance) {
    let config = it.gateway.config().telegram.expect("configured");
    let claim = Place::new(&it.gateway.data_dir(), "main").claim();
    let claim = claim.expect("nobody has it");
    let session = FileSession::open(&claim, &config.session_key, config.dc.as_ref());
    let session = session.expect("opened").expect("there");
    let home = session.home_dc_id().expect("known");
    let home = session.dc_option(home).expect("read").expect("kept");
    let other = DcOption {
        id: 4,
        ipv4: it.dc.address_of(4).expect("an address"),
        auth_key: Some(it.dc.add_key(None)),
        ..home
    };
    session.set_dc_option(&other).await.expect("kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_is_found() {
    let it = entrance().await;
    let channel = it.dc.add_channel(ChannelSpec::broadcast("Files"));
    let document = it.dc.add_document("a.txt", "text/plain", &bytes(100));
    tokio::task::block_in_place(|| {
        let daemon = live(&it);
        it.dc.post(channel, Draft::from("file").document(&document));
        wait_until("it is there", || states(&it) == ["stored"]);
        sound(&it, daemon);
        let path = place(&it, &files(&it)[0]);
        fs::write(&path, b"other").expect("written");
        let found = it.gateway.run(&["media", "verify"]);
        assert_eq!(found.status.code(), Some(65));
        fs::remove_file(&path).expect("removed");
        let found = it.gateway.run(&["media", "verify", "--json"]);
        let report: Value = serde_json::from_slice(&found.stdout).expect("JSON");
        assert_eq!(report["missing"].as_array().map(Vec::len), Some(1));
    });
}
