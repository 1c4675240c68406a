//! Tables of the plan, and aggregates that are read as tables.

use super::{Flow, Streams};
use crate::epoch::Origin;
use crate::epoch::operator::Edge;
use crate::event::row::{RowChange, TableRecord};
use crate::json::Bodies;
use crate::matching::operator::LiveRows;
use crate::plan::StreamId;
use crate::table::operator::{self as table, ArrangedRows, TableStep};

/// What others may want of a table.
#[derive(Clone)]
pub(super) struct Table<'s> {
    /// As they were read; none for an aggregate.
    records: Option<Edge<'s, TableRecord>>,
    /// What its `ttl` goes by.
    origins: Vec<Origin>,
    changes: Edge<'s, RowChange>,
    /// Made for the first that looks the table up.
    arranged: Option<ArrangedRows<'s>>,
}

impl<'s> Streams<'s> {
    pub(super) fn add_tables(&mut self, records: Vec<Edge<'s, TableRecord>>) {
        let plan = self.house.plan.clone();
        // What a `ttl` goes by: the sources, or where there is none the tables.
        let origins: Vec<Origin> = match plan.sources.len() {
            0 => (0..plan.tables.len()).map(Origin::Table).collect(),
            sources => (0..sources).map(Origin::Source).collect(),
        };
        for (index, records) in records.into_iter().enumerate() {
            let name = &plan.tables[index].name;
            let metrics = self.house.telemetry.step(name);
            let step =
                TableStep { plan: plan.clone(), table: index, metrics, worker: self.local(), origins: origins.clone() };
            let changes = table::rows(step, records.clone(), self.clock.clone());
            let id = StreamId::Table(index);
            if self.is_read_as_collection(id) {
                let collection =
                    table::collection(changes.clone(), self.clock.clone(), name, plan.tables[index].key.is_none());
                self.flows.insert(id, Flow::Changing(collection));
            }
            self.tables.insert(id, Table { records: Some(records), origins: origins.clone(), changes, arranged: None });
        }
    }

    fn is_read_as_collection(&self, id: StreamId) -> bool {
        let plan = &self.house.plan;
        let inputs = plan.steps.iter().flat_map(|step| &step.inputs);
        inputs.chain(plan.outputs.iter().flat_map(|output| &output.from)).any(|input| *input == id)
    }

    /// The rows of a table, or of an aggregate that is read as one, for lookups: arranged once.
    pub(super) fn arranged(&mut self, id: StreamId) -> ArrangedRows<'s> {
        let name = self.house.stream_name(id);
        let table = self.table(id);
        if table.arranged.is_none() {
            table.arranged = Some(table::arrange(table.changes.clone(), &name));
        }
        table.arranged.clone().expect("arranged above")
    }

    /// The rows of a table that are rules.
    pub(super) fn rule_rows(&mut self, id: StreamId) -> LiveRows<'s> {
        let Table { records, origins, .. } = self.table(id).clone();
        LiveRows { records: records.expect("the plan takes rules from tables only"), origins }
    }

    fn table(&mut self, id: StreamId) -> &mut Table<'s> {
        if !self.tables.contains_key(&id) {
            let Flow::Changing(changes) = self.flows[&id].clone() else {
                unreachable!("the plan looks up changing collections only")
            };
            let bodies = Bodies::new(&self.house.plan.frames[self.house.plan.frame_of(id)]);
            let changes = table::as_rows(changes, bodies);
            self.tables.insert(id, Table { records: None, origins: Vec::new(), changes, arranged: None });
        }
        self.tables.get_mut(&id).expect("inserted above")
    }
}
