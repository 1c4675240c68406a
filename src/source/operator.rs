//! Sources and tables as timely operators: what reads stamps the open epoch, closes it, and settles it when delivered.
//!
//! [`files`] reads all files, on one worker of the job, and gives their lines out; [`decode_lines`] decodes them on
//! all. [`topics`] does both at once for the partitions that a worker owns.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use timely::container::CapacityContainerBuilder;
use timely::dataflow::Scope;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;

use super::buffers::CHUNK;
use super::file_reader::{FileInput, FileReader, Step};
use super::files::Lines;
use super::intake::{Batch, UNTIMED};
use super::line_intake::LineIntake;
use super::pace::{OpenEpochs, Reins};
use super::shares::Shares;
use super::topic_reader::{Next, TopicReader};
use crate::epoch::operator::{Edge, Made, PerEpoch, Timer, Wake};
use crate::epoch::{Clock, Epoch, Report};
use crate::error::Rejected;
use crate::event::Event;
use crate::event::row::TableRecord;
use crate::plan::Plan;

type Sender<D> = OutputBuilder<Epoch, CapacityContainerBuilder<Vec<D>>>;

/// Reads files. `records` is the size of an epoch, of each source. With `counting` epochs are numbered 1, 2, 3; else
/// by the wall clock, beside sources that are topics.
pub fn files<'s>(
    scope: Scope<'s, Epoch>,
    inputs: Vec<FileInput>,
    records: usize,
    counting: bool,
    reins: Reins,
    shares: &Arc<Shares>,
) -> (Edge<'s, Lines>, Edge<'s, Report>) {
    let mut builder = OperatorBuilder::new("files".to_owned(), scope);
    let (lines, lines_stream) = builder.new_output();
    let (reports, reports_stream) = builder.new_output();
    let address = builder.operator_info().address;
    if !inputs.is_empty() {
        shares.wake.bind(scope.worker().sync_activator_for(address.to_vec()));
    }
    let shares = shares.clone();
    let activator = Rc::new(scope.activator_for(address.clone()));
    let mut timer = Timer::new(scope.activator_for(address));
    let waking = activator.clone();
    reins.wakes.borrow_mut().push(Box::new(move || waking.activate()));
    let (mut lines, mut reports): (Sender<Lines>, Sender<Report>) =
        (OutputBuilder::from(lines), OutputBuilder::from(reports));
    builder.build_reschedule(move |capabilities| {
        // Whoever reads nothing still tells that it was asked to stop: as of an epoch after all others.
        let mut listening = inputs.is_empty().then(|| capabilities[1].delayed(&Epoch::MAX));
        let mut held = (!inputs.is_empty()).then_some(capabilities);
        let open = OpenEpochs::new(reins.open_bytes.clone(), reins.limits.open_epochs, reins.limits.open_bytes);
        let mut reader = FileReader::new(inputs, records, counting, reins, open, scope.peers(), shares);
        move |_| {
            let Some(capabilities) = &mut held else {
                reader.settle();
                let stopping = reader.is_stopping();
                let told = listening.take_if(|_| stopping || reader.is_over()).filter(|_| stopping);
                if let Some(capability) = told {
                    reports.activate().session(&capability).give(Report::Stopping);
                }
                return listening.is_some() || !reader.open.is_empty();
            };
            let step = reader.step(*capabilities[0].time());
            if !reader.lines.is_empty() {
                lines.activate().session(&capabilities[0]).give_container(&mut reader.lines);
                reader.lines.clear();
            }
            if !reader.reports.is_empty() {
                reports.activate().session(&capabilities[1]).give_container(&mut reader.reports);
                reader.reports.clear();
            }
            match step {
                Step::Wait(time) => timer.within(time),
                Step::Next(epoch) => {
                    capabilities.iter_mut().for_each(|c| c.downgrade(&epoch));
                    activator.activate();
                }
                Step::End => held = None,
            }
            true
        }
    });
    (lines_stream, reports_stream)
}

/// What sources and tables give.
pub struct Intakes<'s> {
    pub events: Vec<Edge<'s, Event>>,
    pub records: Vec<Edge<'s, TableRecord>>,
    pub rejected: Edge<'s, Rejected>,
    pub reports: Edge<'s, Report>,
}

/// The outputs of an operator that decodes, in the order: sources, tables, rejected, reports.
struct Ports {
    events: Vec<Sender<Event>>,
    records: Vec<Sender<TableRecord>>,
    rejected: Sender<Rejected>,
    reports: Sender<Report>,
}

impl Ports {
    fn new<'s>(builder: &mut OperatorBuilder<'s, Epoch>, plan: &Plan) -> (Self, Intakes<'s>) {
        let (events, event_streams) = plan.sources.iter().map(|_| port(builder)).unzip();
        let (records, record_streams) = plan.tables.iter().map(|_| port(builder)).unzip();
        let (rejected, rejected_stream) = port(builder);
        let (reports, report_stream) = port(builder);
        let ports = Self { events, records, rejected, reports };
        let streams = Intakes {
            events: event_streams,
            records: record_streams,
            rejected: rejected_stream,
            reports: report_stream,
        };
        (ports, streams)
    }

    /// Sends a batch on; `capability` gives that of an output.
    fn send(&mut self, batch: &mut Batch, capability: impl Fn(usize) -> Capability<Epoch>) {
        let mut output = 0;
        for (port, data) in self.events.iter_mut().zip(&mut batch.events) {
            give(port, data, || capability(output));
            output += 1;
        }
        for (port, data) in self.records.iter_mut().zip(&mut batch.records) {
            give(port, data, || capability(output));
            output += 1;
        }
        give(&mut self.rejected, &mut batch.rejected, || capability(output));
        give(&mut self.reports, &mut batch.reports, || capability(output + 1));
    }
}

fn port<'s, D: Clone + 'static>(builder: &mut OperatorBuilder<'s, Epoch>) -> (Sender<D>, Edge<'s, D>) {
    let (output, stream) = builder.new_output();
    (OutputBuilder::from(output), stream)
}

fn give<D: 'static>(port: &mut Sender<D>, data: &mut Vec<D>, capability: impl FnOnce() -> Capability<Epoch>) {
    if !data.is_empty() {
        port.activate().session(&capability()).give_container(data);
        data.clear();
    }
}

/// Decodes lines on all workers, a few at a time: what comes after is given its turn between them, and with the first
/// worker the reader, so that the others do not run out of lines.
pub fn decode_lines<'s>(
    lines: Edge<'s, Lines>,
    plan: Arc<Plan>,
    mut intake: LineIntake,
    shares: Arc<Shares>,
    worker: usize,
) -> Intakes<'s> {
    let scope = lines.scope();
    let mut builder = OperatorBuilder::new("decode".to_owned(), scope);
    let (mut ports, streams) = Ports::new(&mut builder, &plan);
    let outputs = plan.sources.len() + plan.tables.len() + 2;
    let connection = (0..outputs).map(|output| (output, timely::progress::Antichain::from_elem(Default::default())));
    let to_worker = Exchange::new(|lines: &Lines| lines.worker);
    let connection: Vec<_> = connection.collect();
    let activator = scope.activator_for(builder.operator_info().address);
    let mut input = builder.new_input_connection(lines, to_worker, connection);
    builder.build(move |capabilities| {
        drop(capabilities);
        let mut batch = Batch::new(&plan);
        let mut waiting = VecDeque::new();
        move |_| {
            input.for_each(|time, data| {
                let time = Rc::new(time);
                waiting.extend(data.drain(..).map(|lines| (time.clone(), lines)));
            });
            let mut decoded = 0;
            while decoded < CHUNK
                && let Some((time, lines)) = waiting.pop_front()
            {
                decoded += lines.bytes.len();
                intake.take(&plan, *time.time(), lines, &mut batch);
                intake.report(&mut batch.reports);
                ports.send(&mut batch, |output| time.retain(output));
                shares.done(worker);
            }
            if !waiting.is_empty() {
                activator.activate();
            }
        }
    });
    streams
}

/// Reads and decodes the partitions that this worker owns.
pub fn topics<'s>(
    scope: Scope<'s, Epoch>,
    plan: &Plan,
    reader: Option<TopicReader>,
    wake: Wake,
    reins: &Reins,
) -> Intakes<'s> {
    let mut builder = OperatorBuilder::new("topics".to_owned(), scope);
    let (mut ports, streams) = Ports::new(&mut builder, plan);
    let address = builder.operator_info().address;
    wake.bind(scope.worker().sync_activator_for(address.to_vec()));
    let activator = Rc::new(scope.activator_for(address.clone()));
    let mut timer = Timer::new(scope.activator_for(address));
    let waking = activator.clone();
    reins.wakes.borrow_mut().push(Box::new(move || waking.activate()));
    let fail = reins.fail.clone();
    builder.build_reschedule(move |capabilities| {
        let mut held = reader.is_some().then_some(capabilities);
        let mut reader = reader;
        let mut started = false;
        move |_| {
            let Some(reader) = &mut reader else { return false };
            let Some(capabilities) = &mut held else {
                // Kept scheduled until the last offsets are settled.
                reader.settle();
                return !reader.open.is_empty();
            };
            let start = if std::mem::replace(&mut started, true) { Ok(()) } else { reader.start() };
            let next = match start.and_then(|()| reader.step(*capabilities[0].time())) {
                Ok(next) => next,
                Err(error) => {
                    fail(error);
                    Next::End
                }
            };
            ports.send(&mut reader.batch, |output| capabilities[output].clone());
            match next {
                Next::Wait(time) => timer.within(time),
                Next::Again => activator.activate(),
                Next::Epoch(epoch) => {
                    capabilities.iter_mut().for_each(|c| c.downgrade(&epoch));
                    activator.activate();
                }
                Next::End => held = None,
            }
            true
        }
    });
    streams
}

/// Gives events whose record has no time that of their epoch.
pub struct Stamp;

impl PerEpoch<Event, Clock, Event> for Stamp {
    fn close(&mut self, _: Epoch, mut events: Vec<Event>, clock: Vec<Clock>, made: &mut Made<Event>) {
        let now = clock.last().map_or(0, |clock| clock.now);
        events.iter_mut().filter(|event| event.time == UNTIMED).for_each(|event| event.time = now);
        made.results = events;
    }
}
