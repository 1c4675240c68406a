//! A process that is measured: the job, or a calibrator in a process of its own.

use std::fs::File;
use std::io::{Read, Seek};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What a process took, from its start to its end.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    pub wall: Duration,
    /// User and system, all threads.
    pub cpu: Duration,
    /// The most memory that was resident.
    pub peak_bytes: u64,
}

/// Killed when dropped, and when this program ends. Start it from the main thread.
pub struct Process {
    name: String,
    pid: i32,
    started: Instant,
    errors: File,
    ended: bool,
}

impl Process {
    pub fn start(name: &str, command: &mut Command) -> Self {
        let errors = tempfile::tempfile().expect("a place for messages");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors.try_clone().expect("a file can be shared"));
        // SAFETY: `prctl` is async-signal-safe and touches nothing of the parent.
        unsafe {
            command.pre_exec(|| {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                Ok(())
            });
        }
        let started = Instant::now();
        let pid = command.spawn().unwrap_or_else(|error| panic!("{name} does not start: {error}")).id() as i32;
        Self { name: name.to_owned(), pid, started, errors, ended: false }
    }

    /// CPU time so far, user and system, of all its threads.
    pub fn cpu(&self) -> Duration {
        // SAFETY: both calls fill what they are given; a process that is gone gives an error.
        unsafe {
            let mut clock: libc::clockid_t = 0;
            let mut time: libc::timespec = std::mem::zeroed();
            let got =
                libc::clock_getcpuclockid(self.pid, &mut clock) == 0 && libc::clock_gettime(clock, &mut time) == 0;
            assert!(got, "{} has no CPU clock", self.name);
            Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
        }
    }

    /// Resident memory; `None` once it has ended.
    pub fn resident_bytes(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
    }

    pub fn signal(&self, signal: i32) {
        // SAFETY: the process is a child that was not waited for yet.
        unsafe { libc::kill(self.pid, signal) };
    }

    /// Whether it has ended, and what it took. Fails if its exit code was not 0.
    pub fn try_wait(&mut self) -> Option<Cost> {
        let mut status = 0;
        // SAFETY: all zeros is a valid `rusage`; the call fills status and usage in.
        let (pid, usage) = unsafe {
            let mut usage: libc::rusage = std::mem::zeroed();
            (libc::wait4(self.pid, &mut status, libc::WNOHANG, &mut usage), usage)
        };
        if pid == 0 {
            return None;
        }
        self.ended = true;
        assert!(pid == self.pid && status == 0, "{} ended with status {status:#x}:\n{}", self.name, self.messages());
        let part = |time: libc::timeval| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000);
        Some(Cost {
            wall: self.started.elapsed(),
            cpu: part(usage.ru_utime) + part(usage.ru_stime),
            peak_bytes: usage.ru_maxrss as u64 * 1024,
        })
    }

    /// Waits for its end; `meanwhile` is called every few milliseconds.
    pub fn wait_with(mut self, patience: Duration, mut meanwhile: impl FnMut(&Self)) -> Cost {
        loop {
            if let Some(cost) = self.try_wait() {
                return cost;
            }
            assert!(self.started.elapsed() < patience, "{} does not end:\n{}", self.name, self.messages());
            meanwhile(&self);
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    pub fn wait(self, patience: Duration) -> Cost {
        self.wait_with(patience, |_| {})
    }

    fn messages(&self) -> String {
        let (mut text, mut errors) = (Vec::new(), &self.errors);
        let read = errors.rewind().and_then(|()| errors.read_to_end(&mut text));
        read.map_or_else(|error| error.to_string(), |_| String::from_utf8_lossy(&text).into_owned())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.ended {
            self.signal(libc::SIGKILL);
            // SAFETY: a child of ours; nobody wants its status.
            unsafe { libc::waitpid(self.pid, std::ptr::null_mut(), 0) };
        }
    }
}

/// `tidemill run FILE`, free of any setting of the environment.
pub fn tidemill(file: &std::path::Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("TIDEMILL_")) {
        command.env_remove(name);
    }
    command.arg("run").arg(file);
    command
}
