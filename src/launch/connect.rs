//! A plan and the options of this run → a [`House`]: what is read from where, and what goes where.

use std::sync::mpsc::Sender;
use std::sync::{Arc, OnceLock};

use super::{End, LineFormat, Options, Stop, failing, giving_up, kafka};
use crate::emit::files::STANDARD_ERROR;
use crate::emit::sinks::Route;
use crate::epoch::Origin;
use crate::error::{Exit, RunError};
use crate::flow::{House, Input, Output, Reading, Stopper};
use crate::lines::{write_record, write_value};
use crate::plan::Plan;
use crate::source::pace::OpenBytes;
use crate::source::shares::Shares;
use crate::telemetry::Telemetry;

/// Records of each source in an epoch, on files.
const EPOCH_RECORDS: usize = 10_000;

/// Checks that everything the run needs is named, and asks Kafka for what must be known before workers start.
pub fn connect(
    plan: Plan,
    options: &Arc<Options>,
    telemetry: &Arc<Telemetry>,
    stop: &Stop,
    ends: &Sender<End>,
) -> Result<House, RunError> {
    let plan = Arc::new(plan);
    check_names(&plan, options)?;
    let mut topics = kafka::Wanted::default();
    let inputs = inputs(&plan, options, &mut topics)?;
    let wall_clock = inputs.iter().any(|input| matches!(input.reading, Reading::Topics(_)));
    let (routes, files) = routes(&plan, options, &mut topics);
    let kafka = kafka::connect(&plan, options, topics, telemetry, ends)?;
    if plan.stateful && kafka.as_ref().is_some_and(|kafka| !kafka.topics.is_empty()) {
        tracing::info!(
            "this job keeps state in memory: it starts at `start` of its sources and rebuilds, whatever the group's \
             offsets say"
        );
    }
    let asked = stop.clone();
    let request = stop.clone();
    Ok(House {
        telemetry: telemetry.clone(),
        workers: options.workers,
        peers: options.workers * options.processes,
        first_worker: options.workers * options.process,
        epoch: options.epoch,
        wall_clock,
        inputs,
        epoch_records: options.files.epoch_records.unwrap_or(EPOCH_RECORDS),
        record_lines: options.files.lines == LineFormat::Record,
        routes,
        files,
        kafka,
        open_bytes: OpenBytes::default(),
        shares: Arc::new(Shares::new(options.workers, options.workers * options.processes)),
        stop: Stopper {
            is_requested: Arc::new(move || asked.is_requested()),
            request: Arc::new(move || request.request()),
        },
        fail: failing(ends),
        give_up: (options.processes == 1).then(|| giving_up(ends)),
        last: OnceLock::new(),
        plan,
    })
}

fn check_names(plan: &Plan, options: &Options) -> Result<(), RunError> {
    let sources = plan.sources.iter().map(|source| &source.name).chain(plan.tables.iter().map(|table| &table.name));
    let known: Vec<&str> = sources.chain(&plan.unused).map(|name| &**name).collect();
    for (name, _) in &options.files.inputs {
        if !known.contains(&name.as_str()) {
            return Err(unknown("--input", name, "source or table", &known));
        }
    }
    let outputs: Vec<&str> = plan.outputs.iter().map(|output| &*output.name).collect();
    for (name, _) in &options.files.outputs {
        if !outputs.contains(&name.as_str()) {
            return Err(unknown("--output", name, "output", &outputs));
        }
    }
    Ok(())
}

fn unknown(flag: &str, name: &str, what: &str, known: &[&str]) -> RunError {
    let message = format!("{flag} {name}: the file has no {what} of that name; it has {}", known.join(", "));
    RunError::new(Exit::Usage, message)
}

fn inputs(plan: &Plan, options: &Options, topics: &mut kafka::Wanted) -> Result<Vec<Input>, RunError> {
    let sources = plan.sources.iter().enumerate().map(|(i, s)| (Origin::Source(i), &s.name, &s.topics));
    let tables = plan.tables.iter().enumerate().map(|(i, t)| (Origin::Table(i), &t.name, &t.topics));
    let (mut inputs, mut missing) = (Vec::new(), Vec::new());
    for (origin, name, names) in sources.chain(tables) {
        let files = options.files.inputs.iter().filter(|(input, _)| *input == **name);
        let paths: Vec<String> = files.map(|(_, path)| path.clone()).collect();
        let reading = if !paths.is_empty() {
            Reading::Files(paths)
        } else if options.kafka.brokers.is_empty() {
            missing.push(&**name);
            continue;
        } else {
            Reading::Topics(names.iter().map(|topic| topics.read(topic, origin)).collect())
        };
        inputs.push(Input { origin, reading });
    }
    if !missing.is_empty() {
        let flags: Vec<String> = missing.iter().map(|name| format!("--input {name}=PATH")).collect();
        let message = format!("nothing to read from: give --brokers, or {}", flags.join(" "));
        return Err(RunError::new(Exit::Usage, message));
    }
    Ok(inputs)
}

/// Where each output goes, dead letters last, and the files among them.
fn routes(plan: &Plan, options: &Options, topics: &mut kafka::Wanted) -> (Vec<Route>, Vec<Output>) {
    let on_kafka = !options.kafka.brokers.is_empty();
    let write_line = match options.files.lines {
        LineFormat::Value => write_value,
        LineFormat::Record => write_record,
    };
    let (mut routes, mut files) = (Vec::new(), Vec::new());
    let mut file = |path: &str, write_line| {
        files.push(Output { path: path.to_owned(), write_line });
        Route::File(files.len() - 1)
    };
    for output in &plan.outputs {
        let path = options.files.outputs.iter().find(|(name, _)| *name == *output.name);
        routes.push(match path {
            Some((_, path)) => file(path, write_line),
            None if on_kafka => Route::Topic(topics.write(&output.topic)),
            None => Route::Nowhere,
        });
    }
    routes.push(match &options.files.dead_letters {
        Some(path) => file(path, write_record),
        None if on_kafka => Route::Topic(topics.write(&plan.dead_letters.topic)),
        None => file(STANDARD_ERROR, write_record),
    });
    (routes, files)
}
