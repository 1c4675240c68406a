//! Gives the program its git revision, for `--version`, reports and `tidemill_build_info`.
//!
//! `TIDEMILL_REVISION` wins (container builds have no `.git`); without git, or outside a clone, it is `unknown`.

use std::process::Command;

fn main() {
    println!("cargo:rerun-if-env-changed=TIDEMILL_REVISION");
    println!("cargo:rerun-if-changed=build.rs");
    let revision = std::env::var("TIDEMILL_REVISION")
        .ok()
        .filter(|text| !text.trim().is_empty())
        .or_else(from_git)
        .unwrap_or_else(|| "unknown".to_string());
    println!("cargo:rustc-env=TIDEMILL_REVISION={}", revision.trim());
}

fn from_git() -> Option<String> {
    // A new commit must change the answer: `logs/HEAD` is appended to by every commit, checkout and merge.
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]).filter(|path| std::path::Path::new(path).exists())
    {
        println!("cargo:rerun-if-changed={log}");
    }
    git(&["rev-parse", "--short=12", "HEAD"])
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_string();
    (output.status.success() && !text.is_empty()).then_some(text)
}
