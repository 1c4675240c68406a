//! Whether the job is ready, and if not, why: what `/readyz` says.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::lock;

/// Shared by the engine, which knows, and the HTTP server, which tells. A job is ready when nothing stands against it;
/// it starts with one such cause, [`Health::STARTING`].
#[derive(Clone, Debug)]
pub struct Health(Arc<Mutex<BTreeMap<&'static str, String>>>);

impl Health {
    /// The cause that is there from the beginning: tables are being read, no epoch is delivered yet.
    pub const STARTING: &'static str = "starting";

    pub fn starting() -> Self {
        Self(Arc::new(Mutex::new(BTreeMap::from([(Self::STARTING, "the job is starting".to_string())]))))
    }

    /// Something stands against it: `cause` names the kind (`brokers`, `tables`, `draining`), `text` is for people.
    /// A second call with the same cause replaces its text.
    pub fn set_not_ready(&self, cause: &'static str, text: impl Into<String>) {
        lock(&self.0).insert(cause, text.into());
    }

    /// This cause is gone.
    pub fn clear(&self, cause: &'static str) {
        lock(&self.0).remove(cause);
    }

    /// `Ok` when ready, else the reasons, one a line.
    pub fn check(&self) -> Result<(), String> {
        let causes = lock(&self.0);
        if causes.is_empty() {
            return Ok(());
        }
        Err(causes.iter().map(|(cause, text)| format!("{cause}: {text}\n")).collect())
    }

    pub fn is_ready(&self) -> bool {
        lock(&self.0).is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_ready_once_no_cause_is_left() {
        let health = Health::starting();
        assert!(!health.is_ready());
        health.set_not_ready("brokers", "no answer from localhost:9092 for 4 s");
        health.clear(Health::STARTING);
        assert_eq!(health.check(), Err("brokers: no answer from localhost:9092 for 4 s\n".into()));
        health.clear("brokers");
        assert_eq!(health.check(), Ok(()));
    }
}
