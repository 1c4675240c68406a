//! What delivery topics take: how large a batch may be, and how far from the brokers' clock the time of a record.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka_sys as native;
use rdkafka_sys::rd_kafka_admin_op_t as Op;

use super::admin::Admin;
use super::client::c_name;
use super::request::{slice, text};

/// What topics take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The least `max.message.bytes` of these topics: what a batch may hold.
    pub batch_bytes: usize,
    /// Of each topic, in the order in which they were asked about.
    pub times: Vec<TimeLimits>,
}

/// How far from a broker's clock the time of a record may lie; `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeLimits {
    pub before: Option<Limit>,
    pub after: Option<Limit>,
}

/// A distance, and the topic's setting that says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    pub ms: i64,
    pub setting: &'static str,
}

type Config = BTreeMap<String, String>;

/// The brokers' default of `max.message.bytes`.
const DEFAULT_MESSAGE_BYTES: usize = 1_048_588;

impl Admin {
    /// What these topics take. Who may not ask gets the default of sizes, and no limits of time.
    pub fn limits(&self, topics: &[&str]) -> Limits {
        let configs = self.configs(topics);
        let bytes = configs.values().filter_map(|config| config.get("max.message.bytes")?.parse().ok()).min();
        let times = |topic: &&str| configs.get(*topic).map_or_else(TimeLimits::default, TimeLimits::of);
        Limits { batch_bytes: bytes.unwrap_or(DEFAULT_MESSAGE_BYTES), times: topics.iter().map(times).collect() }
    }

    /// The settings of these topics, as far as they are known.
    fn configs(&self, topics: &[&str]) -> BTreeMap<String, Config> {
        let names: Vec<_> = topics.iter().filter_map(|topic| c_name(topic).ok()).collect();
        if names.is_empty() {
            return BTreeMap::new();
        }
        let kind = native::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_TOPIC;
        // SAFETY: resources are made, given and destroyed here; the results live as long as the event.
        let configs = self.ask(
            Op::RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS,
            Duration::from_secs(10),
            |options, queue| unsafe {
                let mut resources: Vec<_> =
                    names.iter().map(|name| native::rd_kafka_ConfigResource_new(kind, name.as_ptr())).collect();
                let count = resources.len();
                native::rd_kafka_DescribeConfigs(self.client.ptr(), resources.as_mut_ptr(), count, options, queue);
                native::rd_kafka_ConfigResource_destroy_array(resources.as_mut_ptr(), count);
            },
            |event| unsafe {
                let mut count = 0;
                let result = native::rd_kafka_event_DescribeConfigs_result(event);
                let resources = native::rd_kafka_DescribeConfigs_result_resources(result, &mut count);
                Ok(slice(resources, count).iter().map(|resource| read_config(*resource)).collect())
            },
        );
        configs.unwrap_or_default()
    }
}

impl TimeLimits {
    /// Topics that give records the time of their arrival take any; brokers before 3.6 have one setting for both
    /// directions, and those of 3.6 to 3.9 go by it where the newer ones say nothing.
    fn of(config: &Config) -> Self {
        if config.get("message.timestamp.type").is_some_and(|kind| kind == "LogAppendTime") {
            return Self::default();
        }
        let limit = |setting: &'static str| {
            let ms = config.get(setting)?.parse().ok().filter(|ms| *ms != i64::MAX)?;
            Some(Limit { ms, setting })
        };
        let either = || limit("message.timestamp.difference.max.ms");
        Self {
            before: limit("message.timestamp.before.max.ms").or_else(either),
            after: limit("message.timestamp.after.max.ms").or_else(either),
        }
    }
}

/// A topic's name and its settings.
///
/// # Safety
/// `resource` came from a valid result.
unsafe fn read_config(resource: *const native::rd_kafka_ConfigResource_t) -> (String, Config) {
    // SAFETY: everything read lives as long as the result.
    unsafe {
        let mut count = 0;
        let entries = native::rd_kafka_ConfigResource_configs(resource, &mut count);
        let read = |entry: &*const native::rd_kafka_ConfigEntry_t| {
            (text(native::rd_kafka_ConfigEntry_name(*entry)), text(native::rd_kafka_ConfigEntry_value(*entry)))
        };
        (text(native::rd_kafka_ConfigResource_name(resource)), slice(entries, count).iter().map(read).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: &str = "9223372036854775807";

    fn limits(config: &[(&str, &str)]) -> [Option<(i64, &'static str)>; 2] {
        let name = |name: &str| if name == "type" { name.to_owned() } else { format!("{name}.max.ms") };
        let config =
            config.iter().map(|(key, value)| (format!("message.timestamp.{}", name(key)), (*value).to_owned()));
        let TimeLimits { before, after } = TimeLimits::of(&config.collect());
        let short = |limit: Limit| (limit.ms, limit.setting.trim_start_matches("message.timestamp."));
        [before.map(short), after.map(short)]
    }

    #[test]
    fn each_direction_has_its_limit() {
        let config = [("type", "CreateTime"), ("before", NONE), ("after", "3600000")];
        assert_eq!(limits(&config), [None, Some((3_600_000, "after.max.ms"))]);
        assert_eq!(limits(&[("before", "5"), ("after", "0")]), [Some((5, "before.max.ms")), Some((0, "after.max.ms"))]);
    }

    #[test]
    fn topics_that_set_the_time_themselves_take_any() {
        assert_eq!(limits(&[("type", "LogAppendTime"), ("before", "5"), ("after", "5")]), [None, None]);
    }

    #[test]
    fn older_brokers_have_one_limit_for_both_or_none() {
        let both = Some((7, "difference.max.ms"));
        assert_eq!(limits(&[("difference", "7")]), [both, both]);
        assert_eq!(limits(&[("difference", "7"), ("before", NONE), ("after", "9")]), [both, Some((9, "after.max.ms"))]);
        assert_eq!(limits(&[("difference", NONE)]), [None, None]);
        assert_eq!(limits(&[]), [None, None]);
    }
}
