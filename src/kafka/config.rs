//! Every client option that we set, with its reason, and those that nobody may change.

use std::ffi::{CStr, CString};
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka_sys as native;

use super::settings::{Settings, is_secret};
use crate::error::{Exit, RunError};

/// Settings that correctness rests on: the name, and why it cannot be given or what gives it.
const REFUSED: &[(&str, &str)] = &[
    ("bootstrap.servers", "is given by --brokers"),
    ("metadata.broker.list", "is given by --brokers"),
    ("group.id", "is given by --group"),
    ("group.instance.id", "has no meaning here: partitions are assigned by the job, not by a group"),
    ("enable.auto.commit", "cannot be changed: offsets are published for delivered epochs alone"),
    ("auto.commit.enable", "cannot be changed: offsets are published for delivered epochs alone"),
    ("enable.auto.offset.store", "cannot be changed: offsets are published for delivered epochs alone"),
    (
        "auto.offset.reset",
        "cannot be changed: offsets that are gone stop the job; where to begin is `start` in the file",
    ),
    ("enable.partition.eof", "cannot be changed: the ends of partitions are how tables are known to be read"),
    ("enable.idempotence", "cannot be changed: without it records could be lost, doubled or leave out of order"),
    ("acks", "cannot be changed: a record is delivered when all in-sync replicas have it"),
    ("request.required.acks", "cannot be changed: a record is delivered when all in-sync replicas have it"),
    ("max.in.flight.requests.per.connection", "cannot be changed: the order per key rests on it"),
    ("max.in.flight", "cannot be changed: the order per key rests on it"),
    ("message.send.max.retries", "cannot be changed: records are retried until --broker-timeout"),
    ("retries", "cannot be changed: records are retried until --broker-timeout"),
    ("delivery.timeout.ms", "is given by --broker-timeout"),
    ("message.timeout.ms", "is given by --broker-timeout"),
    ("delivery.report.only.error", "cannot be changed: an epoch ends when its records are reported as delivered"),
    ("enable.gapless.guarantee", "cannot be changed: a record that is too large goes to the dead letters"),
    ("queuing.strategy", "cannot be changed: the order per key rests on it"),
    ("transactional.id", "is made from --group: it is how two jobs of one group exclude each other"),
    ("partitioner", "cannot be changed: partitions are chosen by the job, as Kafka's Java client does"),
];

/// Other names of settings that we set ourselves, so that the user's word replaces ours whichever name it uses.
pub(super) fn canonical(key: &str) -> &str {
    match key {
        "queue.buffering.max.ms" => "linger.ms",
        "max.partition.fetch.bytes" => "fetch.message.max.bytes",
        "compression.codec" => "compression.type",
        "sasl.mechanism" => "sasl.mechanisms",
        other => other,
    }
}

/// Whether a setting may be given, exists and has a usable value; `origin` is how the user gave it.
pub(super) fn check(key: &str, value: &str, origin: &str) -> Result<(), RunError> {
    if let Some((_, reason)) = REFUSED.iter().find(|(name, _)| *name == key) {
        return Err(RunError::new(Exit::Usage, format!("{origin}: `{key}` {reason}")));
    }
    let (Ok(name), Ok(text)) = (CString::new(key), CString::new(value)) else {
        return Err(RunError::new(Exit::Usage, format!("{origin}: a client setting cannot hold a null byte")));
    };
    let mut reason = [0u8; 512];
    // SAFETY: a fresh configuration that lives until `conf_destroy`; all strings end in NUL and outlive the calls,
    // which copy them; the buffer's length is given.
    let result = unsafe {
        let conf = native::rd_kafka_conf_new();
        let result =
            native::rd_kafka_conf_set(conf, name.as_ptr(), text.as_ptr(), reason.as_mut_ptr().cast(), reason.len());
        native::rd_kafka_conf_destroy(conf);
        result
    };
    let message = match result {
        native::rd_kafka_conf_res_t::RD_KAFKA_CONF_OK => return Ok(()),
        native::rd_kafka_conf_res_t::RD_KAFKA_CONF_UNKNOWN => {
            format!("{origin}: the Kafka client has no setting `{key}`; the nearest is `{}`", nearest(key))
        }
        native::rd_kafka_conf_res_t::RD_KAFKA_CONF_INVALID => {
            let reason = CStr::from_bytes_until_nul(&reason).map(CStr::to_string_lossy).unwrap_or_default();
            let hidden = is_secret(key) && !value.is_empty() && reason.contains(value);
            let reason = if hidden { "the value cannot be used".into() } else { reason };
            format!("{origin}: {reason}")
        }
    };
    Err(RunError::new(Exit::Usage, message))
}

impl Settings {
    /// What all clients share. The user's settings are laid over a client's own at the end, by [`Settings::finish`].
    fn base(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            // Shows in the brokers' logs, quotas and metrics whose connection it is.
            .set("client.id", &self.group)
            // A broker that comes back is found within a second, not within the default's ten.
            .set("reconnect.backoff.max.ms", "1000")
            // The default retries a failed request after up to a second; a job's epochs are milliseconds.
            .set("retry.backoff.max.ms", "500")
            // New partitions and moved leaders are seen by every client about when discovery sees them.
            .set("topic.metadata.refresh.interval.ms", "10000")
            // A connection that died without a word (a lost route, a stopped machine) is noticed.
            .set("socket.keepalive.enable", "true");
        config
    }

    fn finish(&self, mut config: ClientConfig) -> ClientConfig {
        self.apply(&mut config);
        config
    }

    /// Asks about topics and offsets.
    pub fn admin_config(&self) -> ClientConfig {
        self.finish(self.base())
    }

    fn consumer_config(&self) -> ClientConfig {
        let mut config = self.base();
        config
            // Needed by manual assignment, and what ACLs and quotas go by. No membership: nobody subscribes.
            .set("group.id", &self.group)
            // Offsets are published by `Progress` for delivered epochs alone.
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            // Offsets that are gone stop the job; nothing is skipped or read again in silence.
            .set("auto.offset.reset", "error")
            // Uncommitted and aborted records are no events. An open transaction holds its partition back.
            .set("isolation.level", "read_committed");
        config
    }

    /// Reads partitions that it is given.
    pub fn reader_config(&self, fetch: Fetch) -> ClientConfig {
        let mut config = self.consumer_config();
        config
            // How a table, or a job with --until-caught-up, knows that it has read everything: control records and
            // aborted transactions make offsets end before the partition does.
            .set("enable.partition.eof", "true")
            // A quiet topic's next record is answered at once, and until then one request waits at the broker.
            .set("fetch.min.bytes", "1")
            .set("fetch.wait.max.ms", "500")
            // The pair that sets the pace: while a record that has arrived waits to be read no more are asked for, and
            // that is looked at again after so many milliseconds. With 100 records instead of 1 the client's own share
            // is twice as much.
            .set("queued.min.messages", FETCH_BELOW_RECORDS)
            .set("fetch.queue.backoff.ms", fetch.backoff().to_string())
            // Under full load a fetch brings enough to work on while the next is on its way. These count bytes as they
            // are sent: what is compressed needs more memory.
            .set("fetch.message.max.bytes", fetch.bytes_of_partition().to_string())
            .set("fetch.max.bytes", FETCH_BYTES.to_string())
            // Bounds the memory of records read ahead, per worker, beside the last ones that it has taken.
            .set("queued.max.messages.kbytes", "16384");
        self.finish(config)
    }

    /// Asks what the group has committed.
    pub(super) fn group_config(&self) -> ClientConfig {
        let mut config = self.finish(self.consumer_config());
        // Makes the broker wait with its answer for a commit that is under way.
        config.set("isolation.level", "read_committed");
        config
    }

    /// Writes results. `batch_bytes` is the least `max.message.bytes` among its topics.
    pub fn producer_config(&self, batch_bytes: usize) -> ClientConfig {
        let mut config = self.base();
        let timeout = self.broker_timeout.as_millis().max(1).to_string();
        config
            // Retries neither double records nor change their order.
            .set("enable.idempotence", "true")
            .set("acks", "all")
            // How long brokers may be away before the job ends.
            .set("delivery.timeout.ms", timeout)
            // An epoch's rows arrive in one burst: half a millisecond gathers them into few requests, and more would
            // only add to every epoch's latency.
            .set("linger.ms", "0.5")
            // What is refused for its size is the broker's word, not the client's guess: records over the broker's
            // limit must reach it. `limits.record` is at most a part of this.
            .set("message.max.bytes", "100000000")
            // A batch that is over the topic's limit would be refused whole, with records in it that are not too
            // large. So many small records never make such a batch, and a record that is too large goes alone.
            .set("batch.size", batch_bytes.saturating_sub(BATCH_OVERHEAD).clamp(1, 1_000_000).to_string())
            // Bounds the memory of records that are not yet acknowledged, per worker: then `send` says so.
            .set("queue.buffering.max.messages", "500000")
            .set("queue.buffering.max.kbytes", "65536");
        self.finish(config)
    }

    /// Publishes progress and fences.
    pub fn progress_config(&self, transactional_id: &str) -> ClientConfig {
        let mut config = self.base();
        config
            // The broker lets only the newest producer with this name commit.
            .set("transactional.id", transactional_id)
            // A transaction lives for milliseconds; one that a crash left open holds the group's offsets back no
            // longer than this. (A restart ends it at once.)
            .set("transaction.timeout.ms", "10000");
        let mut config = self.finish(config);
        // Not the user's for the other producers, and of no use here.
        for key in ["message.max.bytes", "batch.size", "linger.ms", "compression.type"] {
            config.remove(key);
        }
        config
    }
}

/// See `queued.min.messages` above.
const FETCH_BELOW_RECORDS: &str = "1";

/// What a worker's fetches go by.
#[derive(Clone, Copy, Debug)]
pub struct Fetch {
    pub epoch: Duration,
    /// One worker reads, whose epochs close when records have arrived, from one broker. (The client holds a broker's
    /// next request back, too, while records of another wait to be read.)
    pub one_to_one: bool,
}

impl Fetch {
    /// The milliseconds between an answer and the next request, if what came has been read by then. One to one every
    /// other epoch, less the time that an answer takes: at 20,000 records/s over four partitions the job takes 0.6 of the
    /// CPU that it does with 8 ms, and its results come 3 ms later. Else so that records are there before the next tick.
    fn backoff(self) -> u128 {
        let epoch = self.epoch.as_millis();
        if self.one_to_one { (2 * epoch).saturating_sub(2).clamp(1, 18) } else { (epoch * 4 / 5).clamp(1, 8) }
    }

    /// The longer the time between fetches, the more each may bring: a backlog may be that of one partition.
    fn bytes_of_partition(self) -> usize {
        if self.one_to_one { FETCH_BYTES / 2 } else { FETCH_BYTES / 4 }
    }
}

/// What a fetch may bring (bytes).
const FETCH_BYTES: usize = 16 << 20;

/// What a batch has beside its records: header, and the slack of the client's estimate.
const BATCH_OVERHEAD: usize = 512;

/// The setting whose name is fewest edits away.
fn nearest(key: &str) -> String {
    names().into_iter().min_by_key(|name| (distance(key, name), name.clone())).unwrap_or_default()
}

/// All settings that the client knows and the user may give.
fn names() -> Vec<String> {
    let mut names = Vec::new();
    // SAFETY: the dump is an array of `count` strings, name and value in turn, valid until `conf_dump_free`.
    unsafe {
        let conf = native::rd_kafka_conf_new();
        let topic = native::rd_kafka_topic_conf_new();
        let (mut count, mut topic_count) = (0, 0);
        let dumps = [
            (native::rd_kafka_conf_dump(conf, &mut count), &count as *const usize),
            (native::rd_kafka_topic_conf_dump(topic, &mut topic_count), &topic_count as *const usize),
        ];
        for (dump, count) in dumps {
            let strings = std::slice::from_raw_parts(dump, *count);
            names.extend(strings.iter().step_by(2).map(|name| CStr::from_ptr(*name).to_string_lossy().into_owned()));
            native::rd_kafka_conf_dump_free(dump, *count);
        }
        native::rd_kafka_topic_conf_destroy(topic);
        native::rd_kafka_conf_destroy(conf);
    }
    // The dump leaves out what has no default (`sasl.password`) and the aliases.
    names.extend(UNLISTED.iter().map(|name| (*name).to_owned()));
    names.retain(|name| !REFUSED.iter().any(|(refused, _)| refused == name) && !name.ends_with("_cb"));
    names
}

/// Settings without a default, and the better known names of others.
const UNLISTED: &[&str] = &[
    "sasl.password",
    "sasl.username",
    "sasl.mechanism",
    "ssl.key.location",
    "ssl.key.password",
    "ssl.key.pem",
    "ssl.certificate.location",
    "ssl.certificate.pem",
    "ssl.ca.location",
    "ssl.ca.pem",
    "ssl.keystore.location",
    "ssl.keystore.password",
    "sasl.oauthbearer.config",
    "sasl.oauthbearer.client.id",
    "sasl.oauthbearer.client.secret",
    "sasl.oauthbearer.scope",
    "sasl.oauthbearer.token.endpoint.url",
    "debug",
    "client.rack",
    "linger.ms",
    "compression.type",
];

/// Levenshtein's.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fetches_are_far_apart_and_large_only_where_one_worker_reads_from_one_broker() {
        let pace = |one_to_one| {
            let fetch = |millis| Fetch { epoch: Duration::from_millis(millis), one_to_one };
            [0, 1, 5, 10, 1000].map(|millis| fetch(millis).backoff())
        };
        assert_eq!(pace(true), [1, 1, 8, 18, 18]);
        assert_eq!(pace(false), [1, 1, 4, 8, 8]);
        let bytes = |one_to_one| Fetch { epoch: Duration::ZERO, one_to_one }.bytes_of_partition();
        assert_eq!((bytes(true), bytes(false)), (8 << 20, 4 << 20));
    }
}
