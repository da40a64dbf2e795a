//! No password in plaintext across a network, unless the operator writes so.

use std::net::IpAddr;

use url::Url;

use super::layer::Layers;
use super::secret::BackendUrl;
use super::value::{Value, Wrong};

/// Addresses that carry credentials, and their sections.
const ADDRESSES: [(&str, &str); 4] = [
    ("rabbitmq", "rabbitmq.url"),
    ("timescale", "timescale.url"),
    ("timescale", "timescale.direct_url"),
    ("redis", "redis.url"),
];

/// Refuses plaintext to a host that is not loopback, and makes PostgreSQL's check explicit where nothing is written:
/// its drivers would fall back to plaintext by themselves.
pub(super) fn check(layers: &mut Layers) {
    for (section, path) in ADDRESSES {
        let tls = format!("{section}.tls");
        let off = match layers.get(&tls).map(|setting| &setting.value) {
            Some(Value::Word(word)) => word == "off",
            _ => continue,
        };
        let Some(setting) = layers.get(path).cloned() else {
            continue;
        };
        let Value::Url(url) = &setting.value else {
            continue;
        };
        match secured(section, url, off) {
            Ok(None) => {}
            Ok(Some(url)) => layers.replace(path, Value::Url(url)),
            Err(wrong) => {
                let what = format!("{path} {}", wrong.what);
                layers.spoil(
                    setting.key,
                    setting.origin.clone(),
                    Wrong::new(what, wrong.remedy),
                );
            }
        }
    }
}

/// The address to use instead, none to leave it, or why it is refused.
fn secured(section: &str, url: &BackendUrl, off: bool) -> Result<Option<BackendUrl>, Wrong> {
    let Some(parts) = url.parts() else {
        return Ok(None);
    };
    let hosts = hosts(&parts);
    if hosts.is_empty() && !parts.scheme().contains("unix") {
        // Drivers would take a host from elsewhere (PGHOST), past this check.
        return Err(Wrong::new(
            "names no host",
            "write the host, as in ...@127.0.0.1/...",
        ));
    }
    if off || hosts.iter().all(|host| is_loopback(host)) {
        return Ok(None);
    }
    match parts.scheme() {
        "amqps" => Ok(None),
        "rediss" if parts.fragment() != Some("insecure") => Ok(None),
        "postgres" | "postgresql" => postgres(section, url, &parts),
        "rediss" => Err(Wrong::new(
            "does not check the certificate of a host that is not loopback",
            remedy(section, "remove #insecure"),
        )),
        plain => Err(Wrong::new(
            "is plaintext to a host that is not loopback",
            match plain {
                "amqp" => remedy(section, "write amqps:// (port 5671)"),
                _ => remedy(section, "write rediss://"),
            },
        )),
    }
}

fn postgres(section: &str, url: &BackendUrl, parts: &Url) -> Result<Option<BackendUrl>, Wrong> {
    let mode = parts
        .query_pairs()
        .filter(|(name, _)| name == "sslmode" || name == "ssl-mode")
        .last()
        .map(|(_, mode)| mode.to_ascii_lowercase());
    match mode.as_deref() {
        Some("verify-full" | "verify-ca") => Ok(None),
        Some(_) => Err(Wrong::new(
            "does not check the certificate of a host that is not loopback",
            remedy(section, "write sslmode=verify-full, or remove sslmode"),
        )),
        None => {
            let mut parts = parts.clone();
            parts
                .query_pairs_mut()
                .append_pair("sslmode", "verify-full");
            match BackendUrl::parse(parts.as_str()) {
                Ok(checked) => Ok(Some(checked)),
                Err(_) => Ok(Some(url.clone())),
            }
        }
    }
}

fn remedy(section: &str, first: &str) -> String {
    format!("{first}; or write tls = \"off\" in [{section}] if the network is yours alone")
}

/// Every host that a driver may connect to: PostgreSQL's can be in the query too.
fn hosts(parts: &Url) -> Vec<String> {
    let in_query = parts
        .query_pairs()
        .filter(|(name, _)| name == "host" || name == "hostaddr")
        .map(|(_, host)| host.into_owned())
        .filter(|_| parts.scheme().starts_with("postgres"));
    let in_path = parts.host_str().map(str::to_owned);
    in_path
        .into_iter()
        .chain(in_query)
        .filter(|host| !host.is_empty())
        .collect()
}

/// Whether nothing leaves this machine on the way to a host. A name is believed only if it is `localhost`.
fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = bare.parse::<IpAddr>() {
        return address.to_canonical().is_loopback();
    }
    let is_socket =
        bare.starts_with('/') || bare.get(..3).is_some_and(|p| p.eq_ignore_ascii_case("%2f"));
    is_socket || bare.eq_ignore_ascii_case("localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(section: &str, text: &str, off: bool) -> String {
        let url = BackendUrl::parse(text).expect("an address");
        match secured(section, &url, off) {
            Ok(None) => "kept".to_owned(),
            Ok(Some(url)) => url.expose().to_owned(),
            Err(_) => "refused".to_owned(),
        }
    }

    #[test]
    fn plaintext_stays_on_this_machine() {
        for (section, text, expected) in [
            ("rabbitmq", "amqp://u:p@127.0.0.1:5672/v", "kept"),
            ("rabbitmq", "amqp://u:p@127.8.9.1/v", "kept"),
            ("rabbitmq", "amqp://u:p@[::1]/v", "kept"),
            ("rabbitmq", "amqp://u:p@LOCALHOST/v", "kept"),
            ("rabbitmq", "amqps://u:p@mq.example/v", "kept"),
            ("rabbitmq", "amqp://u:p@mq.example/v", "refused"),
            ("rabbitmq", "amqp://u:p@localhost.evil.example/v", "refused"),
            ("rabbitmq", "amqp://u:p@127.0.0.1.evil.example/v", "refused"),
            ("rabbitmq", "amqp://u:p@10.0.0.1/v", "refused"),
            ("rabbitmq", "amqp://u:p@0.0.0.0/v", "refused"),
            ("rabbitmq", "amqp:///v", "refused"),
            ("redis", "redis://127.0.0.1", "kept"),
            ("redis", "rediss://cache.example", "kept"),
            ("redis", "redis://cache.example", "refused"),
            ("redis", "rediss://cache.example/#insecure", "refused"),
            ("redis", "redis+unix:///run/redis.sock", "kept"),
            ("timescale", "postgres://u:p@localhost/d", "kept"),
            ("timescale", "postgres://u:p@%2Frun%2Fpostgresql/d", "kept"),
            ("timescale", "postgres:///d?host=/run/postgresql", "kept"),
            ("timescale", "postgres:///d", "refused"),
            ("timescale", "postgres://u@db/d?sslmode=verify-ca", "kept"),
            ("timescale", "postgres://u@db/d?sslmode=require", "refused"),
            ("timescale", "postgres://u@db/d?sslmode=disable", "refused"),
            (
                "timescale",
                "postgres://u@db/d",
                "postgres://u@db/d?sslmode=verify-full",
            ),
            (
                "timescale",
                "postgres://u@localhost/d?host=db",
                "postgres://u@localhost/d?host=db&sslmode=verify-full",
            ),
            (
                "timescale",
                "postgres://u@localhost/d?hostaddr=10.1.1.1&sslmode=prefer",
                "refused",
            ),
            (
                "timescale",
                "postgres://u@db/d?sslmode=verify-full&sslmode=disable",
                "refused",
            ),
        ] {
            assert_eq!(outcome(section, text, false), expected, "{text}");
        }
        assert_eq!(outcome("redis", "redis://cache.example", true), "kept");
        assert_eq!(outcome("timescale", "postgres://u@db/d", true), "kept");
    }
}
