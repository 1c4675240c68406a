//! The README's examples are held to what it says: its dataflow file is right, its paths exist, its command works.

mod running;

use std::fs;
use std::path::Path;

use running::{Job, Scale};

fn readme() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).expect("the README is there")
}

/// The first block of that language.
fn block(language: &str) -> String {
    let text = readme();
    let start = text.find(&format!("```{language}\n")).expect("a block") + language.len() + 4;
    text[start..start + text[start..].find("```").expect("a block ends")].to_string()
}

#[test]
fn the_dataflow_file_is_right() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("orders.yaml");
    fs::write(&file, block("yaml")).expect("written");
    let output = running::tidemill().arg("check").arg(&file).output().expect("the program starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let orders = dir.path().join("orders.jsonl");
    let order = r#"{"id":"1","user":"u1","amount":1500,"at":"2026-01-01T00:00:00Z"}"#;
    fs::write(&orders, order).expect("written");
    let written =
        Job::new(file).input("orders", orders).input("users", "/dev/null").output("alerts").run(Scale::workers(1));
    assert_eq!(written.exit, 0, "{}", written.stderr);
    assert_eq!(written.outputs["alerts"].lines().count(), 2, "both rules match: {}", written.outputs["alerts"]);
}

#[test]
fn the_first_command_works() {
    let command = block("sh").replace("\\\n", " ");
    let mut words = command.split_whitespace();
    assert_eq!(words.by_ref().take(4).collect::<Vec<_>>(), ["cargo", "run", "--", "run"]);
    let root = env!("CARGO_MANIFEST_DIR");
    let output = running::tidemill().arg("run").args(words).args(["--http", "off"]).current_dir(root).output();
    let output = output.expect("the program starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert!(output.stdout.starts_with(b"{\"key\":"), "deliveries as record lines");
    assert!(stderr.contains("__connect.errors.exception.message"), "dead letters with reasons: {stderr}");
}

#[test]
fn links_lead_somewhere() {
    let text = readme();
    for link in text.split("](").skip(1).map(|rest| rest.split(')').next().expect("a part")) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(link);
        assert!(link.starts_with("https://") || path.exists(), "{link}");
    }
}
