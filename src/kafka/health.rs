//! Whether the brokers answer: one word from all clients of a process.
//!
//! Whoever hears from a broker says [`Health::heard`]; whoever meets an error that the client retries by itself says
//! [`Health::trouble`]. A job ends with 75 once trouble has lasted for `--broker-timeout`; `/readyz` shows it at once.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::error::{Exit, RunError};

/// Shared by all clients of a process; a clone is the same.
#[derive(Clone, Default)]
pub struct Health(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// When trouble began, what it is now, and whether it is about credentials.
    trouble: Option<(Instant, String, Exit)>,
}

impl Health {
    /// A broker answered.
    pub fn heard(&self) {
        self.state().trouble = None;
    }

    /// Something failed that may pass. The newest reason is kept, and the time of the first.
    pub fn trouble(&self, exit: Exit, reason: impl Into<String>) {
        let mut state = self.state();
        let since = state.trouble.as_ref().map_or_else(Instant::now, |(since, ..)| *since);
        state.trouble = Some((since, reason.into(), exit));
    }

    /// How long it has lasted, and what it is; `None` while all is well.
    pub fn current(&self) -> Option<(Duration, String)> {
        self.state().trouble.as_ref().map(|(since, reason, _)| (since.elapsed(), reason.clone()))
    }

    /// An error once trouble has lasted for `patience`.
    pub fn check(&self, brokers: &str, patience: Duration) -> Result<(), RunError> {
        match &self.state().trouble {
            Some((since, reason, exit)) if since.elapsed() >= patience => {
                // Credentials that were refused all that time will not be taken later either.
                let exit = if *exit == Exit::NotAllowed { Exit::NotAllowed } else { Exit::TryAgain };
                let waited = since.elapsed().as_secs();
                Err(RunError::new(exit, format!("no Kafka broker of {brokers} for {waited} s: {reason}")))
            }
            _ => Ok(()),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock, so what it guards is whole in any case.
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_counts_from_its_beginning_and_ends_with_an_answer() {
        let health = Health::default();
        health.trouble(Exit::TryAgain, "first");
        health.trouble(Exit::TryAgain, "second");
        assert_eq!(health.current().unwrap().1, "second");
        assert!(health.check("b:1", Duration::from_secs(60)).is_ok());
        let error = health.check("b:1", Duration::ZERO).unwrap_err();
        assert_eq!(error.exit, Exit::TryAgain);
        assert!(error.message.contains("b:1") && error.message.contains("second"));
        health.heard();
        assert!(health.current().is_none() && health.check("b:1", Duration::ZERO).is_ok());
    }
}
