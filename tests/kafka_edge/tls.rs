//! Encrypted connections, with every way to say who one is.

use std::time::Duration;

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

#[test]
fn records_travel_encrypted_with_every_mechanism() {
    let broker = Broker::own();
    let certificate = format!("ssl.ca.location={}", broker.tls.as_ref().unwrap().1.display());
    let (user, password) = (format!("sasl.username={ADMIN}"), format!("sasl.password={PASSWORD}"));
    let subject = format!("sasl.oauthbearer.config=principal={ADMIN}");
    let by_password = |mechanism| vec![mechanism, user.as_str(), password.as_str()];
    let by_token = vec!["sasl.mechanisms=OAUTHBEARER", "enable.sasl.oauthbearer.unsecure.jwt=true", &subject];
    let ways = [by_password("sasl.mechanisms=PLAIN"), by_password("sasl.mechanisms=SCRAM-SHA-256"), by_token];
    for way in ways {
        let topic = broker.topic("encrypted", 1);
        let settings = encrypted(&broker, &[&way[..], &[&certificate]].concat());
        let found = Admin::new(&settings, &Health::default()).unwrap().topics(&[&topic], &[]);
        assert!(found.is_ok(), "{way:?}: {}", found.unwrap_err().message);
        let mut producer = writer::open(&settings, &[&topic]);
        assert_eq!(producer.send(&writer::record(0, b"a secret", 0)).unwrap(), Sent::Queued);
        let (mut reader, mut read) = (open(&settings, &[&topic], &[at(0, 0, 0)]), Vec::new());
        wait_until(WAIT, "the record is delivered and read", || {
            producer.poll(&mut |_| {}).unwrap();
            read_more(&mut reader, &mut read);
            producer.in_flight() == 0 && !read.is_empty()
        });
        assert_eq!(read[0].value.as_deref(), Some(&b"a secret"[..]), "{way:?}");
    }
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
