//! A virtual host and a user for each test, and what only the management API can do.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use super::services::rabbitmq_url;

static NEXT: AtomicU32 = AtomicU32::new(1);

/// A virtual host of its own; gone when dropped.
pub(crate) struct Broker {
    api: url::Url,
    /// Name of the virtual host, and of its only user.
    name: String,
    /// Address of the virtual host.
    pub(crate) url: String,
    /// Further users.
    users: Vec<String>,
}

impl Broker {
    /// A fresh one, unless the services are not there.
    pub(crate) fn fresh() -> Option<Broker> {
        let url = rabbitmq_url()?;
        let api = std::env::var("TGW_TEST_RABBITMQ_API").expect("set together with the address");
        let name = format!(
            "tgw-test-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let mut url = url::Url::parse(&url).expect("an address");
        url.set_path(&name);
        url.set_username(&name).expect("an address with a user");
        url.set_password(Some("guest"))
            .expect("an address with a user");
        let broker = Broker {
            api: url::Url::parse(&api).expect("an address"),
            url: url.to_string(),
            name,
            users: Vec::new(),
        };
        broker.establish();
        Some(broker)
    }

    /// Makes virtual host and user, at first or after the server was wiped.
    pub(crate) fn establish(&self) {
        let name = &self.name;
        self.ask("PUT", &format!("/api/vhosts/{name}"), "{}");
        let user = r#"{"password": "guest", "tags": ""}"#;
        self.ask("PUT", &format!("/api/users/{name}"), user);
        self.permit(".*");
    }

    /// What the user may configure; it may read and write everything.
    pub(crate) fn permit(&self, configure: &str) {
        let name = &self.name;
        let rights = format!(r#"{{"configure": "{configure}", "write": ".*", "read": ".*"}}"#);
        self.ask("PUT", &format!("/api/permissions/{name}/{name}"), &rights);
    }

    /// Another user of this virtual host with these rights, and its address. Gone with the virtual host's own.
    pub(crate) fn user(&mut self, name: &str, [configure, write, read]: [&str; 3]) -> String {
        let user = format!("{}-{name}", self.name);
        self.ask(
            "PUT",
            &format!("/api/users/{user}"),
            r#"{"password": "guest", "tags": ""}"#,
        );
        let rights = serde_json::json!({ "configure": configure, "write": write, "read": read });
        let path = format!("/api/permissions/{}/{user}", self.name);
        self.ask("PUT", &path, &rights.to_string());
        let mut url = url::Url::parse(&self.url).expect("an address");
        url.set_username(&user).expect("an address with a user");
        self.users.push(user);
        url.to_string()
    }

    /// Cuts all connections of this test.
    pub(crate) fn cut(&self) {
        self.ask(
            "DELETE",
            &format!("/api/connections/username/{}", self.name),
            "",
        );
    }

    /// Throws away what is in a queue; false where there is none.
    pub(crate) fn purge(&self, queue: &str) -> bool {
        let path = format!("/api/queues/{}/{queue}/contents", self.name);
        self.told("DELETE", &path, "").is_ok()
    }

    /// Removes a queue; false where there is none.
    pub(crate) fn delete_queue(&self, queue: &str) -> bool {
        let path = format!("/api/queues/{}/{queue}", self.name);
        self.told("DELETE", &path, "").is_ok()
    }

    /// Takes a queue off an exchange to which it is bound without a key; false where it is not.
    pub(crate) fn unbind(&self, queue: &str, exchange: &str) -> bool {
        let path = format!("/api/bindings/{}/e/{exchange}/q/{queue}/~", self.name);
        self.told("DELETE", &path, "").is_ok()
    }

    /// Has the process that answers for a quorum queue answer no more.
    pub(crate) fn suspend(&self, queue: &str) {
        let script = std::env::var("TGW_TEST_SERVICES").expect("set by tests/services env");
        let suspend = format!("sys:suspend(whereis('{}_{queue}')).", self.name);
        let told = Command::new(script)
            .args(["rabbitmqctl", "-q", "eval", &suspend])
            .output()
            .expect("tests/services runs");
        assert_eq!(String::from_utf8_lossy(&told.stdout).trim(), "ok");
    }

    /// A plain channel, for looking behind the back of the code under test.
    pub(crate) async fn channel(&self) -> (lapin::Connection, lapin::Channel) {
        let properties = lapin::ConnectionProperties::default();
        let connection = lapin::Connection::connect(&self.url, properties)
            .await
            .expect("connect");
        let channel = connection.create_channel().await.expect("a channel");
        (connection, channel)
    }

    /// Messages in a queue that are ready.
    pub(crate) async fn ready(&self, channel: &lapin::Channel, queue: &str) -> u32 {
        let options = lapin::options::QueueDeclareOptions {
            passive: true,
            ..Default::default()
        };
        let arguments = lapin::types::FieldTable::default();
        let declared = channel
            .queue_declare(queue.into(), options, arguments)
            .await;
        declared.expect("the queue").message_count()
    }

    fn ask(&self, method: &str, path: &str, body: &str) {
        let told = self.told(method, path, body);
        told.unwrap_or_else(|answer| panic!("{method} {path}: {answer}"));
    }

    /// The answer of the management API as an error, unless it did what it was asked to.
    fn told(&self, method: &str, path: &str, body: &str) -> Result<(), String> {
        let user = format!(
            "{}:{}",
            self.api.username(),
            self.api.password().unwrap_or_default()
        );
        let host = (
            self.api.host_str().expect("a host"),
            self.api.port().expect("a port"),
        );
        let mut stream = TcpStream::connect(host).expect("the management API");
        let request = format!(
            "{method} {path} HTTP/1.0\r\nAuthorization: Basic {}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            base64(user.as_bytes()),
            body.len()
        );
        stream.write_all(request.as_bytes()).expect("write");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("read");
        let status = answer.split(' ').nth(1).unwrap_or_default();
        if status.starts_with("20") {
            Ok(())
        } else {
            Err(answer)
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.ask("DELETE", &format!("/api/vhosts/{}", self.name), "");
            for user in std::iter::once(&self.name).chain(&self.users) {
                self.ask("DELETE", &format!("/api/users/{user}"), "");
            }
        }
    }
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let number = chunk
            .iter()
            .fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte))
            << (8 * (3 - chunk.len()));
        for at in 0..4 {
            let letter = char::from(LETTERS[number >> (18 - 6 * at) & 63]);
            text.push(if at <= chunk.len() { letter } else { '=' });
        }
    }
    text
}
