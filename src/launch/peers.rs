//! How the processes of a job meet: every pair connects once, says who it is, and compares.
//!
//! Process i listens on its own address, connects to those before it and is connected to by those after it. Each
//! side sends a [`Hello`]; all connections are made before anything is judged, so that every process learns of every
//! difference and all refuse alike. The sockets then carry timely's exchange.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use crate::error::{Exit, RunError};

/// Another one for each form of the greeting: an older program is no peer, and is told so at once.
const MAGIC: [u8; 8] = *b"tidemil2";
/// How long one greeting may take: a stranger on the port does not hold the job.
const GREETING: Duration = Duration::from_secs(5);
const RETRY: Duration = Duration::from_millis(100);

/// What processes must agree on, and who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello {
    pub plan: u64,
    /// Hash of the group where progress is published; 0 without Kafka.
    pub group: u64,
    /// Microseconds.
    pub epoch: u64,
    /// 0 or 1.
    pub until_caught_up: u64,
    pub workers: u64,
    pub processes: u64,
    pub process: u64,
}

const NUMBERS: usize = 7;
const HELLO_BYTES: usize = 8 + NUMBERS * 8;

/// Meets all other processes; at its place in the result this process has `None`.
pub fn meet(hosts: &[String], mine: Hello, patience: Duration) -> Result<Vec<Option<TcpStream>>, RunError> {
    let deadline = Instant::now() + patience;
    let me = mine.process as usize;
    let listener = TcpListener::bind(&hosts[me])
        .map_err(|e| RunError::new(Exit::Unavailable, format!("cannot listen on {}: {e}", hosts[me])))?;
    let mut met: Vec<Option<(TcpStream, Hello)>> = hosts.iter().map(|_| None).collect();
    for (peer, host) in hosts.iter().enumerate().take(me) {
        met[peer] = Some(connect(host, peer, mine, deadline)?);
    }
    while met[me + 1..].iter().any(Option::is_none) {
        let (stream, hello) = accept(&listener, mine, deadline).map_err(|e| {
            let missing = (me + 1..hosts.len()).filter(|peer| met[*peer].is_none());
            let missing = missing.map(|peer| hosts[peer].as_str()).collect::<Vec<_>>().join(", ");
            RunError::new(Exit::TryAgain, format!("no word from process at {missing}: {e}; is it started?"))
        })?;
        match met.get_mut(hello.process as usize) {
            Some(place) if hello.process as usize > me && place.as_ref().is_none_or(|(held, _)| is_dead(held)) => {
                *place = Some((stream, hello));
            }
            _ => return Err(differs(format!("two processes say that they are number {}", hello.process))),
        }
    }
    for (peer, theirs) in met.iter().enumerate().filter_map(|(i, m)| m.as_ref().map(|(_, hello)| (i, hello))) {
        compare(&mine, theirs, &hosts[peer])?;
    }
    Ok(met.into_iter().map(|met| met.map(|(stream, _)| stream)).collect())
}

/// Has the process at the other end gone? While it waits for others it says nothing.
fn is_dead(held: &TcpStream) -> bool {
    let peeked = held.set_nonblocking(true).and_then(|()| held.peek(&mut [0]));
    let is_there = peeked.map_or_else(|error| error.kind() == io::ErrorKind::WouldBlock, |bytes| bytes > 0);
    !is_there || held.set_nonblocking(false).is_err()
}

fn compare(mine: &Hello, theirs: &Hello, host: &str) -> Result<(), RunError> {
    let differ = |what: &str, mine: String, theirs: String| {
        Err(differs(format!("the process at {host} has {what} {theirs}, this one {mine}: start all alike")))
    };
    if mine.workers != theirs.workers {
        return differ("--workers", mine.workers.to_string(), theirs.workers.to_string());
    }
    if mine.processes != theirs.processes {
        return differ("--processes", mine.processes.to_string(), theirs.processes.to_string());
    }
    if mine.plan != theirs.plan {
        return differ("a dataflow file of hash", format!("{:016x}", mine.plan), format!("{:016x}", theirs.plan));
    }
    if mine.group != theirs.group {
        return differ("a --group of hash", format!("{:016x}", mine.group), format!("{:016x}", theirs.group));
    }
    if mine.epoch != theirs.epoch {
        return differ("an --epoch of", format!("{} µs", mine.epoch), format!("{} µs", theirs.epoch));
    }
    if mine.until_caught_up != theirs.until_caught_up {
        let given = |flag| if flag == 1 { "is given" } else { "is not given" }.to_owned();
        return differ("--until-caught-up, which", given(mine.until_caught_up), given(theirs.until_caught_up));
    }
    Ok(())
}

fn differs(message: String) -> RunError {
    RunError::new(Exit::Config, message)
}

fn connect(host: &str, peer: usize, mine: Hello, deadline: Instant) -> Result<(TcpStream, Hello), RunError> {
    loop {
        let error = match try_connect(host, mine) {
            Ok((_, hello)) if hello.process as usize != peer => {
                let process = hello.process;
                return Err(differs(format!("the process at {host} says it is number {process}, not {peer}")));
            }
            Ok(met) => return Ok(met),
            Err(error) => error,
        };
        if Instant::now() >= deadline {
            let text = format!("no word from process {peer} at {host}: {error}; is it started?");
            return Err(RunError::new(Exit::TryAgain, text));
        }
        std::thread::sleep(RETRY);
    }
}

fn try_connect(host: &str, mine: Hello) -> io::Result<(TcpStream, Hello)> {
    let addresses = host.to_socket_addrs()?;
    let mut last = io::Error::other("the name has no address");
    for address in addresses {
        match TcpStream::connect_timeout(&address, GREETING).and_then(|stream| greet(stream, mine)) {
            Ok(met) => return Ok(met),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The next process that greets properly; whoever else connects is turned away.
fn accept(listener: &TcpListener, mine: Hello, deadline: Instant) -> io::Result<(TcpStream, Hello)> {
    listener.set_nonblocking(true)?;
    loop {
        match listener.accept() {
            Ok((stream, from)) => {
                stream.set_nonblocking(false)?;
                match greet(stream, mine) {
                    Ok(met) => return Ok(met),
                    Err(error) => tracing::warn!(%from, %error, "turned away a connection that is no peer"),
                }
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                if Instant::now() >= deadline {
                    return Err(io::Error::new(io::ErrorKind::TimedOut, "timed out"));
                }
                std::thread::sleep(Duration::from_millis(10));
            }
            Err(e) => return Err(e),
        }
    }
}

fn greet(mut stream: TcpStream, mine: Hello) -> io::Result<(TcpStream, Hello)> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(GREETING))?;
    stream.set_write_timeout(Some(GREETING))?;
    stream.write_all(&mine.encode())?;
    let mut theirs = [0; HELLO_BYTES];
    stream.read_exact(&mut theirs)?;
    stream.set_read_timeout(None)?;
    stream.set_write_timeout(None)?;
    Ok((stream, Hello::decode(&theirs)?))
}

impl Hello {
    fn encode(&self) -> Vec<u8> {
        let Self { plan, group, epoch, until_caught_up, workers, processes, process } = *self;
        let numbers: [u64; NUMBERS] = [plan, group, epoch, until_caught_up, workers, processes, process];
        MAGIC.into_iter().chain(numbers.into_iter().flat_map(u64::to_be_bytes)).collect()
    }

    fn decode(bytes: &[u8; HELLO_BYTES]) -> io::Result<Self> {
        if bytes[..8] != MAGIC {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it does not speak as a tidemill process"));
        }
        let mut numbers = [0; NUMBERS];
        for (number, bytes) in numbers.iter_mut().zip(bytes[8..].as_chunks().0) {
            *number = u64::from_be_bytes(*bytes);
        }
        let [plan, group, epoch, until_caught_up, workers, processes, process] = numbers;
        Ok(Self { plan, group, epoch, until_caught_up, workers, processes, process })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn free_hosts(n: usize) -> Vec<String> {
        let listeners: Vec<_> = (0..n).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        listeners.iter().map(|l| l.local_addr().unwrap().to_string()).collect()
    }

    fn meet_all(hellos: &[Hello]) -> Vec<Result<Vec<Option<TcpStream>>, RunError>> {
        let hosts = free_hosts(hellos.len());
        let meet_one = |hello: &Hello| {
            let (hosts, hello) = (hosts.clone(), *hello);
            std::thread::spawn(move || meet(&hosts, hello, PATIENCE))
        };
        let threads: Vec<_> = hellos.iter().map(meet_one).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    }

    fn hello(process: u64) -> Hello {
        Hello { plan: 7, group: 5, epoch: 10_000, until_caught_up: 0, workers: 2, processes: 3, process }
    }

    #[test]
    fn three_processes_meet() {
        for (me, sockets) in meet_all(&[hello(0), hello(1), hello(2)]).into_iter().enumerate() {
            let there: Vec<bool> = sockets.unwrap().iter().map(Option::is_some).collect();
            assert_eq!(there, (0..3).map(|peer| peer != me).collect::<Vec<_>>());
        }
    }

    #[test]
    fn all_refuse_another_plan_and_other_flags() {
        let others = [
            (Hello { plan: 8, ..hello(1) }, "dataflow file"),
            (Hello { group: 6, ..hello(1) }, "--group"),
            (Hello { epoch: 5_000, ..hello(1) }, "--epoch"),
            (Hello { until_caught_up: 1, ..hello(1) }, "--until-caught-up"),
            (Hello { workers: 3, ..hello(1) }, "--workers"),
        ];
        for (other, what) in others {
            for result in meet_all(&[hello(0), other]) {
                let error = result.unwrap_err();
                assert_eq!(error.exit, Exit::Config);
                assert!(error.message.contains(what), "{error}");
            }
        }
    }

    /// Process 0 waits for two others; what it met, and what `others` made.
    fn meet_as_first<T>(others: impl FnOnce(&str) -> T) -> (Result<Vec<Option<TcpStream>>, RunError>, T) {
        let hosts = free_hosts(3);
        let first = hosts[0].clone();
        let waiting = std::thread::spawn(move || meet(&hosts, hello(0), PATIENCE));
        let made = others(&first);
        (waiting.join().unwrap(), made)
    }

    fn greet_first(host: &str, process: u64) -> TcpStream {
        connect(host, 0, hello(process), Instant::now() + PATIENCE).unwrap().0
    }

    #[test]
    fn a_process_that_starts_again_takes_the_place_of_the_one_that_died() {
        let (met, mut others) = meet_as_first(|first| {
            drop(greet_first(first, 1));
            [greet_first(first, 1), greet_first(first, 2)]
        });
        let mut word = [0];
        others[0].write_all(&[7]).unwrap();
        met.unwrap()[1].as_ref().unwrap().read_exact(&mut word).unwrap();
        assert_eq!(word, [7], "the socket is that of the living one, and waits for what comes");
    }

    #[test]
    fn two_that_live_are_not_one_process() {
        let (met, _) = meet_as_first(|first| [greet_first(first, 1), greet_first(first, 1)]);
        let error = met.unwrap_err();
        assert_eq!(error.exit, Exit::Config);
        assert!(error.message.contains("number 1"), "{error}");
    }

    #[test]
    fn a_missing_peer_is_named() {
        let hosts = free_hosts(2);
        let error = meet(&hosts, hello(0), Duration::from_millis(50)).unwrap_err();
        assert_eq!(error.exit, Exit::TryAgain);
        assert!(error.message.contains(&hosts[1]), "{error}");
    }
}
