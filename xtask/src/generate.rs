//! `cargo xtask gen`: documents that the binary writes about itself, kept in the tree so that a change of them is
//! reviewed with the change that made it. `--check` only compares.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use clap::Args;

use crate::say;

/// Where each document lies, and what `keystile docs` calls it. To add one, add a line and that word.
const DOCUMENTS: [(&str, &str); 5] = [
    ("docs/codes.md", "codes"),
    ("docs/settings.md", "settings"),
    ("docs/openapi.json", "openapi"),
    ("docs/openapi-verification.json", "openapi-verification"),
    ("docs/permissions.md", "permissions"),
];

/// Writes the generated documents.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Fail if one is not as it would be written.
    #[arg(long)]
    check: bool,
    /// Ask this binary instead of building one.
    #[arg(long)]
    binary: Option<PathBuf>,
}

/// Writes or compares each document; `false` if one differs.
///
/// # Errors
/// If the binary does not build or does not print a document.
pub(crate) fn main(options: &Options) -> io::Result<bool> {
    let binary = match &options.binary {
        Some(binary) => binary.clone(),
        None => build()?,
    };
    let mut all_same = true;
    for (path, what) in DOCUMENTS {
        let output = Command::new(&binary).args(["docs", what]).stderr(Stdio::inherit()).output()?;
        if !output.status.success() || output.stdout.is_empty() {
            return Err(io::Error::other(format!("`keystile docs {what}` printed no document")));
        }
        let wanted = String::from_utf8(output.stdout).map_err(io::Error::other)?;
        let file = crate::root().join(path);
        let found = fs::read_to_string(&file).unwrap_or_default();
        if found == wanted {
            continue;
        }
        if options.check {
            all_same = false;
            say::result(format_args!(
                "{path}:{}: not as generated; run `cargo xtask gen`",
                first_difference(&found, &wanted)
            ));
        } else {
            fs::create_dir_all(file.parent().unwrap_or(&file))?;
            fs::write(&file, wanted)?;
            say::result(format_args!("{path}: written"));
        }
    }
    if all_same {
        say::result(format_args!("gen: {} documents are as generated", DOCUMENTS.len()));
    }
    Ok(all_same)
}

/// The debug build, which the tests need anyway.
fn build() -> io::Result<PathBuf> {
    let mut command = Command::new(crate::cargo());
    command.args(["build", "--quiet", "--package", "keystile", "--bin", "keystile"]).current_dir(crate::root());
    if !command.status()?.success() {
        return Err(io::Error::other("the binary does not build"));
    }
    Ok(crate::target_folder()?.join("debug/keystile"))
}

/// The number of the first line that is not the same, and both of them.
fn first_difference(found: &str, wanted: &str) -> String {
    let (mut found, mut wanted) = (found.lines(), wanted.lines());
    for number in 1.. {
        match (found.next(), wanted.next()) {
            (None, None) => break,
            (found, wanted) if found != wanted => {
                let short =
                    |line: Option<&str>| line.map_or("(end)".into(), |line| line.chars().take(80).collect::<String>());
                return format!("{number}: has `{}`, should have `{}`", short(found), short(wanted));
            }
            _ => {}
        }
    }
    "the last line: another end".into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_different_line_is_named() {
        assert_eq!(first_difference("a\nb\n", "a\nc\n"), "2: has `b`, should have `c`");
        assert_eq!(first_difference("a\n", "a\nb\n"), "2: has `(end)`, should have `b`");
        assert_eq!(first_difference("a", "a\n"), "the last line: another end");
    }
}
