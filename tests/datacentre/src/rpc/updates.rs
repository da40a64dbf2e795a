//! `updates.*`: states and differences.

use grammers_tl_types as tl;
use tl::Identifiable;
use tl::functions::updates as f;

use super::{Answer, Call, run};
use crate::content::{blank_dialog, channel_peer};
use crate::faults::RpcError;
use crate::world::Peers;

pub(super) fn answer(call: &mut Call<'_>, id: u32, body: &[u8]) -> Option<Answer<Vec<u8>>> {
    Some(match id {
        f::GetState::CONSTRUCTOR_ID => run(call, body, get_state),
        f::GetDifference::CONSTRUCTOR_ID => run(call, body, get_difference),
        f::GetChannelDifference::CONSTRUCTOR_ID => run(call, body, get_channel_difference),
        _ => return None,
    })
}

fn get_state(call: &mut Call<'_>, _: f::GetState) -> Answer<tl::enums::updates::State> {
    let account = call.account()?;
    Ok(call.world.accounts[account].state(call.world.date()).into())
}

fn get_difference(
    call: &mut Call<'_>,
    request: f::GetDifference,
) -> Answer<tl::enums::updates::Difference> {
    let account = call.account()?;
    let (world, now) = (&*call.world, call.world.date());
    let state = world.accounts[account].state(now);
    let mailbox = &world.accounts[account].mailbox;
    if request.pts <= 0 {
        return Err(RpcError::bad_request("PERSISTENT_TIMESTAMP_EMPTY"));
    }
    if request.pts > mailbox.pts && world.options.refuses_pts_above {
        return Err(RpcError::bad_request("PERSISTENT_TIMESTAMP_INVALID"));
    }
    let limits = &world.options.limits;
    let total = request.pts_total_limit.map_or(usize::MAX, at_most);
    if mailbox.missed_since(request.pts) > limits.difference_too_long.min(total) {
        return Ok(tl::types::updates::DifferenceTooLong { pts: mailbox.pts }.into());
    }
    let page = mailbox.since(
        request.pts,
        request.pts_limit.map_or(limits.difference, at_most),
    );
    let mut other_updates = page.other_updates;
    if page.is_last {
        other_updates.extend(channels_changed(call, account, request.date));
        let secondary = &world.accounts[account].secondary;
        let missed = secondary.iter().filter(|(qts, _)| *qts > request.qts);
        other_updates.extend(missed.map(|(_, update)| update.clone()));
    }
    if call.garbles {
        other_updates.push(tl::enums::Update::PtsChanged);
    }
    if page.new_messages.is_empty()
        && other_updates.is_empty()
        && page.is_last
        && page.pts <= request.pts
    {
        return Ok(tl::types::updates::DifferenceEmpty {
            date: now,
            seq: state.seq,
        }
        .into());
    }
    let new_messages = world.refreshed(page.new_messages);
    world.files.refresh_updates(&mut other_updates);
    let mut peers = Peers::default();
    new_messages
        .iter()
        .for_each(|message| peers.message(message));
    other_updates.iter().for_each(|update| peers.update(update));
    let (users, chats) = call.world.attached(account, &peers);
    let difference = tl::types::updates::Difference {
        new_messages,
        new_encrypted_messages: Vec::new(),
        other_updates,
        chats,
        users,
        state: tl::types::updates::State {
            pts: page.pts,
            ..state
        }
        .into(),
    };
    Ok(if page.is_last {
        difference.into()
    } else {
        slice(difference, request.qts, request.date).into()
    })
}

/// Between two slices only pts has moved on.
fn slice(
    difference: tl::types::updates::Difference,
    qts: i32,
    date: i32,
) -> tl::types::updates::DifferenceSlice {
    let tl::enums::updates::State::State(state) = difference.state;
    tl::types::updates::DifferenceSlice {
        new_messages: difference.new_messages,
        new_encrypted_messages: difference.new_encrypted_messages,
        other_updates: difference.other_updates,
        chats: difference.chats,
        users: difference.users,
        intermediate_state: tl::types::updates::State { qts, date, ..state }.into(),
    }
}

/// The channels in which something has happened since a date: for them the client has to ask on its own.
fn channels_changed(call: &Call<'_>, account: usize, date: i32) -> Vec<tl::enums::Update> {
    let changed = call.world.channels.iter().filter(|(_, channel)| {
        channel.is_member(account) && channel.mailbox.changed > 0 && channel.mailbox.changed >= date
    });
    let tells_pts = call.world.options.limits.too_long_tells_pts;
    changed
        .map(|(id, channel)| {
            tl::types::UpdateChannelTooLong {
                channel_id: *id,
                pts: tells_pts.then_some(channel.mailbox.pts),
            }
            .into()
        })
        .collect()
}

fn at_most(limit: i32) -> usize {
    usize::try_from(limit).unwrap_or(0).max(1)
}

fn get_channel_difference(
    call: &mut Call<'_>,
    request: f::GetChannelDifference,
) -> Answer<tl::enums::updates::ChannelDifference> {
    let account = call.account()?;
    let id = call.channel(&request.channel)?;
    let limits = &call.world.options.limits;
    let mailbox = &call.world.channels[&id].mailbox;
    let (pts, timeout) = (mailbox.pts, limits.channel_timeout);
    if request.pts <= 0 {
        return Err(RpcError::bad_request("PERSISTENT_TIMESTAMP_EMPTY"));
    }
    if request.pts > pts && call.world.options.refuses_pts_above {
        return Err(RpcError::bad_request("PERSISTENT_TIMESTAMP_INVALID"));
    }
    if request.pts >= pts && !call.garbles {
        return Ok(tl::types::updates::ChannelDifferenceEmpty {
            r#final: true,
            pts,
            timeout,
        }
        .into());
    }
    if mailbox.missed_since(request.pts) > limits.channel_difference_too_long {
        return Ok(too_long(call, account, id).into());
    }
    let mut page = mailbox.since(
        request.pts,
        limits.channel_difference.min(at_most(request.limit)),
    );
    if call.garbles {
        page.other_updates.push(tl::enums::Update::PtsChanged);
    }
    let new_messages = call.world.refreshed(page.new_messages);
    call.world.files.refresh_updates(&mut page.other_updates);
    let mut peers = Peers::default();
    peers.peer(&channel_peer(id));
    new_messages
        .iter()
        .for_each(|message| peers.message(message));
    page.other_updates
        .iter()
        .for_each(|update| peers.update(update));
    let (users, chats) = call.world.attached(account, &peers);
    Ok(tl::types::updates::ChannelDifference {
        r#final: page.is_last,
        pts: page.pts,
        timeout,
        new_messages,
        other_updates: page.other_updates,
        chats,
        users,
    }
    .into())
}

/// The last messages and where the channel is now: what was between is for `messages.getHistory`.
fn too_long(
    call: &Call<'_>,
    account: usize,
    id: i64,
) -> tl::types::updates::ChannelDifferenceTooLong {
    let limits = &call.world.options.limits;
    let mailbox = &call.world.channels[&id].mailbox;
    let last = mailbox
        .messages
        .values()
        .rev()
        .take(limits.too_long_messages);
    let messages = call.world.refreshed(last.cloned().collect());
    let mut peers = Peers::default();
    peers.peer(&channel_peer(id));
    messages.iter().for_each(|message| peers.message(message));
    let (users, chats) = call.world.attached(account, &peers);
    let mut dialog = blank_dialog(&channel_peer(id));
    dialog.pts = Some(mailbox.pts);
    dialog.top_message = mailbox.messages.keys().next_back().copied().unwrap_or(0);
    tl::types::updates::ChannelDifferenceTooLong {
        r#final: true,
        timeout: limits.channel_timeout,
        dialog: dialog.into(),
        messages,
        chats,
        users,
    }
}
