//! The password that an account may ask for beside the code.

use grammers_tl_types as tl;
use tl::Identifiable;
use tl::functions as f;

use super::{Answer, Call, run};
use crate::faults::RpcError;
use crate::srp;
use crate::world::Asked;

pub(super) fn answer(call: &mut Call<'_>, id: u32, body: &[u8]) -> Option<Answer<Vec<u8>>> {
    Some(match id {
        f::account::GetPassword::CONSTRUCTOR_ID => run(call, body, get_password),
        f::auth::CheckPassword::CONSTRUCTOR_ID => run(call, body, check_password),
        _ => return None,
    })
}

fn get_password(
    call: &mut Call<'_>,
    _: f::account::GetPassword,
) -> Answer<tl::enums::account::Password> {
    let half_way = call.world.logins.half_way.get(&call.key).copied();
    let account = half_way.map_or_else(|| call.account(), Ok)?;
    let logins = &mut call.world.logins;
    let srp_id = logins.number();
    let mut answer = tl::types::account::Password {
        has_recovery: false,
        has_secure_values: false,
        has_password: false,
        current_algo: None,
        srp_b: None,
        srp_id: None,
        hint: None,
        email_unconfirmed_pattern: None,
        new_algo: tl::enums::PasswordKdfAlgo::Unknown,
        new_secure_algo: tl::enums::SecurePasswordKdfAlgo::Unknown,
        secure_random: srp::secure_random(srp_id),
        pending_reset_date: None,
        login_email_pattern: None,
    };
    if let Some(password) = logins.passwords.get(&account) {
        let challenge = password.verifier.challenge(srp_id);
        let algorithm =
            tl::types::PasswordKdfAlgoSha256Sha256Pbkdf2Hmacsha512iter100000Sha256ModPow {
                salt1: password.verifier.salt1.clone(),
                salt2: password.verifier.salt2.clone(),
                g: i32::from(srp::G),
                p: srp::prime_bytes().to_vec(),
            };
        answer.has_password = true;
        answer.current_algo = Some(algorithm.into());
        answer.srp_b = Some(challenge.g_b.to_vec());
        answer.srp_id = Some(srp_id);
        answer.hint = Some(password.hint.clone());
        let key = call.key;
        logins.asked.insert(
            srp_id,
            Asked {
                key,
                account,
                challenge,
            },
        );
    }
    Ok(answer.into())
}

/// A question can be answered once, and only by the key that it was put to.
fn check_password(
    call: &mut Call<'_>,
    request: f::auth::CheckPassword,
) -> Answer<tl::enums::auth::Authorization> {
    let tl::enums::InputCheckPasswordSrp::Srp(proof) = request.password else {
        return Err(RpcError::bad_request("PASSWORD_HASH_INVALID"));
    };
    let asked = call.world.logins.asked.remove(&proof.srp_id);
    let asked = asked.filter(|asked| asked.key == call.key);
    let asked = asked.ok_or_else(|| RpcError::bad_request("SRP_ID_INVALID"))?;
    let password = call.world.logins.passwords.get(&asked.account);
    let password = password.ok_or_else(|| RpcError::bad_request("PASSWORD_HASH_INVALID"))?;
    match password
        .verifier
        .accepts(&asked.challenge, &proof.a, &proof.m1)
    {
        None => Err(RpcError::bad_request("SRP_A_INVALID")),
        Some(false) => Err(RpcError::bad_request("PASSWORD_HASH_INVALID")),
        Some(true) => call.welcome(asked.account),
    }
}
