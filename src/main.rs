//! The program: read the arguments, do what they ask, end with the code that says how it went.

use std::process::ExitCode;

use tidemill::cli;

/// Batches of small values come and go on every worker: an allocator that keeps a heap per thread.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let command = match cli::parse(std::env::args_os()) {
        Ok(command) => command,
        Err(code) => return code,
    };
    let style = cli::FailureStyle::of(&command);
    let result = cli::execute(command);
    cli::conclude(result, style)
}
