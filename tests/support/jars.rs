//! The broker's jars: fetched once by Maven into the user's cache.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Ends every message that says why there is no broker.
pub const INSTEAD: &str = "the Kafka tests cannot run without a broker: install Java 17 or newer and Maven (Debian: \
                           openjdk-17-jre-headless maven), or set TIDEMILL_TEST_BROKERS=HOST:PORT to use one that runs";

/// The class path of the broker.
pub fn class_path() -> Result<String, String> {
    java()?;
    let directory = directory();
    if !directory.join(".complete").exists() {
        fetch(&directory)?;
    }
    Ok(format!("{}/*", directory.display()))
}

fn directory() -> PathBuf {
    if let Some(directory) = std::env::var_os("TIDEMILL_TEST_JARS") {
        return directory.into();
    }
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/tmp".into())).join(".cache");
    cache.unwrap_or_else(home).join("tidemill-kafka-4.1.0")
}

fn java() -> Result<(), String> {
    match Command::new("java").arg("-version").output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("`java -version` failed: {}; {INSTEAD}", String::from_utf8_lossy(&output.stderr))),
        Err(error) => Err(format!("`java` does not run: {error}; {INSTEAD}")),
    }
}

/// Into a directory of this process, renamed when whole: another test may be doing the same.
fn fetch(directory: &Path) -> Result<(), String> {
    let own = directory.with_extension(format!("{}.part", std::process::id()));
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kafka/pom.xml");
    let output = Command::new("mvn")
        .args(["-q", "-B", "-f"])
        .arg(project)
        .args(["dependency:copy-dependencies", "-DincludeScope=runtime"])
        .arg(format!("-DoutputDirectory={}", own.display()))
        .output()
        .map_err(|error| format!("`mvn` does not run: {error}; {INSTEAD}"))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stdout);
        return Err(format!("Maven could not fetch the broker's jars:\n{text}\n{INSTEAD}"));
    }
    std::fs::write(own.join(".complete"), "").map_err(|error| format!("{}: {error}", own.display()))?;
    if std::fs::rename(&own, directory).is_err() && !directory.join(".complete").exists() {
        // A directory without the mark: what an interrupted copy left behind.
        std::fs::remove_dir_all(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
        std::fs::rename(&own, directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    }
    let _ = std::fs::remove_dir_all(&own);
    Ok(())
}
