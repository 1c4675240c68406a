//! event → the rules it satisfies, out of many thousands. One index over all rules; pure.
//!
//! ```text
//! rule   ─► conjunctions ─► packed body ─► filed under the cheapest key        (filing, statistics)
//!                                            │
//!                buckets by hash (values, affixes, grams, networks, lists) · ranges by bound
//!                                            │
//! event  ─► leaves at the paths that rules name ─► probes ─► candidates ─► checked ─► handles
//!            (flatten, paths)                      (probe)                 (verify)
//! ```
//!
//! The cost of an event follows the rules that it could match, never the rules there are. What comes out depends on
//! the rules and the event alone, not on the order in which rules came; where a rule is filed may, and shows in time
//! only. The index knows neither what a rule is for nor its name: the caller gives each a small number, its handle.

mod access;
mod buckets;
mod condition;
mod filing;
mod flatten;
mod hash;
mod live;
mod matcher;
pub mod operator;
mod packed;
mod paths;
mod placing;
mod probe;
mod ranges;
pub mod reference;
mod rule_row;
mod statistics;
mod verify;

use smallvec::SmallVec;

pub use flatten::Scratch;
pub use matcher::Matcher;

use crate::json::JsonError;
use crate::pattern::{Field, Pattern};
use buckets::Buckets;
use filing::Shapes;
use packed::{PathId, conditions};
use paths::Paths;
use ranges::RangeId;
use statistics::Statistics;

/// The caller's number of a rule. Memory is used for each number up to the greatest, so reuse them.
pub type RuleHandle = u32;

/// How a rule is found, and so what it costs; the costliest of its conjunctions counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// By values: events without them never touch it.
    Keyed,
    /// By a beginning, an end, three or four bytes of a string, or a network.
    Text,
    /// By a range of numbers; costs where the number is in it.
    Range,
    /// By what is not there (`anything-but`, `exists`): costs where the path is present, or absent.
    Complement,
    /// By nothing that selects: one or two letters, any string. Checked against every event with the path.
    Scan,
}

/// All classes, for metrics.
pub const CLASSES: [Class; 5] = [Class::Keyed, Class::Text, Class::Range, Class::Complement, Class::Scan];

/// At these numbers of rules all are filed anew: the first ones came when little was known.
const REVIEWS: [usize; 4] = [16, 64, 512, 4096];

/// An index over rules.
#[derive(Debug)]
pub struct Index {
    paths: Paths,
    buckets: Buckets,
    shapes: Shapes,
    statistics: Statistics,
    /// By handle.
    rules: Vec<Rule>,
    /// Paths with a list of rules that ask for their absence.
    absent: Vec<PathId>,
    live: usize,
    /// How many of [`REVIEWS`] were held.
    reviews: usize,
    classes: [usize; CLASSES.len()],
    /// Bytes of lists of filings that do not lie in their rule.
    spilled: usize,
}

#[derive(Debug, Default)]
struct Rule {
    /// None: there is no such rule.
    filings: SmallVec<[Filing; 1]>,
    class: Option<Class>,
}

/// Where a record lies.
#[derive(Clone, Copy, Debug)]
enum Filing {
    Bucket { hash: u64, segment: u32, conjunction: u16 },
    Range { path: PathId, id: RangeId, conjunction: u16 },
}

impl Filing {
    fn conjunction(&self) -> u16 {
        match self {
            Filing::Bucket { conjunction, .. } | Filing::Range { conjunction, .. } => *conjunction,
        }
    }
}

impl Default for Index {
    fn default() -> Self {
        Self::new()
    }
}

impl Index {
    pub fn new() -> Self {
        Self {
            paths: Paths::new(),
            buckets: Buckets::default(),
            shapes: Shapes::default(),
            statistics: Statistics::default(),
            rules: Vec::new(),
            absent: Vec::new(),
            live: 0,
            reviews: 0,
            classes: [0; CLASSES.len()],
            spilled: 0,
        }
    }

    /// Rules in the index.
    pub fn len(&self) -> usize {
        self.live
    }

    pub fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// How many rules are found in which way, in the order of [`CLASSES`].
    pub fn classes(&self) -> [usize; CLASSES.len()] {
        self.classes
    }

    /// How a rule is found; `None` if there is no such rule.
    pub fn class_of(&self, rule: RuleHandle) -> Option<Class> {
        self.rules.get(rule as usize)?.class
    }

    /// Bytes of memory that the index uses.
    pub fn bytes(&self) -> usize {
        let rules = self.rules.capacity() * size_of::<Rule>() + self.spilled + self.absent.capacity() * 4;
        self.paths.bytes() + self.buckets.bytes() + self.statistics.bytes() + rules
    }

    /// The rules that an event satisfies, ascending by handle, each once; `found` is emptied first. The text is checked
    /// whole; its nesting is not limited.
    pub fn matches(&self, json: &[u8], scratch: &mut Scratch, found: &mut Vec<RuleHandle>) -> Result<(), JsonError> {
        found.clear();
        scratch.read(&self.paths, &self.buckets, json)?;
        probe::probe(self, json, scratch, found);
        if found.len() > 1 {
            found.sort_unstable();
            found.dedup();
        }
        Ok(())
    }

    /// Adds a rule, in the place of the one that has this handle.
    pub fn insert(&mut self, rule: RuleHandle, pattern: &Pattern) {
        self.remove(rule);
        if self.rules.len() <= rule as usize {
            self.rules.resize_with(rule as usize + 1, Rule::default);
        }
        self.live += 1;
        let mut body = Vec::new();
        let mut crowded = Vec::new();
        for (conjunction, fields) in pattern.conjunctions().into_iter().enumerate() {
            let mut named: SmallVec<[(PathId, &Field); 8]> = SmallVec::new();
            named.extend(fields.into_iter().map(|field| (self.paths.acquire(&field.path), field)));
            body.clear();
            packed::encode(&named, &mut body);
            self.statistics.add(&body, &mut self.paths);
            let plan = self.planner().plan(&body);
            let conjunction = u16::try_from(conjunction).expect("a pattern has few conjunctions");
            self.file(rule, conjunction, &body, plan, &mut crowded);
        }
        for hash in crowded {
            self.review(hash);
        }
        if REVIEWS.get(self.reviews).is_some_and(|rules| self.live >= *rules) {
            self.reviews += 1;
            self.review_all();
        }
    }

    /// Takes a rule out; `false` if there is none.
    pub fn remove(&mut self, rule: RuleHandle) -> bool {
        if self.class_of(rule).is_none() {
            return false;
        }
        while let Some(conjunction) = self.rules[rule as usize].filings.last().map(Filing::conjunction) {
            let body = self.unfile(rule, conjunction);
            self.statistics.take_back(&body, &mut self.paths);
            for condition in conditions(&body) {
                self.paths.release(condition.path);
            }
        }
        self.set_class(rule, None);
        self.live -= 1;
        true
    }
}
