//! Logging in by a phone number, and the code that Telegram sends.

use grammers_mtsender::InvocationError;
use grammers_tl_types as tl;
use tl::enums::auth::{Authorization, SentCode, SentCodeType};

use super::error::LoginError;
use super::line::Line;
use super::password;
use super::{ATTEMPTS, Application, Person, Question, answer};

pub(super) async fn log_in<P: Person>(
    line: &Line,
    application: &Application<'_>,
    person: &mut P,
) -> Result<Authorization, LoginError> {
    let phone = answer(person, Question::Phone).await?;
    let send = tl::functions::auth::SendCode {
        phone_number: phone.to_string(),
        api_id: application.id,
        api_hash: application.hash.expose().to_owned(),
        settings: settings().into(),
    };
    let sent = match line.ask(&send).await.map_err(LoginError::of)? {
        SentCode::Code(sent) => sent,
        SentCode::Success(done) => return Ok(done.authorization),
        SentCode::PaymentRequired(_) => return Err(LoginError::Beyond("a payment")),
    };
    let way = way(&sent.r#type)?;
    for _ in 0..ATTEMPTS {
        let code = answer(person, Question::Code { way }).await?;
        let sign_in = tl::functions::auth::SignIn {
            phone_number: phone.to_string(),
            phone_code_hash: sent.phone_code_hash.clone(),
            phone_code: Some(code.to_string()),
            email_verification: None,
        };
        match line.ask(&sign_in).await {
            Ok(authorization) => return Ok(authorization),
            Err(InvocationError::Rpc(error)) => match error.name.as_str() {
                "PHONE_CODE_INVALID" | "PHONE_CODE_EMPTY" => person.tell("That code is not right."),
                "SESSION_PASSWORD_NEEDED" => return password::check(line, person).await,
                _ => return Err(LoginError::of(InvocationError::Rpc(error))),
            },
            Err(error) => return Err(LoginError::of(error)),
        }
    }
    Err(LoginError::Wrong("code"))
}

/// The plainest way of sending a code.
fn settings() -> tl::types::CodeSettings {
    tl::types::CodeSettings {
        allow_flashcall: false,
        current_number: false,
        allow_app_hash: false,
        allow_missed_call: false,
        allow_firebase: false,
        unknown_number: false,
        logout_tokens: None,
        token: None,
        app_sandbox: None,
    }
}

/// Where the person finds the code.
fn way(sent: &SentCodeType) -> Result<&'static str, LoginError> {
    Ok(match sent {
        SentCodeType::App(_) => "in another app of Telegram",
        SentCodeType::Sms(_) | SentCodeType::SmsWord(_) | SentCodeType::SmsPhrase(_) => "by SMS",
        SentCodeType::Call(_) => "by a call",
        SentCodeType::FlashCall(_) | SentCodeType::MissedCall(_) => {
            "as the last digits of a number that calls"
        }
        SentCodeType::FragmentSms(_) => "at fragment.com",
        SentCodeType::EmailCode(_) => return Err(LoginError::Beyond("a code sent by mail")),
        SentCodeType::SetUpEmailRequired(_) => return Err(LoginError::Beyond("a mail address")),
        SentCodeType::FirebaseSms(_) => return Err(LoginError::Beyond("a phone's own check")),
    })
}
