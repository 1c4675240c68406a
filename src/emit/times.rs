//! Times that delivery topics take.
//!
//! A broker refuses a whole batch for one record whose time lies too far from its clock, and again whenever it comes:
//! such a record must not be sent.

use super::deliver::Refusal;
use crate::epoch::wall_clock;
use crate::event::time;
use crate::kafka::{Limit, TimeLimits};

/// The brokers' clock is not ours: so much before a limit (half way to one that is near) a record is refused.
const SLACK: i64 = 1_000;

/// What the topics of one producer take. All times are milliseconds since the Unix epoch.
pub struct Times {
    /// Names and limits.
    topics: Vec<(String, TimeLimits)>,
    /// The first and the last time that each topic takes now.
    taken: Vec<(i64, i64)>,
    now: Option<i64>,
}

impl Times {
    pub fn new(topics: &[&str], limits: &[TimeLimits]) -> Self {
        let topics = topics.iter().map(|name| (*name).to_owned()).zip(limits.iter().copied()).collect();
        Self { topics, taken: Vec::new(), now: None }
    }

    /// The time with which a record leaves. One that came without leaves with that of its leaving, which every topic
    /// takes.
    pub fn leaving(&mut self, topic: usize, at: Option<i64>) -> Result<i64, Refusal> {
        let now = self.now.unwrap_or_else(|| self.look(wall_clock() / 1_000));
        let at = at.unwrap_or(now);
        let (first, last) = self.taken[topic];
        if first <= at && at <= last { Ok(at) } else { Err(self.refusal(topic, at, now)) }
    }

    /// All that were to be sent in a row are: the clock is asked again before the next.
    pub fn pause(&mut self) {
        self.now = None;
    }

    fn look(&mut self, now: i64) -> i64 {
        let reach = |Limit { ms, .. }: Limit| ms - (ms / 2).min(SLACK);
        self.taken.clear();
        self.taken.extend(self.topics.iter().map(|(_, limits)| {
            let first = limits.before.map_or(i64::MIN, |limit| now.saturating_sub(reach(limit)));
            (first, limits.after.map_or(i64::MAX, |limit| now.saturating_add(reach(limit))))
        }));
        *self.now.insert(now)
    }

    #[cold]
    fn refusal(&self, topic: usize, at: i64, now: i64) -> Refusal {
        let (name, limits) = &self.topics[topic];
        let (side, limit) = if at > now { ("ahead of", limits.after) } else { ("behind", limits.before) };
        let limit = limit.map(|Limit { ms, setting }| format!(": its {setting} is {ms}")).unwrap_or_default();
        let at = time::format(at.saturating_mul(1_000).clamp(time::MIN, time::MAX));
        Refusal::TooFar(format!("{at} lies further {side} the clock than topic {name} allows{limit}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000_000;
    const HOUR: i64 = 3_600_000;

    fn times(before: Option<i64>, after: Option<i64>) -> Times {
        let limit = |setting| move |ms| Limit { ms, setting };
        let limits = TimeLimits {
            before: before.map(limit("the.before.setting")),
            after: after.map(limit("the.after.setting")),
        };
        let mut times = Times::new(&["free", "out"], &[TimeLimits::default(), limits]);
        times.look(NOW);
        times
    }

    fn takes(times: &mut Times, after: i64) -> bool {
        times.leaving(1, Some(NOW + after)).is_ok()
    }

    #[test]
    fn a_topic_takes_what_lies_within_its_limits_and_a_second_less() {
        let mut times = times(Some(2 * HOUR), Some(HOUR));
        let inside = [1_000 - 2 * HOUR, 0, HOUR - 1_000];
        assert!(inside.into_iter().all(|after| takes(&mut times, after)));
        let outside = [999 - 2 * HOUR, HOUR - 999, -NOW, i64::MAX - NOW];
        assert!(!outside.into_iter().any(|after| takes(&mut times, after)));
    }

    #[test]
    fn without_limits_any_time_is_taken() {
        let mut times = times(None, None);
        for at in [i64::MIN, 0, i64::MAX] {
            assert_eq!((times.leaving(0, Some(at)), times.leaving(1, Some(at))), (Ok(at), Ok(at)));
        }
    }

    #[test]
    fn now_is_always_taken_and_limits_that_are_near_leave_room() {
        for ms in [0, 1, 1_000] {
            let mut times = times(Some(ms), Some(ms));
            assert_eq!(times.leaving(1, None), Ok(NOW));
            assert!(takes(&mut times, ms / 2) && takes(&mut times, -ms / 2) && !takes(&mut times, ms + 1));
        }
    }

    #[test]
    fn a_refusal_names_the_topic_its_setting_and_the_limit() {
        let mut times = times(Some(HOUR), Some(0));
        let message = |after, times: &mut Times| match times.leaving(1, Some(NOW + after)) {
            Err(Refusal::TooFar(message)) => message,
            other => panic!("{other:?}"),
        };
        let ahead =
            "2027-01-15T10:00:00Z lies further ahead of the clock than topic out allows: its the.after.setting is 0";
        assert_eq!(message(2 * HOUR, &mut times), ahead);
        let behind = message(-2 * HOUR, &mut times);
        assert!(behind.contains("behind") && behind.ends_with("its the.before.setting is 3600000"), "{behind}");
        assert!(message(i64::MIN + NOW, &mut times).contains("0000-01-01"), "what cannot be written is cut");
    }

    #[test]
    fn the_clock_is_asked_after_a_pause() {
        let mut times = times(None, Some(0));
        assert_eq!(times.leaving(0, None), Ok(NOW));
        times.pause();
        assert!(times.leaving(0, None).unwrap() >= wall_clock() / 1_000 - 10_000);
    }
}
