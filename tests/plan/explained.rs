//! Plans as people and programs see them.

use insta::assert_snapshot;
use tidemill::plan::{Style, explain};

use crate::support::{around, plan};

const TRIGGERS: &str = include_str!("triggers.yaml");

fn explained(style: Style) -> String {
    let mut plan = plan(TRIGGERS);
    plan.hash = 0x1234;
    explain(&plan, style)
}

#[test]
fn as_text() {
    assert_snapshot!(explained(Style::Text));
}

#[test]
fn as_mermaid() {
    assert_snapshot!(explained(Style::Mermaid));
}

#[test]
fn as_dot() {
    assert_snapshot!(explained(Style::Dot));
}

#[test]
fn as_json() {
    let text = explained(Style::Json);
    serde_json::from_str::<serde_json::Value>(&text).expect("it is JSON");
    assert_snapshot!(text);
}

#[test]
fn no_value_of_an_expression_is_shown() {
    let file = around(
        "shape:\n  s: { from: orders, where: \"token = '${SECRET}'\", set: { a: \"'${SECRET}'\" }, unnest: { list: item }, drop: [b, c], keep: [a, item] }",
        "s",
    )
    .replace("topic: out }", "topic: out, headers: { h: \"'${SECRET}'\" } }");
    let plan = plan(&file);
    for style in [Style::Text, Style::Mermaid, Style::Dot, Style::Json] {
        assert!(!explain(&plan, style).contains("hunter2"));
    }
    assert!(
        explain(&plan, Style::Text).contains("where; unnest list as item; set a; keep a, item; drop b, c"),
        "{}",
        explain(&plan, Style::Text)
    );
}
