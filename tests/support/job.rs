//! The program as a process, with what it writes.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A running `tidemill`. It is killed when this is dropped, and when the thread that started it ends.
pub struct Job {
    child: Child,
    output: Output,
    errors: Output,
    readers: Vec<JoinHandle<()>>,
}

type Output = Arc<Mutex<String>>;

impl Job {
    /// `tidemill` with these arguments. Of the tests' `TIDEMILL_` variables only the one reaches it that makes workers
    /// exchange bytes.
    pub fn start(arguments: &[&str]) -> Self {
        Self::start_with(arguments, &[])
    }

    /// The same, with environment variables.
    pub fn start_with(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("TIDEMILL_") && name != "TIDEMILL_BYTES_ONLY" {
                command.env_remove(name);
            }
        }
        command
            .args(arguments)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // SAFETY: `prctl` is async-signal-safe and touches nothing of the parent.
        unsafe {
            command.pre_exec(|| {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                Ok(())
            });
        }
        let mut child = command.spawn().expect("the program starts");
        let (output, first) = capture(child.stdout.take().expect("it is piped"));
        let (errors, second) = capture(child.stderr.take().expect("it is piped"));
        Self { child, output, errors, readers: vec![first, second] }
    }

    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// What it has written to standard output so far.
    pub fn stdout(&self) -> String {
        self.output.lock().unwrap().clone()
    }

    /// What it has written to standard error so far.
    pub fn stderr(&self) -> String {
        self.errors.lock().unwrap().clone()
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("it is a child").is_none()
    }

    /// Sends a signal: `libc::SIGTERM` asks it to finish, `libc::SIGKILL` is a crash.
    pub fn signal(&self, signal: i32) {
        // SAFETY: the process is a child that was not waited for, or has ended, which is harmless.
        unsafe { libc::kill(self.pid(), signal) };
    }

    /// Ends it as a crash would, and waits until it is gone.
    pub fn kill(mut self) {
        self.signal(libc::SIGKILL);
        let _ = self.child.wait();
    }

    /// Waits for its end: exit code (`None` for a signal) and all that it wrote to standard error.
    pub fn wait(mut self, deadline: Duration) -> (Option<i32>, String) {
        let status = self.wait_status(deadline);
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
        (status.code(), self.stderr())
    }

    fn wait_status(&mut self, deadline: Duration) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("it is a child") {
                return status;
            }
            assert!(start.elapsed() < deadline, "the job did not end within {deadline:?}:\n{}", self.stderr());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn capture(from: impl Read + Send + 'static) -> (Output, JoinHandle<()>) {
    let output = Output::default();
    let to = output.clone();
    let reader = std::thread::spawn(move || {
        let mut lines = BufReader::new(from);
        let mut line = Vec::new();
        while matches!(lines.read_until(b'\n', &mut line), Ok(count) if count > 0) {
            to.lock().unwrap().push_str(&String::from_utf8_lossy(&line));
            line.clear();
        }
    });
    (output, reader)
}
