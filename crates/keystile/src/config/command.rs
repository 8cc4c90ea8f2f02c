//! `keystile config show|check|example`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use keystile_server::tls::{TlsError, UpstreamTls};
use keystile_server::world::{Clock, SystemClock};

use super::{Config, example, load};
use crate::cli::{Exit, Screen};
use crate::process::handshake;

/// What to do with the settings.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print the settings in force, and where each comes from.
    Show {
        /// The settings file; else KEYSTILE_CONFIG, else keystile.toml here.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Say whether the server would start with these settings.
    Check {
        /// The settings file; else KEYSTILE_CONFIG, else keystile.toml here.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Print a commented settings file with the defaults.
    Example,
}

/// Runs one of the commands over these variables.
pub fn run(command: Command, env: impl Iterator<Item = (String, String)>, screen: &mut Screen) -> ExitCode {
    let (file, only_check) = match command {
        Command::Example => {
            screen.out(&example());
            return screen.ended(Exit::Ok).into();
        }
        Command::Show { config } => (config, false),
        Command::Check { config } => (config, true),
    };
    let loaded = match load(file.as_deref(), env) {
        Ok(loaded) => loaded,
        Err(errors) => {
            screen.complain(&errors.to_string());
            return if only_check { Exit::Findings.into() } else { Exit::Failure.into() };
        }
    };
    for warning in &loaded.warnings {
        screen.complain(&format!("warning: {warning}"));
    }
    if only_check {
        match certificates(&loaded.config) {
            Ok(warnings) => warnings.iter().for_each(|warning| screen.complain(&format!("warning: {warning}"))),
            Err(error) => {
                screen.complain(&error.to_string());
                return Exit::Findings.into();
            }
        }
        let (set, all) = loaded.counts();
        let file = loaded.file.as_deref().map_or("no settings file".into(), |file| file.to_string_lossy());
        screen.out(&format!("{file}: good; {set} of {all} settings set, the rest are defaults\n"));
    } else {
        screen.out(&loaded.show());
    }
    screen.ended(Exit::Ok).into()
}

/// What deserves a second look at the certificates that the settings name.
///
/// # Errors
/// If the server would not start with them.
fn certificates(config: &Config) -> Result<Vec<TlsError>, TlsError> {
    UpstreamTls::new(config.gateway.upstream_authorities.clone())?;
    let tls = handshake::certificates(config)?;
    Ok(tls.map_or_else(Vec::new, |tls| tls.warnings(SystemClock::new().now().wall)))
}
