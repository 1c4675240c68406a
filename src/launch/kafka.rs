//! What a run must know of Kafka before its workers start, and what is looked after while they work.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use super::{End, Options, failing};
use crate::epoch::Origin;
use crate::error::{Exit, RunError};
use crate::flow::{House, KafkaPlan, TopicPlan};
use crate::kafka::{Admin, At, Discovery, Given, Health, Offsets, Progress, Settings, Topic};
use crate::plan::{Plan, Start};
use crate::telemetry::Telemetry;

/// Topics that the run reads and writes, in the order in which they were first named.
#[derive(Default)]
pub struct Wanted {
    read: Vec<(Arc<str>, Vec<Origin>)>,
    write: Vec<Arc<str>>,
}

impl Wanted {
    /// The topic's number among those that are read.
    pub fn read(&mut self, topic: &Arc<str>, origin: Origin) -> usize {
        let at = self.read.iter().position(|(name, _)| name == topic).unwrap_or_else(|| {
            self.read.push((topic.clone(), Vec::new()));
            self.read.len() - 1
        });
        self.read[at].1.push(origin);
        at
    }

    /// The topic's number among those that are written.
    pub fn write(&mut self, topic: &Arc<str>) -> usize {
        self.write.iter().position(|name| name == topic).unwrap_or_else(|| {
            self.write.push(topic.clone());
            self.write.len() - 1
        })
    }
}

/// Asks the brokers about all topics, fences an older job of the group, and finds out where to begin.
pub fn connect(
    plan: &Plan,
    options: &Options,
    wanted: Wanted,
    telemetry: &Telemetry,
    ends: &Sender<End>,
) -> Result<Option<KafkaPlan>, RunError> {
    if options.kafka.brokers.is_empty() || (wanted.read.is_empty() && wanted.write.is_empty()) {
        return Ok(None);
    }
    let settings = settings(plan, options)?;
    telemetry.health().set_not_ready("kafka", "connecting to Kafka");
    let health = Health::default();
    let admin = Admin::new(&settings, &health)?;
    let inputs: Vec<&str> = wanted.read.iter().map(|(name, _)| &**name).collect();
    let outputs: Vec<&str> = wanted.write.iter().map(|name| &**name).collect();
    let (read, written) = admin.topics(&inputs, &outputs)?;
    let limits = admin.limits(&outputs);
    let fail = failing(ends);
    let (progress, committed) = if read.is_empty() {
        (None, Offsets::new())
    } else {
        let failed = fail.clone();
        let told = move |error: &RunError| failed(error.clone());
        let (progress, committed) = Progress::start(&settings, options.process, &read, &health, told)?;
        (Some(progress), committed)
    };
    let recreated = progress.as_ref().map(|progress| progress.recreated().clone()).unwrap_or_default();
    let topics = begin(plan, &admin, &wanted, &read, &committed, &recreated)?;
    let discovery = match read.is_empty() || options.until_caught_up {
        true => None,
        false => Some(Discovery::start(&settings, &read, &health, || ())?),
    };
    let partitions = |topic: &Topic| (topic.name.as_str().into(), topic.partitions);
    telemetry.health().clear("kafka");
    Ok(Some(KafkaPlan {
        topics,
        brokers: read.iter().flat_map(|topic| &topic.leaders).collect::<BTreeSet<_>>().len(),
        delivery: written.iter().map(partitions).collect(),
        limits,
        discovery,
        progress,
        until_caught_up: options.until_caught_up,
        settings,
        health,
    }))
}

fn settings(plan: &Plan, options: &Options) -> Result<Settings, RunError> {
    let named = format!("tidemill-{}", plan.name);
    let given = Given {
        brokers: &options.kafka.brokers,
        options: &options.kafka.settings,
        environment: &options.kafka.environment,
        group: options.kafka.group.as_deref().unwrap_or(&named),
        broker_timeout: options.kafka.broker_timeout,
        create_topics: options.kafka.create_topics,
    };
    let (settings, warnings) = Settings::new(&given)?;
    warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    Ok(settings)
}

/// Where each partition begins and where it ends now: without state where it was, with state at `start`, or where it
/// was if that is earlier (`latest` means the end at the first start). A partition without progress begins at its
/// beginning if the topic's others have some: it appeared since.
fn begin(
    plan: &Plan,
    admin: &Admin,
    wanted: &Wanted,
    topics: &[Topic],
    committed: &Offsets,
    recreated: &BTreeSet<Arc<str>>,
) -> Result<Vec<TopicPlan>, RunError> {
    let mut plans = Vec::new();
    for ((name, origins), topic) in wanted.read.iter().zip(topics) {
        let all: Vec<(&str, i32)> = (0..topic.partitions).map(|partition| (&**name, partition)).collect();
        let earliest = admin.offsets(&all, At::Earliest)?;
        let ends = admin.offsets(&all, At::Stable)?;
        let start = start(plan, origins);
        let chosen = match start {
            Start::Earliest => earliest.clone(),
            Start::Latest => ends.clone(),
            Start::At(micros) => admin.offsets(&all, At::Time(micros.div_euclid(1000)))?,
        };
        let table = origins.iter().any(|origin| matches!(origin, Origin::Table(_)));
        if table && origins.iter().any(|origin| matches!(origin, Origin::Source(_))) {
            tracing::warn!(topic = %name, "it is a table, too: its events are read again from the beginning at every start");
        }
        let rebuilds = plan.stateful && start == Start::Earliest;
        let known = |partition: i32| committed.get(&(name.clone(), partition)).copied().filter(|_| !table && !rebuilds);
        let any = (0..topic.partitions).any(|partition| known(partition).is_some());
        if any && recreated.contains(name) {
            let message = format!(
                "topic {name} was deleted and created again since the group's offsets were committed: they mean other \
                 records now; reset them to choose where to go on"
            );
            return Err(RunError::new(Exit::Unavailable, message));
        }
        let past = |p: &i32| known(*p).is_some_and(|offset| offset > ends[*p as usize]);
        for partition in (0..topic.partitions).filter(past) {
            // What an open transaction holds back ends later than what can be read.
            let end = admin.offsets(&[(name, partition)], At::End)?[0];
            let offset = known(partition).filter(|offset| *offset > end);
            offset.map_or(Ok(()), |offset| Err(past_the_end(name, partition, offset, end)))?;
        }
        let begin = |partition: i32| match known(partition) {
            Some(offset) if plan.stateful => offset.min(chosen[partition as usize]),
            Some(offset) => offset,
            None if any => earliest[partition as usize],
            None => chosen[partition as usize],
        };
        let partitions = (0..topic.partitions).map(|p| (begin(p), ends[p as usize])).collect();
        plans.push(TopicPlan { name: name.clone(), origins: origins.clone(), partitions });
    }
    Ok(plans)
}

fn past_the_end(topic: &str, partition: i32, offset: i64, end: i64) -> RunError {
    let message = format!(
        "topic {topic}, partition {partition}: the group's offset is {offset}, but the topic ends at {end}: it lost \
         records, or was created again; reset the group's offsets to choose where to go on (OFFSET_OUT_OF_RANGE)"
    );
    RunError::new(Exit::Unavailable, message)
}

/// Tables are always read whole; of several sources of one topic the earliest start counts.
fn start(plan: &Plan, origins: &[Origin]) -> Start {
    let of = |origin: &Origin| match origin {
        Origin::Source(index) => plan.sources[*index].start,
        Origin::Table(_) => Start::Earliest,
    };
    let rank = |start: &Start| match start {
        Start::Earliest => i64::MIN,
        Start::At(micros) => *micros,
        Start::Latest => i64::MAX,
    };
    origins.iter().map(of).min_by_key(rank).unwrap_or(Start::Earliest)
}

/// Brokers that are away: told to whoever asks whether the job is ready, and the end of it after a time.
pub fn look_after(house: &House, options: &Options) -> Result<(), RunError> {
    let Some(kafka) = &house.kafka else { return Ok(()) };
    match kafka.health.current() {
        Some((since, reason)) => {
            let text = format!("no Kafka broker for {} s: {reason}", since.as_secs());
            house.telemetry.health().set_not_ready("kafka", text);
        }
        None => house.telemetry.health().clear("kafka"),
    }
    kafka.health.check(&options.kafka.brokers, options.kafka.broker_timeout)?;
    let failure = kafka.discovery.as_ref().and_then(Discovery::failure);
    let failure = failure.or_else(|| kafka.progress.as_ref().and_then(Progress::failure));
    failure.map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_read_once_for_all_who_want_it() {
        let mut wanted = Wanted::default();
        let topic: Arc<str> = "events.v1".into();
        assert_eq!(wanted.read(&topic, Origin::Source(0)), 0);
        assert_eq!(wanted.read(&"other".into(), Origin::Source(1)), 1);
        assert_eq!(wanted.read(&topic, Origin::Table(0)), 0);
        assert_eq!(wanted.read[0].1, [Origin::Source(0), Origin::Table(0)]);
        assert_eq!((wanted.write(&topic), wanted.write(&topic)), (0, 0));
    }
}
