//! Runs the built program on files, as a user would, for every test binary that asks for a whole job.
//!
//! A [`Job`] is one dataflow file with its inputs; [`Job::run`] gives it workers, an epoch size and processes, waits (a
//! job that hangs is killed and says so) and hands back what was written. Nothing here knows the crate's inside.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Longer than any of these small jobs takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A dataflow file, its inputs and its outputs.
#[derive(Clone, Debug, Default)]
pub struct Job {
    pub file: PathBuf,
    /// Name of a source or table, and a file of it; several of one name are its partitions, in this order.
    pub inputs: Vec<(String, PathBuf)>,
    pub outputs: Vec<String>,
    pub args: Vec<String>,
}

/// How a job is run.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    pub workers: usize,
    pub processes: usize,
    /// Records of an epoch; `None` leaves it to the job's own arguments.
    pub epoch: Option<usize>,
}

/// What a run left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Of the process that failed first, else 0.
    pub exit: i32,
    /// Each output's text, by name.
    pub outputs: BTreeMap<String, String>,
    pub dead_letters: String,
    pub stderr: String,
}

impl std::fmt::Display for Scale {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "-w {}", self.workers)?;
        if self.processes > 1 {
            write!(f, " -n {}", self.processes)?;
        }
        self.epoch.map_or(Ok(()), |n| write!(f, " --epoch-records {n}"))
    }
}

impl Scale {
    pub fn workers(workers: usize) -> Self {
        Self { workers, processes: 1, epoch: None }
    }

    pub fn processes(self, processes: usize) -> Self {
        Self { processes, ..self }
    }

    pub fn epoch(self, records: usize) -> Self {
        Self { epoch: Some(records), ..self }
    }
}

pub fn tidemill() -> Command {
    Command::new(env!("CARGO_BIN_EXE_tidemill"))
}

impl Job {
    pub fn new(file: impl Into<PathBuf>) -> Self {
        Self { file: file.into(), ..Self::default() }
    }

    pub fn input(mut self, name: &str, path: impl Into<PathBuf>) -> Self {
        self.inputs.push((name.into(), path.into()));
        self
    }

    pub fn output(mut self, name: &str) -> Self {
        self.outputs.push(name.into());
        self
    }

    pub fn arg(mut self, arg: &str) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Runs it to its end and reads what it wrote.
    pub fn run(&self, scale: Scale) -> Written {
        let dir = tempfile::tempdir().expect("a place for outputs");
        let hosts = free_hosts(scale.processes);
        let children: Vec<Running> =
            (0..scale.processes).map(|i| Running::start(self.command(scale, &hosts, i, dir.path()))).collect();
        let deadline = Instant::now() + PATIENCE;
        let ends: Vec<(i32, String)> = children.into_iter().map(|child| child.wait(deadline)).collect();
        let exit = ends.iter().map(|(exit, _)| *exit).find(|exit| *exit != 0).unwrap_or(0);
        let read = |name: &str| text(&dir.path().join(name));
        Written {
            exit,
            outputs: self.outputs.iter().map(|name| (name.clone(), read(name))).collect(),
            dead_letters: read("dead letters"),
            stderr: ends.into_iter().map(|(_, stderr)| stderr).collect(),
        }
    }

    fn command(&self, scale: Scale, hosts: &[String], process: usize, out: &Path) -> Command {
        let mut command = tidemill();
        command.arg("run").arg(&self.file).args(["--http", "off", "-w", &scale.workers.to_string()]);
        if scale.processes > 1 {
            let (n, p) = (scale.processes.to_string(), process.to_string());
            command.args(["-n", &n, "-p", &p, "--hosts", &hosts.join(",")]);
        }
        for (name, path) in &self.inputs {
            command.arg("--input").arg(format!("{name}={}", path.display()));
        }
        for name in &self.outputs {
            command.arg("--output").arg(format!("{name}={}", out.join(name).display()));
        }
        command.arg("--dead-letters").arg(out.join("dead letters")).args(&self.args);
        if let Some(records) = scale.epoch {
            command.args(["--epoch-records", &records.to_string()]);
        }
        command
    }
}

/// A process with somebody who reads its standard error, so that it never blocks on it.
struct Running {
    child: Child,
    stderr: JoinHandle<String>,
}

impl Running {
    fn start(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the built program starts");
        let mut pipe = child.stderr.take().expect("it is piped");
        let stderr = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            // What could be read is shown; a broken pipe has nothing to add.
            let _ = pipe.read_to_end(&mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        });
        Self { child, stderr }
    }

    fn wait(mut self, deadline: Instant) -> (i32, String) {
        let status = loop {
            match self.child.try_wait().expect("a child can be waited for") {
                Some(status) => break Some(status),
                None if Instant::now() > deadline => break None,
                None => std::thread::sleep(Duration::from_millis(2)),
            }
        };
        if status.is_none() {
            self.child.kill().expect("a child can be killed");
            self.child.wait().expect("a killed child ends");
        }
        let mut stderr = self.stderr.join().expect("reading does not panic");
        if status.is_none() {
            stderr.push_str("\n[the job did not end in time and was killed]\n");
        }
        (status.map_or(-1, |status| status.code().unwrap_or(-2)), stderr)
    }
}

/// Loopback addresses that were free a moment ago.
fn free_hosts(n: usize) -> Vec<String> {
    let bound: Vec<TcpListener> =
        (0..n).map(|_| TcpListener::bind("127.0.0.1:0").expect("loopback has a free port")).collect();
    bound.iter().map(|l| l.local_addr().expect("a bound socket has an address").to_string()).collect()
}

/// A file's text; what is no UTF-8 in it shows as such, and no file is no text.
pub fn text(path: &Path) -> String {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

/// What differs between two texts, line by line: the first difference with its surroundings. Empty if they are equal.
pub fn diff(expected: &str, actual: &str) -> String {
    if expected == actual {
        return String::new();
    }
    let (e, a): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), actual.lines().collect());
    let same = e.iter().zip(&a).take_while(|(e, a)| e == a).count();
    let tail = e[same..].iter().rev().zip(a[same..].iter().rev()).take_while(|(e, a)| e == a).count();
    let mut out = format!("  (expected {} lines, got {}; they differ from line {})\n", e.len(), a.len(), same + 1);
    e[same.saturating_sub(2)..same].iter().for_each(|line| out.push_str(&format!("      {line}\n")));
    e[same..e.len() - tail].iter().take(20).for_each(|line| out.push_str(&format!("    - {line}\n")));
    a[same..a.len() - tail].iter().take(20).for_each(|line| out.push_str(&format!("    + {line}\n")));
    if e == a {
        out.push_str("  (only the line breaks differ)\n");
    }
    out
}
