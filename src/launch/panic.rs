//! A panic ends the process: a worker that is gone would leave the others waiting for ever.

use std::sync::Mutex;
use std::sync::mpsc::Sender;

use super::End;
use crate::error::{Exit, RunError};

/// From now on the first panic of any thread is the end of the run. The threads that exchange data with other processes
/// panic when one is lost; any other panic is our bug.
pub fn report_to(ends: Sender<End>) {
    let ends = Mutex::new(ends);
    std::panic::set_hook(Box::new(move |info| {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("unnamed");
        let lost = ["timely:send-", "timely:recv-"].iter().any(|exchange| name.starts_with(exchange));
        let end = if lost {
            End::Lost
        } else {
            let place = info.location().map_or_else(String::new, |at| format!(" at {at}"));
            let text = info.payload_as_str().unwrap_or("no message");
            let message = format!("this is a bug of tidemill: thread `{name}` panicked{place}: {text}");
            End::Failed(RunError::new(Exit::Software, message))
        };
        let ends = ends.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // When nobody listens any more the process is ending already.
        let _ = ends.send(end);
    }));
}
