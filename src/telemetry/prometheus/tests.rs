//! `/metrics` is valid in both formats, whatever the dataflow file and the topics are called.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::error::{Reason, Stage};
use crate::telemetry::{Delivered, RuleGauges};

fn busy_job() -> Arc<Telemetry> {
    let telemetry = Telemetry::new(2);
    let orders = telemetry.source("orders");
    orders.read(0, 10, 1500);
    orders.set_lag(&"orders \"v1\"\n\\".into(), 3, Some(7));
    orders.set_lag_seconds(1, Some(0.25));
    let due = telemetry.step("due");
    due.events_in(10);
    due.dropped("where", 4);
    due.rejected(Reason::ExpressionError, 1);
    due.add_busy(1, Duration::from_millis(3));
    due.set_rules(0, RuleGauges { rules: 3, bytes: 900, classes: vec![("selective", 2), ("wildcard", 1)] });
    let output = telemetry.output("deliveries");
    output.delivered(0, 5);
    output.event_latency(0, Duration::from_micros(3_500), 5);
    let since = Duration::from_millis(4);
    telemetry.epochs().delivered(0, Delivered { epoch: 41, since_open: since * 3, since_close: since, events: 10 });
    telemetry.epochs().set_held_by(Some(due.name()));
    telemetry.dead_letters().add(Stage::Shape, Reason::ExpressionError, 1);
    telemetry
}

/// A reader of its own for the text, strict where scrapers are: families once, samples under their family, no sample
/// twice, numbers that parse. Gives series → value.
fn parse(text: &str, format: Format) -> BTreeMap<String, f64> {
    let mut families = BTreeSet::new();
    let mut series = BTreeMap::new();
    let mut family = String::new();
    let mut kind = "";
    let lines: Vec<&str> = text.lines().filter(|line| *line != "# EOF").collect();
    for line in lines {
        assert!(!line.is_empty());
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, of) = rest.split_once(' ').expect("a type follows the name");
            (family, kind) = (name.to_string(), of);
            continue;
        }
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let name = rest.split(' ').next().expect("split gives at least one").to_string();
            assert!(families.insert(name.clone()), "{name} twice");
            continue;
        }
        let (id, value) = line.rsplit_once(' ').expect("a value follows the series");
        let name = id.split('{').next().expect("split gives at least one");
        let allowed: Vec<String> = match kind {
            "counter" if format == Format::OpenMetrics => vec![format!("{family}_total")],
            "histogram" => ["_bucket", "_sum", "_count"].iter().map(|suffix| format!("{family}{suffix}")).collect(),
            _ => vec![family.clone()],
        };
        assert!(allowed.iter().any(|allowed| allowed == name), "{name} under {family}");
        assert!(name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'), "{name}");
        let value: f64 = value.parse().expect("a number");
        assert!(value >= 0.0 && value.is_finite(), "{line}");
        assert!(series.insert(id.to_string(), value).is_none(), "{id} twice");
    }
    series
}

#[test]
fn both_formats_are_valid_and_say_the_same() {
    let telemetry = busy_job();
    let classic = render(&telemetry, Format::Prometheus);
    let open = render(&telemetry, Format::OpenMetrics);
    assert!(open.ends_with("# EOF\n") && !classic.contains("# EOF"));
    let classic = parse(&classic, Format::Prometheus);
    let names = |series: &BTreeMap<String, f64>| series.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&classic), names(&parse(&open, Format::OpenMetrics)));
    let value = |series: &str| classic.get(series).copied().unwrap_or_else(|| panic!("no {series} in {classic:#?}"));
    assert_eq!(value("tidemill_source_events_total{source=\"orders\"}"), 10.0);
    assert_eq!(
        value("tidemill_source_lag_records{source=\"orders\",topic=\"orders \\\"v1\\\"\\n\\\\\",partition=\"3\"}"),
        7.0
    );
    assert_eq!(value("tidemill_step_dropped_total{step=\"due\",reason=\"where\"}"), 4.0);
    assert_eq!(value("tidemill_step_busy_seconds_total{step=\"due\",worker=\"1\"}"), 0.003);
    assert_eq!(value("tidemill_event_latency_seconds_bucket{output=\"deliveries\",le=\"0.0025\"}"), 0.0);
    assert_eq!(value("tidemill_event_latency_seconds_bucket{output=\"deliveries\",le=\"0.005\"}"), 5.0);
    assert_eq!(value("tidemill_epoch_delivered"), 41.0);
    assert_eq!(value("tidemill_epoch_held_by{step=\"due\"}"), 1.0);
    assert_eq!(value("tidemill_rules_by_class{step=\"due\",class=\"wildcard\"}"), 1.0);
    assert_eq!(value("tidemill_dead_letters_total{stage=\"shape\",reason=\"ExpressionError\"}"), 1.0);
}

#[test]
fn what_is_unknown_is_absent() {
    let telemetry = Telemetry::new(1);
    telemetry.source("orders");
    let text = render(&telemetry, Format::Prometheus);
    let series = parse(&text, Format::Prometheus);
    for name in ["tidemill_source_lag_records", "tidemill_source_lag_seconds", "tidemill_epoch_delivered"] {
        assert!(!series.keys().any(|series| series.starts_with(name)), "{name}");
    }
    assert_eq!(series.get("tidemill_source_events_total{source=\"orders\"}"), Some(&0.0));
}

#[test]
fn names_are_the_same_before_and_after_a_job_has_run() {
    let families = |text: String| {
        let names: Vec<String> = text.lines().filter(|line| line.starts_with("# TYPE")).map(String::from).collect();
        names
    };
    let idle = families(render(&Telemetry::new(1), Format::Prometheus));
    assert_eq!(idle, families(render(&busy_job(), Format::Prometheus)));
}
