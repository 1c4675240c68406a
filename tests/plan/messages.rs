//! Every message, as people see it.

use insta::assert_snapshot;

use crate::support::{around, said, typed};

macro_rules! says {
    ($($name:ident: $file:expr;)*) => {
        $(
            #[test]
            fn $name() {
                let file = $file;
                let file: &str = file.as_ref();
                assert_snapshot!(stringify!($name), format!("{}\n----\n{}", file.trim_end(), said(file)));
            }
        )*
    };
}

fn shape(step: &str) -> String {
    around(&format!("shape:\n  clean:\n    from: orders\n{step}"), "clean")
}

fn typed_shape(step: &str) -> String {
    typed(&format!("shape:\n  clean:\n    from: orders\n{step}"), "clean")
}

fn matching(step: &str) -> String {
    around(&format!("match:\n  due:\n    from: orders\n{step}"), "due")
}

fn typed_matching(step: &str) -> String {
    typed(&format!("match:\n  due:\n    from: orders\n{step}"), "due")
}

fn aggregate(step: &str) -> String {
    around(&format!("aggregate:\n  sums:\n    from: orders\n{step}"), "sums")
}

fn emit(output: &str) -> String {
    format!(
        "name: test\nsources:\n  orders: {{ kafka: {{ topic: orders }} }}\nemit:\n  out:\n    from: orders\n{output}"
    )
}

fn source(keys: &str) -> String {
    format!("name: test\nsources:\n  orders:\n{keys}\nemit:\n  out: {{ from: orders, kafka: {{ topic: out }} }}\n")
}

// YAML itself.
says! {
    an_empty_file: "";
    a_file_that_is_a_list: "- a\n- b\n";
    a_second_document: format!("{}---\nname: again\n", around("", "orders"));
    a_duplicate_key: "name: test\nsources: {}\nname: again\n";
    a_tag: around("limits: { depth: !!int 5 }", "orders");
    a_control_character: "name: te\u{7}st\n";
    a_syntax_error: "name: test\nsources: { orders: [ }\n";
    a_colon_in_an_expression: shape("    where: a = 'b: c'\n");
    a_mapping_as_a_key: "name: test\n? { a: b }\n: c\n";
    an_alias_in_itself: "name: test\nsources: &a { b: *a }\n";
    too_deep: format!("name: {}", "[".repeat(100));
    a_comma_in_braces: aggregate("    by: []\n    measures: {n: count(*), p95: percentile(x, 0.95), m: max(x)}\n");
    two_commas_in_braces: shape("    set: {w: json_object(a, 1), v: sum(a, 1), w: 2}\n");
    a_comma_in_brackets: emit("    kafka: { topic: out }\n    order: [coalesce(a, b) DESC, c]\n");
}

// The environment.
says! {
    a_variable_in_braces_without_quotes: emit("    kafka: { topic: ${TOPIC} }\n");
    a_missing_variable: emit("    kafka: { topic: '${NOWHERE}-out' }\n");
    a_variable_that_is_none: emit("    kafka: { topic: '${a b}' }\n");
    a_variable_without_an_end: emit("    kafka: { topic: '${TOPIC' }\n");
    a_secret_is_not_shown_where_it_is_wrong: source("    kafka: { topic: '${SECRET}' }\n");
    a_secret_is_not_shown_as_a_name: emit("    kafka: { topic: out }\n    form: ${SECRET}\n").replace("from: orders", "from: ${WORD}");
    a_secret_is_not_shown_in_an_expression: typed_shape("    where: id = ${SECRET}\n");
}

says! {
    a_secret_is_not_shown_in_a_pattern: matching("    rules: { big: { pattern: { a: [{ wildcard: 'x**${SECRET}' }] } } }\n");
}

// Positions within texts that are not copies of the file.
says! {
    a_mistake_in_a_file_with_a_byte_order_mark: format!("\u{feff}{}", typed_shape("    where: amuont < 2\n"));
    a_mistake_in_a_file_with_carriage_returns: typed_shape("    where: amuont < 2\n    set: { a: \"idd\" }\n").replace('\n', "\r\n");
    a_mistake_in_a_folded_block: typed_shape("    where: >-\n      amount > 1 AND\n      id = 'x' AND\n      amuont < 2\n");
    a_mistake_in_a_literal_block: typed_shape("    where: |\n      amount > 1\n\n      AND amuont < 2\n");
    a_mistake_behind_escapes: typed_shape("    where: \"id = '\\u00e9\\t\\\"' AND\\\n      \\ amuont < 2\"\n");
    a_mistake_behind_doubled_quotes: typed_shape("    where: 'id = ''x'' AND amuont < 2'\n");
    a_mistake_behind_other_letters: typed_shape("    where: id = 'äöü€😀' AND amuont < 2\n");
    a_mistake_behind_a_variable: typed_shape("    where: id = '${WORD}' AND amuont < 2\n");
    a_mistake_in_a_plain_text_of_two_lines: typed_shape("    where: id = 'x'\n      AND amuont < 2\n");
    a_mistake_in_an_order: typed("", "orders").replace("topic: out }", "topic: out }, order: 'id DESC, amuont ASC'");
    sql_that_does_not_parse: shape("    where: a > > 1\n    set: { b: 'lower(' }\n");
    types_that_do_not_compare: typed_shape("    where: amount > 'x' AND id = 1\n");
    a_condition_that_is_none: typed_shape("    where: amount + 1\n");
    a_percentile_that_is_none: aggregate("    by: id\n    measures: { p: 'percentile(x, 1.5)', q: 'sum(sum(x))' }\n    having: sum(x)\n");
    an_aggregate_function_in_a_step: shape("    where: count(*) > 1\n");
}

// The outline.
says! {
    nothing_to_read_and_nowhere_to_write: "name: test\n";
    no_name: "sources: { a: { kafka: { topic: a } } }\nemit: { a: { from: a, kafka: { topic: a } } }\n";
    a_bad_job_name: around("", "orders").replace("name: test", "name: my job");
    an_unknown_section: around("shapes: {}", "orders");
    a_section_that_is_a_list: around("shape: [a]", "orders");
    a_step_that_is_a_text: around("shape: { clean: orders }", "clean");
    names_of_a_wrong_form: around("shape:\n  Clean-Up: { from: orders }", "orders");
    names_that_are_taken: around("shape:\n  orders: { from: orders }", "orders");
    an_unknown_input_is_reported_once: around("shape:\n  clean: { from: oders, where: a > 1 }\n  more: { from: clean }", "more");
    an_output_cannot_be_read: around("shape:\n  clean: { from: out }", "clean");
    no_from: around("shape:\n  clean: { where: a }", "clean");
    named_twice: around("shape:\n  clean: { from: [orders, orders] }", "clean");
    a_circle: around("shape:\n  a: { from: [orders, c] }\n  b: { from: a }\n  c: { from: b }\n  d: { from: c, were: x }", "d");
    a_step_that_reads_itself: around("shape:\n  a: { from: a }", "a");
    circles_that_share_a_step: around("shape:\n  a: { from: [b, c] }\n  b: { from: a }\n  c: { from: [a, orders] }\n  d: { from: [d, c] }", "d");
    a_circle_through_a_lookup: around("shape:\n  a: { from: orders, lookup: { x: { table: sums, on: id } } }\naggregate:\n  sums: { from: a, by: id, measures: { n: count(*) } }", "a");
    unused: around("tables:\n  prices: { kafka: { topic: p } }\nshape:\n  a: { from: orders }\n  b: { from: a }", "orders");
    a_misspelt_key_is_not_also_missing: around("shape:\n  kept: { form: orders, where: amount > 1 }\naggregate:\n  sums: { from: orders, by: [], mesures: { n: count(*) } }", "[kept, sums]");
    an_unknown_key: shape("    wehre: a > 1\n    zebra: 1\n");
    mixed_inputs: around("tables:\n  prices: { kafka: { topic: p } }\nshape:\n  a: { from: [orders, prices] }", "a");
    a_union_of_collections: around("tables:\n  p: { kafka: { topic: p } }\n  q: { kafka: { topic: q } }", "[p, q]").replace("sources:\n  orders: { kafka: { topic: orders } }\n", "");
}

// Sources and tables.
says! {
    no_kafka: source("    format: json\n");
    no_topic: source("    kafka: { start: latest }\n");
    topic_and_topics: source("    kafka: { topic: a, topics: [b] }\n");
    a_bad_topic: source("    kafka: { topics: [a, a, 'b c'] }\n");
    a_bad_start: source("    kafka: { topic: a, start: newest }\n");
    a_table_with_a_start: around("tables:\n  p: { kafka: { topic: p, start: latest } }", "[p]").replace("sources:\n  orders: { kafka: { topic: orders } }\n", "");
    a_bad_format: source("    kafka: { topic: a }\n    format: avro\n");
    bad_fields: source("    kafka: { topic: a }\n    fields: { a: TEXT, b: VARCHAR NULL, c: VARCHAR, c.d: BIGINT, _key: VARCHAR, 'e[0]': BIGINT }\n");
    a_bad_time: source("    kafka: { topic: a }\n    fields: { n: BIGINT }\n    time: { from: n, lateness: 5, idle: never }\n");
    a_table_key_that_is_not_declared: around("tables:\n  p: { kafka: { topic: p }, key: [provder], fields: { provider: VARCHAR } }\nshape:\n  s: { from: orders, lookup: { r: { table: p, on: x } } }", "s");
    a_table_key_of_the_record: around("tables:\n  p: { kafka: { topic: p }, key: _key }\nshape:\n  s: { from: orders, lookup: { r: { table: p, on: x } } }", "s");
}

// Shape.
says! {
    an_expression_that_is_missing: shape("    where:\n    set: { a: , b: 1 }\n");
    an_expression_that_is_a_list: shape("    where: [a]\n");
    a_field_that_is_not_declared: typed_shape("    where: amuont > 1\n    set: { x: nothing }\n    keep: [user.plam]\n    drop: [ids]\n");
    a_part_of_a_text: typed_shape("    set: { x: id.first }\n");
    a_step_made_field_is_known: typed_shape("    set: { total: amount, x: totl }\n");
    setting_a_pseudo_field: shape("    set: { _key: id, 'a[0]': 1 }\n");
    an_unnest_clash: shape("    unnest: { items: item }\n    lookup: { item: { table: p, on: x } }\n").replace("shape:", "tables:\n  p: { kafka: { topic: p } }\nshape:");
    an_unnest_of_a_text: typed_shape("    unnest: { id: item }\n");
    an_unnest_of_two: shape("    unnest: { a: b, c: d }\n");
    a_lookup_of_too_few: shape("    lookup: { price: { table: p, on: provider } }\n").replace("shape:", "tables:\n  p: { kafka: { topic: p }, key: [provider, model] }\nshape:");
    a_lookup_of_unlike_types: typed_shape("    lookup: { price: { table: p, on: amount, required: yes } }\n").replace("shape:", "tables:\n  p: { kafka: { topic: p }, key: id, fields: { id: VARCHAR } }\nshape:");
    a_lookup_in_a_step: shape("    lookup: { price: { table: other, on: id } }\n  other: { from: orders }\n");
    a_field_that_the_row_has_not: shape("    lookup: { price: { table: p, on: id } }\n    set: { cost: price.amuont }\n").replace("shape:", "tables:\n  p: { kafka: { topic: p }, key: id, fields: { id: VARCHAR, amount: DECIMAL } }\nshape:");
    what_is_not_in_this_release: shape("    dedupe: { key: id, within: 24h }\n    keep: [id, sample_weight]\n    sample: { rate: 0.1, by: id }\n");
    a_lookup_over_a_collection: around("tables:\n  p: { kafka: { topic: p } }\nshape:\n  s: { from: p, lookup: { r: { table: p, on: x } } }", "[s]").replace("sources:\n  orders: { kafka: { topic: orders } }\n", "");
}

// Match.
says! {
    no_rules: matching("    results: all\n");
    a_rule_without_a_pattern: matching("    rules: { big: { when: amount > 1 } }\n");
    a_bad_pattern: matching("    rules:\n      big:\n        pattern: { type: [order.paid], data: { amount: [{ numerc: ['>', 100] }] } }\n");
    a_bad_pattern_as_json: matching("    rules:\n      big:\n        pattern: '{\"type\": [\"order.paid\"], \"data\": {\"amount\": []}}'\n");
    a_pattern_of_fields_that_are_not_declared: typed_matching("    rules:\n      big: { pattern: { amuont: [1], user: { plam: [x] }, _topic: [t] } }\n");
    a_pattern_of_parts_of_a_text: typed_matching("    rules:\n      big:\n        pattern:\n          amount: { x: [1] }\n          $or:\n            - id: [a]\n            - user: { plan: { name: [x] } }\n            - usr: { plan: [x] }\n");
    a_pattern_as_json_of_a_field_that_is_not_declared: typed_matching("    rules: { big: { pattern: '{\"items\": {\"sku\": [1]}, \"user\": {\"plam\": [\"x\"]}}' } }\n");
    a_pattern_of_fields_that_are_gone: typed("shape:\n  s: { from: orders, keep: [id, user.plan] }\n  t: { from: orders, drop: id }\nmatch:\n  due: { from: s, rules: { big: { pattern: { amount: [1], user: { plan: [x] } } } } }\n  all: { from: t, rules: { big: { pattern: { id: [x] } } } }", "[due, all]");
    a_pattern_of_a_part_that_a_row_has_not: typed("tables:\n  users: { kafka: { topic: users }, fields: { name: VARCHAR, tags: JSON } }\nshape:\n  s: { from: orders, lookup: { who: { table: users, on: id } } }\nmatch:\n  due: { from: s, rules: { big: { pattern: { who: { nmae: [x], tags: { a: { b: [1] } } } } } } }", "due");
    patterns_of_all_that_is_declared_and_made: typed("tables:\n  users: { kafka: { topic: users } }\naggregate:\n  sums: { from: orders, by: id, measures: { n: count(*), last: array_agg(items) } }\nshape:\n  s:\n    from: orders\n    lookup: { who: { table: users, on: id }, sum: { table: sums, on: id } }\n    set: { first: 'items[0]', new.n: amount + 1 }\n  t: { from: orders, unnest: { items: item } }\nmatch:\n  due:\n    from: s\n    rules:\n      big:\n        pattern:\n          amount: [1]\n          user: { plan: [x] }\n          items: { sku: { a: [1] } }\n          who: { address: { city: [x] } }\n          sum: { n: [1], last: { sku: [x] } }\n          first: { sku: [x] }\n          new: { n: [1] }\n          $or: [{ id: [x] }, { at: [{ prefix: '2026' }] }]\n  hit: { from: due, rules: { two: { pattern: { rule: { id: [big] } } } }, as: second }\n  item: { from: t, rules: { one: { pattern: { item: { sku: [x] }, item_index: [0] } } } }", "[hit, item]");
    a_secret_is_not_shown_as_a_name_in_a_pattern: typed_matching("    rules: { big: { pattern: { \"${SECRET}\": [1] } } }\n");
    a_with_that_has_an_id: matching("    rules: { big: { pattern: { a: [1] }, with: { id: 1 } } }\n");
    a_field_that_no_rule_has: matching("    rules: { big: { pattern: { a: [1] }, when: rule.levle > 1, with: { level: 1 } } }\n    as: hit\n");
    best_without_best: matching("    rules: { big: { pattern: { a: [1] } } }\n    results: best\n");
    best_without_results: matching("    rules: { big: { pattern: { a: [1] } } }\n    best: rule.id\n");
    a_match_clash: around("shape:\n  s: { from: orders, set: { rule: 1 } }\nmatch:\n  due: { from: s, rules: { big: { pattern: { a: [1] } } } }", "due");
    rules_of_a_source: matching("    rules: { table: orders, pattern: pattern }\n");
    rules_without_a_pattern_field: matching("    rules: { table: subs }\n").replace("match:", "tables:\n  subs: { kafka: { topic: subs } }\nmatch:");
}

// Aggregate.
says! {
    a_step_behind_one_that_is_wrong_is_checked_too: around("match:\n  due: { from: orders, rules: { big: { pattern: { a: [] }, with: { level: 1 } } } }\naggregate:\n  sums: { from: due, by: [rule.levle], measures: { n: sum(, m: max(x) } }\nshape:\n  s: { from: sums, where: k > 1 AND n > 1 AND m > 1 }", "s");
    no_by_and_no_measures: aggregate("    window: none\n");
    a_wrong_group_is_the_only_mistake: aggregate("    by: ['a b', id]\n    measures: { n: count(*), x: id, y: 'sum(a b)' }\n    having: id > 1\n");
    a_name_twice_in_a_result: aggregate("    by: [a.id, b.id]\n    measures: { id: count(*), window_end: count(*) }\n    window: { tumbling: 1m }\n");
    a_field_outside_of_a_function: aggregate("    by: id\n    measures: { n: count(*), x: amount, y: n }\n    having: m > 1\n");
    windows_of_other_kinds: aggregate("    by: id\n    measures: { n: count(*) }\n    window: { sliding: 5m, every: 1m }\n");
    early_results: aggregate("    by: id\n    measures: { n: count(*) }\n    window: { tumbling: 1m }\n    results: early\n    ttl: 1d\n");
    keys_for_windows_only: aggregate("    by: id\n    measures: { n: count(*) }\n    results: final\n    late: drop\n");
    a_window_of_no_length: aggregate("    by: id\n    measures: { n: count(*) }\n    window: { tumbling: 0s }\n");
    an_aggregate_over_a_collection: around("aggregate:\n  a: { from: orders, by: id, measures: { n: count(*) } }\n  b: { from: a, by: [], measures: { n: count(*) } }", "b");
    misspelt_pseudo_fields: typed_shape("    set: { k: _keyy, t: _timestmp, h: _heders.x }\n");
    a_pseudo_field_of_a_result: around("aggregate:\n  a: { from: orders, by: id, measures: { n: count(*) } }\nshape:\n  s: { from: a, set: { k: _key } }", "s");
}

// Emit, limits.
says! {
    fields_without_a_name: "name: test\nsources:\n  orders: { kafka: { topic: orders }, fields: { '': VARCHAR, a: JSON } }\ntables:\n  t: { kafka: { topic: t } }\nshape:\n  s:\n    from: orders\n    lookup: { '': { table: t, on: a } }\n    unnest: { \"\": x }\n    set: { \"\": 1 }\nemit:\n  out: { from: s, kafka: { topic: out } }\n";
    sections_that_are_lists: "name: test\nsources: [e]\nemit: [out]\n";
    an_output_without_a_topic: emit("    kafka: { key: id }\n");
    two_key_fields_of_one_name: emit("    kafka: { topic: out, key: [a.id, b.id] }\n");
    a_value_that_is_a_list: emit("    kafka: { topic: out }\n    value: [a, b]\n");
    an_order_with_a_hole: emit("    kafka: { topic: out }\n    order: a DESC, , b\n");
    a_cloud_event_without_a_type: around("aggregate:\n  a: { from: orders, by: id, measures: { n: count(*) } }", "a").replace("topic: out }", "topic: out }, format: cloudevents");
    a_cloud_event_of_a_result_without_an_id: "name: test\nsources:\n  orders: { kafka: { topic: orders } }\naggregate:\n  a: { from: orders, by: user, measures: { n: count(*) } }\n  w: { from: orders, by: user, window: { tumbling: 1m }, measures: { n: count(*) } }\nemit:\n  out: { from: a, kafka: { topic: out }, format: { cloudevents: { type: \"'t'\", source: \"'s'\" } } }\n  late: { from: w, kafka: { topic: late }, format: { cloudevents: { type: \"'t'\", source: \"'s'\" } } }\n";
    a_cloud_event_of_a_row_without_an_id: "name: test\ntables:\n  t: { kafka: { topic: t }, key: k, fields: { k: VARCHAR } }\nemit:\n  out: { from: t, kafka: { topic: out }, format: { cloudevents: { type: \"'t'\", source: \"'s'\" } } }\n";
    a_cloud_event_of_a_row_that_may_have_an_id: "name: test\ntables:\n  t: { kafka: { topic: t }, key: k }\n  u: { kafka: { topic: u }, key: id, fields: { id: VARCHAR } }\nemit:\n  out: { from: t, kafka: { topic: out }, format: { cloudevents: { type: \"'t'\", source: \"'s'\" } } }\n  all: { from: u, kafka: { topic: all }, format: { cloudevents: { type: \"'t'\", source: \"'s'\" } } }\n";
    a_cloud_event_of_unknown_parts: emit("    kafka: { topic: out }\n    format: { cloudevents: { mode: batch, kind: a } }\n");
    bad_limits: around("limits: { record: 1MB, depth: 0, ahead: 1w, rejected: 101%, open_epochs: many, open_bites: 1 }", "orders");
    bad_dead_letters: around("dead_letters: { topic: dead }", "orders");
}
