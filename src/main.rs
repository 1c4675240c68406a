//! The program: read the arguments, do what they ask, end with the code that says how it went.

use std::process::ExitCode;

use tidemill::cli;

/// Batches of small values come and go on every worker: an allocator that keeps a heap per thread.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The allocator's `purge_delay`: after so many milliseconds (instead of 1,000) freed memory goes back to the system.
/// What an epoch frees the next ones allocate, and every page that comes anew from the system is cleared by it first:
/// up to a tenth of the CPU time of a job under load. `MIMALLOC_PURGE_DELAY` overrides it.
const PURGE_DELAY: (libmimalloc_sys::mi_option_t, std::ffi::c_long) = (15, 10_000);

fn main() -> ExitCode {
    // SAFETY: no other thread runs yet.
    unsafe { libmimalloc_sys::mi_option_set_default(PURGE_DELAY.0, PURGE_DELAY.1) };
    let command = match cli::parse(std::env::args_os()) {
        Ok(command) => command,
        Err(code) => return code,
    };
    let style = cli::FailureStyle::of(&command);
    let result = cli::execute(command);
    cli::conclude(result, style)
}
