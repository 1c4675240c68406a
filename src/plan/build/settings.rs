//! The file's name, its dead letters and its limits.

use std::sync::Arc;

use crate::plan::problems::Problems;
use crate::plan::read::{self, Fields};
use crate::plan::yaml::Node;
use crate::plan::{DeadLetters, Limits, RejectedLimit};

impl Default for Limits {
    fn default() -> Self {
        Self {
            record: 1 << 20,
            depth: 64,
            ahead: read::std_duration(86_400_000_000),
            open_epochs: 8,
            open_bytes: 64 << 20,
            epoch_records: 100_000,
            rejected: RejectedLimit::Share(1.0),
        }
    }
}

/// `name`: of the job; topics and groups are named after it.
pub fn job_name(top: &Fields<'_>, problems: &mut Problems) -> Option<Arc<str>> {
    let node = top.need("name", "the file", problems)?;
    let scalar = read::text(node, "the name", problems)?;
    let fine = scalar.text.len() <= 200
        && scalar.text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && scalar.text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
    if !fine {
        problems
            .error(&node.span, format!("`{}` is no name for a job", scalar.shown()))
            .help("letters, digits, `.`, `_` and `-`, a letter or digit first: topics and groups are named after it");
        return None;
    }
    Some(scalar.text.as_str().into())
}

/// Where rejected events go: by default `<name>.dead-letters`.
pub fn dead_letters(top: &Fields<'_>, name: &str, problems: &mut Problems) -> DeadLetters {
    let default = DeadLetters { topic: format!("{name}.dead-letters").into() };
    let Some(node) = top.get("dead_letters").filter(|node| !node.is_null()) else { return default };
    let topic = Fields::read(node, "`dead_letters`", &["kafka"], problems)
        .and_then(|fields| fields.need("kafka", "`dead_letters`", problems))
        .and_then(|kafka| Fields::read(kafka, "`kafka`", &["topic"], problems))
        .and_then(|kafka| kafka.need("topic", "`kafka`", problems))
        .and_then(|topic| read::topic(topic, problems));
    topic.map_or(default, |topic| DeadLetters { topic })
}

pub fn limits(top: &Fields<'_>, problems: &mut Problems) -> Limits {
    const KEYS: [&str; 7] = ["record", "depth", "ahead", "open_epochs", "open_bytes", "epoch_records", "rejected"];
    let mut limits = Limits::default();
    let Some(node) = top.get("limits").filter(|node| !node.is_null()) else { return limits };
    let Some(fields) = Fields::read(node, "`limits`", &KEYS, problems) else { return limits };
    let get = |key| fields.get(key);
    if let Some(size) = get("record").and_then(|node| read::size(node, "`record`", problems)) {
        limits.record = size;
    }
    if let Some(depth) = get("depth").and_then(|node| read::count(node, "depth", 1, problems)) {
        limits.depth = depth as usize;
        if depth > 1_000 {
            let span = get("depth").map_or(0..0, |node| node.span.clone());
            problems.error(&span, "`depth` is at most 1000");
        }
    }
    if let Some(ahead) = get("ahead").and_then(|node| read::duration(node, "`ahead`", problems)) {
        limits.ahead = read::std_duration(ahead);
    }
    if let Some(epochs) = get("open_epochs").and_then(|node| read::count(node, "number of epochs", 1, problems)) {
        limits.open_epochs = epochs as usize;
    }
    if let Some(size) = get("open_bytes").and_then(|node| read::size(node, "`open_bytes`", problems)) {
        limits.open_bytes = size;
    }
    if let Some(records) = get("epoch_records").and_then(|node| read::count(node, "number of records", 1, problems)) {
        limits.epoch_records = records as usize;
    }
    if let Some(rejected) = get("rejected").and_then(|node| rejected(node, problems)) {
        limits.rejected = rejected;
    }
    limits
}

/// A share (`5%`) or a count.
fn rejected(node: &Node, problems: &mut Problems) -> Option<RejectedLimit> {
    let scalar = read::text(node, "`rejected`", problems)?;
    let text = scalar.text.trim();
    let limit = match text.strip_suffix('%') {
        Some(share) => share
            .trim()
            .parse::<f64>()
            .ok()
            .filter(|share| (0.0..=100.0).contains(share) && share.is_sign_positive())
            .map(|share| RejectedLimit::Share(share / 100.0)),
        None => text.parse().ok().map(RejectedLimit::Count),
    };
    if limit.is_none() {
        problems
            .error(&node.span, format!("`{}` is neither a share nor a count", scalar.shown()))
            .help("a share of the last 10,000 records such as `5%`, or a count over the run such as `1000`");
    }
    limit
}
