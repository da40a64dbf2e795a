//! Logging in and out with the program itself, against the data centre of the tests.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::{Output, Stdio};
use std::sync::Arc;

use datacentre::{DataCentre, Options as Centre, Reaction, RpcError, Rule, UserSpec};
use telegram_gateway::daemon::{Daemon, Options};
use telegram_gateway::source::telegram::Telegram;
use telegram_gateway::source::telegram::session::{Gate, Place};
use telegram_gateway::status::Status;
use tokio_util::sync::CancellationToken;

use super::{inputs, meaning, until};
use crate::support::gateway::Gateway;

const PHONE: &str = "+15550100";
const CODE: &str = "24680";
const PASSWORD: &str = " open sesame ";
const API_HASH: &str = "c4n4ryhash";
const SESSION_KEY: &str = "c4n4ry passphrase";

/// A data centre, and a gateway that is configured for it with a key that nobody is logged in with.
pub(super) struct Entrance {
    pub(super) dc: Arc<DataCentre>,
    key: [u8; 256],
    pub(super) gateway: Gateway,
}

impl Entrance {
    pub(super) async fn new(account: Option<usize>) -> Entrance {
        Entrance::of(Centre::default(), account).await
    }

    pub(super) async fn of(options: Centre, account: Option<usize>) -> Entrance {
        Entrance::at(Gateway::embedded(), options, account).await
    }

    /// The same for a gateway that is configured otherwise already.
    pub(super) async fn at(
        mut gateway: Gateway,
        options: Centre,
        account: Option<usize>,
    ) -> Entrance {
        let dc = DataCentre::start(options).await;
        let dc = Arc::new(dc.expect("a data centre"));
        let key = dc.add_key(account);
        let file = gateway.path("dc.key");
        fs::write(&file, key).expect("written");
        fs::set_permissions(&file, Permissions::from_mode(0o600)).expect("mode set");
        let file = file.display().to_string();
        let (id, address) = (dc.dc_id().to_string(), dc.address().to_string());
        for (name, value) in [
            ("API_ID", "1"),
            ("API_HASH", API_HASH),
            ("SESSION_KEY", SESSION_KEY),
            ("DC__ID", &id),
            ("DC__ADDRESS", &address),
            ("DC__AUTH_KEY_FILE", &file),
        ] {
            gateway.set(&format!("TGW_TELEGRAM__{name}"), value);
        }
        Entrance { dc, key, gateway }
    }

    /// Runs the program with these lines on its stdin.
    fn run(&self, arguments: &[&str], answers: &[&str]) -> Output {
        tokio::task::block_in_place(|| {
            let mut command = self.gateway.command(arguments);
            let piped = command
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped());
            let mut child = piped.spawn().expect("the program starts");
            let mut stdin = child.stdin.take().expect("piped");
            for answer in answers {
                // It may have ended before it was answered.
                let _ = writeln!(stdin, "{answer}");
            }
            drop(stdin);
            let ran = child.wait_with_output().expect("an end");
            no_secret(&ran);
            ran
        })
    }

    fn login(&self, more: &[&str], answers: &[&str]) -> Output {
        let arguments = [&["login", "--stdin"], more].concat();
        self.run(&arguments, answers)
    }

    fn state(&self) -> String {
        let ran = self.run(&["session", "status", "--json"], &[]);
        let report: serde_json::Value = serde_json::from_slice(&ran.stdout).expect("JSON");
        report[0]["state"].as_str().expect("a state").to_owned()
    }

    fn place(&self) -> Place {
        Place::new(&self.gateway.data_dir(), "main")
    }
}

/// Whatever was typed or configured as a secret is nowhere in what is printed.
fn no_secret(ran: &Output) {
    for output in [&ran.stdout, &ran.stderr] {
        let text = String::from_utf8_lossy(output);
        for secret in [PHONE, CODE, PASSWORD, API_HASH, SESSION_KEY] {
            assert!(!text.contains(secret.trim()), "{secret} in {text}");
        }
    }
}

#[track_caller]
fn ends(ran: &Output, code: i32, told: &str) {
    let (out, err) = (
        String::from_utf8_lossy(&ran.stdout),
        String::from_utf8_lossy(&ran.stderr),
    );
    assert_eq!(ran.status.code(), Some(code), "{out}\n{err}");
    assert!(out.contains(told) || err.contains(told), "{out}\n{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_logs_in_after_a_wrong_one_and_logout_ends_it_on_both_sides() {
    let it = Entrance::new(None).await;
    it.dc.add_phone(0, PHONE, CODE);
    assert_eq!(it.state(), "needs-login");
    let ran = it.login(&[], &[PHONE, "11111", CODE]);
    ends(
        &ran,
        0,
        &format!("is logged in as user {}", it.dc.user_of(0)),
    );
    assert_eq!(it.dc.account_of(it.key), Some(0));
    assert_eq!(it.state(), "logged-in");
    ends(&it.login(&[], &[]), 0, "is logged in already");
    ends(&it.run(&["logout"], &[]), 0, "is logged out");
    assert_eq!(it.dc.account_of(it.key), None);
    assert!(!it.place().is_taken().expect("looked"));
    assert_eq!(it.state(), "needs-login");
    ends(&it.run(&["logout"], &[]), 0, "has no session");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_asked_for_and_may_be_mistyped() {
    let it = Entrance::new(None).await;
    it.dc.add_phone(0, PHONE, CODE);
    tokio::task::block_in_place(|| it.dc.set_password(0, PASSWORD, "of the cave"));
    let ran = it.login(&[], &[PHONE, CODE, "open barley", PASSWORD]);
    ends(&ran, 0, "is logged in as user");
    assert_eq!(it.dc.account_of(it.key), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stays_wrong_is_no_login_and_leaves_nothing_behind() {
    let it = Entrance::new(None).await;
    it.dc.add_phone(0, PHONE, CODE);
    let ran = it.login(&[], &[PHONE, "1", "2", "3"]);
    ends(&ran, 77, "the code is wrong");
    ends(
        &it.login(&[], &["+15550199"]),
        77,
        "the phone number is wrong",
    );
    ends(
        &it.login(&["--bot"], &["1:none"]),
        77,
        "the bot token is wrong",
    );
    ends(&it.login(&[], &[PHONE]), 2, "the code was not given");
    ends(&it.run(&["login"], &[]), 2, "nobody is at a terminal");
    ends(&it.login(&["--account", "other"], &[]), 2, "it names main");
    let wait = Reaction::Fail(RpcError::flood_wait(33));
    it.dc.add_fault(Rule::on("auth.sendCode", wait).times(1));
    ends(&it.login(&[], &[PHONE]), 69, "try again in 33 s");
    assert_eq!(it.dc.account_of(it.key), None);
    assert!(!it.place().is_taken().expect("looked"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_logs_in_with_its_token() {
    let it = Entrance::new(None).await;
    let bot = it.dc.add_account(UserSpec::named("Bot").bot());
    it.dc.add_bot_token(bot, "1:token");
    ends(
        &it.login(&["--bot"], &["1:token"]),
        0,
        "is logged in as bot",
    );
    assert_eq!(it.dc.account_of(it.key), Some(bot));
}

/// The bytes of a token in a link.
fn token(link: &str) -> Vec<u8> {
    const DIGITS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0_u32, 0);
    for digit in link.trim().chars() {
        let value = DIGITS.find(digit).expect("a digit");
        bits = bits << 6 | u32::try_from(value).expect("below 64");
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).expect("a byte"));
        }
    }
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_on_the_screen_is_scanned_and_the_password_still_asked_for() {
    let it = Entrance::new(None).await;
    tokio::task::block_in_place(|| it.dc.set_password(0, PASSWORD, ""));
    let mut command = it.gateway.command(&["login", "--qr", "--stdin"]);
    let piped = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = piped.spawn().expect("the program starts");
    let ran = tokio::task::block_in_place(|| {
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let mut drawn = 0;
        let link = lines
            .by_ref()
            .map(|line| line.expect("text"))
            .find_map(|line| {
                drawn += usize::from(line.contains('\u{2588}'));
                Some(line.strip_prefix("tg://login?token=")?.to_owned())
            });
        assert!(drawn > 10, "a code of {drawn} lines");
        assert!(it.dc.scan_login_token(0, &token(&link.expect("a link"))));
        let mut stdin = child.stdin.take().expect("piped");
        writeln!(stdin, "{PASSWORD}").expect("it waits for it");
        let mut out = String::new();
        let mut stdout = child.stdout.take().expect("piped");
        stdout.read_to_string(&mut out).expect("text");
        (child.wait().expect("an end"), out)
    });
    assert!(ran.0.success(), "{ran:?}");
    assert!(ran.1.contains("is logged in as user"), "{ran:?}");
    assert_eq!(it.dc.account_of(it.key), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_given_key_that_is_logged_in_needs_no_answers() {
    let it = Entrance::new(Some(0)).await;
    let ran = it.login(&[], &[]);
    ends(
        &ran,
        0,
        &format!("is logged in as user {}", it.dc.user_of(0)),
    );
    assert_eq!(it.dc.count("auth.sendCode"), 0);
    assert_eq!(it.state(), "logged-in");
}

#[tokio::test(flavor = "multi_thread")]
async fn logout_removes_nothing_while_telegram_is_out_of_reach_but_for_local() {
    let it = Entrance::new(Some(0)).await;
    ends(&it.login(&[], &[]), 0, "is logged in");
    it.dc.refuse_connections(true);
    it.dc.cut();
    ends(&it.run(&["logout"], &[]), 69, "cannot reach Telegram");
    assert!(it.place().is_taken().expect("looked"));
    assert_eq!(it.state(), "logged-in");
    ends(&it.run(&["logout", "--local"], &[]), 0, "is removed");
    assert!(!it.place().is_taken().expect("looked"));
    assert_eq!(it.dc.account_of(it.key), Some(0), "nobody told Telegram");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_in_use_is_nobody_elses_and_says_whose_it_is() {
    let it = Entrance::new(Some(0)).await;
    ends(&it.login(&[], &[]), 0, "is logged in");
    let claim = it.place().claim().expect("free");
    let holder = format!("process {}", std::process::id());
    ends(&it.run(&["logout"], &[]), 75, &holder);
    ends(&it.login(&[], &[]), 75, &holder);
    assert_eq!(it.state(), "in-use");
    drop(claim);
    assert_eq!(it.state(), "logged-in");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_session_key_is_told_from_damage() {
    let mut it = Entrance::new(Some(0)).await;
    ends(&it.login(&[], &[]), 0, "is logged in");
    it.gateway
        .set("TGW_TELEGRAM__SESSION_KEY", "another passphrase");
    let ran = it.run(&["session", "status"], &[]);
    ends(&ran, 77, "telegram.session_key does not open");
    ends(&it.login(&[], &[]), 77, "logout --local");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_without_a_session_says_so_and_goes_on_after_a_login_beside_it() {
    let it = Entrance::new(None).await;
    it.dc.add_phone(0, PHONE, CODE);
    let config = it.gateway.config();
    let telegram = config.telegram.clone().expect("configured");
    let (status, stop) = (Status::new(), CancellationToken::new());
    let daemon = Daemon::open(config, status.clone()).expect("a daemon");
    let gate = Gate::new(&it.gateway.data_dir(), &telegram, "main");
    let inputs = inputs("main", meaning(&daemon, "main", &stop).await);
    let source = Telegram::start(vec![(inputs, gate)], &status, &stop);
    let running = tokio::spawn(daemon.run(Some(source), Options::default(), stop.clone()));
    let is_in = async |state: &str| status.accounts().iter().any(|it| it.state == state);
    until("waiting for a login", || is_in("needs-login")).await;
    ends(&it.login(&[], &[PHONE, CODE]), 0, "is logged in");
    until("live", || is_in("live")).await;
    ends(&it.run(&["logout"], &[]), 75, "in use by process");
    stop.cancel();
    let ran = running.await.expect("no panic");
    ran.expect("stops in order");
    assert_eq!(it.state(), "logged-in");
}
