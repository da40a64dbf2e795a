//! The ways to log in, and out.

use datacentre::{DataCentre, Reaction, RpcError, Rule, UserSpec};
use grammers_client::tl;
use grammers_client::{SignInError, client::LoginToken};
use tl::functions as f;

use crate::support::{Visitor, error_name, session_with, start, start_with};

const PHONE: &str = "+15550100";
const API_HASH: &str = "a hash that nobody checks";

async fn sent_code(visitor: &Visitor) -> LoginToken {
    let sent = visitor.client.request_login_code(PHONE, API_HASH).await;
    sent.expect("a code is sent")
}

fn export_token() -> f::auth::ExportLoginToken {
    f::auth::ExportLoginToken {
        api_id: 1,
        api_hash: API_HASH.to_owned(),
        except_ids: Vec::new(),
    }
}

async fn shown_token(visitor: &Visitor) -> Vec<u8> {
    match visitor.ask(&export_token()).await.expect("a token") {
        tl::enums::auth::LoginToken::Token(shown) => shown.token,
        other => panic!("{other:?}"),
    }
}

/// A visitor without an account, and its key.
async fn stranger(dc: &DataCentre) -> (Visitor, [u8; 256]) {
    let key = dc.add_key(None);
    (Visitor::with_key(dc, key).await, key)
}

#[tokio::test]
async fn a_phone_gets_a_code_and_only_that_logs_in() {
    let dc = start().await;
    dc.add_phone(0, PHONE, "12345");
    let (visitor, key) = stranger(&dc).await;
    let unknown = visitor.client.request_login_code("+0", API_HASH).await;
    assert_eq!(error_name(unknown.map(drop)), "PHONE_NUMBER_INVALID");
    let token = sent_code(&visitor).await;
    let wrong = visitor.client.sign_in(&token, "54321").await;
    assert!(matches!(wrong, Err(SignInError::InvalidCode)), "{wrong:?}");
    assert_eq!(dc.account_of(key), None);
    let user = visitor
        .client
        .sign_in(&token, "12345")
        .await
        .expect("logs in");
    assert_eq!(user.username(), Some("mirror"));
    assert_eq!(dc.account_of(key), Some(0));
    let out = visitor.client.sign_out().await;
    out.expect("logs out");
    assert_eq!(dc.account_of(key), None);
    assert!(!visitor.client.is_authorized().await.expect("an answer"));
}

#[tokio::test]
async fn a_phone_with_which_nobody_signed_up_has_to_sign_up() {
    let dc = start().await;
    dc.add_unknown_phone(PHONE, "12345");
    let (visitor, key) = stranger(&dc).await;
    let token = sent_code(&visitor).await;
    let answer = visitor.client.sign_in(&token, "12345").await;
    assert!(
        matches!(answer, Err(SignInError::SignUpRequired)),
        "{answer:?}"
    );
    assert_eq!(dc.account_of(key), None);
}

#[tokio::test]
async fn a_password_is_checked_without_being_sent() {
    let dc = start().await;
    dc.add_phone(0, PHONE, "12345");
    dc.set_password(0, "open sesame", "what Ali Baba says");
    let (visitor, key) = stranger(&dc).await;
    let token = sent_code(&visitor).await;
    let asked = match visitor.client.sign_in(&token, "12345").await {
        Err(SignInError::PasswordRequired(asked)) => asked,
        other => panic!("{other:?}"),
    };
    assert_eq!(asked.hint(), Some("what Ali Baba says"));
    let wrong = visitor.client.check_password(asked, "open barley").await;
    assert!(
        matches!(wrong, Err(SignInError::InvalidPassword(_))),
        "{wrong:?}"
    );
    assert_eq!(dc.account_of(key), None);

    let token = sent_code(&visitor).await;
    let asked = match visitor.client.sign_in(&token, "12345").await {
        Err(SignInError::PasswordRequired(asked)) => asked,
        other => panic!("{other:?}"),
    };
    let user = visitor.client.check_password(asked, "open sesame").await;
    assert_eq!(user.expect("logs in").username(), Some("mirror"));
    assert_eq!(dc.account_of(key), Some(0));
}

#[tokio::test]
async fn a_bot_logs_in_by_its_token() {
    let dc = start().await;
    let bot = dc.add_account(UserSpec::named("Bot").username("a_bot").bot());
    dc.add_bot_token(bot, "1:secret");
    let (visitor, key) = stranger(&dc).await;
    let wrong = visitor.client.bot_sign_in("1:guess", API_HASH).await;
    assert_eq!(error_name(wrong.map(drop)), "ACCESS_TOKEN_INVALID");
    let user = visitor.client.bot_sign_in("1:secret", API_HASH).await;
    assert!(user.expect("logs in").is_bot());
    assert_eq!(dc.account_of(key), Some(bot));
}

#[tokio::test]
async fn a_qr_code_logs_in_once_it_is_scanned() {
    let dc = start().await;
    let (mut visitor, key) = stranger(&dc).await;
    let first = shown_token(&visitor).await;
    let token = shown_token(&visitor).await;
    assert!(!dc.scan_login_token(0, &first), "replaced by the next one");
    dc.shift_clock(60);
    assert!(!dc.scan_login_token(0, &token), "expired");
    dc.shift_clock(-60);
    assert!(dc.scan_login_token(0, &token));
    let told = visitor.pushed().await;
    let tl::enums::Updates::UpdateShort(told) = told else {
        panic!("{told:?}");
    };
    assert_eq!(told.update, tl::enums::Update::LoginToken);
    let answer = visitor.ask(&export_token()).await.expect("a login");
    assert!(
        matches!(answer, tl::enums::auth::LoginToken::Success(_)),
        "{answer:?}"
    );
    assert_eq!(dc.account_of(key), Some(0));
}

#[tokio::test]
async fn a_scanned_code_may_ask_for_the_password_or_send_the_client_elsewhere() {
    let dc = start().await;
    let second = dc.add_account(UserSpec::named("Second"));
    dc.set_password(0, "open sesame", "");
    let (visitor, key) = stranger(&dc).await;
    let token = shown_token(&visitor).await;
    assert!(dc.scan_login_token(0, &token));
    let answer = visitor.ask(&export_token()).await;
    assert_eq!(error_name(answer), "SESSION_PASSWORD_NEEDED");
    assert_eq!(dc.account_of(key), None);

    let (other, key) = stranger(&dc).await;
    let token = shown_token(&other).await;
    assert!(dc.scan_login_token_elsewhere(second, &token, 4));
    let answer = other.ask(&export_token()).await.expect("the way");
    let tl::enums::auth::LoginToken::MigrateTo(way) = answer else {
        panic!("{answer:?}");
    };
    assert_eq!(way.dc_id, 4);
    let import = f::auth::ImportLoginToken { token: way.token };
    let answer = other.ask(&import).await.expect("a login");
    assert!(
        matches!(answer, tl::enums::auth::LoginToken::Success(_)),
        "{answer:?}"
    );
    assert_eq!(dc.account_of(key), Some(second));
}

#[tokio::test]
async fn a_login_moves_to_the_data_centre_of_the_account() {
    use grammers_session::Session;
    use grammers_session::types::DcOption;

    let dc = start_with(|options| options.other_dcs = vec![4]).await;
    dc.add_phone(0, PHONE, "12345");
    let migrate = Reaction::Fail(RpcError::migrate("PHONE", dc.dc_id()));
    dc.add_fault(Rule::on("auth.sendCode", migrate).times(1));
    let key = dc.add_key(None);
    let session = session_with(&dc, key).await;
    let elsewhere = DcOption {
        id: 4,
        ipv4: dc.address_of(4).expect("an address"),
        ..session.dc_option(2).expect("kept").expect("an option")
    };
    let kept = session.set_dc_option(&elsewhere).await;
    kept.and(session.set_home_dc_id(4).await).expect("kept");
    let visitor = Visitor::with_session(session.clone());
    let token = sent_code(&visitor).await;
    assert_eq!(session.home_dc_id().expect("kept"), dc.dc_id());
    let user = visitor.client.sign_in(&token, "12345").await;
    user.expect("logs in");
}
