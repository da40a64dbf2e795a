//! Logging in by a code on the screen, which another device of the account scans.

use std::time::{Duration, Instant};

use grammers_mtsender::InvocationError;
use grammers_tl_types as tl;
use tl::enums::auth::{Authorization, LoginToken};

use super::error::LoginError;
use super::line::Line;
use super::password;
use super::{Application, Person};

/// How long a code is shown, with new ones in between.
const SHOWN_MAX: Duration = Duration::from_secs(5 * 60);
/// Codes live about half a minute; one that expires sooner or later than that is shown this long.
const SHOWN_ONCE: std::ops::RangeInclusive<u64> = 5..=60;

pub(super) async fn log_in<P: Person>(
    line: &Line,
    application: &Application<'_>,
    person: &mut P,
) -> Result<Authorization, LoginError> {
    let started = Instant::now();
    let mut shown = Vec::new();
    let export = tl::functions::auth::ExportLoginToken {
        api_id: application.id,
        api_hash: application.hash.expose().to_owned(),
        except_ids: Vec::new(),
    };
    while started.elapsed() < SHOWN_MAX {
        let told = match line.ask(&export).await {
            Ok(LoginToken::MigrateTo(way)) => {
                line.go_to(way.dc_id).await.map_err(LoginError::of)?;
                let import = tl::functions::auth::ImportLoginToken { token: way.token };
                line.ask_here(&import).await
            }
            told => told,
        };
        match told {
            Ok(LoginToken::Success(done)) => return Ok(done.authorization),
            Ok(LoginToken::Token(token)) => {
                if token.token != shown {
                    person.show(&link(&token.token));
                    shown.clone_from(&token.token);
                }
                line.scanned(lifetime(token.expires)).await?;
            }
            Ok(LoginToken::MigrateTo(_)) => return Err(LoginError::Nonsense("two moves at once")),
            Err(InvocationError::Rpc(error)) if error.name == "SESSION_PASSWORD_NEEDED" => {
                return password::check(line, person).await;
            }
            Err(error) => return Err(LoginError::of(error)),
        }
    }
    Err(LoginError::NotScanned)
}

/// How long to wait for a scan of a code that expires then. Our clock may be wrong.
fn lifetime(expires: i32) -> Duration {
    let now = crate::event::Timestamp::now().micros() / 1_000_000;
    let left = u64::try_from(i64::from(expires) - now).unwrap_or(0);
    Duration::from_secs(left.clamp(*SHOWN_ONCE.start(), *SHOWN_ONCE.end()))
}

/// The link that the code on the screen holds.
fn link(token: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut link = String::from("tg://login?token=");
    for chunk in token.chunks(3) {
        let mut bytes = [0; 4];
        bytes[1..=chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes(bytes);
        for digit in 0..=chunk.len() {
            let value = (bits >> (18 - 6 * digit)) & 63;
            link.push(char::from(DIGITS[value as usize]));
        }
    }
    link
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_holds_the_token_in_base64_for_addresses() {
        for (token, expected) in [
            (&b""[..], ""),
            (b"f", "Zg"),
            (b"fo", "Zm8"),
            (b"foo", "Zm9v"),
            (b"foob", "Zm9vYg"),
            (&[0xfb, 0xff, 0xfe], "-__-"),
        ] {
            assert_eq!(link(token), format!("tg://login?token={expected}"));
        }
    }

    #[test]
    fn a_code_is_shown_neither_for_ever_nor_for_no_time() {
        assert_eq!(lifetime(0), Duration::from_secs(5));
        assert_eq!(lifetime(i32::MAX), Duration::from_secs(60));
    }
}
