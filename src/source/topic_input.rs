//! A topic that a worker may read partitions of.

use std::sync::Arc;

use crate::epoch::{Origin, Report};

pub struct TopicInput {
    pub name: Arc<str>,
    /// Who reads it, each with the topic's number in their list.
    pub origins: Vec<(Origin, u32)>,
    /// Where each partition begins and where it ended when the job started.
    pub partitions: Vec<(i64, i64)>,
}

impl TopicInput {
    pub(super) fn is_table(&self) -> bool {
        self.origins.iter().any(|(origin, _)| matches!(origin, Origin::Table(_)))
    }

    /// Tells everyone that a partition is being read.
    pub(super) fn opened(&self, partition: i32) -> impl Iterator<Item = Report> + '_ {
        self.origins.iter().map(move |(origin, number)| Report::Opened(*origin, *number, partition))
    }
}
