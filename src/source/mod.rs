//! The source room: topics or files → events of an epoch.

mod arrived;
mod buffers;
mod cloudevents;
pub mod decode;
mod fields;
pub mod file_reader;
pub mod files;
pub mod intake;
pub mod kafka;
pub mod line_intake;
pub mod looks;
mod oldest;
pub mod operator;
pub mod pace;
pub mod shares;
pub mod topic_input;
pub mod topic_reader;
