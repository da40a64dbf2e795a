//! `auth.*`: how a key comes to have an account, and loses it.

use grammers_tl_types as tl;
use tl::Identifiable;
use tl::functions::auth as f;

use super::{Answer, Call, run};
use crate::content::blank_bytes;
use crate::faults::RpcError;
use crate::world::QrToken;

const TOKEN_LIFETIME: i32 = 30;

pub(super) fn answer(call: &mut Call<'_>, id: u32, body: &[u8]) -> Option<Answer<Vec<u8>>> {
    Some(match id {
        f::SendCode::CONSTRUCTOR_ID => run(call, body, send_code),
        f::SignIn::CONSTRUCTOR_ID => run(call, body, sign_in),
        f::ImportBotAuthorization::CONSTRUCTOR_ID => run(call, body, import_bot),
        f::ExportLoginToken::CONSTRUCTOR_ID => run(call, body, export_login_token),
        f::ImportLoginToken::CONSTRUCTOR_ID => run(call, body, import_login_token),
        f::ExportAuthorization::CONSTRUCTOR_ID => run(call, body, export_authorization),
        f::ImportAuthorization::CONSTRUCTOR_ID => run(call, body, import_authorization),
        f::LogOut::CONSTRUCTOR_ID => run(call, body, log_out),
        _ => return None,
    })
}

impl Call<'_> {
    /// Gives the key an account, unless that asks for a password first.
    fn log_in(&mut self, account: usize) -> Answer<tl::enums::auth::Authorization> {
        if self.world.logins.passwords.contains_key(&account) {
            self.world.logins.half_way.insert(self.key, account);
            return Err(RpcError::new(401, "SESSION_PASSWORD_NEEDED"));
        }
        self.welcome(account)
    }

    /// Gives the key an account.
    pub(super) fn welcome(&mut self, account: usize) -> Answer<tl::enums::auth::Authorization> {
        self.world.logins.half_way.remove(&self.key);
        if let Some(state) = self.world.keys.get_mut(&self.key) {
            state.account = Some(account);
        }
        let user_id = self.world.accounts[account].user_id;
        let user = self
            .world
            .user_for(account, user_id)
            .ok_or_else(RpcError::user_deactivated)?;
        Ok(tl::types::auth::Authorization {
            setup_password_required: false,
            otherwise_relogin_days: None,
            tmp_sessions: None,
            future_auth_token: None,
            user,
        }
        .into())
    }
}

fn send_code(call: &mut Call<'_>, request: f::SendCode) -> Answer<tl::enums::auth::SentCode> {
    let logins = &mut call.world.logins;
    let Some(phone) = logins.phones.get(&request.phone_number) else {
        return Err(RpcError::bad_request("PHONE_NUMBER_INVALID"));
    };
    let length = i32::try_from(phone.code.len()).unwrap_or(i32::MAX);
    let phone_code_hash = format!("sent-{}", logins.number());
    logins
        .sent
        .insert(phone_code_hash.clone(), request.phone_number);
    Ok(tl::types::auth::SentCode {
        r#type: tl::types::auth::SentCodeTypeApp { length }.into(),
        phone_code_hash,
        next_type: None,
        timeout: None,
    }
    .into())
}

fn sign_in(call: &mut Call<'_>, request: f::SignIn) -> Answer<tl::enums::auth::Authorization> {
    let logins = &call.world.logins;
    let is_sent = logins.sent.get(&request.phone_code_hash) == Some(&request.phone_number);
    let phone = logins.phones.get(&request.phone_number).filter(|_| is_sent);
    let phone = phone.ok_or_else(|| RpcError::bad_request("PHONE_CODE_EXPIRED"))?;
    match request.phone_code.as_deref() {
        None | Some("") => Err(RpcError::bad_request("PHONE_CODE_EMPTY")),
        Some(code) if code != phone.code => Err(RpcError::bad_request("PHONE_CODE_INVALID")),
        Some(_) => match phone.account {
            Some(account) => {
                call.world.logins.sent.remove(&request.phone_code_hash);
                call.log_in(account)
            }
            None => {
                let terms_of_service = None;
                Ok(tl::types::auth::AuthorizationSignUpRequired { terms_of_service }.into())
            }
        },
    }
}

fn import_bot(
    call: &mut Call<'_>,
    request: f::ImportBotAuthorization,
) -> Answer<tl::enums::auth::Authorization> {
    let account = call.world.logins.bots.get(&request.bot_auth_token).copied();
    call.welcome(account.ok_or_else(|| RpcError::bad_request("ACCESS_TOKEN_INVALID"))?)
}

/// A token to show, or the login when the last one was scanned.
fn export_login_token(
    call: &mut Call<'_>,
    _: f::ExportLoginToken,
) -> Answer<tl::enums::auth::LoginToken> {
    let (own, expires) = (call.key, call.world.date().saturating_add(TOKEN_LIFETIME));
    let logins = &mut call.world.logins;
    let mut tokens = logins.tokens.iter();
    let scanned = tokens.find(|(_, token)| token.key == own && token.scanned_by.is_some());
    let Some((token, scanned)) = scanned.map(|(bytes, token)| (bytes.clone(), token)) else {
        let bytes = format!("login token {}", logins.number()).into_bytes();
        logins.tokens.retain(|_, token| token.key != own);
        let token = QrToken {
            key: own,
            expires,
            scanned_by: None,
            moved_to: None,
        };
        logins.tokens.insert(bytes.clone(), token);
        return Ok(tl::types::auth::LoginToken {
            expires,
            token: bytes,
        }
        .into());
    };
    match scanned.moved_to {
        Some(dc_id) => Ok(tl::types::auth::LoginTokenMigrateTo { dc_id, token }.into()),
        None => redeem(call, &token),
    }
}

fn import_login_token(
    call: &mut Call<'_>,
    request: f::ImportLoginToken,
) -> Answer<tl::enums::auth::LoginToken> {
    redeem(call, &request.token)
}

fn redeem(call: &mut Call<'_>, token: &[u8]) -> Answer<tl::enums::auth::LoginToken> {
    let scanned = call
        .world
        .logins
        .tokens
        .get(token)
        .and_then(|token| token.scanned_by);
    let account = scanned.ok_or_else(|| RpcError::bad_request("AUTH_TOKEN_INVALID"))?;
    let authorization = call.log_in(account)?;
    call.world.logins.tokens.remove(token);
    Ok(tl::types::auth::LoginTokenSuccess { authorization }.into())
}

fn export_authorization(
    call: &mut Call<'_>,
    request: f::ExportAuthorization,
) -> Answer<tl::enums::auth::ExportedAuthorization> {
    let account = call.account()?;
    if !call.world.addresses.contains_key(&request.dc_id) {
        return Err(RpcError::bad_request("DC_ID_INVALID"));
    }
    let id = call.world.logins.number();
    let bytes = format!("authorization {id}").into_bytes();
    call.world
        .logins
        .exported
        .insert(id, (bytes.clone(), account));
    Ok(tl::types::auth::ExportedAuthorization { id, bytes }.into())
}

fn import_authorization(
    call: &mut Call<'_>,
    request: f::ImportAuthorization,
) -> Answer<tl::enums::auth::Authorization> {
    match call.world.logins.exported.remove(&request.id) {
        Some((bytes, account)) if bytes == request.bytes => call.welcome(account),
        _ => Err(RpcError::bad_request("AUTH_BYTES_INVALID")),
    }
}

fn log_out(call: &mut Call<'_>, _: f::LogOut) -> Answer<tl::enums::auth::LoggedOut> {
    call.account()?;
    if let Some(state) = call.world.keys.get_mut(&call.key) {
        state.account = None;
    }
    Ok(blank_bytes(1).read::<tl::types::auth::LoggedOut>().into())
}
