//! What is done with a packet of a client: checks of MTProto, service messages, and the rules of faults before an answer.

use std::sync::Arc;
use std::time::Duration;

use grammers_tl_types as tl;
use tl::{Identifiable, Serializable};

use crate::connection::{Command, Held, service};
use crate::faults::{Asked, Reaction, RpcError};
use crate::rpc::{self, Call, Request};
use crate::shared::Shared;
use crate::wire::message::{Inbound, Outgoing, constructor, flatten, rpc_result};
use crate::wire::seal::key_id_of;
use crate::world::World;

const UNKNOWN_KEY: u16 = 404;
const TOO_LOW: i32 = 16;
const TOO_HIGH: i32 = 17;
const BAD_SALT: i32 = 48;
/// How far the ids of a client's messages may be from the server's time, in seconds.
const BEHIND_MAX: i64 = 300;
const AHEAD_MAX: i64 = 30;

/// Takes a packet in. A packet that cannot be read closes the connection, as Telegram does.
pub(crate) fn receive(world: &mut World, shared: &Arc<Shared>, link: u64, packet: &[u8]) {
    let greeting = greeting(packet, world.date());
    let Some(connection) = world.links.get_mut(&link) else {
        return;
    };
    if connection.is_mute || world.faults.is_mute {
        world.swallowed += 1;
        return;
    }
    if let Some(greeting) = greeting {
        return connection.command(Command::Unsealed(greeting));
    }
    let state = key_id_of(packet).and_then(|id| world.keys.get(&id));
    let Some(key) = state.map(|state| &state.key) else {
        return connection.command(Command::TransportError(UNKNOWN_KEY));
    };
    let Some(opened) = key.open(packet) else {
        return connection.close();
    };
    connection.key = Some(key.id());
    connection.session = opened.session;
    if let Some(code) = refusal(world, opened.salt, opened.msg_id) {
        return bad_message(world, link, opened.msg_id, code);
    }
    let mut messages = Vec::new();
    if flatten(opened.msg_id, opened.body, &mut messages).is_none() {
        return close(world, link);
    }
    greet(world, link, opened.msg_id);
    for message in messages {
        take(world, shared, link, &message);
    }
}

/// The answer to whoever begins to ask for a key: its number tells the time. Nothing follows it.
fn greeting(packet: &[u8], date: i32) -> Option<Vec<u8>> {
    let (key, rest) = packet.split_first_chunk::<8>()?;
    let request = rest.get(12..)?;
    let nonce = *request.get(4..)?.first_chunk::<16>()?;
    if *key != [0; 8] || constructor(request) != Some(tl::functions::ReqPqMulti::CONSTRUCTOR_ID) {
        return None;
    }
    let answer = tl::enums::ResPq::Pq(tl::types::ResPq {
        nonce,
        server_nonce: [0; 16],
        pq: Vec::new(),
        server_public_key_fingerprints: Vec::new(),
    });
    let answer = answer.to_bytes();
    let mut message = key.to_vec();
    (i64::from(date) << 32 | 1).serialize(&mut message);
    i32::try_from(answer.len()).ok()?.serialize(&mut message);
    message.extend(answer);
    Some(message)
}

/// The code of `bad_msg_notification` for a packet that is not taken in.
fn refusal(world: &World, salt: i64, msg_id: i64) -> Option<i32> {
    if world.options.checks_salts && !world.salts.is_valid(salt) {
        return Some(BAD_SALT);
    }
    let ahead = (msg_id >> 32) - i64::from(world.date());
    match ahead {
        _ if !world.options.checks_message_times => None,
        _ if ahead < -BEHIND_MAX => Some(TOO_LOW),
        _ if ahead > AHEAD_MAX => Some(TOO_HIGH),
        _ => None,
    }
}

pub(crate) fn bad_message(world: &World, link: u64, bad_msg_id: i64, error_code: i32) {
    let notification: tl::enums::BadMsgNotification = if error_code == BAD_SALT {
        tl::types::BadServerSalt {
            bad_msg_id,
            bad_msg_seqno: 0,
            error_code,
            new_server_salt: world.salts.current(),
        }
        .into()
    } else {
        tl::types::BadMsgNotification {
            bad_msg_id,
            bad_msg_seqno: 0,
            error_code,
        }
        .into()
    };
    send(world, link, service(&notification, false, false));
}

/// A session that the server has not seen, or has forgotten, is told so.
fn greet(world: &mut World, link: u64, first_msg_id: i64) {
    let Some(connection) = world.links.get(&link) else {
        return;
    };
    let Some(key) = connection.key else {
        return;
    };
    if world.sessions.insert((key, connection.session)) {
        announce_session(world, link, first_msg_id);
    }
}

pub(crate) fn announce_session(world: &World, link: u64, first_msg_id: i64) {
    let created = tl::enums::NewSession::from(tl::types::NewSessionCreated {
        first_msg_id,
        unique_id: i64::try_from(world.sessions.len()).unwrap_or(i64::MAX),
        server_salt: world.salts.current(),
    });
    send(world, link, service(&created, false, true));
}

fn send(world: &World, link: u64, message: Outgoing) {
    if let Some(connection) = world.links.get(&link) {
        connection.send(message);
    }
}

fn close(world: &World, link: u64) {
    if let Some(connection) = world.links.get(&link) {
        connection.close();
    }
}

fn take(world: &mut World, shared: &Arc<Shared>, link: u64, message: &Inbound) {
    if constructor(&message.body) == Some(tl::types::MsgsAck::CONSTRUCTOR_ID) {
        return rpc::service::acknowledged(world, &message.body);
    }
    let Some(request) = Request::read(&message.body) else {
        return close(world, link);
    };
    world.calls.note(&request.methods);
    if request.introduces_itself()
        && let Some(connection) = world.links.get_mut(&link)
    {
        connection.is_ready = true;
    }
    let account = account_of(world, link);
    let asked = Asked {
        methods: &request.methods,
        is_service: rpc::service::is_service(&message.body),
        channel: request.channel(),
        account,
    };
    match world.faults.reaction(&asked) {
        None => answer(world, link, message, &request, false),
        Some(Reaction::Fail(error)) => fail(world, link, message.msg_id, &error),
        Some(Reaction::Ignore) => {}
        Some(Reaction::Cut) => close(world, link),
        Some(Reaction::BadMessage(code)) => bad_message(world, link, message.msg_id, code),
        Some(Reaction::TransportError(code)) => {
            if let Some(connection) = world.links.get(&link) {
                connection.command(Command::TransportError(code));
            }
        }
        Some(Reaction::Garble) => answer(world, link, message, &request, true),
        Some(Reaction::Hold) => {
            let answer = reply(world, link, message, &request, false);
            world
                .faults
                .held
                .extend(answer.map(|answer| Held { link, answer }));
        }
        Some(Reaction::Delay(time)) => {
            if let Some(answer) = reply(world, link, message, &request, false) {
                send_later(shared, link, time, answer);
            }
        }
    }
}

pub(crate) fn account_of(world: &World, link: u64) -> Option<usize> {
    let key = world.links.get(&link)?.key?;
    world.keys.get(&key)?.account
}

fn send_later(shared: &Arc<Shared>, link: u64, time: Duration, answer: Outgoing) {
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        tokio::time::sleep(time).await;
        shared.change(|world| send(world, link, answer));
    });
}

fn answer(world: &mut World, link: u64, message: &Inbound, request: &Request, is_garbled: bool) {
    if let Some(answer) = reply(world, link, message, request, is_garbled) {
        send(world, link, answer);
    }
}

/// The answer to a request; none where none is due.
fn reply(
    world: &mut World,
    link: u64,
    message: &Inbound,
    request: &Request,
    is_garbled: bool,
) -> Option<Outgoing> {
    if let Some(answer) = rpc::service::answer(world, link, message) {
        return answer;
    }
    let account = account_of(world, link);
    let mut call = Call {
        dc_id: world.links.get(&link)?.dc_id,
        key: world.links.get(&link)?.key?,
        account,
        garbles: is_garbled,
        world,
    };
    let body = match rpc::answer(&mut call, request) {
        Ok(result) => rpc_result(message.msg_id, &result, world.options.pack_over),
        Err(error) => return Some(failure(message.msg_id, &error)),
    };
    Some(Outgoing {
        body,
        is_answer: true,
        needs_ack: true,
    })
}

fn fail(world: &World, link: u64, request: i64, error: &RpcError) {
    send(world, link, failure(request, error));
}

fn failure(request: i64, error: &RpcError) -> Outgoing {
    let error = tl::enums::RpcError::from(tl::types::RpcError {
        error_code: error.code,
        error_message: error.message.clone(),
    });
    Outgoing {
        body: rpc_result(request, &error.to_bytes(), usize::MAX),
        is_answer: true,
        needs_ack: true,
    }
}
