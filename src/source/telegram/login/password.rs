//! The password beside the code (SRP): it is proved and never sent.

use grammers_crypto::two_factor_auth::{calculate_2fa, check_p_and_g};
use grammers_mtsender::InvocationError;
use grammers_tl_types as tl;
use tl::enums::auth::Authorization;
use zeroize::Zeroizing;

use super::error::LoginError;
use super::line::Line;
use super::{ATTEMPTS, Person, Question, answer};

/// The bytes of the numbers that the server sends.
const NUMBER_BYTES: usize = 256;

/// Asks for the password until it is right, as often as is sensible.
pub(super) async fn check<P: Person>(
    line: &Line,
    person: &mut P,
) -> Result<Authorization, LoginError> {
    for _ in 0..ATTEMPTS {
        let asked = line.ask(&tl::functions::account::GetPassword {}).await;
        let asked = asked.map_err(LoginError::of)?;
        let tl::enums::account::Password::Password(asked) = asked;
        let hint = asked.hint.clone().filter(|hint| !hint.is_empty());
        let puzzle = Puzzle::of(asked)?;
        let password = answer(person, Question::Password { hint }).await?;
        // Raising big numbers to big powers takes a while.
        let proof = tokio::task::spawn_blocking(move || puzzle.solve(&password)).await;
        let proof = proof.unwrap_or(Err(LoginError::Nonsense("its password question")))?;
        let check = tl::functions::auth::CheckPassword {
            password: proof.into(),
        };
        match line.ask(&check).await {
            Ok(authorization) => return Ok(authorization),
            Err(InvocationError::Rpc(error)) if error.name == "PASSWORD_HASH_INVALID" => {
                person.tell("That password is not right.");
            }
            Err(error) => return Err(LoginError::of(error)),
        }
    }
    Err(LoginError::Wrong("password"))
}

/// What the server asks.
struct Puzzle {
    id: i64,
    salt1: Vec<u8>,
    salt2: Vec<u8>,
    p: Vec<u8>,
    g: i32,
    g_b: Vec<u8>,
    random: Vec<u8>,
}

impl Puzzle {
    fn of(asked: tl::types::account::Password) -> Result<Puzzle, LoginError> {
        use tl::enums::PasswordKdfAlgo as Algorithm;
        let (Some(algorithm), Some(g_b), Some(id)) =
            (asked.current_algo, asked.srp_b, asked.srp_id)
        else {
            return Err(LoginError::Nonsense(
                "it asks for a password that is not set",
            ));
        };
        let Algorithm::Sha256Sha256Pbkdf2Hmacsha512iter100000Sha256ModPow(algorithm) = algorithm
        else {
            return Err(LoginError::Beyond("a password check of a newer kind"));
        };
        Ok(Puzzle {
            id,
            salt1: algorithm.salt1,
            salt2: algorithm.salt2,
            p: algorithm.p,
            g: algorithm.g,
            g_b,
            random: asked.secure_random,
        })
    }

    /// The library panics on numbers that are too long, and a server may send any.
    fn is_sound(&self) -> bool {
        let fits = |number: &[u8]| (1..=NUMBER_BYTES).contains(&number.len());
        let is_below = self.g_b.len() < self.p.len() || self.g_b < self.p;
        let is_nought = self.g_b.iter().all(|byte| *byte == 0);
        fits(&self.g_b)
            && fits(&self.random)
            && self.p.len() == NUMBER_BYTES
            && is_below
            && !is_nought
            && check_p_and_g(&self.p, &self.g)
    }

    fn solve(
        self,
        password: &Zeroizing<String>,
    ) -> Result<tl::types::InputCheckPasswordSrp, LoginError> {
        if !self.is_sound() {
            return Err(LoginError::Nonsense("its password question"));
        }
        // The client's own secret is made of both: whoever knows only what the server sent cannot tell it.
        let random = own_secret(&self.random)?;
        let (m1, g_a) = calculate_2fa(
            &self.salt1,
            &self.salt2,
            &self.p,
            &self.g,
            self.g_b,
            random,
            password.as_bytes(),
        );
        Ok(tl::types::InputCheckPasswordSrp {
            srp_id: self.id,
            a: g_a.to_vec(),
            m1: m1.to_vec(),
        })
    }
}

fn own_secret(of_server: &[u8]) -> Result<Vec<u8>, LoginError> {
    use chacha20poly1305::aead::Generate;
    let random = <[u8; NUMBER_BYTES]>::try_generate();
    let mut secret = random.map_err(|_| LoginError::Nonsense("no random numbers"))?;
    for (own, theirs) in secret.iter_mut().zip(of_server) {
        *own ^= theirs;
    }
    Ok(secret.to_vec())
}
