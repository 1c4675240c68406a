//! What the tests of the dataflow file share.

use tidemill::error::SpecError;
use tidemill::plan::{Options, Plan, load, report};

pub fn env(name: &str) -> Option<String> {
    match name {
        "TOPIC" => Some("orders.v7".to_owned()),
        "SECRET" => Some("hunter2 hunter2".to_owned()),
        "WORD" => Some("hunter2".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    }
}

pub fn check(file: &str) -> Result<(Plan, Vec<SpecError>), Vec<SpecError>> {
    load("flow.yaml", file, &env, Options::default())
}

/// A file that must be right, without warnings.
pub fn plan(file: &str) -> Plan {
    match check(file) {
        Ok((plan, warnings)) => {
            assert!(warnings.is_empty(), "{}", report("flow.yaml", file, &warnings, false));
            plan
        }
        Err(errors) => panic!("{}", report("flow.yaml", file, &errors, false)),
    }
}

/// What is said about a file.
pub fn said(file: &str) -> String {
    match check(file) {
        Ok((_, warnings)) if warnings.is_empty() => "nothing is wrong".to_owned(),
        Ok((_, problems)) | Err(problems) => report("flow.yaml", file, &problems, false),
    }
}

/// A file with one source `orders`, an output of `from`, and `more` sections.
pub fn around(more: &str, from: &str) -> String {
    format!(
        "name: test\nsources:\n  orders: {{ kafka: {{ topic: orders }} }}\n{more}\nemit:\n  out: {{ from: {from}, kafka: {{ topic: out }} }}\n"
    )
}

/// The same with declared fields.
pub fn typed(more: &str, from: &str) -> String {
    format!(
        "name: test\nsources:\n  orders:\n    kafka: {{ topic: orders }}\n    fields: {{ id: VARCHAR NOT NULL, amount: DECIMAL, user.plan: VARCHAR, items: JSON, at: TIMESTAMP }}\n{more}\nemit:\n  out: {{ from: {from}, kafka: {{ topic: out }} }}\n"
    )
}
