//! Who the Sentinels say is the master.
//!
//! Each Sentinel is followed on a task of its own. Its `+switch-master` is the doorbell; what counts is its answer to
//! `SENTINEL MASTER`, which is asked for then, and anyway once a second. They may differ for a while, a Sentinel that is
//! cut off from the others does not know of their failover: the word with the highest configuration epoch counts, which
//! each failover raises. So a master that was replaced, but still takes writes, is left as soon as one Sentinel knows.

use std::collections::HashMap;
use std::convert::Infallible;
use std::time::Duration;

use ::redis::{Client, ConnectionInfo, ErrorKind, RedisConnectionInfo, RedisError, RedisResult};
use futures_util::StreamExt as _;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::{class, server};
use crate::config;
use crate::store::ProjectionError;

/// How often a Sentinel is asked, when it does not ring.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// Host and port.
pub(super) type Host = (String, u16);

/// What a Sentinel said last.
#[derive(Debug, Clone, PartialEq)]
enum Word {
    Nothing,
    Master {
        host: Host,
        epoch: u64,
    },
    Fault {
        why: String,
        /// It does not let us in, which waiting does not mend.
        refused: bool,
    },
}

/// Follows the Sentinels until it is dropped.
pub(super) struct Sentinels {
    name: String,
    words: watch::Receiver<Vec<Word>>,
    _tasks: Vec<AbortOnDropHandle<()>>,
}

impl Sentinels {
    /// Begins to follow. `like` says whether it is done over TLS.
    pub(super) fn follow(
        config: &config::Redis,
        like: &ConnectionInfo,
    ) -> Result<Sentinels, ProjectionError> {
        let (sender, words) = watch::channel(vec![Word::Nothing; config.sentinels.len()]);
        let settings = login(config);
        let mut tasks = Vec::new();
        for (at, host) in config.sentinels.iter().enumerate() {
            let info = server::at(like, host.clone()).set_redis_settings(settings.clone());
            let ear = Ear {
                client: Client::open(info).map_err(|_| class::address())?,
                name: config.master.clone(),
                at,
                words: sender.clone(),
            };
            tasks.push(AbortOnDropHandle::new(tokio::spawn(ear.listen())));
        }
        Ok(Sentinels {
            name: config.master.clone(),
            words,
            _tasks: tasks,
        })
    }

    /// The master, as far as anybody says.
    pub(super) fn master(&self) -> Option<Host> {
        best(&self.words.borrow()).cloned()
    }

    /// The master, once one of them says; an error when all of them cannot, or none does in time.
    pub(super) async fn first_word(&self, limit: Duration) -> Result<Host, ProjectionError> {
        let mut words = self.words.clone();
        let said = words.wait_for(|words| {
            best(words).is_some() || words.iter().all(|word| matches!(word, Word::Fault { .. }))
        });
        // What was said by then is looked at below.
        let _ = tokio::time::timeout(limit, said).await.map(|_| ());
        let words = self.words.borrow();
        best(&words).cloned().ok_or_else(|| {
            let (mut faults, mut refused) = (Vec::new(), true);
            for word in words.iter() {
                if let Word::Fault { why, .. } = word {
                    faults.push(why.as_str());
                }
                refused &= matches!(word, Word::Fault { refused: true, .. });
            }
            let why = format!("no Sentinel names {:?}: {}", self.name, faults.join("; "));
            match refused {
                true => class::refused_by_sentinels(why),
                false => class::no_master(why),
            }
        })
    }

    /// Resolves once the master is another one.
    pub(super) async fn other_than(&self, master: &Host) {
        let mut words = self.words.clone();
        let moved = words.wait_for(|words| best(words).is_some_and(|best| best != master));
        if moved.await.map(|_| ()).is_err() {
            std::future::pending().await
        }
    }
}

/// Who asks the Sentinels. That of the servers is not for them.
fn login(config: &config::Redis) -> RedisConnectionInfo {
    let nobody = RedisConnectionInfo::default().set_skip_set_lib_name();
    match &config.sentinel_password {
        Some(password) => nobody
            .set_username(&config.sentinel_user)
            .set_password(password.expose()),
        None => nobody,
    }
}

/// The word that counts.
fn best(words: &[Word]) -> Option<&Host> {
    let known = words.iter().filter_map(|word| match word {
        Word::Master { host, epoch } => Some((epoch, host)),
        Word::Nothing | Word::Fault { .. } => None,
    });
    // Of equal epochs the first, so that a difference that lasts does not make the choice swing.
    known
        .rev()
        .max_by_key(|(epoch, _)| **epoch)
        .map(|(_, host)| host)
}

/// Listens to one Sentinel.
struct Ear {
    client: Client,
    name: String,
    at: usize,
    words: watch::Sender<Vec<Word>>,
}

impl Ear {
    async fn listen(self) {
        loop {
            let Err(error) = self.follow().await;
            self.heard(Word::Fault {
                refused: class::is_refusal(&error),
                why: error.to_string(),
            });
            tokio::time::sleep(ASK_EVERY).await;
        }
    }

    /// Until the connection fails.
    async fn follow(&self) -> RedisResult<Infallible> {
        let mut asking = self
            .client
            .get_multiplexed_async_connection_with_config(&server::limits())
            .await?;
        let bell = async {
            let mut bell = self.client.get_async_pubsub().await?;
            bell.subscribe("+switch-master").await?;
            Ok::<_, RedisError>(bell.into_on_message())
        };
        let mut bell = tokio::time::timeout(server::CONNECT_LIMIT, bell)
            .await
            .map_err(|_| broken("it lets us wait"))??;
        loop {
            let mut command = ::redis::cmd("SENTINEL");
            command.arg("MASTER").arg(&self.name);
            let fields: HashMap<String, String> = command.query_async(&mut asking).await?;
            let word = read(&fields).ok_or_else(|| broken("its answer has no address"))?;
            self.heard(word);
            if let Ok(None) = tokio::time::timeout(ASK_EVERY, bell.next()).await {
                return Err(broken("it has hung up"));
            }
        }
    }

    fn heard(&self, word: Word) {
        self.words.send_if_modified(|words| {
            let Some(slot) = words.get_mut(self.at).filter(|slot| **slot != word) else {
                return false;
            };
            if let (Word::Master { .. }, Word::Fault { why, .. }) = (&*slot, &word) {
                tracing::warn!(sentinel = self.at, error = why, "a Sentinel is silent");
            }
            *slot = word;
            true
        });
    }
}

fn broken(what: &'static str) -> RedisError {
    RedisError::from((ErrorKind::Io, what))
}

fn read(fields: &HashMap<String, String>) -> Option<Word> {
    let port = fields.get("port")?.parse().ok()?;
    Some(Word::Master {
        host: (fields.get("ip")?.clone(), port),
        epoch: fields.get("config-epoch")?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(host: &str, epoch: u64) -> Word {
        Word::Master {
            host: (host.to_owned(), 1),
            epoch,
        }
    }

    #[test]
    fn the_newest_word_counts_whoever_says_it() {
        let name = |words: &[Word]| best(words).map(|host| host.0.clone());
        let fault = |why: &str| Word::Fault {
            why: why.to_owned(),
            refused: false,
        };
        assert_eq!(name(&[Word::Nothing, fault("away")]), None);
        let cut_off = [word("old", 3), word("new", 4), word("old", 3)];
        assert_eq!(name(&cut_off).as_deref(), Some("new"));
        let silent = [word("old", 3), fault("away")];
        assert_eq!(name(&silent).as_deref(), Some("old"));
        let equal = [word("a", 3), word("b", 3)];
        assert_eq!(name(&equal).as_deref(), Some("a"));
    }

    #[test]
    fn an_answer_is_read_or_refused() {
        let mut fields = HashMap::from(
            [("ip", "10.0.0.1"), ("port", "1"), ("config-epoch", "7")]
                .map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
        assert_eq!(read(&fields), Some(word("10.0.0.1", 7)));
        fields.insert("port".to_owned(), "70000".to_owned());
        assert_eq!(read(&fields), None);
    }
}
