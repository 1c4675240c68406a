//! How the job is doing, in one line: live at the bottom of a terminal, else logged every ten seconds.

use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::log::Screen;
use super::{LatencySnapshot, Telemetry};
use crate::epoch::Epoch;

const LIVE: Duration = Duration::from_secs(1);
const PLAIN: Duration = Duration::from_secs(10);
/// The p99 is that of the last ten to twenty seconds.
const WINDOW: Duration = Duration::from_secs(10);

/// What the line says.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures {
    /// The last delivered one.
    pub epoch: Option<Epoch>,
    pub in_per_second: f64,
    pub out_per_second: f64,
    /// Records, all sources together; `None` where no source knows.
    pub lag: Option<u64>,
    /// Epoch latency: closed → delivered.
    pub p99: Option<Duration>,
    pub open: u64,
    pub held_by: Option<Arc<str>>,
}

/// Turns counters into rates: every reading is about the time since the one before.
#[derive(Debug)]
pub struct Meter {
    at: Instant,
    read: u64,
    written: u64,
    window_from: Instant,
    older: LatencySnapshot,
    newer: LatencySnapshot,
}

impl Meter {
    pub fn new(telemetry: &Telemetry, now: Instant) -> Self {
        let latency = telemetry.epochs().closing().snapshot();
        let (read, written) = totals(telemetry);
        Self { at: now, read, written, window_from: now, older: latency.clone(), newer: latency }
    }

    pub fn read(&mut self, telemetry: &Telemetry, now: Instant) -> Figures {
        let (read, written) = totals(telemetry);
        let seconds = now.saturating_duration_since(self.at).as_secs_f64().max(1e-3);
        let rate = |now: u64, before: u64| now.saturating_sub(before) as f64 / seconds;
        let latency = telemetry.epochs().closing().snapshot();
        let lags: Vec<u64> = telemetry.sources().iter().flat_map(|source| source.lag().into_values()).collect();
        let figures = Figures {
            epoch: telemetry.epochs().last_delivered(),
            in_per_second: rate(read, self.read),
            out_per_second: rate(written, self.written),
            lag: (!lags.is_empty()).then(|| lags.iter().sum()),
            p99: latency.since(&self.older).percentile(99.0),
            open: telemetry.epochs().open(),
            held_by: telemetry.epochs().held_by(),
        };
        (self.at, self.read, self.written) = (now, read, written);
        if now.saturating_duration_since(self.window_from) >= WINDOW {
            self.window_from = now;
            self.older = std::mem::replace(&mut self.newer, latency);
        }
        figures
    }
}

/// Events read and records delivered.
fn totals(telemetry: &Telemetry) -> (u64, u64) {
    let read = telemetry.sources().iter().map(|source| source.total_events()).sum();
    (read, telemetry.outputs().iter().map(|output| output.total_records()).sum())
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.epoch {
            Some(epoch) => write!(f, "epoch {epoch}")?,
            None => write!(f, "no epoch yet")?,
        }
        write!(f, " · in {}/s · out {}/s", human(self.in_per_second), human(self.out_per_second))?;
        if let Some(lag) = self.lag {
            write!(f, " · lag {}", human(lag as f64))?;
        }
        if let Some(p99) = self.p99 {
            write!(f, " · p99 {}", human_time(p99))?;
        }
        match &self.held_by {
            Some(step) => write!(f, " · {} open, held by {step}", self.open),
            None => Ok(()),
        }
    }
}

fn human(number: f64) -> String {
    match number {
        ..999.5 => format!("{number:.0}"),
        ..999_950.0 => format!("{:.1} k", number / 1e3),
        _ => format!("{:.1} M", number / 1e6),
    }
}

fn human_time(time: Duration) -> String {
    match time.as_secs_f64() {
        ..0.9995 => format!("{:.1} ms", time.as_secs_f64() * 1e3),
        seconds => format!("{seconds:.1} s"),
    }
}

/// Tells of the job until it is dropped.
#[derive(Debug)]
pub struct Status {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Status {
    pub fn start(telemetry: Arc<Telemetry>, screen: Screen) -> std::io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let thread = thread::Builder::new().name("status".into()).spawn(move || tell(&telemetry, &screen, &stopped))?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Status {
    fn drop(&mut self) {
        drop(self.stop.take());
        // A status that failed to print is no reason to fail the job.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn tell(telemetry: &Telemetry, screen: &Screen, stopped: &mpsc::Receiver<()>) {
    let mut meter = Meter::new(telemetry, Instant::now());
    let pause = if screen.is_live() { LIVE } else { PLAIN };
    while stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
        let figures = meter.read(telemetry, Instant::now());
        if screen.is_live() { screen.show(figures.to_string()) } else { log(&figures) }
    }
    screen.clear();
}

fn log(figures: &Figures) {
    tracing::info!(
        epoch = figures.epoch,
        in_per_second = figures.in_per_second.round(),
        out_per_second = figures.out_per_second.round(),
        lag = figures.lag,
        p99_ms = figures.p99.map(|p99| p99.as_secs_f64() * 1e3),
        open_epochs = figures.open,
        held_by = figures.held_by.as_deref(),
        "running"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Delivered;

    #[test]
    fn rates_are_those_since_the_last_reading() {
        let telemetry = Telemetry::new(1);
        let began = Instant::now();
        let mut meter = Meter::new(&telemetry, began);
        telemetry.source("a").read(0, 40_000, 1);
        telemetry.source("b").read(0, 200, 1);
        telemetry.output("o").delivered(0, 1_000);
        telemetry.source("a").set_lag(&"t".into(), 0, Some(12));
        let since = Duration::from_micros(8_150);
        telemetry.epochs().delivered(0, Delivered { epoch: 7, since_open: since, since_close: since, events: 1 });
        let first = meter.read(&telemetry, began + Duration::from_secs(2));
        assert_eq!(first.to_string(), "epoch 7 · in 20.1 k/s · out 500/s · lag 12 · p99 8.2 ms");
        let second = meter.read(&telemetry, began + Duration::from_secs(3));
        assert_eq!((second.in_per_second, second.out_per_second), (0.0, 0.0));
    }

    #[test]
    fn old_latencies_leave_the_window() {
        let telemetry = Telemetry::new(1);
        let began = Instant::now();
        let mut meter = Meter::new(&telemetry, began);
        let since = Duration::from_secs(3);
        telemetry.epochs().delivered(0, Delivered { epoch: 7, since_open: since, since_close: since, events: 1 });
        let seconds: Vec<bool> =
            (1..=30).map(|second| meter.read(&telemetry, began + Duration::from_secs(second)).p99.is_some()).collect();
        assert!(seconds[0] && seconds[9] && !seconds[29], "{seconds:?}");
    }

    #[test]
    fn a_job_that_knows_nothing_says_so() {
        let telemetry = Telemetry::new(1);
        let now = Instant::now();
        let mut meter = Meter::new(&telemetry, now);
        assert_eq!(meter.read(&telemetry, now).to_string(), "no epoch yet · in 0/s · out 0/s");
        telemetry.epochs().set_open(0, 8);
        telemetry.epochs().set_held_by(Some(&"due".into()));
        assert!(meter.read(&telemetry, now).to_string().ends_with("8 open, held by due"));
    }
}
