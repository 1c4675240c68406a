//! What a checked dataflow file says: the types of a [`Plan`], as the rooms read them.
//!
//! Everything here is resolved: names are numbers of streams and slots, texts are compiled expressions.

use std::sync::Arc;
use std::time::Duration;

use crate::event::{LayoutId, Micros, SlotId};
use crate::expr::{AggCall, Expr, Type};
use crate::json::Path;
use crate::pattern::Pattern;
use crate::plan::{Hidden, Scope};

pub type FrameId = usize;

/// A checked dataflow file.
#[derive(Debug)]
pub struct Plan {
    pub name: Arc<str>,
    /// XXH3 of everything in the plan that decides results (file text after environment values, program version).
    pub hash: u64,
    pub frames: Vec<Frame>,
    pub sources: Vec<Source>,
    pub tables: Vec<Table>,
    /// In an order in which every step follows its inputs. Unused steps are not here.
    pub steps: Vec<Step>,
    pub outputs: Vec<Output>,
    /// Names of sources and tables that no output reads: they do not run.
    pub unused: Vec<Arc<str>>,
    pub dead_letters: DeadLetters,
    pub limits: Limits,
    /// What the environment gave the file.
    pub hidden: Hidden,
    /// Does any step keep state (aggregate; later dedupe and the like)? A job that has none resumes from offsets.
    pub stateful: bool,
}

impl Plan {
    /// The frame of a stream's events.
    pub fn frame_of(&self, id: StreamId) -> FrameId {
        match id {
            StreamId::Source(index) => self.sources[index].decode.frame,
            StreamId::Table(index) => self.tables[index].decode.frame,
            StreamId::Step(index) => self.steps[index].frame,
        }
    }

    /// Does anyone read the row that a change of this step's result replaces? Steps and lookups do, and outputs with
    /// a condition or a key of their own, or with expressions: where one fails the row before is deleted.
    pub fn reads_rows_before(&self, step: usize) -> bool {
        let id = StreamId::Step(step);
        let looks_up = |op: &ShapeOp| matches!(op, ShapeOp::Lookup(lookup) if lookup.table == id);
        let by_step = self.steps.iter().any(|other| {
            other.inputs.contains(&id) || matches!(&other.kind, StepKind::Shape(ops) if ops.iter().any(looks_up))
        });
        let mut outputs = self.outputs.iter().filter(|output| output.from.contains(&id));
        let computes = |output: &Output| {
            let plain = matches!((&output.value, &output.format), (OutputValue::Whole, OutputFormat::Json));
            !plain || !output.headers.is_empty()
        };
        by_step || outputs.any(|output| output.condition.is_some() || output.key.is_some() || computes(output))
    }
}

/// Something that steps and outputs read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StreamId {
    Source(usize),
    Table(usize),
    Step(usize),
}

/// A numbering of paths, shared by all streams between two aggregates.
#[derive(Debug, Default)]
pub struct Frame {
    /// Slot → path within the event's body.
    pub paths: Vec<Path>,
    /// Layout → how a body is written.
    pub layouts: Vec<Layout>,
}

/// The edits that an event's body has seen, in order. Layout 0 of a frame of sources or tables has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// Does the body begin as the record's payload, or empty (a row that an aggregate made)?
    pub from_payload: bool,
    pub edits: Vec<Edit>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// The path of this slot now has the slot's value (NULL is written as `null`).
    Set(SlotId),
    Drop(Path),
    /// Only these are left.
    Keep(Vec<Path>),
}

/// A slot to write, and the other slots of the frame that change with it.
#[derive(Clone, Debug)]
pub struct Target {
    pub slot: SlotId,
    /// Slots below it, each with the rest of its path.
    pub below: Vec<(SlotId, Path)>,
    /// Slots above it, each with the path from there to here.
    pub above: Vec<(SlotId, Path)>,
}

/// Slots after a `keep` or `drop`.
#[derive(Clone, Debug, Default)]
pub struct Prune {
    /// Slots that become NULL.
    pub clear: Vec<SlotId>,
    /// Slots that hold a JSON object of which a part goes: for `drop` the paths to remove, for `keep` those to leave.
    pub trim: Vec<(SlotId, Vec<Path>)>,
}

#[derive(Debug)]
pub struct Source {
    pub name: Arc<str>,
    pub topics: Vec<Arc<str>>,
    pub start: Start,
    pub decode: Decode,
    /// Below the greatest event time seen, by this much, lies the watermark. Microseconds.
    pub lateness: Micros,
    /// Partitions without data for this long (by the epochs' times) do not hold the watermark; `None` is `off`.
    pub idle: Option<Micros>,
}

/// How a record becomes an event: shared by sources and tables.
#[derive(Debug)]
pub struct Decode {
    pub format: Format,
    pub frame: FrameId,
    /// What to read from the payload.
    pub reads: Vec<Read>,
    /// A TIMESTAMP, or text in RFC 3339; evaluated on the event's slots. `None`: the record's timestamp.
    pub time: Option<Expr>,
}

/// One path to read into one slot.
#[derive(Clone, Debug)]
pub struct Read {
    pub slot: SlotId,
    pub path: Path,
    /// From `fields`; `None` is dynamic.
    pub ty: Option<Type>,
    pub not_null: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Json,
    CloudEvents,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    Earliest,
    Latest,
    At(Micros),
}

#[derive(Debug)]
pub struct Table {
    pub name: Arc<str>,
    pub topics: Vec<Arc<str>>,
    pub decode: Decode,
    /// The fields that are the key; `None`: the record's key, a VARCHAR.
    pub key: Option<Vec<SlotId>>,
    pub ttl: Option<Micros>,
    /// As for sources: a table has a watermark too, by which rows leave where there is no source.
    pub lateness: Micros,
    pub idle: Option<Micros>,
}

#[derive(Debug)]
pub struct Step {
    pub name: Arc<str>,
    pub inputs: Vec<StreamId>,
    /// Are its results a changing collection?
    pub changing: bool,
    /// Does an expression of it read `now()`, so that it must wait for its epoch's time?
    pub needs_clock: bool,
    /// The frame of its results. For all but aggregates it is also that of its inputs.
    pub frame: FrameId,
    /// Layout of an input event (index) → layout of the result. For an aggregate the first entry is the layout of all
    /// its results: 0, unless its results share a frame with other streams.
    pub layouts: Vec<Option<LayoutId>>,
    pub kind: StepKind,
}

#[derive(Debug)]
pub enum StepKind {
    /// In the order in which they apply.
    Shape(Vec<ShapeOp>),
    Match(Match),
    Aggregate(Aggregate),
}

#[derive(Debug)]
pub enum ShapeOp {
    Where(Expr),
    Unnest(Unnest),
    Lookup(Lookup),
    Set { target: Target, expr: Expr },
    Keep(Prune),
    Drop(Prune),
}

#[derive(Debug)]
pub struct Unnest {
    pub items: SlotId,
    /// Slots that the array's leaving changes.
    pub remove: Prune,
    pub item: Target,
    pub index: Target,
}

#[derive(Debug)]
pub struct Lookup {
    /// A table, or an unwindowed aggregate (a changing collection) by its name.
    pub table: StreamId,
    /// The values that are the key, in the order of the table's key.
    pub on: Vec<Expr>,
    pub row: RowTarget,
    pub required: bool,
}

/// Where a table's row (or a rule) goes in an event: the field as a whole, and its parts that anything names.
#[derive(Debug)]
pub struct RowTarget {
    /// The field's name (`price`, `rule`).
    pub name: Arc<str>,
    pub target: Target,
    /// Slot of the event ← slot of the row's frame: a quicker way to fill `target.below`.
    pub fill: Vec<(SlotId, SlotId)>,
}

#[derive(Debug)]
pub struct Match {
    pub rules: Rules,
    pub results: Results,
    /// The field `rule` as `when` and `best` see it, whatever the result calls it.
    pub rule: RowTarget,
    /// The field of the result: `rule`, `rules` or what `as` says.
    pub result: Target,
}

#[derive(Debug)]
pub enum Rules {
    /// Rules in the file, by id.
    File(Vec<FileRule>),
    /// Rows of a table. `when` is compiled while running, in this scope.
    Table { table: StreamId, pattern: SlotId, when: Option<SlotId>, scope: RuleScope },
}

#[derive(Debug)]
pub struct FileRule {
    pub id: Arc<str>,
    pub pattern: Pattern,
    pub when: Option<Expr>,
    /// The rule as JSON: `{"id":…}` and the entries of `with`.
    pub body: Arc<str>,
}

/// What live rules may name. Paths that have no slot are reached through the event's body.
#[derive(Clone, Debug)]
pub struct RuleScope {
    /// Path and slot of all that the frame holds, with what is known of the type.
    pub names: Vec<(Path, SlotId, Type)>,
    /// The fields of the events, without the rule.
    pub event: Scope,
}

#[derive(Debug)]
pub enum Results {
    Each,
    All,
    Best(Expr),
}

#[derive(Debug)]
pub struct Aggregate {
    /// Evaluated on the input.
    pub by: Vec<Expr>,
    /// Tumbling windows of this many microseconds.
    pub window: Option<Micros>,
    /// Evaluated on the input: what is folded.
    pub calls: Vec<AggCall>,
    /// Evaluated on an *outer row*: the calls' results, then the `by` values, then `window_start` and `window_end`
    /// if there is a window, then the measures before it.
    pub measures: Vec<Expr>,
    /// Evaluated on the outer row with all measures.
    pub having: Option<Expr>,
    /// Slots of the result's frame for: the `by` values, the measures, `window_start`, `window_end`.
    pub columns: Vec<SlotId>,
    pub late: Late,
    pub ttl: Option<Micros>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Late {
    Drop,
    Reject,
}

#[derive(Debug)]
pub struct Output {
    pub name: Arc<str>,
    pub from: Vec<StreamId>,
    pub changing: bool,
    pub topic: Arc<str>,
    /// Names (last segments) and values of the key; `None`: no key for an append stream, the collection's own for a
    /// changing one (whose column names then stand in `key_names`).
    pub key: Option<Vec<Expr>>,
    pub key_names: Vec<Arc<str>>,
    /// Over a changing collection: can two rows have one record key?
    pub shared_keys: bool,
    /// `key: _key`: the record's key as it came.
    pub key_is_input: bool,
    /// Partitioned by these values' key bytes instead of the record key's.
    pub partition_by: Option<Vec<Expr>>,
    pub headers: Vec<(Arc<str>, Expr)>,
    pub condition: Option<Expr>,
    pub value: OutputValue,
    /// Order within an epoch; ties by event order.
    pub order: Vec<(Expr, Direction)>,
    pub format: OutputFormat,
    pub frame: FrameId,
    pub needs_clock: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Ascending,
    Descending,
}

#[derive(Debug)]
pub enum OutputValue {
    /// The whole event, by its layout.
    Whole,
    /// One expression: its JSON text (`_value`: the payload's bytes).
    One(Expr),
    /// An object of these members.
    Object(Vec<Member>),
}

#[derive(Debug)]
pub struct Member {
    pub name: Arc<str>,
    pub value: OutputValue,
}

#[derive(Debug)]
pub enum OutputFormat {
    Json,
    CloudEvents(Box<CloudEventOut>),
}

/// Attributes of a CloudEvent; one that is `None` is the event's field of that name (read through `fallback`).
#[derive(Debug)]
pub struct CloudEventOut {
    pub structured: bool,
    /// Attribute name → expression, those that the file gives.
    pub attributes: Vec<(Arc<str>, Expr)>,
    /// Attribute name → the field of that name, for those that it does not.
    pub fallback: Vec<(Arc<str>, Expr)>,
    /// `data` of an event that came as a CloudEvent.
    pub data: Option<Expr>,
}

#[derive(Debug)]
pub struct DeadLetters {
    pub topic: Arc<str>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Bytes of a record's value.
    pub record: usize,
    pub depth: usize,
    /// How far an event's time may lie after the wall clock.
    pub ahead: Duration,
    pub open_epochs: usize,
    pub open_bytes: usize,
    pub epoch_records: usize,
    pub rejected: RejectedLimit,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RejectedLimit {
    /// Of the last 10,000 records, once 1,000 have been read; 1.0 is 100 %.
    Share(f64),
    /// Over the run.
    Count(u64),
}
