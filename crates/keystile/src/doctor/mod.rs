//! `keystile doctor`: looks at the deployment, beside a running server or without one, and says what is weak and how to mend it
//! (PRODUCT.md K45). It changes nothing.

mod contents;
mod deployment;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use keystile_core::time::Timestamp;
use keystile_server::world::{Clock as _, SystemClock};
use keystile_store::survey;
use keystile_store::upkeep::Kept;
use serde::Serialize;
use serde_json::json;

use crate::cli::{Exit, Screen};
use crate::config;
use crate::serve::run_on_control_plane;

/// What to look at.
#[derive(Debug, Args)]
pub(crate) struct Ask {
    /// The settings file; else KEYSTILE_CONFIG, else keystile.toml here.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
enum Severity {
    /// Somebody can read or take what is not theirs, or what is kept can be lost.
    High,
    /// It takes one more mistake for that.
    Medium,
    /// Worth knowing.
    Low,
}

impl Severity {
    const fn as_str(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Medium => "medium",
            Self::Low => "low",
        }
    }
}

/// Something weak.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Finding {
    /// A word that stays the same, for whoever sorts them.
    id: &'static str,
    severity: Severity,
    /// What is so.
    what: String,
    /// How to mend it.
    mend: String,
}

impl Finding {
    fn new(id: &'static str, severity: Severity, what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { id, severity, what: what.into(), mend: mend.into() }
    }
}

pub(crate) fn run(ask: &Ask, json: bool) -> ExitCode {
    let mut screen = Screen::of_process();
    let loaded = match config::load(ask.config.as_deref(), config::environment()) {
        Ok(loaded) => loaded,
        Err(errors) => {
            screen.complain(&errors.to_string());
            return Exit::Usage.into();
        }
    };
    let mut exit = Exit::Ok;
    let now = SystemClock::new().now().wall;
    let ended = run_on_control_plane(&mut screen, async |screen| {
        let kept = match &loaded.config.database {
            Some(url) => Kept::Database(url.clone()),
            None => Kept::Folder(loaded.config.data.clone()),
        };
        let mut findings = deployment::look(&loaded.config, now);
        match survey::look(&kept, now).await? {
            Some(survey) => {
                findings.extend(deployment::root_key_unfit(&loaded.config, &kept).await?);
                findings.extend(contents::judge(&survey, now));
            }
            None => findings.push(Finding::new(
                "nothing_kept",
                Severity::Low,
                format!("{kept} holds no installation yet"),
                "start the server once, or name its settings with --config",
            )),
        }
        findings.sort_by_key(|finding| (finding.severity, finding.id));
        tell(&findings, now, json, screen);
        exit = if findings.is_empty() { Exit::Ok } else { Exit::Findings };
        Ok(())
    });
    if matches!(exit, Exit::Ok) { ended } else { exit.into() }
}

fn tell(findings: &[Finding], now: Timestamp, json: bool, screen: &mut Screen) {
    if json {
        let version = env!("CARGO_PKG_VERSION");
        screen.out(&format!("{}\n", json!({ "version": version, "looked_at": now, "findings": findings })));
        return;
    }
    for finding in findings {
        let Finding { id, severity, what, mend } = finding;
        screen.out(&format!("{:<7} {id}\n        {what}\n        mend: {mend}\n", severity.as_str()));
    }
    match findings.len() {
        0 => screen.out("nothing weak was found\n"),
        1 => screen.out("1 finding\n"),
        count => screen.out(&format!("{count} findings\n")),
    }
}
