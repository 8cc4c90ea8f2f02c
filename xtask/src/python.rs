//! Python packages that tasks need: virtual environments beside what cargo builds, each made once.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::say;

/// A Python that has this package, in an environment of its own. `module` is what it is imported by, `otherwise` what to do
/// if it can't be installed.
///
/// # Errors
/// If it is not there and can't be installed.
pub(crate) fn with(folder: &Path, package: &str, module: &str, otherwise: &str) -> io::Result<PathBuf> {
    let python = folder.join("bin/python");
    let has_it = || Command::new(&python).args(["-c", &format!("import {module}")]).stderr(Stdio::null()).status();
    if has_it().is_ok_and(|status| status.success()) {
        return Ok(python);
    }
    say::note(format_args!("installing {package} into {}", folder.display()));
    let run = |command: &mut Command, otherwise: &str| match command.stdout(Stdio::null()).status() {
        Ok(status) if status.success() => Ok(()),
        _ => Err(io::Error::other(otherwise.to_owned())),
    };
    run(
        Command::new("python3").args(["-m", "venv"]).arg(folder),
        "python3 can't make a virtual environment; missing: venv (Debian: python3-venv)",
    )?;
    run(
        Command::new(&python).args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", package]),
        otherwise,
    )?;
    Ok(python)
}
