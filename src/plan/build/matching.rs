//! `match`: rules of the file or of a table, and what a result holds.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::lookup::mount;
use super::{Pass, Stream};
use crate::error::TextError;
use crate::expr::{Place, Type};
use crate::json::{Path, Segment};
use crate::pattern::Pattern;
use crate::plan::as_json;
use crate::plan::read::{self, Fields};
use crate::plan::scope::{DeclId, Known, Scope, type_name};
use crate::plan::yaml::{Entry, Kind, Node, Scalar, Span};
use crate::plan::{Edit, FileRule, Match, Results, RowTarget, RuleScope, Rules, StepKind, StreamId};

const KEYS: [&str; 5] = ["from", "rules", "results", "best", "as"];

/// A match whose live rules see all that their frame holds.
pub(super) struct Live {
    step: usize,
    scope: Scope,
    /// Where the rule stands in the frame.
    rule: Path,
}

#[derive(Clone, Copy, PartialEq)]
enum Which {
    Each,
    All,
    Best,
}

/// Rules, and how a rule looks as a row.
struct Ruled {
    /// `None`: some are wrong.
    rules: Option<Rules>,
    row: Scope,
}

impl Pass<'_, '_> {
    pub(super) fn matching(&mut self, id: DeclId) -> Option<Stream> {
        let outline = self.outline;
        let decl = &outline.decls[id];
        let what = format!("the match `{}`", decl.name);
        let fields = Fields::read(decl.node, &what, &KEYS, self.problems)?;
        let (inputs, mut stream) = self.event_inputs(decl, "`match`", "match the events, before the aggregate");
        let which = self.which(&fields);
        let (result, free) = self.result_field(&fields, which, &decl.span, &stream.scope);
        // `when` and `best` always say `rule`. Where the result does not, the rule has a place of its own that no
        // payload can have.
        let plain = Path::field("rule");
        let rule = if result == plain && which != Which::All { plain } else { Path::field("\u{0}rule") };
        let ruled =
            fields.need("rules", &what, self.problems).and_then(|node| self.rules(node, &stream, &rule, &decl.name));
        let row = ruled.as_ref().map_or_else(|| Scope::unknown(0), |ruled| ruled.row.clone());
        let mut inner = stream.scope.clone();
        mount(&mut inner, &rule, &row, &decl.name);
        let results = self.results(&fields, which, &inner, &rule);
        if inputs.is_empty() || stream.scope.unknown {
            return None;
        }
        match which {
            _ if !free => stream.scope.make(&result, Known::made(Type::Any, &decl.name)),
            Which::All => stream.scope.make(&result, Known::made(Type::Json, &decl.name)),
            Which::Each | Which::Best => mount(&mut stream.scope, &result, &row, &decl.name),
        }
        // What is wrong was reported; the results' fields are known all the same.
        let (Some(Ruled { rules: Some(rules), row, .. }), Some(results), true) = (ruled, results, free) else {
            return Some(stream);
        };
        let target = self.rule_target(&rules, &row, inner, rule);
        let result = self.wires.target(stream.scope.frame, &result);
        let edits = [Edit::Set(result.slot)];
        self.clock |= matches!(&rules, Rules::Table { when: Some(_), .. });
        let kind = StepKind::Match(Match { rules, results, rule: target, result });
        Some(self.push_step(decl.name.clone(), inputs, stream, &edits, kind))
    }

    /// The field that the results have, and whether it is free.
    fn result_field(&mut self, fields: &Fields<'_>, which: Which, span: &Span, scope: &Scope) -> (Path, bool) {
        let default = Path::field(if which == Which::All { "rules" } else { "rule" });
        let given = fields.get("as").and_then(|node| read::text(node, "`as`", self.problems));
        let field = given.and_then(|s| read::field(s, "the field of a result", false, self.problems));
        let path = field.map_or(default, |name| name.path);
        let span = given.map_or(span, |scalar| &scalar.span);
        let free = self.free(scope, &path, span, "`as: name` calls the field of the result differently");
        (path, free)
    }

    /// Where the rule stands for `when` and `best`.
    fn rule_target(&mut self, rules: &Rules, row: &Scope, inner: Scope, rule: Path) -> RowTarget {
        if let Rules::File(_) = rules {
            return RowTarget { name: "rule".into(), target: self.wires.target(inner.frame, &rule), fill: Vec::new() };
        }
        if inner.closed {
            // Live rules may name every field that there is, and no other.
            for path in inner.known.keys().filter(|path| path.below(&rule).is_none()) {
                self.wires.place(&inner, path);
            }
        }
        let target = self.wires.row_target("rule", inner.frame, &rule, row, Some(&Path::field("id")));
        self.live_rules.push(Live { step: self.steps.len(), scope: inner, rule });
        target
    }

    fn which(&mut self, fields: &Fields<'_>) -> Which {
        let words = [("each", Which::Each), ("all", Which::All), ("best", Which::Best)];
        let which = fields.get("results").and_then(|node| read::word(node, "kind of results", &words, self.problems));
        which.unwrap_or(Which::Each)
    }

    fn results(&mut self, fields: &Fields<'_>, which: Which, scope: &Scope, rule: &Path) -> Option<Results> {
        match (which, fields.entry("best")) {
            (Which::Best, None) => {
                let entry = fields.entry("results")?;
                self.problems
                    .error(&entry.value.span, "`results: best` needs `best`")
                    .help("an expression such as `rule.score`: the rule with the greatest value is the best");
                None
            }
            (Which::Best, Some(entry)) => {
                let scalar = read::text(&entry.value, "`best`", self.problems)?;
                let alias = Some(("rule", rule));
                self.compile_with(scalar, 0..scalar.text.len(), scope, alias).map(Results::Best)
            }
            (_, Some(entry)) => {
                self.problems.error(&entry.key.span, "`best` is for `results: best` only");
                None
            }
            (Which::All, None) => Some(Results::All),
            (Which::Each, None) => Some(Results::Each),
        }
    }

    fn rules(&mut self, node: &Node, stream: &Stream, rule: &Path, name: &Arc<str>) -> Option<Ruled> {
        let table = match &node.kind {
            Kind::Map(entries) => entries.iter().find(|e| e.key.text == "table" && e.value.scalar().is_some()),
            _ => None,
        };
        match table {
            Some(table) => self.table_rules(node, table),
            None => self.file_rules(node, stream, rule, name),
        }
    }

    /// `{ table: subscriptions, pattern: pattern, when: condition }`.
    fn table_rules(&mut self, node: &Node, table: &Entry) -> Option<Ruled> {
        let fields = Fields::read(node, "`rules` of a table", &["table", "pattern", "when"], self.problems)?;
        let pattern = fields.need("pattern", "`rules` of a table", self.problems);
        let stream = self.row_stream(&table.value, "`rules`")?;
        let StreamId::Table(_) = stream.id else {
            self.not_yet(
                &table.value.span,
                "rules from an aggregate",
                "rules are rows of a table: let them have a topic",
            );
            return None;
        };
        let pattern = pattern.and_then(|node| self.rule_field(node, "pattern", &stream.scope));
        let when = fields.get("when").map(|node| self.rule_field(node, "when", &stream.scope));
        let mut row = stream.scope.clone();
        let id = match stream.key.as_slice() {
            [(_, ty)] => *ty,
            _ => Type::Any,
        };
        row.known.insert(Path::field("id"), Known::declared(id));
        let scope = RuleScope { names: Vec::new(), event: Scope::unknown(0) };
        let rules = match (pattern, when) {
            (Some(pattern), None) => Some((pattern, None)),
            (Some(pattern), Some(Some(when))) => Some((pattern, Some(when))),
            _ => None,
        };
        let rules = rules.map(|(pattern, when)| Rules::Table { table: stream.id, pattern, when, scope });
        Some(Ruled { rules, row })
    }

    /// A field of a rule's row: its slot.
    fn rule_field(&mut self, node: &Node, key: &str, row: &Scope) -> Option<u16> {
        let what = format!("`{key}`");
        let (name, scalar) = read::path(node, &what, self.problems)?;
        if let Some(word) = read::pseudo_word(&name) {
            self.problems.error(&scalar.span, format!("{what} names a field of the row, `{word}` is not one"));
            return None;
        }
        match row.type_of(&name.path) {
            Ok(Type::Any | Type::Varchar | Type::Null) => {}
            Ok(Type::Json) if key == "pattern" => {}
            Ok(ty) => {
                let ty = type_name(ty);
                self.problems.error(&scalar.span, format!("{what} must be a VARCHAR, `{}` is a {ty}", name.path));
                return None;
            }
            Err(error) => {
                self.problems.error(&scalar.span, error.message).helps(error.help);
                return None;
            }
        }
        match self.wires.place(row, &name.path) {
            Place::Slot(slot) => Some(slot),
            _ => None,
        }
    }

    /// Rules in the file, by id.
    fn file_rules(&mut self, node: &Node, stream: &Stream, rule: &Path, name: &Arc<str>) -> Option<Ruled> {
        let entries = read::entries(node, "`rules`", self.problems)?;
        if entries.is_empty() {
            self.problems.error(&node.span, "`rules` has no rule").help("name: {pattern: {field: [value]}}");
            return None;
        }
        let row = rule_row(entries);
        let mut inner = stream.scope.clone();
        mount(&mut inner, rule, &row, name);
        let rules: Vec<Option<FileRule>> =
            entries.iter().map(|entry| self.file_rule(entry, &stream.scope, &inner, rule)).collect();
        let rules = rules.into_iter().collect::<Option<Vec<_>>>().map(|mut rules| {
            rules.sort_by(|a, b| a.id.cmp(&b.id));
            Rules::File(rules)
        });
        Some(Ruled { rules, row })
    }

    /// `event` is what a pattern may name, `scope` what `when` may: the rule too.
    fn file_rule(&mut self, entry: &Entry, event: &Scope, scope: &Scope, rule: &Path) -> Option<FileRule> {
        let what = format!("the rule `{}`", entry.key.shown());
        let fields = Fields::read(&entry.value, &what, &["pattern", "when", "with"], self.problems)?;
        let pattern = fields.need("pattern", &what, self.problems).and_then(|node| self.pattern(node, event));
        let when = match fields.get("when") {
            Some(node) => {
                let scalar = read::text(node, "`when`", self.problems)?;
                let expr = self.compile_with(scalar, 0..scalar.text.len(), scope, Some(("rule", rule)))?;
                Some(self.must_be_boolean(&expr, &node.span, "`when`").then_some(expr)?)
            }
            None => None,
        };
        let body = self.rule_body(&entry.key, fields.get("with"))?;
        Some(FileRule { id: entry.key.text.as_str().into(), pattern: pattern?, when, body })
    }

    /// A pattern as YAML, or as JSON text.
    fn pattern(&mut self, node: &Node, event: &Scope) -> Option<Pattern> {
        let (text, places) = match &node.kind {
            Kind::Scalar(scalar) if !node.is_null() => (scalar.text.clone(), scalar.places.clone()),
            _ => {
                let json = as_json::json(node)?;
                (json.text, json.places)
            }
        };
        let parsed = Pattern::parse(&text).map_err(|error| vec![error]);
        let unknown = event.unknown_in_pattern(&text);
        let checked = parsed.and_then(|pattern| if unknown.is_empty() { Ok(pattern) } else { Err(unknown) });
        let report = |errors: Vec<TextError>| {
            for error in errors {
                let span = places.span(&error.span);
                if from_environment(node, &span) {
                    self.problems.hidden(&span);
                } else {
                    self.problems.error(&span, error.message).helps(error.help);
                }
            }
        };
        checked.map_err(report).ok()
    }

    /// `{"id":…}` and the entries of `with`.
    fn rule_body(&mut self, id: &Scalar, with: Option<&Node>) -> Option<Arc<str>> {
        let mut body = format!("{{\"id\":{}", as_json::quote(&id.text));
        if let Some(with) = with {
            for entry in read::entries(with, "`with`", self.problems)? {
                if entry.key.text == "id" {
                    self.problems
                        .error(&entry.key.span, "`id` is the rule's name already")
                        .help("call this entry something else");
                    return None;
                }
                let value = as_json::json(&entry.value)?;
                body.push_str(&format!(",{}:{}", as_json::quote(&entry.key.text), value.text));
            }
        }
        body.push('}');
        Some(body.into())
    }

    /// Once all names are known: what live rules may name.
    pub(super) fn finish_live_rules(&mut self) {
        for mut live in std::mem::take(&mut self.live_rules) {
            let plain = Path::field("rule");
            let hidden = live.rule != plain;
            let mut names = Vec::new();
            for (slot, path) in self.wires.paths(live.scope.frame).iter().enumerate() {
                let Ok(ty) = live.scope.type_of(path) else { continue };
                let rest = path.below(&live.rule);
                if !self.wires.holds(&live.scope, path) || (hidden && path.below(&plain).is_some()) {
                    continue;
                }
                if rest.is_none() && matches!(path.0.first(), Some(Segment::Field(name)) if name.starts_with('\u{0}')) {
                    continue;
                }
                names.push((rest.map_or_else(|| path.clone(), |rest| plain.join(&rest)), slot as u16, ty));
            }
            if let StepKind::Match(Match { rules: Rules::Table { scope, .. }, .. }) = &mut self.steps[live.step].kind {
                live.scope.drop_fields(std::slice::from_ref(&live.rule));
                *scope = RuleScope { names, event: live.scope };
            }
        }
    }
}

/// Did the environment give any text that stands here?
fn from_environment(node: &Node, span: &Span) -> bool {
    let scalar = |s: &Scalar| s.template.is_some() && s.span.start <= span.end && span.start <= s.span.end;
    match &node.kind {
        Kind::Scalar(text) => scalar(text),
        Kind::List(items) => items.iter().any(|item| from_environment(item, span)),
        Kind::Map(entries) => entries.iter().any(|e| scalar(&e.key) || from_environment(&e.value, span)),
        Kind::Broken => false,
    }
}

/// What the rules of the file hold: `id`, and the entries of any `with`.
fn rule_row(entries: &[Entry]) -> Scope {
    let mut row = Scope::new(0);
    row.closed = true;
    let mut types: BTreeMap<&str, Type> = BTreeMap::new();
    for rule in entries {
        let Kind::Map(keys) = &rule.value.kind else { continue };
        let Some(Kind::Map(with)) = keys.iter().find(|e| e.key.text == "with").map(|e| &e.value.kind) else { continue };
        for entry in with {
            let ty = json_type(&entry.value);
            let known = types.entry(entry.key.text.as_str()).or_insert(ty);
            if *known != ty {
                *known = Type::Any;
            }
        }
    }
    let known = types.into_iter().map(|(name, ty)| (Path::field(name), Known::declared(ty)));
    row.known.extend(known);
    row.known.insert(Path::field("id"), Known::declared(Type::Varchar));
    row
}

fn json_type(node: &Node) -> Type {
    match (&node.kind, as_json::json(node).map(|json| json.text)) {
        (Kind::List(_) | Kind::Map(_), _) => Type::Json,
        (_, Some(text)) if text.starts_with('"') => Type::Varchar,
        (_, Some(text)) if text == "true" || text == "false" => Type::Boolean,
        (_, Some(text)) if text.parse::<i64>().is_ok() => Type::Bigint,
        _ => Type::Any,
    }
}
