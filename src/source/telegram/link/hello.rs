//! What time it is at a data centre. The library learns that only from messages that the server took, and a server takes
//! none that are from the future; but it says its time to everybody who begins to ask for a key, as new clients do.
//! Nothing of the session is used for it, and the connection ends there.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use grammers_crypto::DequeBuffer;
use grammers_mtproto::transport::{self, Full, Transport};
use grammers_tl_types::{self as tl, Identifiable, Serializable};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The answer is far shorter.
const ANSWER_BYTES_MAX: usize = 4096;

/// Asks for the time, in seconds since the epoch.
pub async fn server_time(address: SocketAddr, limit: Duration) -> io::Result<i32> {
    let asked = tokio::time::timeout(limit, ask(address));
    asked.await.unwrap_or(Err(ErrorKind::TimedOut.into()))
}

async fn ask(address: SocketAddr) -> io::Result<i32> {
    let nonce = fastrand::u128(..).to_le_bytes();
    let mut line = TcpStream::connect(address).await?;
    line.write_all(&question(nonce)).await?;
    let mut answer = vec![0; ANSWER_BYTES_MAX];
    let mut length = 0;
    let mut transport = Full::new();
    loop {
        match line.read(&mut answer[length..]).await? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            more => length += more,
        }
        match transport.unpack(&mut answer[..length]) {
            Ok(found) => {
                let told = time(&answer[found.data_range], nonce);
                return told.ok_or_else(|| ErrorKind::InvalidData.into());
            }
            Err(transport::Error::MissingBytes) => {}
            Err(error) => return Err(io::Error::new(ErrorKind::InvalidData, error)),
        }
    }
}

/// The beginning of an exchange of keys, unencrypted: no key, no number, a length, the request.
fn question(nonce: [u8; 16]) -> Vec<u8> {
    let request = tl::functions::ReqPqMulti { nonce }.to_bytes();
    let mut message = vec![0; 16];
    (request.len() as u32).serialize(&mut message);
    message.extend(request);
    let mut packet = DequeBuffer::with_capacity(message.len() + 4, 8);
    packet.extend(message);
    Full::new().pack(&mut packet);
    packet.as_ref().to_vec()
}

/// The time in the number of an unencrypted answer to that question.
fn time(answer: &[u8], nonce: [u8; 16]) -> Option<i32> {
    let (key, rest) = answer.split_first_chunk::<8>()?;
    let (number, rest) = rest.split_first_chunk::<8>()?;
    let (_length, rest) = rest.split_first_chunk::<4>()?;
    let (constructor, rest) = rest.split_first_chunk::<4>()?;
    let is_ours = *key == [0; 8]
        && u32::from_le_bytes(*constructor) == tl::types::ResPq::CONSTRUCTOR_ID
        && rest.starts_with(&nonce);
    let time = (i64::from_le_bytes(*number) >> 32) as i32;
    (is_ours && time > 0).then_some(time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    /// What a server whose clock says `time` answers to a packet; none to what is encrypted.
    fn answer(packet: &[u8], time: i32) -> Option<Vec<u8>> {
        let (key, body) = packet.get(8..)?.split_first_chunk::<8>()?;
        let nonce = body.get(16..32)?;
        let mut message = key.to_vec();
        (i64::from(time) << 32 | 1).serialize(&mut message);
        20_u32.serialize(&mut message);
        tl::types::ResPq::CONSTRUCTOR_ID.serialize(&mut message);
        message.extend(nonce);
        let mut packet = DequeBuffer::with_capacity(message.len() + 4, 8);
        packet.extend(message);
        Full::new().pack(&mut packet);
        (*key == [0; 8]).then(|| packet.as_ref().to_vec())
    }

    async fn told(reply: impl Fn(&[u8]) -> Vec<u8> + Send + 'static) -> io::Result<i32> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let server = tokio::spawn(async move {
            let (mut line, _) = listener.accept().await?;
            let mut packet = [0; 256];
            let length = line.read(&mut packet).await?;
            line.write_all(&reply(&packet[..length])).await
        });
        let told = server_time(address, Duration::from_secs(60)).await;
        server.await.expect("no panic")?;
        told
    }

    #[tokio::test]
    async fn a_server_tells_its_time_to_anybody_and_nonsense_is_none() {
        let time = 1_700_000_000;
        let right = told(move |packet| answer(packet, time).expect("unencrypted"));
        assert_eq!(right.await.expect("told"), time);
        let kind = |told: io::Result<i32>| told.expect_err("no time").kind();
        let wrong = told(move |packet| {
            let mut answer = answer(packet, time).expect("unencrypted");
            // The checksum does not fit any more.
            answer[20] ^= 1;
            answer
        });
        assert_eq!(kind(wrong.await), ErrorKind::InvalidData);
        let anothers = told(move |packet| {
            let mut packet = packet.to_vec();
            packet[8 + 24] ^= 1;
            answer(&packet, time).expect("unencrypted")
        });
        assert_eq!(kind(anothers.await), ErrorKind::InvalidData);
        let refused = told(|_| (-404_i32).to_le_bytes().to_vec());
        assert_eq!(kind(refused.await), ErrorKind::InvalidData);
        let nothing = told(|_| Vec::new());
        assert_eq!(kind(nothing.await), ErrorKind::UnexpectedEof);
    }
}
