//! All sinks of one worker behind one face: each output goes to its topic, its file, or nowhere but the counters.

use super::deliver::{Outcome, Outgoing, Sink};
use super::files::FileOut;
use crate::error::RunError;

/// Where an output goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// A topic, by its number among the delivery topics.
    Topic(usize),
    /// A file, by its number.
    File(usize),
    /// Counted only.
    Nowhere,
}

/// The sinks of a worker. `K` sends to Kafka.
pub struct Sinks<K> {
    /// Per output, dead letters last.
    routes: Vec<Route>,
    files: Vec<FileOut>,
    /// Records in files since the last flush: theirs are the outcomes that it brings.
    written: Vec<u64>,
    flushed: Vec<u64>,
    kafka: Option<K>,
}

/// A sink that is told which topic.
pub trait TopicSink {
    fn send(&mut self, token: u64, topic: usize, item: &Outgoing) -> Result<bool, RunError>;
    fn flush(&mut self) -> Result<(), RunError>;
    fn poll(&mut self, done: &mut impl FnMut(u64, Outcome)) -> Result<(), RunError>;
}

impl<K: TopicSink> Sinks<K> {
    pub fn new(routes: Vec<Route>, files: Vec<FileOut>, kafka: Option<K>) -> Self {
        Self { routes, files, written: Vec::new(), flushed: Vec::new(), kafka }
    }
}

impl<K: TopicSink> Sink for Sinks<K> {
    fn send(&mut self, token: u64, item: &Outgoing) -> Result<bool, RunError> {
        match (self.routes[usize::from(item.output)], &mut self.kafka) {
            (Route::Topic(topic), Some(kafka)) => return kafka.send(token, topic, item),
            (Route::File(file), _) => self.files[file].write(item)?,
            // Such records are counted where they are made; none of them comes here.
            (Route::Topic(_) | Route::Nowhere, _) => {}
        }
        self.written.push(token);
        Ok(true)
    }

    fn flush(&mut self) -> Result<(), RunError> {
        self.files.iter_mut().try_for_each(FileOut::flush)?;
        self.flushed.append(&mut self.written);
        self.kafka.as_mut().map_or(Ok(()), TopicSink::flush)
    }

    fn poll(&mut self, done: &mut impl FnMut(u64, Outcome)) -> Result<(), RunError> {
        self.flushed.drain(..).for_each(|token| done(token, Outcome::Delivered));
        self.kafka.as_mut().map_or(Ok(()), |kafka| kafka.poll(done))
    }
}
