//! What the user says about Kafka: checked once, before anything connects.
//!
//! A flag wins over the environment. A setting that the job's correctness rests on is refused by name, an unknown one
//! with the nearest that exists. Values that may be secrets are never printed: neither here nor in the client's log.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::config::ClientConfig;

use super::config;
use crate::error::{Exit, RunError};

/// How long a job waits for its brokers when it starts, before it ends with 69.
pub const START_TIMEOUT: Duration = Duration::from_secs(30);

/// Environment variables that are client settings begin so: `TIDEMILL_KAFKA_SASL_PASSWORD` is `sasl.password`.
const ENV_PREFIX: &str = "TIDEMILL_KAFKA_";

/// What was typed, before it is checked.
#[derive(Default)]
pub struct Given<'a> {
    /// `HOST:PORT,…`
    pub brokers: &'a str,
    /// `-X`, each `KEY=VALUE` or `KEY=@FILE`, in the order given; the last of one key counts.
    pub options: &'a [String],
    /// The environment; only `TIDEMILL_KAFKA_*` is looked at.
    pub environment: &'a [(String, String)],
    pub group: &'a str,
    pub broker_timeout: Duration,
    pub create_topics: bool,
}

/// Checked settings, from which every client is configured.
#[derive(Clone)]
pub struct Settings {
    pub brokers: String,
    /// Where progress is published.
    pub group: String,
    /// How long a running job waits for brokers that went away, before it ends with 75.
    pub broker_timeout: Duration,
    /// How long to wait for brokers at start; [`START_TIMEOUT`].
    pub start_timeout: Duration,
    pub create_topics: bool,
    options: BTreeMap<String, Chosen>,
}

#[derive(Clone)]
struct Chosen {
    value: String,
    hidden: bool,
}

impl Settings {
    /// The settings, and warnings for the user (secrets in clear on the command line). Errors are of `Exit::Usage`.
    pub fn new(given: &Given<'_>) -> Result<(Self, Vec<String>), RunError> {
        let brokers = given.brokers.split(',').map(str::trim).filter(|b| !b.is_empty()).collect::<Vec<_>>().join(",");
        if brokers.is_empty() {
            return Err(usage("no Kafka brokers: give --brokers HOST:PORT,… (or TIDEMILL_BROKERS)"));
        }
        let mut options = BTreeMap::new();
        let mut warnings = Vec::new();
        for (name, value) in given.environment {
            if let Some(rest) = name.strip_prefix(ENV_PREFIX).filter(|rest| !rest.is_empty()) {
                let key = rest.to_ascii_lowercase().replace('_', ".");
                config::check(&key, value, name)?;
                let chosen = Chosen { value: value.clone(), hidden: is_secret(&key) };
                options.insert(config::canonical(&key).to_owned(), chosen);
            }
        }
        for option in given.options {
            let (key, chosen) = read_option(option, &mut warnings)?;
            options.insert(config::canonical(&key).to_owned(), chosen);
        }
        let settings = Self {
            brokers,
            group: given.group.to_owned(),
            broker_timeout: given.broker_timeout,
            start_timeout: START_TIMEOUT,
            create_topics: given.create_topics,
            options,
        };
        Ok((settings, warnings))
    }

    /// The user's value of a client setting.
    pub fn option(&self, key: &str) -> Option<&str> {
        self.options.get(config::canonical(key)).map(|chosen| chosen.value.as_str())
    }

    /// Whether sources see only what was committed; so unless the user says otherwise.
    pub fn read_committed(&self) -> bool {
        self.option("isolation.level") != Some("read_uncommitted")
    }

    /// Puts the user's settings over ours.
    pub(super) fn apply(&self, config: &mut ClientConfig) {
        for (key, chosen) in &self.options {
            config.set(key, &chosen.value);
        }
    }

    /// The values that no message may show. Short ones would blot out ordinary words.
    pub(super) fn secrets(&self) -> Arc<[String]> {
        self.options.values().filter(|c| c.hidden && c.value.len() >= 4).map(|c| c.value.clone()).collect()
    }
}

/// `KEY=VALUE` or `KEY=@FILE`.
fn read_option(option: &str, warnings: &mut Vec<String>) -> Result<(String, Chosen), RunError> {
    let Some((key, value)) = option.split_once('=') else {
        // The whole word might be a secret that was put in the wrong place.
        return Err(usage("-X takes KEY=VALUE or KEY=@FILE, as in -X security.protocol=SASL_SSL"));
    };
    let key = key.trim().to_owned();
    let origin = format!("-X {key}");
    let chosen = match value.strip_prefix('@') {
        Some(path) => Chosen { value: read_file(&origin, path)?, hidden: true },
        None => {
            if in_clear(&key) {
                let variable = key.to_ascii_uppercase().replace('.', "_");
                warnings.push(format!(
                    "{origin} has a secret on the command line, where process lists and shell histories show it: use \
                     -X {key}=@FILE or the environment variable {ENV_PREFIX}{variable}"
                ));
            }
            Chosen { value: value.to_owned(), hidden: is_secret(&key) }
        }
    };
    config::check(&key, &chosen.value, &origin)?;
    Ok((key, chosen))
}

fn read_file(origin: &str, path: &str) -> Result<String, RunError> {
    let mut text =
        std::fs::read_to_string(path).map_err(|error| usage(format!("{origin}: cannot read {path}: {error}")))?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text)
}

/// Whether a setting's value is kept out of every message.
pub(super) fn is_secret(key: &str) -> bool {
    ["password", "secret", "key.pem", "jaas", "token", "oauthbearer.config"].iter().any(|part| key.contains(part))
}

/// Whether a setting's value should not have been on the command line.
fn in_clear(key: &str) -> bool {
    is_secret(key) && !key.ends_with(".url") && !key.ends_with(".config")
}

fn usage(message: impl Into<String>) -> RunError {
    RunError::new(Exit::Usage, message)
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("brokers", &self.brokers)
            .field("group", &self.group)
            .field("broker_timeout", &self.broker_timeout)
            .field("create_topics", &self.create_topics)
            .field("options", &self.options)
            .finish()
    }
}

impl fmt::Debug for Chosen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.hidden { "(hidden)" } else { &self.value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(options: &[&str], environment: &[(&str, &str)]) -> Result<(Settings, Vec<String>), RunError> {
        let options: Vec<String> = options.iter().map(|o| (*o).to_owned()).collect();
        let environment: Vec<_> = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Settings::new(&Given {
            brokers: "localhost:9092",
            options: &options,
            environment: &environment,
            group: "tidemill-test",
            broker_timeout: Duration::from_secs(120),
            create_topics: false,
        })
    }

    fn refused(options: &[&str], environment: &[(&str, &str)]) -> String {
        let error = given(options, environment).map(|_| ()).unwrap_err();
        assert_eq!(error.exit, Exit::Usage);
        error.message
    }

    #[test]
    fn a_flag_wins_over_the_environment() {
        let (settings, warnings) = given(&["client.id=flag"], &[("TIDEMILL_KAFKA_CLIENT_ID", "env")]).unwrap();
        assert_eq!(settings.option("client.id"), Some("flag"));
        assert!(warnings.is_empty());
        let (settings, _) = given(&[], &[("TIDEMILL_KAFKA_CLIENT_ID", "env"), ("KAFKA_CLIENT_ID", "no")]).unwrap();
        assert_eq!(settings.option("client.id"), Some("env"));
    }

    #[test]
    fn no_brokers_is_refused() {
        let error = Settings::new(&Given { brokers: " , ", ..Given::default() }).map(|_| ()).unwrap_err();
        assert_eq!(error.exit, Exit::Usage);
        assert!(error.message.contains("--brokers"), "{}", error.message);
    }

    #[test]
    fn an_unknown_setting_names_the_nearest() {
        let message = refused(&["sasl.pasword=x"], &[]);
        assert!(message.contains("`sasl.pasword`") && message.contains("`sasl.password`"), "{message}");
        let message = refused(&[], &[("TIDEMILL_KAFKA_LINGER", "5")]);
        assert!(message.contains("TIDEMILL_KAFKA_LINGER") && message.contains("`linger"), "{message}");
    }

    #[test]
    fn a_setting_that_correctness_rests_on_is_refused_with_its_reason() {
        for option in ["group.id=g", "enable.auto.commit=true", "acks=1", "enable.idempotence=false"] {
            let message = refused(&[option], &[]);
            assert!(message.contains(option.split('=').next().unwrap()), "{message}");
        }
        assert!(refused(&["group.id=g"], &[]).contains("--group"));
        assert!(refused(&["bootstrap.servers=h:1"], &[]).contains("--brokers"));
        assert!(refused(&["delivery.timeout.ms=1"], &[]).contains("--broker-timeout"));
    }

    #[test]
    fn a_value_of_the_wrong_form_is_refused() {
        let message = refused(&["linger.ms=soon"], &[]);
        assert!(message.contains("-X linger.ms: Invalid value"), "{message}");
        assert!(refused(&["linger.ms"], &[]).contains("KEY=VALUE"));
    }

    #[test]
    fn a_file_is_read_less_one_newline_and_never_shown() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "hunter2\n\n").unwrap();
        let option = format!("sasl.password=@{}", file.path().display());
        let user = format!("sasl.username=@{}", file.path().display());
        let (settings, warnings) = given(&[&option, &user], &[]).unwrap();
        assert_eq!(settings.option("sasl.password"), Some("hunter2\n"));
        assert!(warnings.is_empty());
        assert!(!format!("{settings:?}").contains("hunter2"));
    }

    #[test]
    fn a_missing_file_is_a_usage_error() {
        let message = refused(&["sasl.password=@/no/such/file"], &[]);
        assert!(message.contains("/no/such/file") && message.contains("sasl.password"), "{message}");
    }

    #[test]
    fn a_secret_in_clear_is_a_warning_and_is_not_repeated() {
        let (settings, warnings) = given(&["sasl.password=hunter2"], &[]).unwrap();
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].contains("TIDEMILL_KAFKA_SASL_PASSWORD") && !warnings[0].contains("hunter2"));
        assert!(!format!("{settings:?}").contains("hunter2"));
        let (_, warnings) = given(&["sasl.oauthbearer.config=principal=me"], &[]).unwrap();
        assert!(warnings.is_empty());
    }
}
