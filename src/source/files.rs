//! Files and standard input as sources: read by a thread each, streamed in chunks of lines, never whole.
//!
//! One worker of the whole job reads them all ([`Feed`]), so that an epoch of N records of a source is the same N
//! records at any number of workers; the lines are decoded by all. `.gz` and `.zst` are unpacked on the way.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::iter::repeat_with;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::buffers::{Buffers, CHUNK};
use crate::error::{Exit, RunError};

/// Messages that a reader may be ahead. A chunk that long lines made large counts for as many as it could have been.
const AHEAD: usize = 16;
/// A line longer than this is no record of anything: the job stops.
const LONGEST_LINE: usize = 256 << 20;

/// Some lines of one file, in its order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lines {
    /// The file, by its number among all inputs of the job.
    pub input: u32,
    /// The worker that is to decode them.
    pub worker: u64,
    /// The number of the first line, from 0.
    pub first: i64,
    pub bytes: Bytes,
    /// Where each line ends in `bytes`, its line break not included; the next begins one byte later.
    pub ends: Vec<u32>,
    /// How many of the lines are blank, and so no records.
    blank: usize,
}

impl Lines {
    /// Each record's line number, and where it is in `bytes`.
    pub fn ranges(&self) -> impl Iterator<Item = (i64, Range<usize>)> + '_ {
        (self.first..).zip(lines(&self.bytes, &self.ends)).filter(|(_, line)| !is_blank(&self.bytes[line.clone()]))
    }

    /// How many records there are.
    pub fn records(&self) -> usize {
        self.ends.len() - self.blank
    }

    /// Takes the first lines away: as many as hold `records` records, or all.
    fn split_to(&mut self, records: usize) -> Lines {
        let (n, blank) = self.first_lines(records);
        let taken = self.ends.drain(..n).collect::<Vec<_>>();
        let end = taken.last().map_or(0, |end| *end as usize);
        let bytes = self.bytes.slice(..end);
        let after = (end + 1).min(self.bytes.len()) as u32;
        self.bytes = self.bytes.slice(after as usize..);
        self.ends.iter_mut().for_each(|end| *end -= after);
        let first = self.first;
        self.first += n as i64;
        self.blank -= blank;
        Lines { input: self.input, worker: 0, first, bytes, ends: taken, blank }
    }

    /// How many lines the first `records` records take, and how many of these are blank.
    fn first_lines(&self, records: usize) -> (usize, usize) {
        if records >= self.records() {
            return (self.ends.len(), self.blank);
        }
        if self.blank == 0 {
            return (records, 0);
        }
        let full = lines(&self.bytes, &self.ends).enumerate().filter(|(_, line)| !is_blank(&self.bytes[line.clone()]));
        let n = full.take(records).last().map_or(0, |(line, _)| line + 1);
        (n, n - records)
    }
}

/// Where each line is, without its line break (LF or CR LF).
fn lines<'a>(bytes: &'a [u8], ends: &'a [u32]) -> impl Iterator<Item = Range<usize>> + 'a {
    let starts = std::iter::once(0).chain(ends.iter().map(|end| *end as usize + 1));
    starts.zip(ends).map(|(start, end)| {
        let end = *end as usize;
        start..end - usize::from(end > start && bytes[end - 1] == b'\r')
    })
}

fn is_blank(line: &[u8]) -> bool {
    line.iter().all(u8::is_ascii_whitespace)
}

enum Message {
    Lines(Lines),
    /// Takes up room in the queue before a large chunk, which takes but one place itself.
    Room,
    Failed(RunError),
}

/// One file being read by its thread.
struct Input {
    from: Receiver<Message>,
    chunks: VecDeque<Lines>,
    ended: bool,
}

/// The files of one source (its partitions), given out in epochs of a fixed number of records.
pub struct Feed {
    inputs: Vec<Input>,
    pipe: bool,
    /// Records that each file still owes to the epoch.
    owed: Vec<usize>,
    /// What cannot be shared evenly is owed by the files in turn, beginning with this one of those that have not ended.
    next: usize,
}

impl Feed {
    /// Opens the files and starts to read. `first_input` is the number of the first of them; `wake` is called
    /// whenever there is more.
    pub fn open(paths: &[String], first_input: u32, wake: Arc<dyn Fn() + Send + Sync>) -> Result<Feed, RunError> {
        let open = |(i, path): (usize, &String)| Input::open(path, first_input + i as u32, wake.clone());
        let inputs = paths.iter().enumerate().map(open).collect::<Result<Vec<_>, _>>()?;
        let owed = vec![0; inputs.len()];
        Ok(Feed { inputs, pipe: paths.iter().any(|path| path == "-"), owed, next: 0 })
    }

    /// Begins an epoch of `records`, shared evenly among the files.
    pub fn begin(&mut self, records: usize) {
        let live: Vec<usize> = (0..self.inputs.len()).filter(|i| !self.inputs[*i].ended).collect();
        self.owed.fill(0);
        live.iter().for_each(|input| self.owed[*input] = records / live.len());
        for _ in 0..records.checked_rem(live.len()).unwrap_or(0) {
            self.owed[live[self.next % live.len()]] += 1;
            self.next += 1;
        }
    }

    /// What is there of the epoch, until there are `most` chunks. What a file that ended still owed falls to the next
    /// one.
    pub fn take(&mut self, lines: &mut Vec<Lines>, most: usize) -> Result<(), RunError> {
        for turn in 0..2 * self.inputs.len() {
            let i = turn % self.inputs.len();
            let input = &mut self.inputs[i];
            while lines.len() < most && self.owed[i] > 0 && input.fill()? {
                let chunk = &mut input.chunks[0];
                let taken = chunk.split_to(self.owed[i]);
                self.owed[i] -= taken.records();
                lines.push(taken);
                if chunk.ends.is_empty() {
                    input.chunks.pop_front();
                }
            }
            if input.ended && self.owed[i] > 0 {
                let left = std::mem::take(&mut self.owed[i]);
                let next = (1..self.inputs.len()).map(|n| (i + n) % self.inputs.len());
                if let Some(next) = next.into_iter().find(|n| !self.inputs[*n].ended) {
                    self.owed[next] += left;
                }
            }
        }
        Ok(())
    }

    /// Is all of the epoch taken?
    pub fn is_complete(&self) -> bool {
        self.owed.iter().all(|owed| *owed == 0)
    }

    /// Has the file been read to its end (by its place in the feed)?
    pub fn ended(&self) -> impl Iterator<Item = bool> + '_ {
        self.inputs.iter().map(|input| input.ended)
    }

    /// Is standard input among the files?
    pub fn is_pipe(&self) -> bool {
        self.pipe
    }

    pub fn all_ended(&self) -> bool {
        self.inputs.iter().all(|input| input.ended)
    }
}

impl Input {
    fn open(path: &str, number: u32, wake: Arc<dyn Fn() + Send + Sync>) -> Result<Input, RunError> {
        let reader = reader(path).map_err(|e| cannot("open", path, &e))?;
        let (to, from) = sync_channel(AHEAD);
        let path = path.to_owned();
        let run = move || {
            if let Err(error) = read_lines(reader, number, &to, &*wake) {
                // Nobody listens any more when the job ends: nothing is left to be told.
                let _ = to.send(Message::Failed(cannot("read", &path, &error)));
            }
            drop(to);
            wake();
        };
        let named = std::thread::Builder::new().name(format!("input {number}"));
        named.spawn(run).map_err(|e| RunError::new(Exit::Software, format!("cannot start a thread: {e}")))?;
        Ok(Input { from, chunks: VecDeque::new(), ended: false })
    }

    /// Is there a line?
    fn fill(&mut self) -> Result<bool, RunError> {
        while self.chunks.is_empty() && !self.ended {
            match self.from.try_recv() {
                Ok(Message::Lines(lines)) => self.chunks.push_back(lines),
                Ok(Message::Room) => {}
                Ok(Message::Failed(error)) => return Err(error),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => self.ended = true,
            }
        }
        Ok(!self.chunks.is_empty())
    }
}

fn cannot(what: &str, path: &str, error: &io::Error) -> RunError {
    let exit = if error.kind() == io::ErrorKind::NotFound { Exit::Usage } else { Exit::Unavailable };
    RunError::new(exit, format!("cannot {what} the input {path}: {error}"))
}

fn reader(path: &str) -> io::Result<Box<dyn Read + Send>> {
    if path == "-" {
        return Ok(Box::new(io::stdin()));
    }
    let file = File::open(path)?;
    Ok(match Path::new(path).extension().and_then(|e| e.to_str()) {
        Some("gz") => Box::new(flate2::read::MultiGzDecoder::new(file)),
        Some("zst") => Box::new(zstd::stream::read::Decoder::new(file)?),
        _ => Box::new(file),
    })
}

/// Sends all lines on, as soon as they are there; the last one needs no line break.
fn read_lines(mut from: impl Read, input: u32, to: &SyncSender<Message>, wake: &dyn Fn()) -> io::Result<()> {
    let buffers = Buffers::default();
    let mut buffer = buffers.take();
    let mut first = 0;
    loop {
        // What is left of the reads before has no line break.
        let left = buffer.filled().len();
        let read = buffer.read_from(&mut from)?;
        let filled = buffer.filled();
        let complete = match memchr::memrchr(b'\n', &filled[left..]) {
            _ if read == 0 => filled.len(),
            Some(at) => left + at + 1,
            None if filled.len() > LONGEST_LINE => return Err(io::Error::other("a line is longer than 256 MiB")),
            None => continue,
        };
        let mut next = buffers.take();
        next.extend(&filled[complete..]);
        buffer.truncate(complete);
        let lines = split(buffers.lend(std::mem::replace(&mut buffer, next)), input, first);
        first += lines.ends.len() as i64;
        let count = lines.ends.len();
        if count > 0 {
            let room = (lines.bytes.len() / CHUNK).min(AHEAD).saturating_sub(1);
            let mut messages = repeat_with(|| Message::Room).take(room).chain([Message::Lines(lines)]);
            if messages.any(|message| to.send(message).is_err()) {
                return Ok(());
            }
            wake();
        }
        if read == 0 {
            return Ok(());
        }
    }
}

fn split(bytes: Bytes, input: u32, first: i64) -> Lines {
    let mut ends: Vec<u32> = memchr::memchr_iter(b'\n', &bytes).map(|at| at as u32).collect();
    let after_last = ends.last().map_or(0, |end| *end as usize + 1);
    if after_last < bytes.len() {
        ends.push(bytes.len() as u32);
    }
    let blank = lines(&bytes, &ends).filter(|line| is_blank(&bytes[line.clone()])).count();
    Lines { input, worker: 0, first, bytes, ends, blank }
}

#[cfg(test)]
mod tests;
