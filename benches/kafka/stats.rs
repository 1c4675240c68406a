//! Figures of several rounds in few words.

use std::fmt;
use std::time::Duration;

/// The middle one of some figures, and how far they lie apart.
pub struct Spread {
    pub median: f64,
    least: f64,
    most: f64,
}

impl Spread {
    pub fn of(mut figures: Vec<f64>) -> Self {
        figures.sort_by(f64::total_cmp);
        let middle = figures.len() / 2;
        let median = match figures.len() % 2 {
            0 => (figures[middle - 1] + figures[middle]) / 2.0,
            _ => figures[middle],
        };
        Self { median, least: figures[0], most: figures[figures.len() - 1] }
    }

    /// Without a fraction.
    pub fn whole(&self) -> String {
        format!("{:.0} ({:.0} to {:.0})", self.median, self.least, self.most)
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} ({:.3} to {:.3})", self.median, self.least, self.most)
    }
}

/// Seconds per million; that is also microseconds for one.
pub fn per_million(time: Duration, count: u64) -> f64 {
    time.as_secs_f64() * 1e6 / count as f64
}
