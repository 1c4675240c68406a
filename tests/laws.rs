//! The laws of the house, kept by reading the sources: who may use whom, where timely and the Kafka client may appear,
//! and how long a file may be.
//!
//! Every `crate::…` path in a file counts, in `use` lines (groups too) and in code; comments and texts do not. Unit
//! tests are held to the same laws as the code beside them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Modules in the order in which they stand on each other: each may use those of the rows above it and of its own.
const ORDER: &[&[&str]] = &[
    &["epoch", "error", "event", "json", "lines", "prefetch", "telemetry"],
    &["expr", "kafka", "pattern"],
    &["plan"],
    ROOMS,
    &["flow"],
    &["launch"],
    &["cli", "main"],
];

/// The rooms on the way of the data; they never use each other.
const ROOMS: &[&str] = &["aggregate", "emit", "matching", "shape", "source", "table"];

/// What may point upward after all: the file's module, what it uses, and why.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    ("expr", "plan::Direction", "ascending or descending, a word of the plan that array_agg's ORDER BY shares"),
    ("json", "plan::Frame", "a body is written by the layouts of a frame, which are plain data"),
    ("json", "plan::Layout", "the edits of a body, plain data"),
    ("json", "plan::Edit", "one edit of a body, plain data"),
];

const LONGEST_FILE: usize = 400;

struct Source {
    /// From `src/`: `plan/build/emit.rs`.
    path: String,
    /// The first part of its path: `plan`.
    module: String,
    text: String,
    /// The text without comments and string literals.
    code: String,
}

fn sources() -> Vec<Source> {
    fn walk(dir: &Path, to: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).expect("a folder of the sources") {
            let path = entry.expect("listed").path();
            if path.is_dir() {
                walk(&path, to);
            } else if path.extension().is_some_and(|e| e == "rs") {
                to.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    walk(&root, &mut paths);
    paths.sort();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("a source is UTF-8");
        let path = path.strip_prefix(&root).expect("below src").to_string_lossy().replace('\\', "/");
        let module = path.split('/').next().expect("a first part").trim_end_matches(".rs").to_string();
        Source { path, module, code: code_of(&text), text }
    };
    paths.into_iter().map(read).collect()
}

/// Code alone: line comments, block comments, string, raw string and character literals become spaces.
fn code_of(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let skip = match first {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            '"' => string_end(rest),
            '\'' => char_end(rest),
            'r' if !out.ends_with(|c: char| c.is_alphanumeric() || c == '_') => raw_end(rest),
            _ => 0,
        };
        if skip == 0 {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            out.extend(rest[..skip].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
            rest = &rest[skip..];
        }
    }
    out
}

fn string_end(rest: &str) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// Of a raw string literal; 0 if this is none.
fn raw_end(rest: &str) -> usize {
    let hashes = rest[1..].chars().take_while(|c| *c == '#').count();
    if !rest[1 + hashes..].starts_with('"') {
        return 0;
    }
    let close = format!("\"{}", "#".repeat(hashes));
    let body = 2 + hashes;
    rest[body..].find(&close).map_or(rest.len(), |end| body + end + close.len())
}

/// Of a character literal; 0 if this is a lifetime.
fn char_end(rest: &str) -> usize {
    let mut chars = rest.char_indices().skip(1);
    match (chars.next(), chars.next()) {
        (Some((_, '\\')), _) => rest[3..].find('\'').map_or(0, |end| 3 + end + 1),
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 0,
    }
}

/// Every path below the crate's root that the code names, two segments deep: `plan::Frame`, `event`.
fn crate_paths(code: &str) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    for root in ["crate::", "tidemill::"] {
        for (at, _) in code.match_indices(root) {
            if !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$') {
                expand("", &code[at + root.len()..], &mut paths);
            }
        }
    }
    paths
}

/// Reads `a::b`, `a::{b, c::d}` or `{a, b::c}` at the beginning of a text.
fn expand(prefix: &str, text: &str, paths: &mut BTreeSet<String>) {
    let text = text.trim_start();
    if let Some(group) = text.strip_prefix('{') {
        let mut depth = 0;
        let mut start = 0;
        for (at, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' | ',' if depth == 0 => {
                    if !group[start..at].trim().is_empty() {
                        expand(prefix, &group[start..at], paths);
                    }
                    start = at + 1;
                    if c == '}' {
                        return;
                    }
                }
                '}' => depth -= 1,
                _ => {}
            }
        }
        return;
    }
    let word: String = text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    let path = if prefix.is_empty() { word.clone() } else { format!("{prefix}::{word}") };
    match text[word.len()..].trim_start().strip_prefix("::") {
        Some(rest) if prefix.is_empty() => expand(&path, rest, paths),
        _ => drop(paths.insert(path)),
    }
}

fn rank(module: &str) -> Option<usize> {
    ORDER.iter().position(|row| row.contains(&module))
}

fn is_excepted(module: &str, path: &str) -> bool {
    EXCEPTIONS.iter().any(|(m, p, _)| *m == module && *p == path)
}

#[test]
fn modules_use_only_what_stands_above_them() {
    let mut broken = Vec::new();
    for source in sources().iter().filter(|source| source.module != "lib") {
        let Some(mine) = rank(&source.module) else {
            broken.push(format!("{}: the module is not in the order of tests/laws.rs", source.path));
            continue;
        };
        for path in crate_paths(&source.code) {
            let used = path.split("::").next().expect("split gives one part at least");
            let Some(theirs) = rank(used) else { continue };
            let other_room = used != source.module && ROOMS.contains(&used) && ROOMS.contains(&source.module.as_str());
            if (theirs > mine || other_room) && !is_excepted(&source.module, &path) {
                broken.push(format!("{} uses {path}", source.path));
            }
        }
    }
    assert!(broken.is_empty(), "against the order of src/lib.rs:\n{}", broken.join("\n"));
}

#[test]
fn exceptions_are_still_needed() {
    let used: BTreeSet<(String, String)> = sources()
        .into_iter()
        .flat_map(|source| crate_paths(&source.code).into_iter().map(move |path| (source.module.clone(), path)))
        .collect();
    for (module, path, why) in EXCEPTIONS {
        assert!(used.contains(&((*module).into(), (*path).into())), "{module} no longer uses {path} ({why})");
    }
}

/// Does the code use the crate, as a path's first segment?
fn uses(code: &str, krate: &str) -> bool {
    code.match_indices(krate).any(|(at, _)| {
        let before = code[..at].trim_end();
        let after = &code[at + krate.len()..];
        let whole = !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') && !before.ends_with("crate::");
        let begins = !before.ends_with("::") || before.ends_with(" ::");
        whole && begins && (after.starts_with("::") || (before.ends_with("use") && after.starts_with([';', ' '])))
    })
}

#[test]
fn timely_appears_only_in_operators_flow_and_launch() {
    let allowed = |path: &str| {
        path.ends_with("/operator.rs") || path == "flow.rs" || path.starts_with("flow/") || path.starts_with("launch")
    };
    let broken: Vec<String> = sources()
        .into_iter()
        .filter(|s| !allowed(&s.path) && ["timely", "differential_dataflow"].iter().any(|k| uses(&s.code, k)))
        .map(|source| source.path)
        .collect();
    assert!(broken.is_empty(), "timely or differential in {broken:?}");
}

#[test]
fn a_kafka_client_appears_only_in_kafka_files() {
    let allowed = |path: &str| path.ends_with("kafka.rs") || path.starts_with("kafka/");
    let broken: Vec<String> = sources()
        .into_iter()
        .filter(|s| !allowed(&s.path) && ["rdkafka", "rdkafka_sys"].iter().any(|k| uses(&s.code, k)))
        .map(|source| source.path)
        .collect();
    assert!(broken.is_empty(), "a Kafka client in {broken:?}");
}

#[test]
fn files_are_short_and_say_what_they_promise() {
    let mut broken = Vec::new();
    for source in sources() {
        let lines = source.text.lines().count();
        if lines > LONGEST_FILE {
            broken.push(format!("{}: {lines} lines, at most {LONGEST_FILE}", source.path));
        }
        // What a file of unit tests is about, its name and the code beside it say.
        if !source.path.ends_with("tests.rs") && !source.text.trim_start().starts_with("//!") {
            broken.push(format!("{}: no module doc", source.path));
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn the_reader_of_paths_reads_paths() {
    let code = code_of(
        "use crate::{a::B, c::{D, e::F}, g};\nuse crate::h::*; // crate::no\nlet x = \"crate::no\"; crate::i::j::k('\\'');\nr#\"crate::no\"#;",
    );
    let paths: Vec<String> = crate_paths(&code).into_iter().collect();
    assert_eq!(paths, ["a::B", "c::D", "c::e", "g", "h::", "i::j"]);
    assert!(uses("use timely::x;", "timely") && !uses("crate::timely::x", "timely") && !uses("untimely::x", "timely"));
}
