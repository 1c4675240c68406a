//! What good files become.

use tidemill::expr::Type;
use tidemill::json::Path;
use tidemill::plan::*;

use crate::support::{around, check, plan, typed};

const TRIGGERS: &str = include_str!("triggers.yaml");

fn reads(decode: &Decode) -> Vec<String> {
    let mut paths: Vec<String> = decode.reads.iter().map(|read| read.path.to_string()).collect();
    paths.sort();
    paths
}

fn slot(plan: &Plan, frame: usize, path: &str) -> u16 {
    let found = plan.frames[frame].paths.iter().position(|p| p.to_string() == path);
    found.unwrap_or_else(|| panic!("no slot for {path}: {:?}", plan.frames[frame].paths)) as u16
}

fn ops<'p>(plan: &'p Plan, step: &str) -> &'p [ShapeOp] {
    match &plan.steps.iter().find(|s| &*s.name == step).unwrap().kind {
        StepKind::Shape(ops) => ops,
        _ => panic!("{step} is no shape step"),
    }
}

#[test]
fn a_whole_file_becomes_a_plan() {
    let plan = plan(TRIGGERS);
    assert_eq!(&*plan.name, "triggers");
    assert_eq!(plan.steps.iter().map(|s| &*s.name).collect::<Vec<_>>(), ["clean", "due", "spend", "views"]);
    assert!(plan.stateful);
    assert_eq!(plan.outputs.len(), 3);
    assert_eq!(&*plan.dead_letters.topic, "triggers.dead-letters.v1");
    assert_eq!(plan.sources[0].lateness, 30_000_000);
    assert_eq!(plan.sources[0].idle, Some(60_000_000));
}

#[test]
fn only_what_is_named_is_read() {
    let plan = plan(&around("shape:\n  s: { from: orders, where: a > 1, set: { b: c.d, e: b + f }, drop: [g] }", "s"));
    assert_eq!(reads(&plan.sources[0].decode), ["a", "c.d", "f"]);
    assert!(plan.sources[0].decode.reads.iter().all(|read| read.ty.is_none()));
}

#[test]
fn declared_fields_are_read_with_their_types() {
    let plan = plan(&typed("", "orders"));
    let read = |path: &str| plan.sources[0].decode.reads.iter().find(|r| r.path.to_string() == path).unwrap();
    assert_eq!((read("id").ty, read("id").not_null), (Some(Type::Varchar), true));
    assert_eq!((read("user.plan").ty, read("user.plan").not_null), (Some(Type::Varchar), false));
    assert_eq!(plan.sources[0].decode.reads.len(), 5);
}

#[test]
fn a_set_knows_slots_below_and_above() {
    let file = around("shape:\n  s: { from: orders, set: { a.b: x, t: a, u: a.b.c } }", "s");
    let plan = plan(&file);
    let ShapeOp::Set { target, .. } = &ops(&plan, "s")[0] else { panic!("no set") };
    assert_eq!(target.slot, slot(&plan, 0, "a.b"));
    assert_eq!(target.below, [(slot(&plan, 0, "a.b.c"), Path::field("c"))]);
    assert_eq!(target.above, [(slot(&plan, 0, "a"), Path::field("b"))]);
    assert_eq!(reads(&plan.sources[0].decode), ["a", "x"]);
}

#[test]
fn layouts_follow_the_way_of_an_event() {
    let file = around(
        "shape:\n  s: { from: orders, set: { a: x }, drop: [b, c] }\n  u: { from: [orders, s], keep: [a] }",
        "u",
    );
    let plan = plan(&file);
    let layouts = &plan.frames[0].layouts;
    let a = slot(&plan, 0, "a");
    assert!(layouts[0].from_payload && layouts[0].edits.is_empty());
    let (s, u) = (&plan.steps[0], &plan.steps[1]);
    let after_s = usize::from(s.layouts[0].unwrap());
    assert_eq!(layouts[after_s].edits, [Edit::Set(a), Edit::Drop(Path::field("b")), Edit::Drop(Path::field("c"))]);
    let kept = Edit::Keep(vec![Path::field("a")]);
    assert_eq!(layouts[usize::from(u.layouts[0].unwrap())].edits, std::slice::from_ref(&kept));
    assert_eq!(layouts[usize::from(u.layouts[after_s].unwrap())].edits.last(), Some(&kept));
}

#[test]
fn keep_and_drop_clear_and_trim_slots() {
    let file = around(
        "shape:\n  s: { from: orders, set: { p: a, q: a.b, r: c.d }, keep: [a.b, p] }\n  t: { from: s, drop: a.b, where: a.b = 1 }",
        "t",
    );
    let plan = plan(&file);
    let ShapeOp::Keep(keep) = ops(&plan, "s").last().unwrap() else { panic!("no keep") };
    assert_eq!(keep.trim, [(slot(&plan, 0, "a"), vec![Path::field("b")])]);
    let mut cleared: Vec<_> = keep.clear.iter().map(|s| plan.frames[0].paths[usize::from(*s)].to_string()).collect();
    cleared.sort();
    assert_eq!(cleared, ["c.d", "q", "r"]);
    let ShapeOp::Drop(drop) = ops(&plan, "t").last().unwrap() else { panic!("no drop") };
    assert_eq!(drop.clear, [slot(&plan, 0, "a.b")]);
    assert_eq!(drop.trim, [(slot(&plan, 0, "a"), vec![Path::field("b")])]);
}

#[test]
fn a_lookup_fills_what_is_named_of_the_row() {
    let file = around(
        "tables:\n  p: { kafka: { topic: p }, key: [provider, model] }\nshape:\n  s: { from: orders, lookup: { price: { table: p, on: [x, y] } }, set: { cost: price.amount.eur } }",
        "s",
    );
    let plan = plan(&file);
    let ShapeOp::Lookup(lookup) = &ops(&plan, "s")[0] else { panic!("no lookup") };
    let table = plan.tables[0].decode.frame;
    let frame = plan.steps[0].frame;
    assert_ne!(table, frame);
    assert_eq!(lookup.row.fill, [(slot(&plan, frame, "price.amount.eur"), slot(&plan, table, "amount.eur"))]);
    assert_eq!(reads(&plan.tables[0].decode), ["amount.eur", "model", "provider"]);
    assert_eq!(plan.tables[0].key, Some(vec![slot(&plan, table, "provider"), slot(&plan, table, "model")]));
    assert_eq!(reads(&plan.sources[0].decode), ["x", "y"]);
}

#[test]
fn an_aggregate_is_a_table_by_its_name() {
    let file = around(
        "aggregate:\n  sums: { from: orders, by: user, measures: { n: count(*), l: array_agg(x) } }\nshape:\n  s: { from: orders, lookup: { r: { table: sums, on: user } }, where: user = 1, set: { m: r.n, f: 'r.l[0]' } }",
        "s",
    );
    let plan = plan(&file);
    let ShapeOp::Lookup(lookup) = &ops(&plan, "s")[1] else { panic!("no lookup") };
    assert_eq!(lookup.table, StreamId::Step(0));
    let (frame, row) = (plan.steps[1].frame, plan.steps[0].frame);
    let filled: Vec<_> = ["r.n", "r.l"]
        .map(|path| slot(&plan, frame, path))
        .into_iter()
        .zip(["n", "l"].map(|c| slot(&plan, row, c)))
        .collect();
    let mut fill = lookup.row.fill.clone();
    fill.sort();
    let mut expected = filled;
    expected.sort();
    assert_eq!(fill, expected);
}

#[test]
fn columns_of_a_result_stand_in_the_order_of_the_file() {
    let file = around(
        "aggregate:\n  sums: { from: orders, by: { who: user.id }, window: { tumbling: 1m }, measures: { n: count(*), m: n }, having: n > m, late: reject }",
        "sums",
    );
    let plan = plan(&file);
    let step = &plan.steps[0];
    let StepKind::Aggregate(aggregate) = &step.kind else { panic!("no aggregate") };
    let frame = &plan.frames[step.frame];
    let columns: Vec<_> = aggregate.columns.iter().map(|s| frame.paths[usize::from(*s)].to_string()).collect();
    assert_eq!(columns, ["who", "n", "m", "window_start", "window_end"]);
    assert_eq!(frame.layouts.len(), 1);
    assert!(!frame.layouts[0].from_payload);
    assert_eq!(frame.layouts[0].edits.len(), 5);
    assert_eq!((aggregate.window, aggregate.late, step.changing), (Some(60_000_000), Late::Reject, false));
    assert_eq!(step.layouts, [Some(0)]);
    assert!(!plan.outputs[0].changing);
}

#[test]
fn a_collection_keeps_its_key() {
    let file = around(
        "aggregate:\n  sums: { from: orders, by: [user, data.plan], measures: { n: count(*) } }\nshape:\n  big: { from: sums, where: n > 10 }",
        "big",
    );
    let plan = plan(&file);
    let output = &plan.outputs[0];
    assert!(output.changing && output.key.is_none());
    assert_eq!(output.key_names.iter().map(|n| &**n).collect::<Vec<_>>(), ["user", "plan"]);
}

#[test]
fn results_of_a_match_have_the_rule() {
    let file = around(
        "tables:\n  subs: { kafka: { topic: subs }, key: id }\nmatch:\n  due: { from: orders, rules: { table: subs, pattern: pattern, when: condition } }\n  all: { from: orders, rules: { table: subs, pattern: pattern }, results: all }\nshape:\n  s: { from: due, set: { url: rule.endpoint.url, amount: data.amount } }",
        "[s, all]",
    );
    let plan = plan(&file);
    let matches: Vec<&Match> =
        plan.steps.iter().filter_map(|s| if let StepKind::Match(m) = &s.kind { Some(m) } else { None }).collect();
    let (due, all) = (matches[0], matches[1]);
    assert_eq!(due.rule.target.slot, due.result.slot);
    assert_ne!(all.rule.target.slot, all.result.slot);
    assert_eq!(plan.frames[0].paths[usize::from(all.result.slot)], Path::field("rules"));
    assert_eq!(reads(&plan.tables[0].decode), ["condition", "endpoint.url", "id", "pattern"]);
    assert_eq!(reads(&plan.sources[0].decode), ["data.amount"]);
    let Rules::Table { scope, .. } = &due.rules else { panic!("no table") };
    let mut names: Vec<_> = scope.names.iter().map(|(path, ..)| path.to_string()).collect();
    names.sort();
    assert_eq!(names, ["data.amount", "rule", "rule.endpoint.url"]);
    let Rules::Table { scope, .. } = &all.rules else { panic!("no table") };
    assert!(scope.names.iter().all(|(path, ..)| !path.to_string().contains('\u{0}')), "{:?}", scope.names);
}

#[test]
fn rules_of_the_file_have_bodies() {
    let file = around(
        "match:\n  due:\n    from: orders\n    rules:\n      z: { pattern: { a: [x, 1.50, true] }, with: { level: high, n: 1.50, o: { p: [~, 'q'] } } }\n      a: { pattern: '{\"a\": [1]}', when: rule.level = 'high' AND amount > 1 }",
        "due",
    );
    let plan = plan(&file);
    let StepKind::Match(Match { rules: Rules::File(rules), .. }) = &plan.steps[0].kind else { panic!("no rules") };
    assert_eq!(rules.iter().map(|r| &*r.id).collect::<Vec<_>>(), ["a", "z"]);
    assert_eq!(&*rules[0].body, r#"{"id":"a"}"#);
    assert_eq!(&*rules[1].body, r#"{"id":"z","level":"high","n":1.50,"o":{"p":[null,"q"]}}"#);
    assert!(rules[0].when.is_some());
}

#[test]
fn unused_steps_do_not_run() {
    let (plan, warnings) = check(&around(
        "tables:\n  p: { kafka: { topic: p } }\nshape:\n  a: { from: orders, where: unread > 1 }\n  b: { from: a }",
        "orders",
    ))
    .unwrap();
    assert!(plan.steps.is_empty() && plan.tables.is_empty());
    assert_eq!(plan.unused.iter().map(|n| &**n).collect::<Vec<_>>(), ["p"]);
    assert_eq!(warnings.len(), 2);
    assert!(reads(&plan.sources[0].decode).is_empty());
}

#[test]
fn the_hash_is_of_what_decides_results() {
    let file = around("", "orders").replace("topic: out", "topic: \"${TOPIC}\"");
    let hash = |topic: &str| {
        let env = |_: &str| Some(topic.to_owned());
        tidemill::plan::load("f", &file, &env, Options::default()).unwrap().0.hash
    };
    assert_eq!(hash("a"), hash("a"));
    assert_ne!(hash("a"), hash("b"));
    assert_ne!(plan(&file).hash, plan(&file.replace("topic: orders", "topic: order")).hash);
}

#[test]
fn variables_are_text_and_never_structure() {
    let file = around("", "orders").replace("topic: out", "topic: \"${TOPIC}\", headers: { a: \"'${NONE:-x}$${y}'\" }");
    let plan = plan(&file);
    assert_eq!(&*plan.outputs[0].topic, "orders.v7");
    let structure = around("", "orders").replace("{ kafka: { topic: orders } }", "${SOURCE}");
    let env = |_: &str| Some("{ kafka: { topic: orders } }".to_owned());
    assert!(load("f", &structure, &env, Options::default()).is_err());
}

#[test]
fn limits_have_defaults_and_values() {
    let default = plan(&around("", "orders")).limits;
    assert_eq!((default.record, default.depth, default.open_epochs), (1 << 20, 64, 8));
    assert_eq!(default.rejected, RejectedLimit::Share(1.0));
    let given = plan(&around("limits: { record: 2MiB, rejected: 5%, ahead: 1h }", "orders")).limits;
    assert_eq!((given.record, given.rejected), (2 << 20, RejectedLimit::Share(0.05)));
    assert_eq!(plan(&around("limits: { rejected: 7 }", "orders")).limits.rejected, RejectedLimit::Count(7));
}

#[test]
fn outputs_have_orders_keys_and_values() {
    let file = around("", "orders").replace(
        "kafka: { topic: out }",
        "kafka: { topic: out, key: _key, partition_by: [a, b], headers: { h: _topic } }, order: 'coalesce(a, b) DESC, c', value: { x: a, y: { z: _value } }, format: { cloudevents: { mode: structured, type: \"'t'\" } }",
    );
    let plan = plan(&file);
    let output = &plan.outputs[0];
    assert!(output.key_is_input && output.key.is_none());
    assert_eq!(output.partition_by.as_ref().map(Vec::len), Some(2));
    assert_eq!(output.order.iter().map(|(_, d)| *d).collect::<Vec<_>>(), [Direction::Descending, Direction::Ascending]);
    let OutputValue::Object(members) = &output.value else { panic!("no object") };
    assert!(matches!(&members[1].value, OutputValue::Object(inner) if &*inner[0].name == "z"));
    let OutputFormat::CloudEvents(format) = &output.format else { panic!("no event") };
    assert!(format.structured);
    assert_eq!(format.attributes.len(), 1);
    assert_eq!(
        format.fallback.iter().map(|(n, _)| &**n).collect::<Vec<_>>(),
        ["source", "subject", "id", "time", "datacontenttype"]
    );
}

#[test]
fn a_union_of_windows_and_events_shares_a_frame() {
    let file = around(
        "aggregate:\n  sums: { from: orders, by: user, window: { tumbling: 1m }, measures: { n: count(*) } }\nshape:\n  both: { from: [orders, sums], where: n > 1 }",
        "both",
    );
    let plan = plan(&file);
    let sums = &plan.steps[0];
    assert_eq!(sums.frame, plan.sources[0].decode.frame);
    let layout = &plan.frames[sums.frame].layouts[usize::from(sums.layouts[0].unwrap())];
    assert!(!layout.from_payload && layout.edits.len() == 4);
    assert!(plan.frames[sums.frame].layouts[0].from_payload);
}

#[test]
fn a_type_that_all_inputs_know_stays() {
    let sources = "name: u\nsources:\n  a: { kafka: { topic: a }, fields: { n: BIGINT, t: VARCHAR } }\n  b: { kafka: { topic: b }, fields: { n: BIGINT, t: BIGINT } }\n";
    let emit = "emit: { out: { from: s, kafka: { topic: out } } }\n";
    let file = |condition: &str| format!("{sources}shape:\n  s: {{ from: [a, b], where: \"{condition}\" }}\n{emit}");
    assert!(check(&file("n > 1")).is_ok());
    assert!(check(&file("n > 'x'")).is_err(), "n is a BIGINT in both");
    assert!(check(&file("t > 'x'")).is_ok(), "t is found per event");
    assert!(check(&file("m > 1")).is_err(), "no source declares m");
}

#[test]
fn live_rules_may_name_all_declared_fields_and_no_other() {
    let file = typed(
        "tables:\n  subs: { kafka: { topic: subs } }\nmatch:\n  due: { from: orders, rules: { table: subs, pattern: p, when: w }, as: hit }",
        "due",
    );
    let plan = plan(&file);
    let StepKind::Match(Match { rules: Rules::Table { scope, .. }, .. }) = &plan.steps[0].kind else {
        panic!("no match")
    };
    let mut names: Vec<_> = scope.names.iter().map(|(path, _, ty)| (path.to_string(), *ty)).collect();
    names.sort_by(|a, b| a.0.cmp(&b.0));
    let expected = [
        ("amount", Type::Decimal),
        ("at", Type::Timestamp),
        ("id", Type::Varchar),
        ("items", Type::Json),
        ("rule", Type::Json),
        ("user.plan", Type::Varchar),
    ];
    assert_eq!(names, expected.map(|(name, ty)| (name.to_owned(), ty)));
    assert!(scope.event.closed && !scope.event.known.contains_key(&Path::field("rule")));
}

#[test]
fn parts_of_a_result_are_reached_through_their_column() {
    let file = around(
        "aggregate:\n  sums: { from: orders, by: id, window: { tumbling: 1m }, measures: { last: last(data) } }\nshape:\n  s: { from: sums, where: last.a.b > 1, set: { c: 'last.d[0]' } }",
        "s",
    );
    let plan = plan(&file);
    let paths: Vec<_> = plan.frames[plan.steps[1].frame].paths.iter().map(ToString::to_string).collect();
    assert_eq!(paths, ["id", "last", "window_start", "window_end", "c"]);
}

#[test]
fn cloud_events_keep_their_data_and_attributes() {
    let file = "name: ce\nsources:\n  a: { kafka: { topic: a }, format: cloudevents, fields: { data.n: BIGINT } }\nemit:\n  out: { from: a, kafka: { topic: out }, where: subject = 'x', format: { cloudevents: { type: \"'t'\" } } }\n";
    let plan = plan(file);
    let OutputFormat::CloudEvents(format) = &plan.outputs[0].format else { panic!("no event") };
    assert!(format.data.is_some() && !format.structured);
    assert_eq!(
        reads(&plan.sources[0].decode),
        ["data", "data.n", "datacontenttype", "id", "source", "subject", "time"]
    );
}

#[test]
fn tables_have_clocks_of_their_own() {
    let file = "name: t\ntables:\n  p: { kafka: { topic: p }, time: { from: at, lateness: 5s, idle: off }, ttl: 10m }\nemit:\n  out: { from: p, kafka: { topic: out } }\n";
    let plan = plan(file);
    let table = &plan.tables[0];
    assert_eq!((table.lateness, table.idle, table.ttl), (5_000_000, None, Some(600_000_000)));
    assert!(plan.outputs[0].changing && table.key.is_none());
}

#[test]
fn now_makes_a_step_wait_for_its_epoch() {
    let file = around("shape:\n  a: { from: orders, where: x > 1 }\n  b: { from: a, set: { at: now() } }", "b");
    let plan = plan(&file);
    assert_eq!(plan.steps.iter().map(|s| s.needs_clock).collect::<Vec<_>>(), [false, true]);
}

#[test]
fn the_order_of_keys_in_the_file_does_not_matter() {
    let file =
        around("shape:\n  s: { drop: [b], set: { a: 1 }, where: c, unnest: { items: item }, from: orders }", "s");
    let plan = plan(&file);
    let kinds: Vec<_> = ops(&plan, "s")
        .iter()
        .map(|op| match op {
            ShapeOp::Where(_) => "where",
            ShapeOp::Unnest(_) => "unnest",
            ShapeOp::Lookup(_) => "lookup",
            ShapeOp::Set { .. } => "set",
            ShapeOp::Keep(_) => "keep",
            ShapeOp::Drop(_) => "drop",
        })
        .collect();
    assert_eq!(kinds, ["where", "unnest", "set", "drop"]);
}

#[test]
fn many_rules_of_a_file_are_no_trouble() {
    let mut file = around("match:\n  due:\n    from: orders\n    rules:\nRULES", "due");
    let rules: String =
        (0..20_000).map(|n| format!("      r{n}: {{ pattern: {{ id: [u{n}] }}, when: amount > {n} }}\n")).collect();
    file = file.replace("RULES\n", &rules);
    let plan = plan(&file);
    let StepKind::Match(Match { rules: Rules::File(rules), .. }) = &plan.steps[0].kind else { panic!("no rules") };
    assert_eq!(rules.len(), 20_000);
}
