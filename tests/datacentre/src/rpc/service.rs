//! Service messages of MTProto that a client sends.

use std::time::Duration;

use grammers_tl_types as tl;
use tl::functions as f;
use tl::{Deserializable, Identifiable};
use tokio::time::Instant;

use super::read;
use crate::connection::service;
use crate::wire::message::{Inbound, Outgoing, constructor, rpc_result};
use crate::world::World;
use tl::Serializable;

pub(crate) fn acknowledged(world: &mut World, body: &[u8]) {
    if let Ok(tl::enums::MsgsAck::Ack(ack)) = tl::enums::MsgsAck::from_bytes(body) {
        world.acknowledged += u64::try_from(ack.msg_ids.len()).unwrap_or(u64::MAX);
    }
}

/// Whether it is a service message of MTProto, and no method of the API.
pub(crate) fn is_service(body: &[u8]) -> bool {
    matches!(
        constructor(body),
        Some(
            f::Ping::CONSTRUCTOR_ID
                | f::PingDelayDisconnect::CONSTRUCTOR_ID
                | f::GetFutureSalts::CONSTRUCTOR_ID
                | f::DestroySession::CONSTRUCTOR_ID
                | f::RpcDropAnswer::CONSTRUCTOR_ID
                | tl::types::MsgsStateReq::CONSTRUCTOR_ID
                | tl::types::MsgsAllInfo::CONSTRUCTOR_ID
                | tl::types::HttpWait::CONSTRUCTOR_ID
        )
    )
}

/// The answer to a service message, which may be none; the outer none is for anything else.
pub(crate) fn answer(world: &mut World, link: u64, message: &Inbound) -> Option<Option<Outgoing>> {
    let (msg_id, body) = (message.msg_id, message.body.as_slice());
    Some(match constructor(body)? {
        f::Ping::CONSTRUCTOR_ID => {
            let ping: f::Ping = read(body).ok()?;
            Some(pong(msg_id, ping.ping_id))
        }
        f::PingDelayDisconnect::CONSTRUCTOR_ID => {
            let ping: f::PingDelayDisconnect = read(body).ok()?;
            let delay = Duration::from_secs(u64::try_from(ping.disconnect_delay).unwrap_or(0));
            if let Some(connection) = world.links.get_mut(&link) {
                connection.closes_at = Some(Instant::now() + delay);
            }
            Some(pong(msg_id, ping.ping_id))
        }
        f::GetFutureSalts::CONSTRUCTOR_ID => {
            let request: f::GetFutureSalts = read(body).ok()?;
            let now = world.date();
            let salts = tl::types::FutureSalts {
                req_msg_id: msg_id,
                now,
                salts: tl::RawVec(world.salts.future(request.num, now)),
            };
            Some(service(&tl::enums::FutureSalts::from(salts), true, false))
        }
        f::DestroySession::CONSTRUCTOR_ID => {
            let request: f::DestroySession = read(body).ok()?;
            Some(service(
                &destroyed(world, link, request.session_id),
                true,
                false,
            ))
        }
        f::RpcDropAnswer::CONSTRUCTOR_ID => {
            let unknown = tl::enums::RpcDropAnswer::RpcAnswerUnknown;
            Some(Outgoing {
                body: rpc_result(msg_id, &unknown.to_bytes(), usize::MAX),
                is_answer: true,
                needs_ack: true,
            })
        }
        tl::types::MsgsStateReq::CONSTRUCTOR_ID => {
            let tl::enums::MsgsStateReq::Req(request) =
                tl::enums::MsgsStateReq::from_bytes(body).ok()?;
            let info = tl::types::MsgsStateInfo {
                req_msg_id: msg_id,
                // Received, each of them.
                info: vec![4; request.msg_ids.len()],
            };
            Some(service(&tl::enums::MsgsStateInfo::from(info), true, false))
        }
        tl::types::HttpWait::CONSTRUCTOR_ID | tl::types::MsgsAllInfo::CONSTRUCTOR_ID => None,
        _ => return None,
    })
}

fn pong(msg_id: i64, ping_id: i64) -> Outgoing {
    let pong = tl::enums::Pong::from(tl::types::Pong { msg_id, ping_id });
    service(&pong, true, false)
}

fn destroyed(world: &mut World, link: u64, session_id: i64) -> tl::enums::DestroySessionRes {
    let key = world.links.get(&link).and_then(|link| link.key);
    if key.is_some_and(|key| world.sessions.remove(&(key, session_id))) {
        tl::types::DestroySessionOk { session_id }.into()
    } else {
        tl::types::DestroySessionNone { session_id }.into()
    }
}
