//! Signals: SIGTERM and SIGINT ask the job to stop, a second one ends it at once, SIGUSR1 asks for a report.
//!
//! Handlers do no work: the runtime's handler only notes the signal and wakes a thread that waits for it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::Exit;

/// Asks a job to stop: read nothing more, deliver what is open, settle, end. Once asked it stays so.
#[derive(Clone, Default)]
pub struct Stop(Arc<Inner>);

#[derive(Default)]
struct Inner {
    requested: AtomicBool,
    begun: AtomicBool,
}

impl Stop {
    pub fn request(&self) {
        self.0.requested.store(true, Ordering::SeqCst);
    }

    pub fn is_requested(&self) -> bool {
        self.0.requested.load(Ordering::SeqCst)
    }

    /// From now on there may be something to deliver. Until then a job that is asked to stop ends at once: it waits
    /// for brokers or other processes, within calls that last up to half a minute.
    pub fn begin(&self) {
        self.0.begun.store(true, Ordering::SeqCst);
    }

    fn has_begun(&self) -> bool {
        self.0.begun.load(Ordering::SeqCst)
    }
}

/// From now on signals do what this page says. `report` is called on SIGUSR1, on a thread of its own.
pub fn watch(stop: Stop, report: impl Fn() + Send + 'static) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let signals = {
        let _context = runtime.enter();
        Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            report: signal(SignalKind::user_defined1())?,
        }
    };
    thread::Builder::new().name("signals".into()).spawn(move || runtime.block_on(signals.serve(stop, report)))?;
    Ok(())
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    report: Signal,
}

impl Signals {
    /// Returns when no signal can come any more: never, while the process runs.
    async fn serve(mut self, stop: Stop, report: impl Fn()) {
        let mut asked = false;
        loop {
            let name = tokio::select! {
                Some(()) = self.terminate.recv() => "SIGTERM",
                Some(()) = self.interrupt.recv() => "SIGINT",
                Some(()) = self.report.recv() => {
                    report();
                    continue;
                }
                else => return,
            };
            if asked {
                exit_now(Exit::Interrupted);
            }
            asked = true;
            if !stop.has_begun() {
                tracing::info!(signal = name, "stopped before it had begun");
                exit_now(Exit::Clean);
            }
            tracing::info!(signal = name, "stopping: delivering what is open; a second signal ends at once");
            stop.request();
        }
    }
}

/// Without unwinding, destructors or handlers of exit: any of them may be what the signal is about.
fn exit_now(exit: Exit) -> ! {
    // SAFETY: `_exit` takes any number and does not return.
    unsafe { libc::_exit(exit as i32) }
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::sync::mpsc;
    use std::time::{Duration, Instant};

    use super::*;

    /// Set in a process that a test started to send signals to itself; the value says which.
    const CHILD: &str = "TIDEMILL_TEST_SIGNALS";
    const PATIENCE: Duration = Duration::from_secs(20);

    fn raise(signal: i32) {
        // SAFETY: sends a signal to this process.
        assert_eq!(unsafe { libc::kill(libc::getpid(), signal) }, 0);
    }

    /// Not a test by itself: what the other tests run in a process of its own.
    #[test]
    fn child() {
        let Ok(which) = std::env::var(CHILD) else { return };
        let (stop, (sender, receiver)) = (Stop::default(), mpsc::channel());
        stop.begin();
        watch(stop.clone(), move || sender.send("report").unwrap()).unwrap();
        raise(libc::SIGUSR1);
        assert_eq!(receiver.recv_timeout(PATIENCE), Ok("report"));
        assert!(!stop.is_requested());
        raise(if which == "interrupt" { libc::SIGINT } else { libc::SIGTERM });
        let deadline = Instant::now() + PATIENCE;
        while !stop.is_requested() {
            assert!(Instant::now() < deadline, "the signal asks to stop");
            thread::yield_now();
        }
        if which == "twice" {
            raise(libc::SIGINT);
            thread::sleep(PATIENCE);
        }
    }

    fn run_child(which: &str) -> Option<i32> {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "launch::signals::tests::child"]).env(CHILD, which);
        command.output().unwrap().status.code()
    }

    #[test]
    fn the_first_signal_asks_and_the_second_ends_the_process() {
        assert_eq!(run_child("terminate"), Some(0));
        assert_eq!(run_child("interrupt"), Some(0));
        assert_eq!(run_child("twice"), Some(130));
    }
}
