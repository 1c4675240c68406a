//! The program as it is typed: help, versions, usage errors, exit codes, variables, completions.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command as StdCommand, Stdio};
use std::time::{Duration, Instant};

use assert_cmd::Command;
use serde_json::Value;

/// The program in an environment without anything that could change what it says.
fn tidemill(arguments: &[&str]) -> Command {
    let mut command = Command::cargo_bin("tidemill").unwrap();
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("TIDEMILL_") || name == "RUST_LOG" {
            command.env_remove(name.as_ref());
        }
    }
    command.args(arguments).env("NO_COLOR", "1");
    command
}

struct Said {
    code: i32,
    out: String,
    err: String,
}

fn say(command: &mut Command) -> Said {
    let output = command.output().unwrap();
    Said {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

#[test]
fn the_version_names_the_revision() {
    for flag in ["--version", "-V"] {
        let said = say(&mut tidemill(&[flag]));
        assert_eq!((said.code, said.err.as_str()), (0, ""));
        let rest = said.out.strip_prefix(&format!("tidemill {} (", env!("CARGO_PKG_VERSION"))).unwrap();
        let revision = rest.strip_suffix(")\n").unwrap();
        assert!(revision == "unknown" || revision.chars().all(|c| c.is_ascii_alphanumeric()), "{revision}");
    }
}

#[test]
fn help_is_short_or_explains() {
    let short = say(&mut tidemill(&["run", "-h"]));
    let long = say(&mut tidemill(&["run", "--help"]));
    assert_eq!((short.code, long.code, short.err.as_str(), long.err.as_str()), (0, 0, "", ""));
    for heading in ["Workers and processes:", "Kafka:", "Files instead of topics:", "Seeing what happens:"] {
        assert!(short.out.contains(heading) && long.out.contains(heading), "{heading}");
    }
    assert!(long.out.contains("Examples:") && !short.out.contains("Examples:"));
    assert!(long.out.len() > short.out.len() * 3 / 2);
    assert!(!long.out.contains("bytes-only"));
    for command in ["check", "explain", "schema", "completions"] {
        let help = say(&mut tidemill(&[command, "--help"]));
        assert!(help.code == 0 && help.out.contains("Example"), "{command}");
    }
    assert!(say(&mut tidemill(&["--help"])).out.contains("Exit codes:"));
}

#[test]
fn help_never_shows_what_the_environment_holds() {
    let mut command = tidemill(&["run", "--help"]);
    let said = say(command.env("TIDEMILL_BROKERS", "secret-host:9092").env("TIDEMILL_KAFKA_SASL_PASSWORD", "hunter2"));
    assert!(said.out.contains("TIDEMILL_BROKERS"));
    assert!(!said.out.contains("secret-host") && !said.out.contains("hunter2"));
}

#[test]
fn a_mistyped_setting_is_not_shown() {
    for variable in [false, true] {
        let mut command = tidemill(&["run", "job.yaml"]);
        match variable {
            true => command.env("TIDEMILL_OPTIONS", "sasl.password:hunter2"),
            false => command.args(["-X", "sasl.password:hunter2"]),
        };
        let said = say(&mut command);
        assert!(!said.err.contains("hunter2"), "{}", said.err);
        assert!(variable || said.code == 64 && said.err.contains("KEY=VALUE"), "{} {}", said.code, said.err);
    }
}

#[test]
fn wrong_arguments_end_with_64_and_say_why_on_standard_error() {
    for (arguments, message) in [
        (&[][..], "Usage: tidemill <COMMAND>"),
        (&["walk"], "unrecognized subcommand"),
        (&["run"], "<FILE>"),
        (&["check"], "<FILE>"),
        (&["run", "x", "--wrokers", "2"], "--workers"),
        (&["run", "x", "-w", "none"], "--workers"),
        (&["run", "x", "--epoch", "10"], "no unit"),
        (&["run", "x", "--epoch", "0s"], "more than 0"),
        (&["run", "x", "-n", "2", "-p", "0", "--hosts", "a:1"], "1 address for 2 processes"),
        (&["run", "x", "--input", "a=-", "--input", "b=-"], "only once"),
        (&["run", "/no/such/file.yaml"], "/no/such/file.yaml"),
        (&["check", "/no/such/file.yaml"], ""),
        (&["explain", "/no/such/file.yaml"], "/no/such/file.yaml"),
        (&["explain", "x", "--format", "png"], "mermaid"),
        (&["completions", "tcsh"], "possible values"),
    ] {
        let said = say(&mut tidemill(arguments));
        assert_eq!(said.code, 64, "{arguments:?}: {}", said.err);
        assert!(said.err.contains(message), "{arguments:?}: {}", said.err);
        assert!(said.out.is_empty() || arguments[0] == "check", "{arguments:?}: {}", said.out);
        assert!(!said.err.contains('\u{1b}'), "{arguments:?}");
    }
}

#[test]
fn variables_stand_for_flags_and_flags_win() {
    let with = |name: &str, value: &str, flags: &[&str]| {
        let arguments: Vec<&str> = ["run", "/no/such/file.yaml"].into_iter().chain(flags.iter().copied()).collect();
        say(tidemill(&arguments).env(name, value))
    };
    for (name, value, message) in [
        ("TIDEMILL_WORKERS", "0", "--workers"),
        ("TIDEMILL_EPOCH", "soon", "250ms"),
        ("TIDEMILL_INPUT", "orders", "NAME=PATH"),
        ("TIDEMILL_UNTIL_CAUGHT_UP", "perhaps", "--until-caught-up"),
        ("TIDEMILL_LOG_FORMAT", "xml", "possible values: text, json"),
        ("TIDEMILL_PROCESS", "1", "no process 1 of 1"),
    ] {
        let said = with(name, value, &[]);
        assert!(said.code == 64 && said.err.contains(message), "{name}: {}", said.err);
    }
    let not_there = "cannot read /no/such/file.yaml";
    assert!(with("TIDEMILL_WORKERS", "0", &["-w", "1"]).err.contains(not_there));
    for (name, value) in [
        ("TIDEMILL_UNTIL_CAUGHT_UP", "true"),
        ("TIDEMILL_CREATE_TOPICS", "0"),
        ("TIDEMILL_BYTES_ONLY", "1"),
        ("TIDEMILL_VERBOSE", "2"),
        ("TIDEMILL_HOSTS", "a:1"),
        ("TIDEMILL_INPUT", "a=x.jsonl,b=y.jsonl"),
        // Set to nothing is not set.
        ("TIDEMILL_WORKERS", ""),
        ("TIDEMILL_GROUP", ""),
    ] {
        let said = with(name, value, &[]);
        assert!(said.err.contains(not_there), "{name}={value}: {}", said.err);
    }
    let said = say(tidemill(&["run"]).env("TIDEMILL_FILE", "/no/such/file.yaml"));
    assert!(said.err.contains(not_there), "{}", said.err);
}

#[test]
fn a_bad_rust_log_is_a_usage_error() {
    let said = say(tidemill(&["run", "/no/such/file.yaml"]).env("RUST_LOG", "tidemill=loud"));
    assert!(said.code == 64 && said.err.contains("RUST_LOG cannot be read"), "{}", said.err);
}

#[test]
fn with_json_logs_a_failure_is_one_json_line() {
    let said = say(&mut tidemill(&["run", "/no/such/file.yaml", "--log-format", "json"]));
    let line: Value = serde_json::from_str(&said.err).unwrap();
    assert_eq!((said.code, line["exit"].as_u64(), line["level"].as_str()), (64, Some(64), Some("ERROR")));
    assert!(line["message"].as_str().unwrap().contains("/no/such/file.yaml"));
}

#[test]
fn a_report_that_cannot_be_written_is_found_before_the_run() {
    let said = say(&mut tidemill(&["run", "x", "--report", "/no/such/folder/report.json"]));
    assert!(said.code == 74 && said.err.contains("/no/such/folder/report.json"), "{}", said.err);
}

#[test]
fn every_shell_gets_a_completion_script() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let said = say(&mut tidemill(&["completions", shell]));
        assert_eq!((said.code, said.err.as_str()), (0, ""), "{shell}");
        assert!(said.out.contains("tidemill") && said.out.contains("until-caught-up"), "{shell}");
    }
}

#[test]
fn the_schema_is_json_on_standard_output() {
    let said = say(&mut tidemill(&["schema"]));
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    assert!(serde_json::from_str::<Value>(&said.out).unwrap().is_object());
}

#[test]
fn a_reader_that_leaves_early_is_no_failure() {
    let mut child = StdCommand::new(assert_cmd::cargo::cargo_bin("tidemill"))
        .args(["completions", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}

#[test]
fn check_tells_of_every_file() {
    let folder = tempfile::tempdir().unwrap();
    let wrong = folder.path().join("wrong.yaml");
    std::fs::File::create(&wrong).unwrap().write_all(b"nme: x\n").unwrap();
    let latin = folder.path().join("latin.yaml");
    std::fs::File::create(&latin).unwrap().write_all(b"name: caf\xe9\n").unwrap();
    let missing = folder.path().join("missing.yaml");
    let paths = [&wrong, &latin, &missing].map(|path| path.to_str().unwrap());
    let said = say(&mut tidemill(&["check", paths[0], paths[1], paths[2]]));
    assert_eq!(said.code, 78);
    assert!(paths.iter().all(|path| said.out.contains(path)), "{}", said.out);
    assert!(said.out.contains("not UTF-8"), "{}", said.out);
    let said = say(tidemill(&["check", "-"]).write_stdin("nme: x\n"));
    assert!(said.code == 78 && said.out.contains("<stdin>"), "{}", said.out);
}

/// What still waits for its peers has nothing to deliver.
#[test]
fn a_process_that_waits_for_others_stops_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let job = folder.path().join("job.yaml");
    std::fs::write(&job, JOB).unwrap();
    // Nobody ever listens there.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for process in ["0", "1"] {
        let hosts = ["127.0.0.1:0".to_owned(), format!("127.0.0.1:{port}")];
        let hosts = if process == "0" { hosts.join(",") } else { format!("{},{}", hosts[1], hosts[0]) };
        let mut child = StdCommand::new(assert_cmd::cargo::cargo_bin("tidemill"))
            .arg("run")
            .arg(&job)
            .args(["--http", "off", "--input", "orders=/dev/null", "-n", "2", "-p", process, "--hosts", &hosts])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        assert!(said.any(|line| line.contains("waiting for the other processes")));
        let asked = Instant::now();
        // SAFETY: sends a signal to a child that is not yet waited for.
        assert_eq!(unsafe { libc::kill(child.id() as i32, libc::SIGTERM) }, 0);
        let rest: Vec<String> = said.collect();
        assert_eq!(child.wait().unwrap().code(), Some(0), "{rest:?}");
        assert!(rest.iter().any(|line| line.contains("stopped before it had begun")), "{rest:?}");
        assert!(asked.elapsed() < Duration::from_secs(15), "it waits for half a minute otherwise");
    }
}

const JOB: &str = "\
name: small
sources:
  orders: { kafka: { topic: orders.v1 } }
shape:
  large: { from: orders, where: amount > 10 }
emit:
  out: { from: large, kafka: { topic: out.v1 } }
";

#[test]
fn check_says_what_a_right_file_holds() {
    let said = say(tidemill(&["check", "-"]).write_stdin(JOB));
    assert_eq!((said.code, said.err.as_str()), (0, ""), "{}", said.out);
    assert_eq!(said.out, "<stdin>: ok (small: 1 source, 0 tables, 1 step, 1 output)\n");
}

#[test]
fn run_tells_the_mistakes_of_its_file_on_standard_error() {
    let wrong = JOB.replace("amount > 10", "amount >").replace("from: large", "from: lrage");
    let said = say(tidemill(&["run", "-"]).write_stdin(wrong.as_str()));
    assert_eq!((said.code, said.out.as_str()), (78, ""));
    assert!(said.err.contains("<stdin>:5:") && said.err.contains("lrage"), "{}", said.err);
    let said = say(tidemill(&["run", "-", "--log-format", "json"]).write_stdin(wrong.as_str()));
    let lines: Vec<Value> = said.err.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((said.code, lines[0]["level"].as_str(), lines[0]["line"].as_u64()), (78, Some("ERROR"), Some(5)));
}

#[test]
fn explain_shows_the_graph_in_every_form() {
    for (format, sign) in [("text", "large"), ("mermaid", "flowchart"), ("dot", "digraph"), ("json", "{")] {
        let said = say(tidemill(&["explain", "-", "--format", format]).write_stdin(JOB));
        assert_eq!((said.code, said.err.as_str()), (0, ""), "{format}");
        assert!(said.out.contains(sign) && said.out.contains("orders"), "{format}: {}", said.out);
        assert!(said.out.ends_with('\n') && !said.out.ends_with("\n\n"), "{format}");
    }
    let said = say(tidemill(&["explain", "-"]).write_stdin(JOB.replace("orders:", "odrers:")));
    assert_eq!((said.code, said.out.as_str()), (78, ""));
    assert!(said.err.contains("odrers"), "{}", said.err);
}

#[test]
fn a_file_is_not_written_and_used_twice() {
    let folder = tempfile::tempdir().unwrap();
    let there = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (job, events, link) = (there("job.yaml"), there("events.jsonl"), there("link"));
    std::fs::write(&job, JOB).unwrap();
    std::fs::write(&events, "{\"amount\":11}\n").unwrap();
    std::os::unix::fs::symlink(there("new"), &link).unwrap();
    std::fs::hard_link(&events, there("hard")).unwrap();
    let (input, output) = (format!("orders={events}"), format!("out={}", there("new")));
    for (flags, named) in [
        (&["--output", &format!("out={events}")][..], ["--input orders", "--output out"]),
        (&["--output", &format!("out={}", there("./hard"))], ["--input orders", "--output out"]),
        (&["--output", &format!("out={job}")], ["the dataflow file", "--output out"]),
        (&["--output", &output, "--dead-letters", &there("./new")], ["--output out", "--dead-letters"]),
        (&["--output", &output, "--report", &link], ["--output out", "--report"]),
        (&["--output", &output, "--hgrm", &there("new")], ["--output out", "--hgrm"]),
        (&["--report", &there("new"), "--hgrm", &there("./new")], ["--report", "--hgrm"]),
        (&["--output", &output, "--output", &format!("b={}", there("./new"))], ["--output out", "--output b"]),
    ] {
        let said = say(tidemill(&["run", &job, "--http", "off", "--input", &input]).args(flags));
        assert_eq!(said.code, 64, "{flags:?}: {}", said.err);
        assert!(named.iter().all(|flag| said.err.contains(flag)), "{flags:?}: {}", said.err);
        assert!(said.err.contains("the same file"), "{flags:?}: {}", said.err);
    }
    assert_eq!(std::fs::read_to_string(&events).unwrap(), "{\"amount\":11}\n");
    assert!(!folder.path().join("new").exists());
}

#[test]
fn what_is_no_regular_file_may_be_shared() {
    let folder = tempfile::tempdir().unwrap();
    let job = folder.path().join("job.yaml");
    std::fs::write(&job, format!("{JOB}  more: {{ from: orders, kafka: {{ topic: more.v1 }} }}\n")).unwrap();
    let run = ["run", job.to_str().unwrap(), "--http", "off", "-q", "--input", "orders=-"];
    for shared in ["-", "/dev/stdout", "/dev/null"] {
        let (out, more) = (format!("out={shared}"), format!("more={shared}"));
        let mut command = tidemill(&run);
        let command = command.args(["--output", &out, "--output", &more, "--dead-letters", shared]);
        let said = say(command.write_stdin("{\"amount\":11}\n"));
        let lines = if shared == "/dev/null" { 0 } else { 2 };
        assert_eq!((said.code, said.out.lines().count()), (0, lines), "{shared}: {}", said.err);
    }
}

#[test]
fn a_value_of_the_environment_is_in_no_dead_letter() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let file = "
name: secrets
sources: { events: { kafka: { topic: events } } }
shape: { s: { from: events, set: { x: '1 / (length(''${PASSWORD}'') - n)' , y: 'CAST(''${PASSWORD}'' || n AS BIGINT)' } } }
emit: { out: { from: s, kafka: { topic: out } } }
";
    std::fs::write(path("job.yaml"), file).unwrap();
    std::fs::write(path("events"), "{\"n\":7}\n{\"n\":1}\n").unwrap();
    let (job, input, letters) = (path("job.yaml"), format!("events={}", path("events")), path("letters"));
    let arguments = ["run", &job, "--input", &input, "--dead-letters", &letters, "--http", "off"];
    let said = say(tidemill(&arguments).env("PASSWORD", "hunter2"));
    assert_eq!(said.code, 0, "{}", said.err);
    let letters = std::fs::read_to_string(letters).unwrap();
    assert_eq!(letters.matches("${PASSWORD}").count(), 3, "{letters}");
    assert!(!letters.contains("hunter2") && !said.err.contains("hunter2"), "{letters}\n{}", said.err);
}
