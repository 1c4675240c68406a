//! Whatever the bytes, checking a file ends with a plan or with mistakes that point into the file.

use proptest::prelude::*;
use tidemill::plan::{Style, explain, report};

use crate::support::check;

const TRIGGERS: &str = include_str!("triggers.yaml");

/// A file with most keys, some of them wrong.
const MANY: &str = r#"
name: "${TOPIC}"
sources:
  a: &a { kafka: { topics: [x, y], start: 2026-01-01T00:00:00Z }, format: cloudevents, fields: { id: VARCHAR NOT NULL, data.n: DECIMAL } }
  b: *a
tables:
  t: { kafka: { topic: t }, key: [id], ttl: 5m }
shape:
  s:
    from: [a, b]
    where: >
      id = 'x'
      AND data.n > 1
    unnest: { items: item }
    lookup: { r: { table: t, on: id, required: true } }
    set: { "x.y": 'it''s', z: "r.a \u002b 1" }
    keep: [x, z]
    drop: [x.y]
match:
  m: { from: s, rules: { k: { pattern: { x: [ { prefix: a }, null, 1.0 ] }, when: rule.l = 1, with: { l: 1 } } }, results: best, best: rule.l, as: hit }
aggregate:
  g: { from: m, by: { u: x }, window: { tumbling: 1m }, measures: {n: count(*), p: percentile(z, 0.95)}, having: n > 1 }
emit:
  o: { from: g, kafka: { topic: o, key: [u] }, value: { a: { b: n } }, order: n DESC, format: { cloudevents: { type: "'t'", source: u, id: u } } }
limits: { record: 1KiB, rejected: 3% }
"#;

/// Checks a file; everything said points into it and can be shown.
fn survives(file: &str) {
    match check(file) {
        Ok((plan, warnings)) => {
            report("f.yaml", file, &warnings, true);
            for style in [Style::Text, Style::Mermaid, Style::Dot, Style::Json] {
                explain(&plan, style);
            }
        }
        Err(errors) => {
            assert!(!errors.is_empty());
            for error in &errors {
                let shown = file.get(error.span.clone());
                assert!(shown.is_some(), "{error:?} does not point into the file");
            }
            assert!(!format!("{errors:?}").contains("hunter2"), "a secret is shown: {errors:?}");
            for pair in errors.windows(2) {
                assert!(pair[0].span.start <= pair[1].span.start, "not by position");
                assert_ne!((&pair[0].span, &pair[0].message), (&pair[1].span, &pair[1].message), "said twice");
            }
            report("f.yaml", file, &errors, true);
        }
    }
}

/// Pieces of YAML and of the language, for files that are nearly right.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "name: ",
            "from: ",
            "sources:",
            "\n",
            "\n  ",
            "\n    ",
            "{",
            "}",
            "[",
            "]",
            ", ",
            ": ",
            "- ",
            "? ",
            "'",
            "\"",
            "|",
            ">",
            "|-\n",
            "&a ",
            "*a",
            "!!str ",
            "!",
            "---\n",
            "...\n",
            "#",
            "%YAML 1.2\n",
            "${",
            "}",
            "${TOPIC}",
            "${X:-",
            "$${",
            "a.b[0]",
            "count(*",
            "percentile(x, 0.95)",
            "é",
            "\u{2028}",
            "\u{feff}",
            "\t",
            "\r\n",
            "\\u00e9",
            "\\x",
            "0x1F",
            "1e400",
            "${SECRET}",
            "${WORD}",
            "'${WORD}'",
            "a.${WORD}(",
            "${WORD}: ",
        ])
        .prop_map(str::to_owned),
        "[ -~\n]{0,6}",
        "\\PC{0,3}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        survives(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn any_pieces(pieces in prop::collection::vec(piece(), 0..60)) {
        survives(&pieces.concat());
    }

    #[test]
    fn good_files_with_something_put_in(whole in prop::bool::ANY, cuts in prop::collection::vec((any::<prop::sample::Index>(), 0usize..12, piece()), 1..4)) {
        let mut file = if whole { TRIGGERS.to_owned() } else { MANY.to_owned() };
        for (at, len, piece) in cuts {
            let starts: Vec<usize> = file.char_indices().map(|(at, _)| at).collect();
            let at = at.index(starts.len());
            let from = starts[at];
            let to = starts.get(at + len).copied().unwrap_or(file.len());
            file.replace_range(from..to, &piece);
        }
        survives(&file);
    }

    #[test]
    fn good_files_with_lines_moved(whole in prop::bool::ANY, moves in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..5)) {
        let mut lines: Vec<&str> = if whole { TRIGGERS } else { MANY }.lines().collect();
        for (a, b) in moves {
            let (a, b) = (a.index(lines.len()), b.index(lines.len()));
            lines.swap(a, b);
        }
        survives(&lines.join("\n"));
    }
}

#[test]
fn many_steps_in_a_row_are_no_trouble() {
    let mut file = String::from("name: long\nsources:\n  s0: { kafka: { topic: t } }\nshape:\n");
    for step in 1..2_000 {
        file.push_str(&format!("  s{step}: {{ from: s{} }}\n", step - 1));
    }
    file.push_str("emit:\n  out: { from: s1999, kafka: { topic: o } }\n");
    assert_eq!(check(&file).unwrap().0.steps.len(), 1_999);
}

#[test]
fn aliases_cannot_grow_without_bound() {
    let mut file = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let before = format!("*a{}, ", level - 1).repeat(10);
        file.push_str(&format!("a{level}: &a{level} [{}]\n", before.trim_end_matches(", ")));
    }
    let errors = check(&file).unwrap_err();
    assert!(errors[0].message.contains("more than"), "{errors:?}");
}
