//! What can be known of `docker/` without a Docker engine: the files parse, what they name exists, what they say about
//! ports, users and flags agrees, and the loader's script does what the samples need.

mod running;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use saphyr_parser::{Event, Parser};
use serde_json::{Map, Value};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// A YAML document as JSON; every scalar is a string.
fn yaml(text: &str) -> Value {
    fn node<'a>(event: Event<'a>, events: &mut impl Iterator<Item = Event<'a>>) -> Value {
        match event {
            Event::Scalar(text, ..) => Value::String(text.into_owned()),
            Event::SequenceStart(..) => {
                let mut items = Vec::new();
                loop {
                    match events.next().expect("a list ends") {
                        Event::SequenceEnd => return Value::Array(items),
                        item => items.push(node(item, events)),
                    }
                }
            }
            Event::MappingStart(..) => {
                let mut map = Map::new();
                loop {
                    match events.next().expect("a map ends") {
                        Event::MappingEnd => return Value::Object(map),
                        Event::Scalar(key, ..) => {
                            let value = node(events.next().expect("a key has a value"), events);
                            assert!(map.insert(key.to_string(), value).is_none(), "{key} twice");
                        }
                        other => panic!("{other:?} as a key"),
                    }
                }
            }
            other => panic!("{other:?} in a document"),
        }
    }
    let events = Parser::new_from_str(text).map(|event| event.expect("it is YAML").0);
    let mut events = events.filter(|event| {
        !matches!(
            event,
            Event::StreamStart | Event::StreamEnd | Event::DocumentStart(..) | Event::DocumentEnd | Event::Nothing
        )
    });
    let first = events.next().expect("a document");
    node(first, &mut events)
}

fn compose() -> Value {
    yaml(&read("docker/compose.yaml"))
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().expect("a list").iter().map(|text| text.as_str().expect("a text").to_string()).collect()
}

/// Instructions of the Dockerfile, continuation lines joined, comments left out.
fn instructions() -> Vec<(String, String)> {
    let text = read("docker/Dockerfile").replace("\\\n", " ");
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, rest) = line.split_once(' ').expect("an instruction has arguments");
            (name.to_string(), rest.trim().to_string())
        })
        .collect()
}

fn of(name: &str) -> Vec<String> {
    instructions().into_iter().filter(|(n, _)| n == name).map(|(_, rest)| rest).collect()
}

fn help_of_run() -> String {
    let output = running::tidemill().args(["run", "--help"]).output().expect("the program starts");
    assert!(output.status.success());
    String::from_utf8(output.stdout).expect("help is text")
}

#[test]
fn every_flag_that_is_used_exists() {
    let help = help_of_run();
    let command = texts(&compose()["services"]["tidemill"]["command"]);
    assert_eq!(command[0], "run");
    for flag in command.iter().filter(|word| word.starts_with('-')) {
        let is_flag = |word: &str| word.trim_end_matches([',', '=', '.']) == flag;
        assert!(help.split_whitespace().any(is_flag), "{flag} is not in:\n{help}");
    }
}

#[test]
fn the_job_that_compose_starts_is_right() {
    let command = texts(&compose()["services"]["tidemill"]["command"]);
    let in_image = command[1].strip_prefix("/dataflows/").expect("a file of the image");
    assert!(of("COPY").contains(&"dataflows /dataflows".to_string()));
    let check =
        running::tidemill().arg("check").arg(root().join("dataflows").join(in_image)).output().expect("it starts");
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stderr));
    let broker = command.iter().position(|word| word == "--brokers").map(|at| command[at + 1].clone());
    let advertised = compose()["services"]["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"].clone();
    assert_eq!(advertised, format!("PLAINTEXT://{}", broker.expect("brokers are named")));
}

#[test]
fn paths_that_are_copied_or_mounted_exist() {
    for copy in of("COPY").iter().filter(|copy| !copy.starts_with("--from")) {
        let words: Vec<&str> = copy.split_whitespace().collect();
        for path in &words[..words.len() - 1] {
            assert!(root().join(path).exists(), "COPY {path}");
            let ignore = read("docker/Dockerfile.dockerignore");
            assert!(ignore.lines().any(|line| line == format!("!{path}")), "{path} is not let into the build");
        }
    }
    for service in compose()["services"].as_object().expect("services").values() {
        for volume in service.get("volumes").map(texts).unwrap_or_default() {
            let from = volume.split(':').next().expect("a part").to_string();
            assert!(root().join("docker").join(&from).exists(), "{from}");
        }
    }
    let build = &compose()["services"]["tidemill"]["build"];
    let context = root().join("docker").join(build["context"].as_str().expect("a path"));
    assert!(context.join(build["dockerfile"].as_str().expect("a path")).exists());
}

/// Cargo refuses to build where a target of Cargo.toml has no file.
#[test]
fn the_image_has_every_target_that_cargo_asks_for() {
    let manifest = read("Cargo.toml");
    let copied = of("COPY").join(" ");
    for (kind, folder) in [("[[bench]]", "benches"), ("[[test]]", "tests"), ("[[example]]", "examples")] {
        let needed = manifest.lines().any(|line| line.trim() == kind);
        let there = copied.split_whitespace().any(|word| word == folder);
        assert!(
            !needed || there,
            "Cargo.toml has {kind}: docker/Dockerfile and its .dockerignore must take {folder}/ in"
        );
    }
}

#[test]
fn the_image_does_not_run_as_root() {
    let user = of("USER").pop().expect("a user is set");
    let id: u32 = user.split(':').next().expect("a part").parse().expect("a number, so that Kubernetes can check it");
    assert_ne!(id, 0);
    let at = |name: &str| instructions().iter().rposition(|(n, _)| n == name).expect("there");
    assert!(at("USER") < at("ENTRYPOINT") && at("USER") > at("FROM"), "of the last stage");
}

#[test]
fn base_images_are_pinned() {
    let compose = compose();
    let services = compose["services"].as_object().expect("services").values();
    let pulled = services
        .filter(|service| service.get("build").is_none())
        .map(|s| s["image"].as_str().expect("named").to_string());
    for image in of("FROM").into_iter().map(|from| from.split(' ').next().expect("a name").to_string()).chain(pulled) {
        let tag = image.rsplit_once(':').unwrap_or_else(|| panic!("{image} has no tag")).1;
        assert!(tag != "latest" && !tag.is_empty(), "{image}");
    }
    let toolchain = read("Cargo.toml").lines().find_map(|line| line.strip_prefix("rust-version = ").map(String::from));
    let toolchain = toolchain.expect("Cargo.toml says which Rust").trim_matches('"').to_string();
    assert!(of("FROM")[0].starts_with(&format!("rust:{toolchain}")), "the image builds with the Rust of Cargo.toml");
}

#[test]
fn ports_and_environment_agree() {
    let environment: BTreeMap<String, String> = of("ENV")
        .iter()
        .filter_map(|env| env.split_once('='))
        .map(|(name, value)| (name.to_string(), value.to_string()))
        .collect();
    let help = help_of_run();
    for name in environment.keys().filter(|name| name.starts_with("TIDEMILL_") && *name != "TIDEMILL_REVISION") {
        assert!(help.contains(name.as_str()), "{name} is no variable of `run`");
    }
    let address = &environment["TIDEMILL_HTTP"];
    let port = address.strip_prefix("0.0.0.0:").expect("reachable from outside the container");
    assert_eq!(of("EXPOSE"), [port]);
    assert!(of("HEALTHCHECK")[0].contains(&format!("/dev/tcp/127.0.0.1/{port}")));
    let ports = texts(&compose()["services"]["tidemill"]["ports"]);
    assert_eq!(ports, [format!("127.0.0.1:{port}:{port}")], "published on loopback only");
}

/// Results carry the time of their events, and retention goes by it.
#[test]
fn what_the_samples_give_stays_in_its_topics() {
    assert_eq!(compose()["services"]["kafka"]["environment"]["KAFKA_LOG_RETENTION_MS"], "-1");
}

/// The health check's own words, against a server that answers as a job would.
#[test]
fn the_health_check_tells_well_from_ill() {
    let health = of("HEALTHCHECK").pop().expect("there is one");
    let command =
        texts(&serde_json::from_str(&health[health.find("CMD").expect("a command") + 3..]).expect("a JSON list"));
    for (answer, well) in [("HTTP/1.1 200 OK", true), ("HTTP/1.1 503 Service Unavailable", false)] {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let server = std::thread::spawn(move || {
            use std::io::{Read, Write};
            let (mut stream, _) = listener.accept().expect("somebody asks");
            let mut request = [0; 64];
            let n = stream.read(&mut request).expect("a request");
            write!(stream, "{answer}\r\ncontent-length: 0\r\n\r\n").expect("an answer");
            String::from_utf8_lossy(&request[..n]).into_owned()
        });
        let script = command[2].replace("/9464", &format!("/{port}"));
        let status = Command::new(&command[0]).args([&command[1], &script]).status().expect("bash is there");
        assert_eq!(status.success(), well, "{answer}");
        assert!(server.join().expect("no panic").starts_with("GET /livez HTTP/1.0\r\n"));
    }
}

/// The loader with stand-ins for Kafka's tools: every topic that the job reads is made and filled.
#[test]
fn the_loader_sends_the_samples() {
    let dir = tempfile::tempdir().expect("a folder");
    let tool = |name: &str, script: &str| {
        let path = dir.path().join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("written");
        assert!(Command::new("chmod").arg("+x").arg(&path).status().expect("chmod is there").success());
    };
    let out = dir.path().display();
    tool("kafka-topics.sh", &format!("echo \"$@\" >> {out}/topics"));
    tool("kafka-console-producer.sh", &format!("cat > {out}/$4"));
    let loader = Command::new("sh")
        .arg(root().join("docker/load.sh"))
        .env("KAFKA_BIN", dir.path())
        .env("BROKERS", "kafka:9092")
        .env("SAMPLES", root().join("dataflows/triggers"))
        .output()
        .expect("sh is there");
    assert!(loader.status.success(), "{}", String::from_utf8_lossy(&loader.stderr));
    let made = running::text(&dir.path().join("topics"));
    for (name, least) in [("orgs", 9), ("subscriptions", 30), ("events", 400)] {
        let topic = format!("triggers.{name}.v1");
        assert!(read("dataflows/triggers.yaml").contains(&format!("topic: {topic}")), "the job reads {topic}");
        assert!(made.contains(&format!("--create --if-not-exists --topic {topic} ")), "{made}");
        let records = running::text(Path::new(&dir.path().join(&topic)));
        assert!(records.lines().count() >= least, "{topic}");
        assert!(records.lines().all(|line| line.split_once('|').is_some_and(|(key, _)| !key.contains('"'))), "{topic}");
        let json = records.lines().filter_map(|line| serde_json::from_str::<Value>(line.split_once('|')?.1).ok());
        assert!(json.count() >= least, "{topic}: values are JSON as in the samples");
    }
}
