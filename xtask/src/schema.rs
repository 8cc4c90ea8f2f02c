//! `cargo xtask schema`: schemathesis, which knows nothing of us, reads `/openapi.json` and sends what it allows and what it
//! does not allow; every answer must be one that the document describes.
//!
//! Each phase has an installation of its own, so that what one deletes the next still has. Its management key is spared
//! (`xtask/schema/hooks.py`): without it the rest would be answered with 401, which proves nothing. What schemathesis is
//! told to overlook stands in `xtask/schema/schemathesis.toml`, each with its reason.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io;
use std::path::PathBuf;
use std::process::Command;

use clap::{Args, ValueEnum};

use crate::gateway::{Gateway, build, text_of};
use crate::say;

/// The version that is known to find what is to be found and nothing else.
const SCHEMATHESIS: &str = "schemathesis==4.32.5";

/// What schemathesis does one after the other.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Phase {
    Examples,
    Coverage,
    Fuzzing,
    Stateful,
}

impl Phase {
    const fn name(self) -> &'static str {
        match self {
            Self::Examples => "examples",
            Self::Coverage => "coverage",
            Self::Fuzzing => "fuzzing",
            Self::Stateful => "stateful",
        }
    }
}

/// Tests the management API against its own OpenAPI document, with schemathesis.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Start this binary instead of building one.
    #[arg(long)]
    binary: Option<PathBuf>,
    /// Where the requests come from [default: another one each time].
    #[arg(long)]
    seed: Option<u64>,
    /// At most so many requests of a kind for each operation.
    #[arg(long, default_value_t = 100)]
    examples: u32,
    /// Which phases.
    #[arg(long, value_delimiter = ',', default_value = "examples,coverage,fuzzing,stateful")]
    phases: Vec<Phase>,
}

/// Runs it; `false` if it found something.
///
/// # Errors
/// If schemathesis is missing and can't be installed, or the server can't be started.
pub(crate) fn main(options: &Options) -> io::Result<bool> {
    let binary = options.binary.clone().map_or_else(build, Ok)?;
    let folder = crate::target_folder()?.join("schema");
    let otherwise = "pip can't install schemathesis from the Python package index; see what it says";
    let python = crate::python::with(&folder.join(SCHEMATHESIS), SCHEMATHESIS, "schemathesis", otherwise)?;
    let rules = crate::root().canonicalize()?.join("xtask/schema");
    let seed = options.seed.unwrap_or_else(|| RandomState::new().build_hasher().finish() >> 1);
    let mut is_well = true;
    for phase in &options.phases {
        say::note(format_args!("{} (seed {seed})", phase.name()));
        let (gateway, _) = Gateway::start(&binary, None)?;
        let known = gateway.get("/v1/keys?kind=management")?;
        let key = text_of(&known["items"][0], "id")?;
        let project = text_of(&known["items"][0], "project_id")?;
        let status = Command::new(python.with_file_name("schemathesis"))
            // What it leaves behind to replay failures is nobody's to commit.
            .current_dir(&folder)
            .env("PYTHONPATH", &rules)
            .arg("--config-file")
            .arg(rules.join("schemathesis.toml"))
            .args(["--no-color", "run"])
            .arg(format!("{}/openapi.json", gateway.admin()))
            .args(["--header", &format!("Authorization: {}", gateway.authorization())])
            .args(["--checks", "all", "--phases", phase.name(), "--warnings", "off", "--continue-on-failure"])
            .args(["--seed", &seed.to_string(), "--max-examples", &options.examples.to_string()])
            .env("KEYSTILE_SPARED", format!("{key},{project}"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .status()?;
        is_well &= status.success();
        // If it ended its own key all the same, most of what it did proves nothing.
        gateway.get("/v1/keys?limit=1")?;
    }
    Ok(is_well)
}
