//! How single values are read. Errors say what was expected, with an example.

use std::str::FromStr;
use std::time::Duration;

use crate::telemetry::http::Listen;

/// `250ms 5s 10m 24h 7d`: a whole number and a unit.
pub fn duration(text: &str) -> Result<Duration, String> {
    const EXAMPLES: &str = "write a whole number and a unit, as in `250ms`, `5s`, `10m`, `24h` or `7d`";
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    if number.is_empty() {
        return Err(EXAMPLES.into());
    }
    let number: u64 = number.parse().map_err(|_| format!("`{number}` is too large"))?;
    let millis: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        "" => return Err(format!("`{text}` has no unit: {EXAMPLES}")),
        _ => return Err(format!("there is no unit `{unit}`: {EXAMPLES}")),
    };
    number.checked_mul(millis).map(Duration::from_millis).ok_or_else(|| format!("`{text}` is too long"))
}

/// The address of one process.
pub fn host_port(text: &str) -> Result<String, String> {
    let (host, port) = text.rsplit_once(':').ok_or_else(|| format!("`{text}` has no port: write `host:2101`"))?;
    check_host(host)?;
    check_port(port)?;
    Ok(text.to_string())
}

/// Kafka's bootstrap servers. The port may be left out; the client takes 9092.
pub fn brokers(text: &str) -> Result<String, String> {
    let list: Vec<&str> = text.split(',').map(str::trim).filter(|broker| !broker.is_empty()).collect();
    for broker in &list {
        match broker.rsplit_once(':') {
            // The colons of an IPv6 address, and of a protocol before the host, are none before a port.
            Some((host, port)) if !port.contains(['/', ']']) => {
                check_host(host.rsplit("//").next().unwrap_or(host))?;
                check_port(port)?;
            }
            _ => check_host(broker)?,
        }
    }
    if list.is_empty() { Err("write `host:9092`, or several with commas between".into()) } else { Ok(list.join(",")) }
}

/// `KEY=VALUE`. The message never holds the value: it may be a secret.
pub fn setting(text: &str) -> Result<String, String> {
    match text.split_once('=') {
        Some((key, _)) if !key.trim().is_empty() => Ok(text.to_string()),
        Some(_) => Err("the setting has no name before the `=`: write `KEY=VALUE`".into()),
        None => Err("write `KEY=VALUE`, or `KEY=@FILE` to read the value from a file".into()),
    }
}

/// `off`, or where to listen.
pub fn listen(text: &str) -> Result<Listen, String> {
    if text == "off" {
        return Ok(Listen::Off);
    }
    host_port(text).map(Listen::At).map_err(|error| format!("{error}; or `off`"))
}

fn check_host(host: &str) -> Result<(), String> {
    if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c.is_control() || c == '=') {
        return Err(format!("`{host}` is no host"));
    }
    Ok(())
}

fn check_port(port: &str) -> Result<(), String> {
    port.parse::<u16>().map(drop).map_err(|_| format!("`{port}` is no port: write a number up to 65535"))
}

/// `NAME=PATH`, or several of them separated by commas: what one variable must be able to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedPaths(pub Vec<(String, String)>);

impl FromStr for NamedPaths {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for part in text.split(',') {
            match (part.split_once('='), pairs.last_mut()) {
                (Some((name, path)), _) if is_name(name) => pairs.push((name.to_string(), path.to_string())),
                // A comma, and perhaps a `=` after it, within a path.
                (_, Some((_, path))) => {
                    path.push(',');
                    path.push_str(part);
                }
                (Some((name, _)), None) => {
                    return Err(format!("`{name}` is no name of a dataflow file: lower-case letters, digits and `_`"));
                }
                (None, None) => return Err("write `NAME=PATH`, as in `orders=orders.jsonl`".into()),
            }
        }
        match pairs.iter().find(|(_, path)| path.is_empty()) {
            Some((name, _)) => Err(format!("`{name}` has no path: write `{name}=PATH`, or `{name}=-`")),
            None => Ok(Self(pairs)),
        }
    }
}

/// As names are in a dataflow file.
fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_a_number_and_a_unit() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("5s"), Ok(Duration::from_secs(5)));
        assert_eq!(duration("10m"), Ok(Duration::from_secs(600)));
        assert_eq!(duration("7d"), Ok(Duration::from_secs(604_800)));
        for wrong in ["", "10", "ms", "1.5s", "-1s", "10 s", "5min", "99999999999999999999s", "9999999999999999d", "١s"]
        {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
        assert!(duration("10").is_err_and(|error| error.contains("no unit") && error.contains("250ms")));
    }

    #[test]
    fn addresses_have_a_host_and_a_port() {
        for right in ["a:2101", "10.0.0.1:1", "[::1]:9464", "a.b-c.d:65535"] {
            assert_eq!(host_port(right).as_deref(), Ok(right));
        }
        for wrong in ["a", "a:", ":1", "a:65536", "a:b", "a b:1", "a=b:1"] {
            assert!(host_port(wrong).is_err(), "{wrong}");
        }
        assert_eq!(listen("off"), Ok(Listen::Off));
        assert_eq!(listen("0.0.0.0:80"), Ok(Listen::At("0.0.0.0:80".into())));
        assert!(listen("none").is_err_and(|error| error.ends_with("or `off`")));
    }

    #[test]
    fn brokers_may_leave_the_port_out() {
        assert_eq!(brokers("a:9092, b ,").as_deref(), Ok("a:9092,b"));
        assert_eq!(brokers("SSL://a:9093,[::1]:9092,[::1]").as_deref(), Ok("SSL://a:9093,[::1]:9092,[::1]"));
        for wrong in ["", ",", "a:x", "a b"] {
            assert!(brokers(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn settings_keep_their_value_out_of_messages() {
        assert_eq!(setting("a.b=c=d").as_deref(), Ok("a.b=c=d"));
        assert!(setting("=hunter2").is_err_and(|error| !error.contains("hunter2")));
        assert!(setting("hunter2").is_err_and(|error| !error.contains("hunter2")));
    }

    #[test]
    fn paths_are_named_and_may_hold_commas() {
        let pairs = |text: &str| text.parse::<NamedPaths>().map(|NamedPaths(pairs)| pairs);
        let pair = |name: &str, path: &str| (name.to_string(), path.to_string());
        assert_eq!(pairs("a=x.jsonl"), Ok(vec![pair("a", "x.jsonl")]));
        assert_eq!(pairs("a=x,b_2=-"), Ok(vec![pair("a", "x"), pair("b_2", "-")]));
        assert_eq!(pairs("a=x,y=1/Z=2,W=3"), Ok(vec![pair("a", "x"), pair("y", "1/Z=2,W=3")]));
        for wrong in ["", "a", "=x", "A=x", "a=", "a=x,b="] {
            assert!(pairs(wrong).is_err(), "{wrong}");
        }
    }
}
