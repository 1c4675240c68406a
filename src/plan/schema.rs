//! The file format as JSON Schema (2020-12), for editors: every key with what it means.
//!
//! It knows shapes and words, not names: what only [`super::load`] can tell (does this stream exist, does this
//! expression compile) it does not try. Anything that may hold `${VAR}` is accepted with it.

use serde_json::{Value, json};

const DURATION: &str = r"^\s*[0-9]+(us|µs|ms|s|m|h|d)\s*$|\$\{";
const SIZE: &str = r"^\s*[0-9]+(B|KiB|MiB|GiB)?\s*$|\$\{";
const NAME: &str = "^[a-z][a-z0-9_]*$";

/// The schema of a dataflow file.
pub fn schema() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Tidemill dataflow",
        "description": "A stream-processing job: sources and tables, steps, outputs.",
        "type": "object",
        "additionalProperties": false,
        "required": ["name", "emit"],
        "anyOf": [{ "required": ["sources"] }, { "required": ["tables"] }],
        "properties": {
            "name": { "type": "string", "pattern": r"^[A-Za-z0-9][A-Za-z0-9._-]*$|\$\{", "description": "The job's name: its consumer group and its dead-letter topic are called after it." },
            "sources": named("Topics of events, each read once.", source()),
            "tables": named("Topics read as tables: the last record of a key is its row, a null value deletes it.", table()),
            "shape": named("Steps that keep, change, split and enrich events. The keys of a step apply in a fixed order: where, unnest, lookup, set, keep, drop.", shape()),
            "match": named("Steps that find, for each event, the rules that it satisfies.", matching()),
            "aggregate": named("Steps that fold events into one row per group, and window.", aggregate()),
            "emit": named("Outputs: where results go.", emit()),
            "dead_letters": object("Where rejected events go; by default to the topic `<name>.dead-letters`.", &[], json!({
                "kafka": object("The topic.", &["topic"], json!({ "topic": topic() })),
            })),
            "limits": limits(),
            "tests": { "description": "Examples with expected results. They do not run with the job." },
        },
        "$defs": defs(),
    })
}

fn defs() -> Value {
    json!({
        "expression": { "type": ["string", "number", "boolean", "null"], "description": "A SQL expression. A text literal keeps its own quotes: \"'web'\"." },
        "path": { "type": "string", "minLength": 1, "description": "A field's path: `data.items[0].sku`, `\"odd name\"`." },
        "paths": { "oneOf": [{ "$ref": "#/$defs/path" }, { "type": "array", "items": { "$ref": "#/$defs/path" } }], "description": "One path or a list of paths." },
        "duration": { "type": "string", "pattern": DURATION, "description": "A number and a unit: 250ms, 5s, 10m, 24h, 7d." },
        "size": { "type": ["string", "integer"], "pattern": SIZE, "description": "A number and a unit: 64KiB, 1MiB." },
        "count": { "oneOf": [{ "type": "integer", "minimum": 1 }, { "type": "string", "pattern": r"^[0-9_]+$|\$\{" }] },
        "from": { "oneOf": [{ "type": "string", "minLength": 1 }, { "type": "array", "items": { "type": "string" }, "minItems": 1 }], "description": "The source, table or step to read, or a list of them." },
        "pattern": { "type": ["object", "string"], "description": "An event pattern as in Amazon EventBridge: {type: [order.paid], data: {amount: [{numeric: [\">\", 100]}]}}." },
    })
}

fn named(description: &str, item: Value) -> Value {
    json!({
        "type": ["object", "null"],
        "description": description,
        "propertyNames": { "pattern": NAME },
        "additionalProperties": item,
    })
}

fn object(description: &str, required: &[&str], properties: Value) -> Value {
    json!({
        "type": "object",
        "description": description,
        "additionalProperties": false,
        "required": required,
        "properties": properties,
    })
}

/// A shared definition with words of its own.
fn to(definition: &str, description: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{definition}"), "description": description })
}

fn topic() -> Value {
    json!({ "type": "string", "minLength": 1, "description": "A Kafka topic." })
}

fn later(description: &str) -> Value {
    json!({ "description": format!("{description} Not in this release.") })
}

fn fields() -> Value {
    json!({
        "type": ["object", "null"],
        "description": "Declared fields: a path and a type each. With them every expression is checked, and no other field may be named.",
        "additionalProperties": {
            "type": "string",
            "pattern": r"^\s*([Vv][Aa][Rr][Cc][Hh][Aa][Rr]|[Bb][Ii][Gg][Ii][Nn][Tt]|[Dd][Oo][Uu][Bb][Ll][Ee]|[Dd][Ee][Cc][Ii][Mm][Aa][Ll]|[Bb][Oo][Oo][Ll][Ee][Aa][Nn]|[Tt][Ii][Mm][Ee][Ss][Tt][Aa][Mm][Pp]|[Jj][Ss][Oo][Nn])(\s+[Nn][Oo][Tt]\s+[Nn][Uu][Ll][Ll])?\s*$|\$\{",
            "description": "VARCHAR, BIGINT, DOUBLE, DECIMAL, BOOLEAN, TIMESTAMP or JSON, with or without NOT NULL.",
        },
    })
}

fn time() -> Value {
    object(
        "The event's time; by default the record's timestamp.",
        &[],
        json!({
            "from": to("expression", "A TIMESTAMP, or text in RFC 3339."),
            "lateness": to("duration", "How far behind the greatest time seen an event may be before it is late. Default: 0s."),
            "idle": { "oneOf": [{ "$ref": "#/$defs/duration" }, { "enum": ["off", false] }], "description": "A partition without data for this long does not hold windows open. Default: 1m; `off`: never." },
        }),
    )
}

fn format() -> Value {
    json!({ "enum": ["json", "cloudevents"], "description": "The format of values. Default: json." })
}

fn source() -> Value {
    object(
        "A source.",
        &["kafka"],
        json!({
            "kafka": object("Topics, and where to begin.", &[], json!({
                "topic": topic(),
                "topics": { "oneOf": [topic(), { "type": "array", "items": topic(), "minItems": 1 }], "description": "Several topics." },
                "start": { "type": "string", "description": "earliest (default), latest or a timestamp; used where no progress is stored." },
            })),
            "format": format(),
            "fields": fields(),
            "time": time(),
        }),
    )
}

fn table() -> Value {
    object(
        "A table.",
        &["kafka"],
        json!({
            "kafka": object("The topic.", &[], json!({
                "topic": topic(),
                "topics": { "oneOf": [topic(), { "type": "array", "items": topic(), "minItems": 1 }], "description": "Several topics." },
            })),
            "key": to("paths", "Fields of the value that are the row's key. Default: the record's key."),
            "ttl": to("duration", "A row leaves when its time plus this has passed."),
            "format": format(),
            "fields": fields(),
            "time": time(),
        }),
    )
}

fn shape() -> Value {
    object(
        "A step.",
        &["from"],
        json!({
            "from": to("from", "What it reads."),
            "where": to("expression", "Events for which this is not TRUE are dropped."),
            "unnest": { "type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": { "type": "string" }, "description": "{items: item}: one event per element of an array, the element as `item`, its position as `item_index`." },
            "lookup": { "type": "object", "description": "Fields that hold a table's row.", "additionalProperties": object("A row of a table, or of an aggregate without a window.", &["table", "on"], json!({
                "table": { "type": "string", "description": "The table." },
                "on": to("paths", "The values that are the table's key."),
                "required": { "type": "boolean", "description": "Drop events without a row." },
            })) },
            "set": { "type": "object", "description": "Fields and their expressions, each sees those before it.", "additionalProperties": { "$ref": "#/$defs/expression" } },
            "keep": to("paths", "The only fields to leave."),
            "drop": to("paths", "Fields to remove."),
            "redact": later("Masks, hashes or removes fields."),
            "sample": later("Keeps a fixed share."),
            "limit": later("Passes so many per key and period."),
            "dedupe": later("Passes the first event of a key."),
            "changed": later("Passes when values change."),
            "changes": later("Makes events of a changing collection's changes."),
            "delay": later("Holds events until they are due."),
            "batch": later("Gathers events."),
        }),
    )
}

fn matching() -> Value {
    let table = object(
        "Rules as rows of a table.",
        &["table", "pattern"],
        json!({
            "table": { "type": "string", "description": "The table." },
            "pattern": to("path", "The field that holds the pattern."),
            "when": to("path", "The field that holds the condition, a SQL expression."),
        }),
    );
    let file = json!({ "type": "object", "description": "Rules by name.", "additionalProperties": object("A rule.", &["pattern"], json!({
        "pattern": to("pattern", "What an event must look like."),
        "when": to("expression", "And must satisfy."),
        "with": { "type": "object", "description": "Fields of `rule` in the result." },
    })) });
    object(
        "A match.",
        &["from", "rules"],
        json!({
            "from": to("from", "What it reads."),
            "rules": { "anyOf": [table, file], "description": "Rules of a table, or in the file." },
            "results": { "enum": ["each", "all", "best"], "description": "One event per match (default), one with all of them, or the best only." },
            "best": to("expression", "For `results: best`: the rule with the greatest value."),
            "as": { "type": "string", "description": "The field of the result. Default: rule, with `all` rules." },
        }),
    )
}

fn aggregate() -> Value {
    object(
        "An aggregate.",
        &["from", "by", "measures"],
        json!({
            "from": to("from", "What it reads."),
            "by": { "oneOf": [
                { "$ref": "#/$defs/paths" },
                { "type": "object", "additionalProperties": { "$ref": "#/$defs/expression" } },
            ], "description": "Groups: paths, or names and expressions; [] is one group of all." },
            "window": { "oneOf": [{ "enum": ["none"] }, object("Windows of event time.", &[], json!({
                "tumbling": to("duration", "Windows of this length, aligned to the Unix epoch."),
                "sliding": later("Windows that overlap."),
                "every": later("How often a sliding window begins."),
                "session": later("Windows that end with a gap."),
            }))], "description": "Windows of event time; without, one row per group that changes." },
            "measures": { "type": "object", "minProperties": 1, "additionalProperties": { "$ref": "#/$defs/expression" }, "description": "Names and expressions over aggregate functions: count(*), sum(x), percentile(x, 0.95) …" },
            "having": to("expression", "Rows for which this is not TRUE do not leave."),
            "results": { "enum": ["final", "early"], "description": "final (default): once, when the window has closed." },
            "late": { "enum": ["drop", "reject"], "description": "What becomes of late events: counted (default), or to the dead letters." },
            "ttl": to("duration", "Without a window: forget a group this long after its last event."),
        }),
    )
}

fn emit() -> Value {
    let attribute = |what: &str| to("expression", what);
    let cloudevents = object(
        "CloudEvents. An attribute left out is the event's field of that name.",
        &[],
        json!({
            "mode": { "enum": ["binary", "structured"], "description": "Default: binary." },
            "type": attribute("The kind of event."),
            "source": attribute("Where it comes from."),
            "subject": attribute("What it is about."),
            "id": attribute("Default: topic, partition and offset of the record."),
            "time": attribute("Default: the event's time."),
            "datacontenttype": attribute("Of the data."),
        }),
    );
    object(
        "An output.",
        &["from", "kafka"],
        json!({
            "from": to("from", "What it writes."),
            "kafka": object("Topic, key, headers.", &["topic"], json!({
                "topic": topic(),
                "key": to("paths", "The record's key. Default: none for events, the collection's own for rows; `_key` keeps the input's."),
                "partition_by": to("paths", "Choose the partition by these instead of the key."),
                "headers": { "type": "object", "additionalProperties": { "$ref": "#/$defs/expression" }, "description": "Headers and their expressions; NULL leaves one out." },
            })),
            "where": to("expression", "Only events for which this is TRUE leave."),
            "value": { "description": "The record's value: an expression, or a mapping of names to values. Default: the whole event." },
            "order": { "oneOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }], "description": "Within an epoch: `priority DESC, id`. Default: event order." },
            "format": { "oneOf": [format(), object("CloudEvents.", &["cloudevents"], json!({ "cloudevents": { "oneOf": [cloudevents, { "type": "null" }] } }))], "description": "Default: json." },
        }),
    )
}

fn limits() -> Value {
    object(
        "Bounds of what is accepted and kept.",
        &[],
        json!({
            "record": to("size", "Of a record's value. Default: 1MiB."),
            "depth": to("count", "Of nesting in a value. Default: 64."),
            "ahead": to("duration", "How far an event's time may lie after the wall clock. Default: 24h."),
            "open_epochs": to("count", "Epochs read and not yet delivered. Default: 8."),
            "open_bytes": to("size", "Payloads read and not yet delivered; an epoch of files is read whole. Default: 64MiB."),
            "epoch_records": to("count", "Records of an epoch. Default: 100000."),
            "rejected": { "oneOf": [{ "type": "integer", "minimum": 0 }, { "type": "string", "pattern": r"^\s*[0-9]+(\.[0-9]+)?\s*%?\s*$|\$\{" }], "description": "The job stops over this share of the last 10,000 records (5%), or count. Default: 100%." },
        }),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::problems::Problems;
    use crate::plan::{Options, as_json, yaml};

    fn accepts(file: &str) -> Result<(), String> {
        let validator = jsonschema::draft202012::new(&schema()).expect("the schema is one");
        let mut problems = Problems::default();
        let node = yaml::parse(file, &Options::default(), &mut problems).expect("it is YAML");
        let json = as_json::json(&node).expect("it has no mistakes").text;
        let json = serde_json::from_str(&json).expect("it is JSON");
        validator.validate(&json).map_err(|error| format!("{}: {error}", error.instance_path()))
    }

    const GOOD: &str = "
name: orders
sources:
  orders: { kafka: { topics: [a, b], start: earliest }, format: json, fields: { id: VARCHAR NOT NULL }, time: { from: at, lateness: 30s, idle: off } }
tables:
  prices: { kafka: { topic: '${PRICES}' }, key: [provider, model], ttl: 10m }
shape:
  clean:
    from: orders
    where: id IS NOT NULL
    unnest: { items: item }
    lookup: { price: { table: prices, on: [provider, model], required: true } }
    set: { cost: 1.5, none: null }
    drop: secret
match:
  due: { from: clean, rules: { table: prices, pattern: pattern } }
  big: { from: clean, rules: { big: { pattern: { amount: [{ numeric: ['>', 100] }] }, when: a > 1, with: { level: 1 } } }, results: best, best: rule.level }
aggregate:
  spend: { from: [clean, big], by: [], window: { tumbling: 1m }, measures: { n: count(*) }, late: reject }
emit:
  out: { from: spend, kafka: { topic: out, key: _key, headers: { a: b } }, value: { a: { b: c } }, order: a DESC, format: { cloudevents: { mode: binary, type: \"'x'\" } } }
dead_letters: { kafka: { topic: dead } }
limits: { record: 1MiB, rejected: 5%, depth: 10 }
tests: [{ anything: goes }]
";

    #[test]
    fn a_good_file_is_accepted() {
        assert_eq!(accepts(GOOD), Ok(()));
    }

    #[test]
    fn typos_are_refused() {
        for (right, wrong) in [
            ("sources:", "source:"),
            ("lateness:", "latenes:"),
            ("30s", "30sec"),
            ("topic: dead", "topics: dead"),
            ("VARCHAR NOT NULL", "TEXT"),
            ("required: true", "required: maybe"),
            ("results: best", "results: first"),
            ("measures:", "measure:"),
            ("mode: binary", "mode: text"),
            ("record: 1MiB", "record: 1MB"),
            ("table: prices, pattern: pattern", "table: prices"),
            ("  orders:", "  Orders:"),
        ] {
            assert!(GOOD.contains(right), "{right}");
            let file = GOOD.replacen(right, wrong, 1);
            assert!(accepts(&file).is_err(), "{wrong} was accepted");
        }
    }
}
