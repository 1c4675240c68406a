//! The dataflow file, checked: what every room is built from.
//!
//! [`load`] turns a file's text into a [`Plan`] or into all its mistakes. A `Plan` holds no name that does not exist
//! and no expression that does not compile, so nothing unchecked can be run by mistake. It is the same on every
//! worker; [`Plan::hash`] is how processes find out that it is.
//!
//! **The way of a file.** `yaml` reads it into a tree that knows its bytes, `env` puts in the environment's values,
//! `outline` finds who reads whom, `build` makes the plan of it, with `scope` for what names mean and `frame` for
//! where their values are. `problems` collects what is wrong on the way, and `report` shows it.
//!
//! **Frames.** Streams that are joined by steps share a *frame*: a numbering of the paths that any of them names.
//! An event's `slots` are values of those paths. An aggregate begins a new frame, and so does a table.
//!
//! **Layouts.** How the body of an event is written: the payload's bytes with a list of edits. Which edits an event
//! has seen depends only on its way, so events carry the number of a layout and every step maps numbers to numbers.

mod as_json;
mod build;
mod env;
mod explain;
mod frame;
mod hidden;
mod near;
mod outline;
mod problems;
mod read;
mod report;
mod schema;
mod scope;
pub mod slots;
mod types;
mod yaml;

pub use explain::{Style, explain};
pub use hidden::Hidden;
pub use report::report;
pub use schema::schema;
pub use scope::{Scope, must_be_boolean};
pub use types::*;

use xxhash_rust::xxh3::Xxh3;

use crate::error::SpecError;
use build::Pass;
use frame::Wires;
use outline::{DeclKind, Outline};
use problems::Problems;
use yaml::Kind;

/// Bounds of what is read at all: a file beyond them is refused before it costs anything.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Of the file.
    pub max_bytes: usize,
    /// Of mappings and lists within each other.
    pub max_depth: usize,
    /// Scalars, lists and mappings.
    pub max_nodes: usize,
    /// Those that aliases stand for, counted each time.
    pub max_copied: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { max_bytes: 64 << 20, max_depth: 64, max_nodes: 4_000_000, max_copied: 100_000 }
    }
}

/// Checks a file. Gives the plan and warnings, or everything that is wrong (warnings included), by position.
///
/// `env` gives environment variables. What it gives is in no message.
pub fn load(
    _path_name: &str,
    text: &str,
    env: &dyn Fn(&str) -> Option<String>,
    options: Options,
) -> Result<(Plan, Vec<SpecError>), Vec<SpecError>> {
    let mut problems = Problems::default();
    let Some(mut root) = yaml::parse(text, &options, &mut problems) else { return Err(problems.finish(text)) };
    env::substitute(&mut root, env, &mut problems);
    let Some(outline) = outline::read(&root, &mut problems) else { return Err(problems.finish(text)) };
    match plan(text, &outline, &mut problems) {
        Some(plan) if !problems.any_errors() => Ok((plan, problems.finish(text))),
        _ => {
            if !problems.any_errors() {
                problems.error(&(0..0), "the file cannot be planned");
            }
            Err(problems.finish(text))
        }
    }
}

/// Checks everything, then builds what outputs use.
fn plan(text: &str, outline: &Outline<'_>, problems: &mut Problems) -> Option<Plan> {
    let name = build::job_name(&outline.top, problems);
    let limits = build::limits(&outline.top, problems);
    let dead_letters = build::dead_letters(&outline.top, name.as_deref().unwrap_or_default(), problems);
    something_to_do(outline, problems);
    let all = vec![true; outline.decls.len()];
    drop(Pass::run(outline, &all, &mut Wires::new(outline.frames), problems));
    if problems.any_errors() {
        return None;
    }
    let mut wires = Wires::new(outline.frames);
    let mut quiet = Problems::default();
    let (sources, tables, steps, outputs) = loop {
        let before = wires.size();
        let Pass { sources, tables, steps, outputs, .. } = Pass::run(outline, &outline.used, &mut wires, &mut quiet);
        if wires.overflow {
            problems.error(&(0..0), "the file names more paths, or has more ways through it, than 65,535");
            return None;
        }
        if wires.size() == before {
            break (sources, tables, steps, outputs);
        }
    };
    debug_assert!(!quiet.any_errors(), "the checking pass finds everything");
    let is_input = |kind| matches!(kind, DeclKind::Source | DeclKind::Table);
    let unused = outline.decls.iter().zip(&outline.used).filter(|(decl, used)| is_input(decl.kind) && !**used);
    Some(Plan {
        name: name?,
        hash: hash(text, problems),
        frames: wires.finish(),
        sources,
        tables,
        stateful: steps.iter().any(|step| matches!(step.kind, StepKind::Aggregate(_))),
        steps,
        outputs,
        unused: unused.map(|(decl, _)| decl.name.clone()).collect(),
        dead_letters,
        limits,
        hidden: Hidden::new(problems.environment().to_vec(), text),
    })
}

fn something_to_do(outline: &Outline<'_>, problems: &mut Problems) {
    let head = read::head(outline.top.node);
    // A section that is no mapping was reported; what it was to hold is not missing.
    let is_wrong =
        |section| outline.top.get(section).is_some_and(|node| !node.is_null() && !matches!(node.kind, Kind::Map(_)));
    let has_input = outline.decls.iter().any(|decl| matches!(decl.kind, DeclKind::Source | DeclKind::Table));
    if !has_input && !is_wrong("sources") && !is_wrong("tables") {
        let span = outline.top.entry("sources").map_or(head.clone(), |entry| entry.key.span.clone());
        problems.error(&span, "the file has no source and no table").help("it needs something to read");
    }
    if outline.emits.is_empty() && !is_wrong("emit") {
        let span = outline.top.entry("emit").map_or(head, |entry| entry.key.span.clone());
        problems.error(&span, "the file has no output").help("`emit` says where results go");
    }
}

/// Of everything that decides results: the file, what the environment put into it, and the program's version.
fn hash(text: &str, problems: &Problems) -> u64 {
    let mut hash = Xxh3::new();
    let mut part = |bytes: &[u8]| {
        hash.update(&(bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    part(env!("CARGO_PKG_VERSION").as_bytes());
    part(text.as_bytes());
    for (place, value) in problems.environment() {
        part(place.as_bytes());
        part(value.as_bytes());
    }
    hash.digest()
}
