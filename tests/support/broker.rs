//! A real Kafka: one node, a plain Java process on free ports, dead at the latest when the test process is.

use std::io::Write;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, mpsc};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::jars;

/// A user of the listeners with credentials, by PLAIN and by SCRAM-SHA-256, who may do nothing until ACLs let him.
pub const USER: &str = "alice";
pub const PASSWORD: &str = "alices-password";
/// One who may do everything; also by OAUTHBEARER, with a token that names him and is not signed.
pub const ADMIN: &str = "carol";
const ADMIN_PASSWORD: &str = PASSWORD;

pub struct Broker {
    /// `HOST:PORT`, without credentials; whoever comes here may do everything.
    pub address: String,
    /// `HOST:PORT` of the listener with credentials (SASL_PLAINTEXT); none on a broker that the tests did not start.
    pub secure: Option<String>,
    /// The listener with credentials and TLS (SASL_SSL), and the certificate that vouches for it.
    pub tls: Option<(String, PathBuf)>,
    /// Ports of a listener that clients find only through another port, where a test puts its [`super::Proxy`].
    pub behind: Option<(u16, u16)>,
    home: Option<PathBuf>,
    running: Mutex<Option<Running>>,
}

struct Running {
    pid: i32,
    /// Closed when the process has ended.
    ended: mpsc::Receiver<()>,
}

impl Broker {
    /// The broker of this test process: `TIDEMILL_TEST_BROKERS`, else one that it starts. Do not stop it.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Result<Broker, String>> = OnceLock::new();
        let shared = SHARED.get_or_init(|| match std::env::var("TIDEMILL_TEST_BROKERS") {
            Ok(brokers) if !brokers.is_empty() => Broker::given(brokers),
            _ => Broker::start(),
        });
        shared.as_ref().unwrap_or_else(|message| panic!("{message}"))
    }

    /// A broker of the test's own, to stop and kill.
    pub fn own() -> Self {
        Self::start().unwrap_or_else(|message| panic!("{message}"))
    }

    fn given(address: String) -> Result<Self, String> {
        if !answers(&address, Duration::from_secs(15)) {
            return Err(format!("TIDEMILL_TEST_BROKERS names {address}, where no Kafka broker answers"));
        }
        Ok(Self { address, secure: None, tls: None, behind: None, home: None, running: Mutex::new(None) })
    }

    fn start() -> Result<Self, String> {
        let class_path = jars::class_path()?;
        let ports = free_ports();
        let [port, _, secure, hidden, shown, tls] = ports;
        let home = new_home(port)?;
        let write = |name: &str, text: String| {
            std::fs::write(home.join(name), text).map_err(|error| format!("{}: {error}", home.display()))
        };
        write("server.properties", properties(&home, ports))?;
        write("log4j2.properties", LOGGING.to_owned())?;
        format_storage(&home, &class_path)?;
        let certificate = make_certificate(&home)?;
        let broker = Self {
            address: format!("127.0.0.1:{port}"),
            secure: Some(format!("127.0.0.1:{secure}")),
            tls: Some((format!("localhost:{tls}"), certificate)),
            behind: Some((hidden, shown)),
            home: Some(home),
            running: Mutex::new(None),
        };
        broker.launch(&class_path)?;
        Ok(broker)
    }

    /// Starts again on the same data and ports, after [`Broker::stop`] or [`Broker::kill`].
    pub fn restart(&self) {
        let started = jars::class_path().and_then(|class_path| self.launch(&class_path));
        started.unwrap_or_else(|message| panic!("{message}"));
    }

    /// Ends it as an operator would; waits until it is gone.
    pub fn stop(&self) {
        self.end(libc::SIGTERM);
    }

    /// Ends it as a crash would.
    pub fn kill(&self) {
        self.end(libc::SIGKILL);
    }

    fn end(&self, signal: i32) {
        if let Some(running) = self.running.lock().unwrap().take() {
            // SAFETY: the process is a child that its keeper has not waited for yet, or is gone, which is harmless.
            unsafe { libc::kill(running.pid, signal) };
            let _ = running.ended.recv_timeout(Duration::from_secs(60));
        }
    }

    fn launch(&self, class_path: &str) -> Result<(), String> {
        let home = self.home.as_ref().expect("a broker that the tests started has a home");
        let log = std::fs::File::options().create(true).append(true).open(home.join("broker.log"));
        let log = log.map_err(|error| format!("{}: {error}", home.display()))?;
        let mut command = Command::new("java");
        command
            .args(["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=4", "-cp", class_path])
            .arg(format!("-Dlog4j2.configurationFile={}", home.join("log4j2.properties").display()))
            .arg("kafka.Kafka")
            .arg(home.join("server.properties"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(|error| error.to_string())?)
            .stderr(log);
        let running = keep(command)?;
        let ended = |running: &Running| running.ended.try_recv() == Err(mpsc::TryRecvError::Disconnected);
        let start = Instant::now();
        while !answers(&self.address, Duration::from_millis(500)) {
            if ended(&running) || start.elapsed() > Duration::from_secs(90) {
                return Err(format!("the broker did not come up; its log ends:\n{}\n{}", tail(home), jars::INSTEAD));
            }
        }
        *self.running.lock().unwrap() = Some(running);
        Ok(())
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.end(libc::SIGKILL);
        if let Some(home) = &self.home {
            let _ = std::fs::remove_dir_all(home);
        }
    }
}

/// Runs a process that dies with this one. Linux ties that to the *thread* that started it, so a thread stays for as
/// long as the process does.
fn keep(mut command: Command) -> Result<Running, String> {
    // SAFETY: `prctl` is async-signal-safe and touches nothing of the parent.
    unsafe {
        command.pre_exec(|| {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            Ok(())
        });
    }
    let (started, pid) = mpsc::channel();
    let (alive, ended) = mpsc::channel();
    std::thread::spawn(move || {
        let _alive: mpsc::Sender<()> = alive;
        match command.spawn() {
            Ok(mut child) => {
                let _ = started.send(Ok(child.id() as i32));
                let _ = child.wait();
            }
            Err(error) => {
                let _ = started.send(Err(format!("`java` does not run: {error}; {}", jars::INSTEAD)));
            }
        }
    });
    let pid = pid.recv().map_err(|error| error.to_string())??;
    Ok(Running { pid, ended })
}

fn answers(address: &str, wait: Duration) -> bool {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", address).set("log_level", "0").set("reconnect.backoff.max.ms", "200");
    let client: BaseConsumer<Quiet> = config.create_with_context(Quiet).expect("these settings are right");
    client.fetch_metadata(None, wait).is_ok()
}

/// Says nothing about connections that a starting broker refuses.
#[derive(Clone)]
pub struct Quiet;

impl rdkafka::ClientContext for Quiet {
    fn log(&self, _: rdkafka::config::RDKafkaLogLevel, _: &str, _: &str) {}
    fn error(&self, _: rdkafka::error::KafkaError, _: &str) {}
}

impl rdkafka::consumer::ConsumerContext for Quiet {}

/// Ports that are free, below those that the system gives to outgoing connections: a broker takes seconds to bind
/// them, and any client may be given one of those meanwhile.
fn free_ports() -> [u16; 6] {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let first = std::process::id().wrapping_mul(61);
    [(); 6].map(|()| {
        let candidates = std::iter::repeat_with(|| NEXT.fetch_add(1, Ordering::Relaxed));
        let mut ports = candidates.take(12_000).map(|n| 20_000 + (first.wrapping_add(n) % 12_000) as u16);
        ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).expect("loopback has a free port")
    })
}

/// A new directory below the build's; those of test processes that ended are removed.
fn new_home(port: u16) -> Result<PathBuf, String> {
    let all = Path::new(env!("CARGO_TARGET_TMPDIR")).join("kafka");
    std::fs::create_dir_all(&all).map_err(|error| format!("{}: {error}", all.display()))?;
    for old in std::fs::read_dir(&all).into_iter().flatten().flatten() {
        let pid = old.file_name().to_string_lossy().split('-').next().and_then(|pid| pid.parse::<i32>().ok());
        // SAFETY: signal 0 only asks whether the process is there.
        if pid.is_none_or(|pid| unsafe { libc::kill(pid, 0) } != 0) {
            let _ = std::fs::remove_dir_all(old.path());
        }
    }
    let home = all.join(format!("{}-{port}", std::process::id()));
    std::fs::create_dir_all(&home).map_err(|error| format!("{}: {error}", home.display()))?;
    Ok(home)
}

fn format_storage(home: &Path, class_path: &str) -> Result<(), String> {
    let output = Command::new("java")
        .args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", class_path, "kafka.tools.StorageTool", "format"])
        .args(["--standalone", "-t", "VGlkZW1pbGxUZXN0MDAwMA", "-c"])
        .arg(home.join("server.properties"))
        .args(["--add-scram", &format!("SCRAM-SHA-256=[name={USER},password={PASSWORD}]")])
        .args(["--add-scram", &format!("SCRAM-SHA-256=[name={ADMIN},password={ADMIN_PASSWORD}]")])
        .output()
        .map_err(|error| format!("`java` does not run: {error}; {}", jars::INSTEAD))?;
    let mut log = output.stdout;
    log.extend(output.stderr);
    if output.status.success() {
        return Ok(());
    }
    Err(format!("the broker's storage could not be made:\n{}", String::from_utf8_lossy(&log)))
}

/// The broker's key, and its certificate, which it signed itself.
fn make_certificate(home: &Path) -> Result<PathBuf, String> {
    let (store, certificate) = (home.join("broker.p12"), home.join("broker.pem"));
    let names = "SAN=DNS:localhost,IP:127.0.0.1";
    let make = ["-genkeypair", "-keyalg", "EC", "-validity", "2", "-dname", "CN=localhost", "-ext", names];
    for arguments in [&make[..], &["-exportcert", "-rfc", "-file", &certificate.to_string_lossy()]] {
        let mut command = Command::new("keytool");
        command.args(arguments).args(["-alias", "broker", "-storetype", "PKCS12", "-storepass", STORE_PASSWORD]);
        let output = command.arg("-keystore").arg(&store).output();
        let output = output.map_err(|error| format!("`keytool`, a part of Java, does not run: {error}"))?;
        if !output.status.success() {
            return Err(format!("the broker's certificate: {}", String::from_utf8_lossy(&output.stdout)));
        }
    }
    Ok(certificate)
}

const STORE_PASSWORD: &str = "of-this-test";

fn tail(home: &Path) -> String {
    let log = std::fs::read_to_string(home.join("broker.log")).unwrap_or_default();
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}

fn properties(home: &Path, [port, controller, secure, hidden, shown, tls]: [u16; 6]) -> String {
    let mut text = Vec::new();
    let data = home.join("data");
    let login = "org.apache.kafka.common.security";
    write!(
        text,
        "process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller},SECURE://127.0.0.1:{secure},BEHIND://127.0.0.1:{hidden},TLS://127.0.0.1:{tls}
advertised.listeners=PLAINTEXT://127.0.0.1:{port},SECURE://127.0.0.1:{secure},BEHIND://127.0.0.1:{shown},TLS://localhost:{tls}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_PLAINTEXT,BEHIND:PLAINTEXT,TLS:SASL_SSL
listener.name.secure.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256
listener.name.secure.plain.sasl.jaas.config={login}.plain.PlainLoginModule required user_{USER}=\"{PASSWORD}\";
listener.name.secure.scram-sha-256.sasl.jaas.config={login}.scram.ScramLoginModule required;
listener.name.tls.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,OAUTHBEARER
listener.name.tls.plain.sasl.jaas.config={login}.plain.PlainLoginModule required user_{ADMIN}=\"{ADMIN_PASSWORD}\";
listener.name.tls.scram-sha-256.sasl.jaas.config={login}.scram.ScramLoginModule required;
listener.name.tls.oauthbearer.sasl.jaas.config={login}.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub=\"{ADMIN}\";
listener.name.tls.ssl.keystore.type=PKCS12
listener.name.tls.ssl.keystore.location={}
listener.name.tls.ssl.keystore.password={STORE_PASSWORD}
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS;User:{ADMIN}
log.dirs={}
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
log.cleaner.dedupe.buffer.size=16777216
log.retention.ms=-1
num.partitions=3
",
        home.join("broker.p12").display(),
        data.display()
    )
    .expect("writing to memory");
    String::from_utf8(text).expect("it is text")
}

const LOGGING: &str = "rootLogger.level=WARN
rootLogger.appenderRefs=out
rootLogger.appenderRef.out.ref=OUT
appender.out.type=Console
appender.out.name=OUT
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=%d %p %c{1} %m%n
";
