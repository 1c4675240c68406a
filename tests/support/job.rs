//! The program as a process, with what it writes.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::FromRawFd;
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
    pub fn start_with(arguments: &[impl AsRef<OsStr>], environment: &[(&str, &str)]) -> Self {
        let mut command = command(arguments, environment);
        let mut child = command.stderr(Stdio::piped()).spawn().expect("the program starts");
        let (output, first) = capture(child.stdout.take().expect("it is piped"));
        let (errors, second) = capture(child.stderr.take().expect("it is piped"));
        Self { child, output, errors, readers: vec![first, second] }
    }

    /// The same, with a terminal as standard error.
    pub fn start_on_terminal(arguments: &[impl AsRef<OsStr>], environment: &[(&str, &str)]) -> Self {
        let (ours, its) = terminal();
        let mut command = command(arguments, environment);
        let mut child = command.stderr(its).spawn().expect("the program starts");
        // The command holds the program's end of the terminal: without it reading ends when the program does.
        drop(command);
        let (output, first) = capture(child.stdout.take().expect("it is piped"));
        let (errors, second) = capture_terminal(ours);
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

fn command(arguments: &[impl AsRef<OsStr>], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TIDEMILL_") && name != "TIDEMILL_BYTES_ONLY" {
            command.env_remove(name);
        }
    }
    command.args(arguments).envs(environment.iter().copied()).stdin(Stdio::null()).stdout(Stdio::piped());
    // SAFETY: `prctl` is async-signal-safe and touches nothing of the parent.
    unsafe {
        command.pre_exec(|| {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            Ok(())
        });
    }
    command
}

/// Both ends of a terminal of 100 columns: ours, and the program's.
fn terminal() -> (File, File) {
    let (mut ours, mut its) = (-1, -1);
    let size = libc::winsize { ws_row: 25, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };
    let none = std::ptr::null_mut();
    // SAFETY: both numbers and the size live for the call; what is null is left as it is.
    let made = unsafe { libc::openpty(&mut ours, &mut its, none, none.cast(), &size) };
    assert_eq!(made, 0, "no terminal: {}", std::io::Error::last_os_error());
    // SAFETY: they were opened just now, and nobody else has them. Ours is not for the program.
    unsafe {
        libc::fcntl(ours, libc::F_SETFD, libc::FD_CLOEXEC);
        (File::from_raw_fd(ours), File::from_raw_fd(its))
    }
}

/// A terminal's text has no lines: what is shown anew begins with a carriage return.
fn capture_terminal(mut from: File) -> (Output, JoinHandle<()>) {
    let output = Output::default();
    let to = output.clone();
    let reader = std::thread::spawn(move || {
        let mut chunk = [0; 4096];
        // Reading fails when the program has ended.
        while let Ok(count @ 1..) = from.read(&mut chunk) {
            to.lock().unwrap().push_str(&String::from_utf8_lossy(&chunk[..count]));
        }
    });
    (output, reader)
}
