//! No file is used twice where one of the uses writes: opening an output empties it.
//!
//! Files are the same by what they are, not by how they are spelled. Standard output and what is no regular file
//! (pipes, terminals, `/dev/null`) hold nothing that could be lost, and may be shared.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::super::run_args::RunArgs;
use super::usage;
use crate::error::RunError;
use crate::launch::FileOptions;

/// Symbolic links that lead on to each other, as the system counts them.
const MAX_LINKS: usize = 40;

struct Use<'a> {
    /// As messages name it: `--output late`.
    flag: String,
    path: &'a Path,
    writes: bool,
}

#[derive(PartialEq)]
enum Identity {
    /// Device and number.
    There(u64, u64),
    /// The real folder and the name of a file that is still to be made.
    ToBe(PathBuf),
}

/// Refuses a file that is written and used for something else as well.
pub fn check(arguments: &RunArgs, files: &FileOptions) -> Result<(), RunError> {
    let mut known: Vec<(Use, Identity)> = Vec::new();
    for used in uses(arguments, files) {
        let Some(identity) = identity(used.path) else { continue };
        let same = known.iter().find(|(other, known)| *known == identity && (used.writes || other.writes));
        if let Some((other, _)) = same {
            return Err(refused(other, &used));
        }
        known.push((used, identity));
    }
    Ok(())
}

fn uses<'a>(arguments: &'a RunArgs, files: &'a FileOptions) -> Vec<Use<'a>> {
    let data = |flag: String, path: &'a str, writes| (path != "-").then(|| Use { flag, path: Path::new(path), writes });
    let report = |flag: &str, path: &'a Option<PathBuf>| {
        path.as_deref().map(|path| Use { flag: flag.to_owned(), path, writes: true })
    };
    let mut uses = vec![data("the dataflow file".to_owned(), &arguments.file, false)];
    uses.extend(files.inputs.iter().map(|(name, path)| data(format!("--input {name}"), path, false)));
    uses.extend(files.outputs.iter().map(|(name, path)| data(format!("--output {name}"), path, true)));
    uses.extend(files.dead_letters.iter().map(|path| data("--dead-letters".to_owned(), path, true)));
    uses.extend([report("--report", &arguments.seeing.report), report("--hgrm", &arguments.seeing.hgrm)]);
    uses.into_iter().flatten().collect()
}

/// `None` for what may be shared, and for what cannot be opened anyway.
fn identity(path: &Path) -> Option<Identity> {
    if let Ok(metadata) = fs::metadata(path) {
        return metadata.is_file().then(|| Identity::There(metadata.dev(), metadata.ino()));
    }
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        let Ok(target) = fs::read_link(&path) else { break };
        path = folder(&path).join(target);
    }
    Some(Identity::ToBe(fs::canonicalize(folder(&path)).ok()?.join(path.file_name()?)))
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn refused(one: &Use, other: &Use) -> RunError {
    let (first, second) = (one.path.display(), other.path.display());
    let spelled = if one.path == other.path { format!("{first}") } else { format!("{first}, also {second}") };
    usage(format!("{} and {} are the same file {spelled}: a file that is written has one use", one.flag, other.flag))
}
