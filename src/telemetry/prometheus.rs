//! Every metric by its name: what `/metrics` answers. Base units, `_total` on counters, absent where unknown.

use super::epochs::EVENT_BUCKETS;
use super::exposition::{Exposition, Format, Kind, Labels};
use super::latency::{BUCKETS, LatencySnapshot};
use super::{Process, REVISION, Telemetry, VERSION};

/// All metrics as text.
pub fn render(telemetry: &Telemetry, format: Format) -> String {
    let mut out = Exposition::new(format);
    out.family("tidemill_build_info", Kind::Gauge, "What is running; always 1.")
        .sample(&[("version", VERSION), ("revision", REVISION)], 1);
    sources(&mut out, telemetry);
    steps(&mut out, telemetry);
    state(&mut out, telemetry);
    epochs(&mut out, telemetry);
    outputs(&mut out, telemetry);
    process(&mut out);
    out.finish()
}

fn sources(out: &mut Exposition, telemetry: &Telemetry) {
    let sources = telemetry.sources();
    let mut family = out.family("tidemill_source_events", Kind::Counter, "Records read.");
    for source in &sources {
        family.sample(&[("source", source.name())], source.total_events());
    }
    let mut family = out.family("tidemill_source_bytes", Kind::Counter, "Bytes of the values read.");
    for source in &sources {
        family.sample(&[("source", source.name())], source.total_bytes());
    }
    let mut family = out.family("tidemill_source_lag_records", Kind::Gauge, "Records not yet delivered.");
    for source in &sources {
        for ((topic, partition), records) in source.lag() {
            let labels: Labels<'_> =
                &[("source", source.name()), ("topic", &topic), ("partition", &partition.to_string())];
            family.sample(labels, records);
        }
    }
    let mut family = out.family(
        "tidemill_source_lag_seconds",
        Kind::Gauge,
        "Age of the oldest record that was read and is not delivered; 0 if none is.",
    );
    for source in &sources {
        source.lag_seconds().map(|seconds| family.sample(&[("source", source.name())], seconds));
    }
    let help = "How far the watermark lies behind the epoch's time.";
    let mut family = out.family("tidemill_watermark_lag_seconds", Kind::Gauge, help);
    for source in &sources {
        source.watermark_lag().map(|seconds| family.sample(&[("source", source.name())], seconds));
    }
}

fn steps(out: &mut Exposition, telemetry: &Telemetry) {
    let steps = telemetry.steps();
    let mut family = out.family("tidemill_step_events", Kind::Counter, "Events into and out of a step.");
    for step in &steps {
        family.sample(&[("step", step.name()), ("direction", "in")], step.total_in());
        family.sample(&[("step", step.name()), ("direction", "out")], step.total_out());
    }
    let mut family = out.family("tidemill_step_dropped", Kind::Counter, "Events that a step let go on purpose.");
    for step in &steps {
        for (reason, events) in step.total_dropped() {
            family.sample(&[("step", step.name()), ("reason", reason)], events);
        }
    }
    let mut family = out.family("tidemill_step_rejected", Kind::Counter, "Events that a step could not handle.");
    for step in &steps {
        for (reason, events) in step.total_rejected() {
            family.sample(&[("step", step.name()), ("reason", &reason.to_string())], events);
        }
    }
    let help = "Time that a worker spent in a step; of one that runs where its source is decoded an estimate.";
    let mut family = out.family("tidemill_step_busy_seconds", Kind::Counter, help);
    for step in &steps {
        for (worker, busy) in step.busy().iter().enumerate() {
            family.sample(&[("step", step.name()), ("worker", &worker.to_string())], busy.as_secs_f64());
        }
    }
}

fn state(out: &mut Exposition, telemetry: &Telemetry) {
    let steps = telemetry.steps();
    let mut family = out.family("tidemill_state_bytes", Kind::Gauge, "Bytes of a step's keyed state.");
    for step in &steps {
        family.sample(&[("step", step.name())], step.state_bytes());
    }
    let mut family = out.family("tidemill_state_keys", Kind::Gauge, "Keys of a step's state.");
    for step in &steps {
        family.sample(&[("step", step.name())], step.state_keys());
    }
    let rules: Vec<_> = steps.iter().filter_map(|step| Some((step.name(), step.rules()?))).collect();
    let mut family = out.family("tidemill_rules", Kind::Gauge, "Rules in force.");
    for (step, gauges) in &rules {
        family.sample(&[("step", step)], gauges.rules);
    }
    let mut family = out.family("tidemill_rules_bytes", Kind::Gauge, "Bytes of the rules' indexes, all workers.");
    for (step, gauges) in &rules {
        family.sample(&[("step", step)], gauges.bytes);
    }
    let mut family = out.family("tidemill_rules_by_class", Kind::Gauge, "Rules in force, by what they cost an event.");
    for (step, gauges) in &rules {
        for (class, rules) in &gauges.classes {
            family.sample(&[("step", step), ("class", class)], rules);
        }
    }
}

fn epochs(out: &mut Exposition, telemetry: &Telemetry) {
    let epochs = telemetry.epochs();
    let help = "From an epoch's opening to its delivery; epochs with events.";
    seconds(out, "tidemill_epoch_duration_seconds", help, &[(&[], epochs.duration().snapshot())]);
    let help = "From an epoch's close to its delivery; epochs with events.";
    seconds(out, "tidemill_epoch_closing_seconds", help, &[(&[], epochs.closing().snapshot())]);
    let (counts, sum) = epochs.events();
    let bounds: Vec<String> = EVENT_BUCKETS.iter().map(|bound| format!("{bound}.0")).collect();
    out.family("tidemill_epoch_events", Kind::Histogram, "Events of an epoch.").histogram(
        &[],
        bounds.iter().map(String::as_str),
        &counts,
        sum,
    );
    out.family("tidemill_epochs_open", Kind::Gauge, "Epochs not yet delivered.").sample(&[], epochs.open());
    let mut family = out.family("tidemill_epoch_delivered", Kind::Gauge, "Number of the last delivered epoch.");
    epochs.last_delivered().map(|epoch| family.sample(&[], epoch));
    let mut family = out.family("tidemill_epoch_held_by", Kind::Gauge, "The step that holds the oldest epoch; 1.");
    epochs.held_by().map(|step| family.sample(&[("step", &step)], 1));
}

fn outputs(out: &mut Exposition, telemetry: &Telemetry) {
    let outputs = telemetry.outputs();
    let mut family = out.family("tidemill_output_records", Kind::Counter, "Records acknowledged.");
    for output in &outputs {
        family.sample(&[("output", output.name())], output.total_records());
    }
    let labels: Vec<_> = outputs.iter().map(|output| [("output", &**output.name())]).collect();
    let latencies: Vec<(Labels<'_>, LatencySnapshot)> =
        labels.iter().zip(&outputs).map(|(labels, output)| (&labels[..], output.latency().snapshot())).collect();
    let help = "From reading a record to the acknowledgement of its result.";
    seconds(out, "tidemill_event_latency_seconds", help, &latencies);
    let mut family = out.family("tidemill_dead_letters", Kind::Counter, "Records that left on the dead letters.");
    for (stage, reason, records) in telemetry.dead_letters().each() {
        family.sample(&[("stage", stage.name()), ("reason", &reason.to_string())], records);
    }
}

fn seconds(out: &mut Exposition, name: &'static str, help: &str, series: &[(Labels<'_>, LatencySnapshot)]) {
    let mut family = out.family(name, Kind::Histogram, help);
    for (labels, latency) in series {
        let bounds = BUCKETS.iter().map(|(_, text)| *text);
        family.histogram(labels, bounds, latency.buckets(), latency.sum_seconds());
    }
}

/// Names as every Prometheus client library gives them; what this system does not tell is left out.
fn process(out: &mut Exposition) {
    let process = Process::now();
    let help = "User and system time, all threads.";
    out.family("process_cpu_seconds", Kind::Counter, help).sample(&[], process.cpu_seconds());
    let gauges = [
        ("process_resident_memory_bytes", "Memory in RAM.", process.resident_bytes),
        ("process_virtual_memory_bytes", "Address space.", process.virtual_bytes),
        ("process_open_fds", "Open file descriptors.", process.open_fds),
        ("process_max_fds", "The most file descriptors that there may be.", process.max_fds),
        ("process_threads", "Threads.", process.threads),
        ("tidemill_allocator_committed_bytes", "Memory that the allocator took.", process.allocator_bytes),
    ];
    for (name, help, value) in gauges {
        let mut family = out.family(name, Kind::Gauge, help);
        value.map(|value| family.sample(&[], value));
    }
    let mut family = out.family("process_start_time_seconds", Kind::Gauge, "Start, since the Unix epoch.");
    process.start_time_seconds.map(|seconds| family.sample(&[], seconds));
}

#[cfg(test)]
mod tests;
