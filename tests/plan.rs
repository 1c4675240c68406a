//! The dataflow file: what is accepted, what a plan holds, and every message as people see it.

#[path = "plan/support.rs"]
mod support;

#[path = "plan/accepted.rs"]
mod accepted;
#[path = "plan/explained.rs"]
mod explained;
#[path = "plan/messages.rs"]
mod messages;
#[path = "plan/properties.rs"]
mod properties;
