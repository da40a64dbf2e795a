//! Who is there: each side proves to the other that it holds the token, and never sends it.

use std::io;

use chacha20poly1305::aead::Generate as _;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use wal::{Identity, LogId};

use crate::config::Token;

const MAGIC: [u8; 8] = *b"TGWEDGE\x01";
const NONCE: usize = 32;
const PROOF: usize = 32;
const GREETING: usize = MAGIC.len() + 16 + 4 + NONCE;

/// Whose proof it is: one side's can never stand for the other's.
#[derive(Debug, Clone, Copy)]
enum Role {
    Edge,
    Projector,
}

/// What the projector finds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The edge, with the identity of its log.
    Edge(Identity),
    /// The two sides have different tokens.
    OtherToken,
    /// No edge of this version.
    Stranger,
}

/// The proof of a side, not finished: to be made, or to be compared in constant time.
fn proof(
    token: &Token,
    role: Role,
    greeting: &[u8; GREETING],
    nonce: &[u8; NONCE],
) -> Hmac<Sha256> {
    // A key of HMAC may have any length.
    let mut mac = match Hmac::<Sha256>::new_from_slice(token.expose()) {
        Ok(mac) => mac,
        Err(error) => unreachable!("{error}"),
    };
    mac.update(match role {
        Role::Edge => b"edge",
        Role::Projector => b"projector",
    });
    mac.update(greeting);
    mac.update(nonce);
    mac
}

fn made(mac: Hmac<Sha256>) -> [u8; PROOF] {
    mac.finalize().into_bytes().into()
}

fn nonce() -> io::Result<[u8; NONCE]> {
    <[u8; NONCE]>::try_generate().map_err(io::Error::other)
}

fn greeting(identity: Identity) -> io::Result<[u8; GREETING]> {
    let mut greeting = [0; GREETING];
    let (magic, rest) = greeting.split_at_mut(MAGIC.len());
    magic.copy_from_slice(&MAGIC);
    let (log_id, rest) = rest.split_at_mut(16);
    log_id.copy_from_slice(&identity.log_id.0);
    let (epoch, nonce) = rest.split_at_mut(4);
    epoch.copy_from_slice(&identity.epoch.to_le_bytes());
    nonce.copy_from_slice(&self::nonce()?);
    Ok(greeting)
}

/// The identity in a greeting; none when it is none of ours.
fn read(greeting: &[u8; GREETING]) -> Option<Identity> {
    let rest = greeting.strip_prefix(&MAGIC)?;
    let (log_id, rest) = rest.split_first_chunk::<16>()?;
    let (epoch, _) = rest.split_first_chunk::<4>()?;
    Some(Identity {
        log_id: LogId(*log_id),
        epoch: u32::from_le_bytes(*epoch),
    })
}

/// The edge's side. Whether the other one holds the token.
pub(super) async fn welcome(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    token: &Token,
    identity: Identity,
) -> io::Result<bool> {
    let greeting = greeting(identity)?;
    stream.write_all(&greeting).await?;
    let (mut nonce, mut theirs) = ([0; NONCE], [0; PROOF]);
    stream.read_exact(&mut nonce).await?;
    stream.read_exact(&mut theirs).await?;
    let expected = proof(token, Role::Projector, &greeting, &nonce);
    let is_right = expected.verify_slice(&theirs).is_ok();
    let mut verdict = [0; 1 + PROOF];
    if is_right {
        verdict[0] = 1;
        verdict[1..].copy_from_slice(&made(proof(token, Role::Edge, &greeting, &nonce)));
    }
    stream.write_all(&verdict).await?;
    Ok(is_right)
}

/// The projector's side.
pub(super) async fn greet(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    token: &Token,
) -> io::Result<Found> {
    let mut greeting = [0; GREETING];
    stream.read_exact(&mut greeting).await?;
    let Some(identity) = read(&greeting) else {
        return Ok(Found::Stranger);
    };
    let nonce = nonce()?;
    stream.write_all(&nonce).await?;
    let mine = made(proof(token, Role::Projector, &greeting, &nonce));
    stream.write_all(&mine).await?;
    let mut verdict = [0; 1 + PROOF];
    stream.read_exact(&mut verdict).await?;
    let theirs = proof(token, Role::Edge, &greeting, &nonce).verify_slice(&verdict[1..]);
    Ok(match (verdict[0], theirs) {
        (1, Ok(())) => Found::Edge(identity),
        _ => Found::OtherToken,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> Identity {
        Identity {
            log_id: LogId([7; 16]),
            epoch: 3,
        }
    }

    async fn meet(edge: &Token, projector: &Token) -> (bool, Found) {
        let (mut here, mut there) = tokio::io::duplex(1024);
        let (welcomed, found) = tokio::join!(
            welcome(&mut here, edge, identity()),
            greet(&mut there, projector)
        );
        (welcomed.expect("a line"), found.expect("a line"))
    }

    #[tokio::test]
    async fn both_sides_have_to_hold_the_token() {
        let (one, other) = (Token::new(vec![1; 32]), Token::new(vec![2; 32]));
        assert_eq!(meet(&one, &one).await, (true, Found::Edge(identity())));
        assert_eq!(meet(&one, &other).await, (false, Found::OtherToken));
    }

    #[tokio::test]
    async fn an_edge_that_says_yes_without_the_token_is_not_believed() {
        let token = Token::new(vec![1; 32]);
        let (mut here, mut there) = tokio::io::duplex(1024);
        let liar = async {
            let greeting = greeting(identity()).expect("random bytes");
            here.write_all(&greeting).await.expect("a line");
            let mut said = [0; NONCE + PROOF];
            here.read_exact(&mut said).await.expect("a line");
            // What the projector has just proved does not prove the edge.
            let mut verdict = [1; 1 + PROOF];
            verdict[1..].copy_from_slice(&said[NONCE..]);
            here.write_all(&verdict).await.expect("a line");
        };
        let ((), found) = tokio::join!(liar, greet(&mut there, &token));
        assert_eq!(found.expect("a line"), Found::OtherToken);
    }

    #[tokio::test]
    async fn another_service_is_no_edge() {
        let (mut here, mut there) = tokio::io::duplex(1024);
        here.write_all(&[b'x'; GREETING]).await.expect("a line");
        let found = greet(&mut there, &Token::new(vec![1; 32])).await;
        assert_eq!(found.expect("a line"), Found::Stranger);
    }
}
