//! The line between a projector elsewhere and the log: what it gives, and whom it refuses.

use std::net::SocketAddrV4;
use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use telegram_gateway::config::{self, Token};
use telegram_gateway::event::{Body, Origin, Timestamp};
use telegram_gateway::failure::Classify as _;
use telegram_gateway::journal::edge::{self, Edge, EdgeError, Remote, Report};
use telegram_gateway::journal::{Append, Journal, Ranges as _};
use telegram_gateway::status::{Stage, Status};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use wal::Seq;

use super::TOKEN;
use crate::support::events::{event, message, peer};
use crate::support::house::{until, wait};
use crate::support::proxy::Proxy;

/// Most events of one answer.
const EVENTS_MAX: usize = 5_000;

/// A log that is served.
struct Served {
    journal: Journal,
    status: Status,
    address: SocketAddrV4,
    stop: CancellationToken,
    _dir: tempfile::TempDir,
}

impl Served {
    async fn new(address: &str) -> Served {
        let dir = tempfile::tempdir().expect("a folder");
        let loaded = config::load(&config::Sources {
            data_dir: Some(dir.path().to_owned()),
            ..config::Sources::default()
        });
        let mut options = loaded.expect("defaults").config.wal;
        options.ballast = 0;
        let status = Status::new();
        let journal = Journal::open(dir.path(), &options, status.clone(), |_| {}).expect("a log");
        let listener = edge::bind(address.parse().expect("an address")).await;
        let listener = listener.expect("a port");
        let address = match listener.local_addr().expect("an address") {
            std::net::SocketAddr::V4(address) => address,
            other => panic!("{other}"),
        };
        let stop = CancellationToken::new();
        let edge = Edge {
            reader: journal.reader.clone(),
            status: status.clone(),
            stores: vec![Stage::Redis],
            token: Token::new(TOKEN.into()),
        };
        tokio::spawn(edge::serve(listener, edge, stop.clone()));
        Served {
            journal,
            status,
            address,
            stop,
            _dir: dir,
        }
    }

    async fn append(&self, count: usize) -> u64 {
        let first = self.journal.reader.tail() as i64 + 1;
        let record = |id| {
            let body = Body::Posted(Box::new(message(id, "text")));
            let event = event(peer(1), Origin::Live, body);
            event.to_record(Timestamp::now()).expect("a record")
        };
        let append = Append {
            records: (first..first + count as i64).map(record).collect(),
            ..Append::default()
        };
        self.journal.writer.append(append).await.expect("durable");
        self.journal.reader.tail()
    }

    fn fault(&self) -> Option<String> {
        self.status.stages()["redis"].fault.clone()
    }
}

fn at(address: SocketAddrV4, token: &str) -> config::Edge {
    config::Edge {
        address,
        token: Token::new(token.into()),
    }
}

fn report(seq: u64, fault: Option<&str>) -> Report {
    Report {
        store: "redis".to_owned(),
        seq,
        fault: fault.map(|text| (text.to_owned(), true)),
    }
}

/// Says hello by hand, with this token; the line, and the edge's verdict.
async fn greet(address: SocketAddrV4, token: &str) -> (TcpStream, Vec<u8>) {
    let mut stream = TcpStream::connect(address).await.expect("a line");
    let (mut greeting, nonce) = ([0; 60], [7; 32]);
    stream.read_exact(&mut greeting).await.expect("a greeting");
    let mut mac = Hmac::<Sha256>::new_from_slice(token.as_bytes()).expect("any length");
    for part in [&b"projector"[..], &greeting, &nonce] {
        mac.update(part);
    }
    let proof = mac.finalize().into_bytes();
    stream.write_all(&nonce).await.expect("sent");
    stream.write_all(&proof).await.expect("sent");
    let mut verdict = vec![0; 33];
    stream.read_exact(&mut verdict).await.expect("a verdict");
    (stream, verdict)
}

async fn send(stream: &mut TcpStream, message: &[u8]) {
    let len = u32::try_from(message.len()).expect("short");
    stream.write_all(&len.to_le_bytes()).await.expect("sent");
    stream.write_all(message).await.expect("sent");
}

#[test]
fn a_log_on_another_machine_reads_as_the_log_itself() {
    wait(async {
        let served = Served::new("127.0.0.1:0").await;
        served.append(EVENTS_MAX + 700).await;
        let reader = &served.journal.reader;
        let remote = Remote::connect(at(served.address, TOKEN))
            .await
            .expect("connects");
        assert_eq!(remote.identity(), reader.identity());
        assert_eq!(remote.tail(), reader.tail());
        assert_eq!(remote.first().await.expect("an answer"), Some(Seq::FIRST));
        assert_eq!(remote.holes().await.expect("an answer").iter().count(), 0);

        let tail = served.append(10).await;
        assert_eq!(remote.refresh().await.expect("an answer"), tail);
        assert_eq!(*remote.subscribe().borrow(), tail);
        let (mut read, mut pieces) = (Vec::new(), 0);
        while (read.len() as u64) < tail {
            let next = Seq::new(read.len() as u64 + 1).expect("from 1");
            let more = remote.range(next, u64::MAX, usize::MAX, usize::MAX).await;
            let more = more.expect("records");
            assert!(!more.is_empty() && more.len() <= EVENTS_MAX);
            read.extend(more);
            pieces += 1;
        }
        assert!(pieces > 1, "no more than so many at once");
        let own = reader.range(Seq::FIRST, tail, usize::MAX, usize::MAX).await;
        let bytes = |records: &[wal::Record]| -> Vec<Vec<u8>> {
            records.iter().map(|it| it.as_bytes().to_vec()).collect()
        };
        assert_eq!(bytes(&read), bytes(&own.expect("records")));
        let beyond = remote
            .range(Seq::new(tail + 1).expect("from 1"), u64::MAX, 9, 9)
            .await;
        assert!(beyond.expect("an answer").is_empty());
        let some = remote
            .range(Seq::FIRST, 5, 3, usize::MAX)
            .await
            .expect("records");
        assert_eq!(some.len(), 3);
        served.stop.cancel();
    });
}

#[test]
fn what_a_projector_tells_is_on_the_board_while_it_is_there() {
    wait(async {
        let served = Served::new("127.0.0.1:0").await;
        served.append(9).await;
        until("nobody has come", async || served.fault().is_some()).await;
        let remote = Remote::connect(at(served.address, TOKEN))
            .await
            .expect("connects");
        served.status.starts_at(Stage::Confirmed, 8);
        assert_eq!(remote.report(report(7, None)).await.expect("an answer"), 8);
        assert_eq!(
            (served.status.seq_of(Stage::Redis), served.fault()),
            (7, None)
        );
        let wrong = remote.report(report(7, Some("wrong password"))).await;
        wrong.expect("an answer");
        assert_eq!(served.fault().as_deref(), Some("wrong password"));
        remote.report(report(3, None)).await.expect("an answer");
        assert_eq!(
            (served.status.seq_of(Stage::Redis), served.fault()),
            (3, None)
        );
        let other = Report {
            store: "timescale".to_owned(),
            ..report(9, None)
        };
        let refused = remote.report(other).await.expect_err("fed here");
        assert!(refused.class().needs_person(), "{refused}");
        drop(remote);
        until("it is gone", async || served.fault().is_some()).await;
        served.stop.cancel();
    });
}

#[test]
fn whoever_has_another_token_gets_nothing() {
    wait(async {
        let served = Served::new("127.0.0.1:0").await;
        served.append(9).await;
        let other = "another token that is as long as the first";
        let refused = Remote::connect(at(served.address, other)).await;
        let error = refused.err().expect("refused");
        assert!(matches!(error, EdgeError::Token { .. }), "{error}");
        let hint = error.hint().expect("a hint");
        assert!(hint.contains("token_file") && !format!("{error:?} {hint}").contains(other));

        // One that does not care for the verdict.
        let (mut stream, verdict) = greet(served.address, other).await;
        assert_eq!(verdict, [0; 33], "no proof is given away");
        let _ = stream.write_all(&[1, 0, 0, 0, 2]).await;
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        assert!(rest.is_empty(), "the line ends");
        let right = Remote::connect(at(served.address, TOKEN)).await;
        assert_eq!(right.expect("connects").tail(), 9);
        served.stop.cancel();
    });
}

#[test]
fn a_request_over_the_limits_is_refused() {
    wait(async {
        let served = Served::new("127.0.0.1:0").await;
        served.append(9).await;
        let (mut stream, verdict) = greet(served.address, TOKEN).await;
        assert_eq!(verdict[0], 1);
        let mut answer = async |events: u32, bytes: u32| {
            let mut request = vec![3];
            request.extend(1_u64.to_le_bytes());
            request.extend(9_u64.to_le_bytes());
            request.extend(events.to_le_bytes());
            request.extend(bytes.to_le_bytes());
            send(&mut stream, &request).await;
            let len = stream.read_u32_le().await.expect("an answer");
            let mut answer = vec![0; len as usize];
            stream.read_exact(&mut answer).await.expect("an answer");
            answer
        };
        assert_eq!(answer(5_000, 16 << 20).await[0], 3, "a range");
        for (events, bytes) in [(5_001, 1), (1, (16 << 20) + 1)] {
            let refused = answer(events, bytes).await;
            let text = String::from_utf8_lossy(&refused).into_owned();
            assert!(
                refused[0] == 0 && text.contains("at most 5000 events"),
                "{text}"
            );
        }
        // One that is no request by its length alone ends the line.
        let _ = stream.write_all(&u32::MAX.to_le_bytes()).await;
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        assert!(rest.is_empty());
        served.stop.cancel();
    });
}

#[test]
fn a_line_that_hangs_or_breaks_is_made_again() {
    wait(async {
        let served = Served::new("127.0.0.1:0").await;
        let tail = served.append(9).await;
        let line = Proxy::before(&format!("tcp://{}", served.address));
        let address = line.url.trim_start_matches("tcp://").parse();
        let remote = Remote::connect(at(address.expect("an address"), TOKEN)).await;
        let remote = remote.expect("connects");
        line.cut();
        until("asked over another line", async || {
            remote.refresh().await.is_ok_and(|it| it == tail)
        })
        .await;
        line.hold(true);
        let hangs = remote.refresh().await.expect_err("nothing passes");
        assert!(hangs.is_away(), "{hangs}");
        let still = remote.range(Seq::FIRST, 9, 9, 9_999).await;
        assert!(still.err().is_some_and(|it| it.is_away()));
        line.hold(false);
        until("it is there again", async || remote.refresh().await.is_ok()).await;
        served.stop.cancel();
    });
}

#[test]
fn another_log_at_the_same_address_is_not_gone_on_with() {
    wait(async {
        let served = Served::new("127.0.0.1:0").await;
        let address = served.address.to_string();
        let remote = Remote::connect(at(served.address, TOKEN))
            .await
            .expect("connects");
        served.stop.cancel();
        until("the first one has ended", async || {
            remote.refresh().await.is_err()
        })
        .await;
        until("the address is free", async || {
            edge::bind(address.parse().expect("an address"))
                .await
                .is_ok()
        })
        .await;
        let other = Served::new(&address).await;
        let changed = remote.refresh().await.expect_err("another log");
        let text = changed.to_string();
        assert!(text.contains("another log") && !changed.is_away(), "{text}");
        assert_ne!(other.journal.reader.identity(), remote.identity());
        tokio::time::timeout(Duration::from_secs(30), other.journal.close())
            .await
            .expect("closed");
        other.stop.cancel();
    });
}
