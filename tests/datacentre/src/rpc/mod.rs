//! Methods of the API: which there are, and one file for each area of them.

mod auth;
mod config;
mod dialogs;
mod files;
mod history;
mod password;
mod peers;
pub(crate) mod service;
mod updates;

use grammers_tl_types as tl;
use tl::functions as f;
use tl::{Cursor, Deserializable, Identifiable, RemoteCall, Serializable};

use crate::faults::RpcError;
use crate::wire::message::constructor;
use crate::wire::seal::KeyId;
use crate::world::{World, garbled};

/// Who calls, and the world that answers.
pub(crate) struct Call<'a> {
    pub(crate) world: &'a mut World,
    pub(crate) dc_id: i32,
    pub(crate) key: KeyId,
    pub(crate) account: Option<usize>,
    /// The answer, if it is a difference, has an update in it that nobody can read.
    pub(crate) garbles: bool,
}

impl Call<'_> {
    /// The account behind the key, which most methods need.
    fn account(&self) -> Result<usize, RpcError> {
        self.account.ok_or_else(RpcError::key_unregistered)
    }
}

type Answer<T> = Result<T, RpcError>;

/// A request, out of the wrappers that it came in.
pub(crate) struct Request {
    /// The wrappers from the outside in, and the method last.
    pub(crate) methods: Vec<&'static str>,
    body: Vec<u8>,
}

/// What a wrapper has around: the bytes of another request.
struct Rest(Vec<u8>);

impl Deserializable for Rest {
    fn deserialize(buf: &mut Cursor<'_>) -> tl::deserialize::Result<Self> {
        let mut rest = Vec::new();
        buf.read_to_end(&mut rest)?;
        Ok(Self(rest))
    }
}

impl Request {
    /// None when its wrappers cannot be read.
    pub(crate) fn read(body: &[u8]) -> Option<Self> {
        let (mut methods, mut body) = (Vec::new(), body.to_vec());
        loop {
            let id = constructor(&body)?;
            methods.push(tl::name_for_id(id));
            match inside(id, &body) {
                Some(inner) => body = inner.ok()?,
                None => return Some(Self { methods, body }),
            }
        }
    }

    pub(crate) fn introduces_itself(&self) -> bool {
        self.methods.contains(&"initConnection")
    }

    /// The channel that a request is about, where rules may be for one channel only.
    pub(crate) fn channel(&self) -> Option<i64> {
        let channel = match constructor(&self.body)? {
            f::updates::GetChannelDifference::CONSTRUCTOR_ID => {
                read::<f::updates::GetChannelDifference>(&self.body)
                    .ok()?
                    .channel
            }
            f::channels::GetMessages::CONSTRUCTOR_ID => {
                read::<f::channels::GetMessages>(&self.body).ok()?.channel
            }
            f::channels::GetFullChannel::CONSTRUCTOR_ID => {
                read::<f::channels::GetFullChannel>(&self.body)
                    .ok()?
                    .channel
            }
            f::messages::GetHistory::CONSTRUCTOR_ID => {
                let peer = read::<f::messages::GetHistory>(&self.body).ok()?.peer;
                return match peer {
                    tl::enums::InputPeer::Channel(peer) => Some(peer.channel_id),
                    _ => None,
                };
            }
            _ => return None,
        };
        match channel {
            tl::enums::InputChannel::Channel(channel) => Some(channel.channel_id),
            _ => None,
        }
    }
}

/// The request inside a wrapper; none when it is not a wrapper.
fn inside(id: u32, body: &[u8]) -> Option<Answer<Vec<u8>>> {
    Some(match id {
        f::InvokeWithLayer::<Rest>::CONSTRUCTOR_ID => {
            read::<f::InvokeWithLayer<Rest>>(body).map(|wrapper| wrapper.query.0)
        }
        f::InitConnection::<Rest>::CONSTRUCTOR_ID => {
            read::<f::InitConnection<Rest>>(body).map(|wrapper| wrapper.query.0)
        }
        f::InvokeWithoutUpdates::<Rest>::CONSTRUCTOR_ID => {
            read::<f::InvokeWithoutUpdates<Rest>>(body).map(|wrapper| wrapper.query.0)
        }
        f::InvokeAfterMsg::<Rest>::CONSTRUCTOR_ID => {
            read::<f::InvokeAfterMsg<Rest>>(body).map(|wrapper| wrapper.query.0)
        }
        _ => return None,
    })
}

/// Reads a request, constructor and all.
fn read<F: Identifiable + Deserializable>(body: &[u8]) -> Answer<F> {
    let mut cursor = Cursor::from_slice(body);
    match u32::deserialize(&mut cursor) {
        Ok(id) if id == F::CONSTRUCTOR_ID => F::deserialize(&mut cursor),
        Ok(id) => Err(tl::deserialize::Error::UnexpectedConstructor { id }),
        Err(error) => Err(error),
    }
    .map_err(|_| RpcError::bad_request("INPUT_METHOD_INVALID"))
}

/// Reads the request of a method and answers it with what the method returns.
fn run<F>(
    call: &mut Call<'_>,
    body: &[u8],
    method: fn(&mut Call<'_>, F) -> Answer<F::Return>,
) -> Answer<Vec<u8>>
where
    F: Identifiable + Deserializable + RemoteCall,
    F::Return: Serializable,
{
    let request = read(body)?;
    Ok(method(call, request)?.to_bytes())
}

/// Answers a request.
pub(crate) fn answer(call: &mut Call<'_>, request: &Request) -> Answer<Vec<u8>> {
    let body = request.body.as_slice();
    let Some(id) = constructor(body) else {
        return Err(RpcError::bad_request("INPUT_METHOD_INVALID"));
    };
    let areas = [
        updates::answer,
        history::answer,
        dialogs::answer,
        peers::answer,
        files::answer,
        auth::answer,
        password::answer,
        config::answer,
    ];
    let answered = areas.iter().find_map(|area| area(call, id, body));
    let result = answered.unwrap_or_else(|| Err(RpcError::bad_request("INPUT_METHOD_INVALID")))?;
    Ok(if call.garbles {
        garbled(result)
    } else {
        result
    })
}
