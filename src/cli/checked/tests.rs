//! What fits together, what does not, and what is only warned about.

use std::time::Duration;

use clap::FromArgMatches;

use super::super::Command;
use super::super::args::Arguments;
use super::*;
use crate::launch::LineFormat;

fn here(host_name: &str) -> Surroundings {
    Surroundings {
        host_name: Some(host_name.into()),
        cores: 2,
        kafka: Vec::new(),
        rust_log: None,
        color: false,
        stderr_is_terminal: false,
        stdout_is_terminal: false,
    }
}

fn run_in(flags: &str, here: Surroundings) -> Result<(Options, Vec<String>), String> {
    let words = ["tidemill", "run", "job.yaml"].into_iter().chain(flags.split_whitespace());
    let matches = super::super::command().try_get_matches_from(words).map_err(|error| error.to_string())?;
    let Command::Run(arguments) = Arguments::from_arg_matches(&matches).map_err(|error| error.to_string())?.command
    else {
        return Err("another command".into());
    };
    check(*arguments, here).map_err(|error| format!("{}: {}", error.exit as u8, error.message))
}

fn run(flags: &str) -> Result<Options, String> {
    run_in(flags, here("vm")).map(|(options, _)| options)
}

#[test]
fn nothing_said_is_one_worker_on_files_with_the_documented_defaults() {
    let options = run("").unwrap();
    assert_eq!((options.workers, options.processes, options.process), (1, 1, 0));
    assert_eq!(options.epoch, Duration::from_millis(10));
    assert_eq!(options.drain_timeout, Duration::from_secs(60));
    assert_eq!(options.kafka.broker_timeout, Duration::from_secs(120));
    assert_eq!((options.kafka.brokers.as_str(), options.http), ("", Listen::Default));
    assert_eq!(options.files, FileOptions::default());
}

#[test]
fn processes_know_who_they_are() {
    let options = run("-n 2 -p 1 --hosts a:2101,b:2101").unwrap();
    assert_eq!((options.processes, options.process, options.hosts.len()), (2, 1, 2));
    let by_name = |name: &str| run_in("--hosts a:1,b:1,c:1", here(name)).map(|(options, _)| options.process);
    assert_eq!(by_name("triggers-2"), Ok(2));
    assert_eq!(by_name("triggers-1.triggers.default.svc"), Ok(1));
    assert!(by_name("vm").unwrap_err().contains("give -p"));
    assert!(by_name("triggers-7").unwrap_err().contains("no process 7 of 3"));
    assert_eq!(run_in("", here("triggers-7")).map(|(options, _)| options.process), Ok(0));
}

#[test]
fn processes_and_hosts_must_agree() {
    for (flags, message) in [
        ("-n 2 -p 0", "0 addresses for 2 processes"),
        ("-n 2 -p 0 --hosts a:1", "1 address for 2 processes"),
        ("-n 1 --hosts a:1,b:1", "2 addresses for 1 process"),
        ("-p 0 --hosts a:1,a:1", "a:1 twice"),
        ("-p 1", "no process 1 of 1"),
        ("-n 2 -p 2 --hosts a:1,b:1", "no process 2 of 2"),
    ] {
        let error = run(flags).unwrap_err();
        assert!(error.starts_with("64: ") && error.contains(message), "{flags}: {error}");
    }
}

#[test]
fn single_values_are_refused_where_they_stand() {
    for (flags, message) in [
        ("-w 0", "0 is not in 1..=1024"),
        ("--epoch 10", "no unit"),
        ("--hosts a", "no port"),
        ("--lines both", "possible values: value, record"),
        ("--input orders", "NAME=PATH"),
        ("--http nowhere", "or `off`"),
        ("-X password", "KEY=VALUE"),
        ("--workrs 2", "--workers"),
    ] {
        let error = run(flags).unwrap_err();
        assert!(error.contains(message), "{flags}: {error}");
    }
    assert!(run("--epoch 0ms").unwrap_err().contains("more than 0"));
}

#[test]
fn files_are_partitions_for_inputs_and_single_for_outputs() {
    let files = run("--input a=1,b=2 --input a=3 --output o=- --lines record --epoch-records 5").unwrap().files;
    let pairs: Vec<(&str, &str)> = files.inputs.iter().map(|(name, path)| (&name[..], &path[..])).collect();
    assert_eq!(pairs, [("a", "1"), ("b", "2"), ("a", "3")]);
    assert_eq!((files.lines, files.epoch_records), (LineFormat::Record, Some(5)));
    assert!(run("--input a=- --input b=-").unwrap_err().contains("only once"));
    assert!(run("--output o=x --output o=y").unwrap_err().contains("o is given twice"));
    assert!(run("--output o=x --output p=x").unwrap_err().contains("same file x"));
}

#[test]
fn more_workers_than_cores_is_only_a_warning() {
    let (options, warnings) = run_in("-w 4", here("vm")).unwrap();
    assert_eq!(options.workers, 4);
    assert!(warnings[0].contains("4 workers on 2 cores"), "{warnings:?}");
    assert!(run_in("-w 2", here("vm")).unwrap().1.is_empty());
}

#[test]
fn a_report_that_could_not_be_written_is_refused_at_once() {
    let error = run("--report /no/such/folder/report.json").unwrap_err();
    assert!(error.starts_with("74: /no/such/folder/report.json"), "{error}");
    assert!(run("--hgrm /tmp").is_err());
    assert!(run("--report report.json").is_ok());
}

#[test]
fn the_live_line_needs_a_terminal_that_nothing_else_writes_to() {
    let terminal = || Surroundings { stderr_is_terminal: true, stdout_is_terminal: true, ..here("vm") };
    let live = |flags: &str, here| run_in(flags, here).unwrap().0.log.live;
    assert!(live("", terminal()) && live("-v", terminal()));
    assert!(!live("", here("vm")));
    assert!(!live("-q", terminal()) && !live("--log-format json", terminal()) && !live("--output o=-", terminal()));
    assert!(live("--output o=-", Surroundings { stdout_is_terminal: false, ..terminal() }));
}

#[test]
fn more_and_less_logging_cancel_out() {
    assert_eq!(run("-vvv -q").unwrap().log.verbosity, 2);
    assert_eq!(run("-qq").unwrap().log.verbosity, -2);
}
