//! A dataflow file with topics and a group of its own, and ways to run it.
//!
//! Files name their topics `${TIDEMILL_TEST_PREFIX}.orders` and so on; the prefix is unique, so that all tests share a
//! broker. Topics keep what they get for ever, whatever its time.

use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Duration;

use crate::support::{Broker, Job, Rec, unique, wait_until};

/// For what takes a moment, on a machine that is busy with the other tests.
pub const SOON: Duration = Duration::from_secs(60);

/// Copies orders, with their place, and turns away what is no order.
pub const COPY: &str = r#"
name: copy
sources:
  orders: { kafka: { topic: "${TIDEMILL_TEST_PREFIX}.orders" } }
shape:
  placed: { from: orders, where: skip IS NULL, set: { partition: _partition, offset: _offset } }
emit:
  out: { from: placed, kafka: { topic: "${TIDEMILL_TEST_PREFIX}.out", key: _key } }
dead_letters: { kafka: { topic: "${TIDEMILL_TEST_PREFIX}.dead" } }
"#;

pub struct Scene<'b> {
    pub broker: &'b Broker,
    pub group: String,
    prefix: String,
    dir: tempfile::TempDir,
}

impl Scene<'static> {
    /// On the shared broker.
    pub fn new(file: &str) -> Self {
        Scene::on(Broker::shared(), file)
    }

    /// [`COPY`] on the shared broker, with so many partitions of orders.
    pub fn copy(partitions: i32) -> Self {
        Scene::new(COPY).with_copy_topics(partitions)
    }
}

impl<'b> Scene<'b> {
    pub fn on(broker: &'b Broker, file: &str) -> Self {
        let dir = tempfile::tempdir().expect("a folder for the file");
        std::fs::write(dir.path().join("job.yaml"), file).expect("a file can be written");
        Self { broker, group: unique("jobs"), prefix: unique("job"), dir }
    }

    pub fn with_copy_topics(self, partitions: i32) -> Self {
        self.create("orders", partitions);
        self.create("out", 2);
        self.create("dead", 1);
        self
    }

    /// A topic's whole name.
    pub fn topic(&self, name: &str) -> String {
        format!("{}.{name}", self.prefix)
    }

    pub fn create(&self, name: &str, partitions: i32) {
        self.create_with(name, partitions, &[]);
    }

    pub fn create_with(&self, name: &str, partitions: i32, config: &[(&str, &str)]) {
        let config: Vec<_> = config.iter().copied().chain([("retention.ms", "-1")]).collect();
        self.broker.create_topic(&self.topic(name), partitions, &config);
    }

    pub fn produce(&self, name: &str, records: impl IntoIterator<Item = Rec>) {
        self.broker.produce(&self.topic(name), records);
    }

    /// A path in this test's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn start(&self, arguments: &[&str]) -> Job {
        self.start_file("job.yaml", arguments)
    }

    /// With a terminal as standard error.
    pub fn start_on_terminal(&self, arguments: &[&str]) -> Job {
        Job::start_on_terminal(&self.arguments("job.yaml", arguments), &[self.environment()])
    }

    /// With one environment variable more.
    pub fn start_with(&self, arguments: &[&str], variable: (&str, &str)) -> Job {
        Job::start_with(&self.arguments("job.yaml", arguments), &[self.environment(), variable])
    }

    /// Another file of the folder.
    pub fn start_file(&self, file: &str, arguments: &[&str]) -> Job {
        Job::start_with(&self.arguments(file, arguments), &[self.environment()])
    }

    fn environment(&self) -> (&str, &str) {
        ("TIDEMILL_TEST_PREFIX", &self.prefix)
    }

    fn arguments(&self, file: &str, arguments: &[&str]) -> Vec<String> {
        let file = self.path(file);
        let file = file.to_str().expect("folders of tests have plain names");
        let mut all = vec!["run", file];
        let given = |flag: &str| arguments.contains(&flag);
        if !given("--brokers") {
            all.extend(["--brokers", &self.broker.address]);
        }
        if !given("--group") {
            all.extend(["--group", &self.group]);
        }
        if !given("--http") {
            all.extend(["--http", "off"]);
        }
        all.extend(arguments);
        all.into_iter().map(str::to_owned).collect()
    }

    /// All processes of a job.
    pub fn start_processes(&self, processes: usize, arguments: &[&str]) -> Vec<Job> {
        let hosts = hosts(processes);
        let start = |process| self.start_process(&hosts, process, arguments);
        (0..processes).map(start).collect()
    }

    pub fn start_process(&self, hosts: &[String], process: usize, arguments: &[&str]) -> Job {
        self.start_process_with(hosts, process, arguments, self.environment())
    }

    pub fn start_process_with(
        &self,
        hosts: &[String],
        process: usize,
        arguments: &[&str],
        variable: (&str, &str),
    ) -> Job {
        let (processes, process, hosts) = (hosts.len().to_string(), process.to_string(), hosts.join(","));
        let mut all = vec!["-n", &processes, "-p", &process, "--hosts", &hosts];
        all.extend(arguments);
        self.start_with(&all, variable)
    }

    /// Runs until all that is there is delivered; fails unless that ends well. What it wrote to standard error.
    pub fn catch_up(&self, arguments: &[&str]) -> String {
        let mut all = vec!["--until-caught-up"];
        all.extend(arguments);
        ends(self.start(&all), 0)
    }

    /// Waits until a topic has at least so many records.
    pub fn await_records(&self, name: &str, records: i64) {
        let mut count = self.broker.counter(&self.topic(name));
        let mut last = 0;
        wait_until(SOON, &format!("{records} records in {name}"), || {
            last = count();
            last >= records
        });
    }

    /// What the group has committed for a topic, partition by partition; 0 where there is nothing.
    pub fn committed(&self, name: &str, partitions: i32) -> Vec<i64> {
        let found = self.broker.committed(&self.group, &self.topic(name), partitions);
        (0..partitions).map(|partition| found.get(&partition).copied().unwrap_or(0)).collect()
    }

    /// The values of a topic as JSON, by partition and offset.
    pub fn values(&self, name: &str) -> Vec<serde_json::Value> {
        let records = self.broker.read_all(&self.topic(name));
        records.iter().map(|record| serde_json::from_str(record.text()).expect("results are JSON")).collect()
    }
}

/// Waits for a job's end; fails unless its exit code is this. What it wrote to standard error.
pub fn ends(job: Job, exit: i32) -> String {
    ends_within(job, exit, SOON)
}

pub fn ends_within(job: Job, exit: i32, deadline: Duration) -> String {
    let (code, stderr) = job.wait(deadline);
    assert_eq!(code, Some(exit), "{stderr}");
    stderr
}

/// Asks a job to finish and waits for its end.
pub fn terminate(job: Job) -> String {
    job.signal(libc::SIGTERM);
    ends(job, 0)
}

/// Loopback addresses that were free a moment ago.
pub fn hosts(n: usize) -> Vec<String> {
    let bound: Vec<TcpListener> = (0..n).map(|_| TcpListener::bind("127.0.0.1:0").expect("a free port")).collect();
    bound.iter().map(|listener| listener.local_addr().expect("it is bound").to_string()).collect()
}

/// Orders with these numbers as ids, keyed by them, partition chosen by key.
pub fn orders(ids: std::ops::Range<u64>) -> impl Iterator<Item = Rec> {
    ids.map(|id| Rec::keyed(format!("k{}", id % 50), format!(r#"{{"id":{id},"amount":{id}.50}}"#)))
}
