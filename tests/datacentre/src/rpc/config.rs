//! `help.*`: what a client asks before anything else.

use std::net::SocketAddrV4;

use grammers_tl_types as tl;
use tl::Identifiable;
use tl::functions::help as f;

use super::{Answer, Call, run};
use crate::content::blank_bytes;

pub(super) fn answer(call: &mut Call<'_>, id: u32, body: &[u8]) -> Option<Answer<Vec<u8>>> {
    Some(match id {
        f::GetConfig::CONSTRUCTOR_ID => run(call, body, get_config),
        f::GetNearestDc::CONSTRUCTOR_ID => run(call, body, get_nearest_dc),
        _ => return None,
    })
}

fn get_config(call: &mut Call<'_>, _: f::GetConfig) -> Answer<tl::enums::Config> {
    let world = &*call.world;
    let true_addresses = world.addresses.iter().map(|(id, address)| (*id, *address));
    let addresses = world
        .told_addresses
        .clone()
        .unwrap_or_else(|| true_addresses.collect());
    let options: Vec<_> = addresses
        .iter()
        .map(|(id, address)| dc_option(*id, address))
        .collect();
    let date = world.date();
    // Flags, then as the schema has it; all that this client does not look at is nought.
    let fields = blank_bytes(1)
        .put(&date)
        .put(&date.saturating_add(3600))
        .put(&false);
    let fields = fields.put(&call.dc_id).put(&options).words(18);
    let mut config: tl::types::Config = fields.words(8).read();
    config.message_length_max = 4096;
    config.caption_length_max = 1024;
    Ok(config.into())
}

fn dc_option(id: i32, address: &SocketAddrV4) -> tl::enums::DcOption {
    let mut option: tl::types::DcOption = blank_bytes(4).read();
    option.id = id;
    option.ip_address = address.ip().to_string();
    option.port = i32::from(address.port());
    option.r#static = true;
    option.into()
}

fn get_nearest_dc(call: &mut Call<'_>, _: f::GetNearestDc) -> Answer<tl::enums::NearestDc> {
    Ok(tl::types::NearestDc {
        country: "CH".to_owned(),
        this_dc: call.dc_id,
        nearest_dc: call.dc_id,
    }
    .into())
}
