//! Encrypted connections, with every way to say who one is.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use tidemill::emit::kafka::Sent;
use tidemill::error::Exit;
use tidemill::kafka::{Admin, Health, Settings};

use crate::reader::{at, open, read_more};
use crate::support::{ADMIN, Broker, PASSWORD, settings, wait_until};
use crate::writer;

const WAIT: Duration = Duration::from_secs(30);

/// Settings of the listener with TLS.
fn encrypted(broker: &Broker, options: &[&str]) -> Settings {
    let (address, _) = broker.tls.as_ref().expect("a broker that the tests started");
    settings(address, &[&["security.protocol=SASL_SSL"], options].concat())
}

/// The same, with the certificate that vouches for the broker.
fn trusted(broker: &Broker, options: &[&str]) -> Settings {
    let (_, certificate) = broker.tls.as_ref().expect("a broker that the tests started");
    encrypted(broker, &[options, &[&format!("ssl.ca.location={}", certificate.display())]].concat())
}

/// A topic is found, and a record goes there and comes back.
fn there_and_back(broker: &Broker, settings: &Settings, way: &str) {
    let topic = broker.topic("encrypted", 1);
    let found = Admin::new(settings, &Health::default()).unwrap().topics(&[&topic], &[]);
    assert!(found.is_ok(), "{way}: {}", found.unwrap_err().message);
    let mut producer = writer::open(settings, &[&topic]);
    assert_eq!(producer.send(&writer::record(0, b"a secret", 0)).unwrap(), Sent::Queued);
    let (mut reader, mut read) = (open(settings, &[&topic], &[at(0, 0, 0)]), Vec::new());
    wait_until(WAIT, "the record is delivered and read", || {
        producer.poll(&mut |_| {}).unwrap();
        read_more(&mut reader, &mut read);
        producer.in_flight() == 0 && !read.is_empty()
    });
    assert_eq!(read[0].value.as_deref(), Some(&b"a secret"[..]), "{way}");
}

#[test]
fn records_travel_encrypted_with_every_mechanism() {
    let broker = Broker::own();
    let (user, password) = (format!("sasl.username={ADMIN}"), format!("sasl.password={PASSWORD}"));
    let subject = format!("sasl.oauthbearer.config=principal={ADMIN}");
    let by_password = |mechanism| vec![mechanism, user.as_str(), password.as_str()];
    let by_token = vec!["sasl.mechanisms=OAUTHBEARER", "enable.sasl.oauthbearer.unsecure.jwt=true", &subject];
    let ways = [by_password("sasl.mechanisms=PLAIN"), by_password("sasl.mechanisms=SCRAM-SHA-256"), by_token];
    for way in ways {
        there_and_back(&broker, &trusted(&broker, &way), &format!("{way:?}"));
    }
}

/// One who gives out a token to whoever names the right client and secret; where, and what it was asked.
fn token_issuer(secret: &'static str) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/token", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let heard = asked.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let request = http_request(&mut stream);
            let welcome = request.contains(&format!("Basic {}", STANDARD.encode(format!("tidemill:{secret}"))));
            heard.lock().unwrap().push(request);
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
            let claims = format!(r#"{{"sub":"{ADMIN}","iat":{now},"exp":{}}}"#, now + 3600);
            let token = [r#"{"alg":"none"}"#, &claims].map(|part| URL_SAFE_NO_PAD.encode(part)).join(".");
            let (status, body) = match welcome {
                true => ("200 OK", format!(r#"{{"access_token":"{token}.","token_type":"Bearer","expires_in":3600}}"#)),
                false => ("401 Unauthorized", r#"{"error":"invalid_client"}"#.to_owned()),
            };
            let head = format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nConnection: close");
            write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
        }
    });
    (address, asked)
}

/// Head and body.
fn http_request(stream: &mut TcpStream) -> String {
    let (mut request, mut chunk) = (String::new(), [0; 4096]);
    loop {
        let count = stream.read(&mut chunk).unwrap();
        assert!(count > 0, "the request ends within: {request}");
        request.push_str(std::str::from_utf8(&chunk[..count]).unwrap());
        let Some((head, body)) = request.split_once("\r\n\r\n") else { continue };
        let length =
            head.to_lowercase().lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
        if body.len() >= length.unwrap_or(0) {
            return request;
        }
    }
}

fn by_issued_token(broker: &Broker, secret: &str, issuer: &str) -> Settings {
    let (endpoint, secret) =
        (format!("sasl.oauthbearer.token.endpoint.url={issuer}"), format!("sasl.oauthbearer.client.secret={secret}"));
    let who = ["sasl.mechanisms=OAUTHBEARER", "sasl.oauthbearer.method=oidc", "sasl.oauthbearer.client.id=tidemill"];
    trusted(broker, &[&who[..], &[&endpoint, &secret]].concat())
}

#[test]
fn a_token_is_fetched_from_its_issuer() {
    let broker = Broker::own();
    let (issuer, asked) = token_issuer("s3cret of the issuer");
    there_and_back(&broker, &by_issued_token(&broker, "s3cret of the issuer", &issuer), "by an issued token");
    let asked = asked.lock().unwrap();
    assert!(!asked.is_empty() && asked.iter().all(|request| request.contains("grant_type=client_credentials")));
}

#[test]
fn an_issuer_that_gives_no_token_is_a_reason_to_stop() {
    let broker = Broker::own();
    let topic = broker.topic("issued", 1);
    let (issuer, _) = token_issuer("s3cret of the issuer");
    let mut settings = by_issued_token(&broker, "a wr0ng secret", &issuer);
    settings.start_timeout = Duration::from_secs(5);
    let error = Admin::new(&settings, &Health::default()).unwrap().topics(&[&topic], &[]).unwrap_err();
    assert!(error.message.contains("OAUTHBEARER") || error.message.contains("token"), "{}", error.message);
    assert!(!error.message.contains("wr0ng"), "{}", error.message);
    assert_eq!(error.exit, Exit::Unavailable, "{}", error.message);
}

#[test]
fn a_broker_for_which_nobody_vouches_is_refused() {
    let broker = Broker::own();
    let topic = broker.topic("encrypted", 1);
    let (user, password) = (format!("sasl.username={ADMIN}"), format!("sasl.password={PASSWORD}"));
    let mut settings = encrypted(&broker, &["sasl.mechanisms=PLAIN", &user, &password]);
    settings.start_timeout = Duration::from_secs(5);
    let error = Admin::new(&settings, &Health::default()).unwrap().topics(&[&topic], &[]).unwrap_err();
    assert!(error.message.contains("certificate"), "{}", error.message);
    assert!(!error.message.contains(PASSWORD), "{}", error.message);
    assert_eq!(error.exit, Exit::Unavailable, "{}", error.message);
}
