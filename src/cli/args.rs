//! What may be typed: the commands, and the flags of the small ones.

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use super::help;
use super::run_args::RunArgs;

#[derive(Debug, Parser)]
#[command(
    name = "tidemill",
    version = help::VERSION,
    about = "Runs dataflow files: Kafka topics through shape, match, aggregate and emit to delivery topics",
    after_help = "`tidemill <COMMAND> --help` explains a command.",
    after_long_help = help::PROGRAM,
    disable_help_subcommand = true
)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a job
    #[command(after_long_help = help::RUN)]
    Run(Box<RunArgs>),
    /// Find every mistake in dataflow files; no broker is needed
    #[command(after_long_help = help::CHECK)]
    Check(CheckArgs),
    /// Show the graph that a dataflow file describes
    #[command(after_long_help = help::EXPLAIN)]
    Explain(ExplainArgs),
    /// Print the JSON Schema of dataflow files, for editors
    #[command(after_long_help = help::SCHEMA)]
    Schema,
    /// Print a completion script for a shell
    #[command(after_long_help = help::COMPLETIONS)]
    Completions(CompletionsArgs),
}

#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Dataflow files; `-` is standard input
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<String>,
}

#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The dataflow file; `-` is standard input
    #[arg(value_name = "FILE")]
    pub file: String,
    /// In which form
    #[arg(long, env = "TIDEMILL_FORMAT", value_enum, default_value_t)]
    pub format: GraphFormat,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum GraphFormat {
    /// For people
    #[default]
    Text,
    /// For Markdown pages
    Mermaid,
    /// For Graphviz
    Dot,
    /// For programs
    Json,
}

#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub shell: Shell,
}
