//! `keystile db`: what keeps an installation, while no server uses it. `status` looks, `migrate` brings tables up to date,
//! `copy` moves an installation between SQLite and PostgreSQL and proves that both hold the same.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use keystile_store::upkeep::{self, Kept, Version};
use serde_json::{Value, json};

use crate::cli::{Exit, Screen};
use crate::config;
use crate::serve::run_on_control_plane;

/// What to do with what is kept.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Say where everything is kept, how much there is, and whether its tables are up to date.
    Status(Where),
    /// Bring the tables up to date, as a server does when it starts. No server may use them meanwhile.
    Migrate(Where),
    /// Copy everything to another place, from SQLite to PostgreSQL or back, and prove that both hold the same.
    Copy(Copy),
}

/// Which settings say where it is.
#[derive(Debug, Args)]
pub(crate) struct Where {
    /// The settings file; else KEYSTILE_CONFIG, else keystile.toml here.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Copy {
    /// From where: sqlite://DATA-FOLDER or postgres://user@host:port/name; else where the settings say.
    #[arg(long, value_name = "URL")]
    from: Option<String>,
    /// To where; nothing may be there yet. A password may stand in PGPASSWORD.
    #[arg(long, value_name = "URL")]
    to: String,
    #[command(flatten)]
    settings: Where,
}

pub(crate) fn run(command: &Command, json: bool) -> ExitCode {
    let mut screen = Screen::of_process();
    let (Command::Status(settings) | Command::Migrate(settings) | Command::Copy(Copy { settings, .. })) = command;
    // Read here and not with the other arguments: what is wrong with one of those is repeated, with its password.
    let place = |name: &str, text: &String| text.parse().map_err(|error| format!("--{name}: {error}"));
    let given = match command {
        Command::Copy(copy) => copy
            .from
            .as_ref()
            .map(|from| place("from", from))
            .transpose()
            .and_then(|from| Ok((from, Some(place("to", &copy.to)?)))),
        Command::Status(_) | Command::Migrate(_) => Ok((None, None)),
    };
    let (from, to): (Option<Kept>, Option<Kept>) = match given {
        Ok(given) => given,
        Err(wrong) => {
            screen.complain(&wrong);
            return Exit::Usage.into();
        }
    };
    let kept = match from {
        Some(kept) => kept,
        None => match config::load(settings.config.as_deref(), config::environment()) {
            Ok(loaded) => match loaded.config.database {
                Some(url) => Kept::Database(url),
                None => Kept::Folder(loaded.config.data),
            },
            Err(errors) => {
                screen.complain(&errors.to_string());
                return Exit::Usage.into();
            }
        },
    };
    let mut exit = Exit::Ok;
    let ended = run_on_control_plane(&mut screen, async |screen| {
        match (command, &to) {
            (Command::Migrate(_), _) => migrate(&kept, json, screen).await?,
            (Command::Copy(_), Some(to)) => copy(&kept, to, json, screen).await?,
            (Command::Status(_) | Command::Copy(_), _) => exit = status(&kept, json, screen).await?,
        }
        Ok(())
    });
    if matches!(exit, Exit::Ok) { ended } else { exit.into() }
}

/// Prints what is there. Findings are tables that are not up to date.
async fn status(kept: &Kept, json: bool, screen: &mut Screen) -> Result<Exit, Box<dyn Error>> {
    let status = upkeep::status(kept).await?;
    let tables = |version: Version| json!({ "found": version.found, "known": version.known });
    let is_there = status.catalog.found > 0;
    let is_current = status.catalog.is_current() && status.usage.is_current();
    if json {
        let rows: serde_json::Map<String, Value> =
            status.rows.iter().map(|(name, rows)| (name.replace(' ', "_").to_lowercase(), (*rows).into())).collect();
        let (catalog, usage) = (tables(status.catalog), tables(status.usage));
        let all = json!({
            "place": kept.to_string(), "catalog": catalog, "usage": usage, "revision": status.revision, "rows": rows,
        });
        screen.out(&format!("{all}\n"));
    } else if is_there {
        let mut text = format!("place          {kept}\n");
        for (name, version) in [("catalogue", status.catalog), ("ledger", status.usage)] {
            text += &format!("{name:<13}  tables of version {}: {}\n", version.found, judged(version));
        }
        text += &format!("revision       {}\n", status.revision);
        for (name, rows) in &status.rows {
            text += &format!("{name:<13}  {rows}\n");
        }
        screen.out(&text);
    } else {
        screen.out(&format!("{kept} holds no installation; a server makes one when it starts\n"));
    }
    Ok(if is_current || !is_there { Exit::Ok } else { Exit::Findings })
}

fn judged(version: Version) -> String {
    let Version { found, known } = version;
    match found {
        _ if version.is_current() => "up to date".to_owned(),
        _ if found > known => format!("newer than this program, which knows {known}; use the newer one"),
        _ => format!("{known} is the newest; `keystile db migrate` or the next start of the server brings them there"),
    }
}

async fn migrate(kept: &Kept, json: bool, screen: &mut Screen) -> Result<(), Box<dyn Error>> {
    let Some(versions) = upkeep::migrate(kept).await? else {
        return Err(format!("{kept} holds no installation; a server makes one when it starts").into());
    };
    if json {
        let [catalog, usage] =
            versions.map(|version| json!({ "from": version.found, "to": version.known.max(version.found) }));
        screen.out(&format!("{}\n", json!({ "place": kept.to_string(), "catalog": catalog, "usage": usage })));
        return Ok(());
    }
    for (name, version) in ["catalogue", "ledger"].into_iter().zip(versions) {
        let done = if version.is_current() {
            format!("{name}: tables of version {} are up to date\n", version.found)
        } else {
            format!("{name}: tables were brought from version {} to {}\n", version.found, version.known)
        };
        screen.out(&done);
    }
    Ok(())
}

async fn copy(from: &Kept, to: &Kept, json: bool, screen: &mut Screen) -> Result<(), Box<dyn Error>> {
    let mut copied = Vec::new();
    upkeep::copy(from, to, &mut |table| copied.push(table.clone())).await?;
    let hex = |hash: &[u8; 32]| hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    if json {
        let tables: Vec<Value> =
            copied.iter().map(|of| json!({ "table": of.table, "rows": of.rows, "sha256": hex(&of.hash) })).collect();
        let all = json!({ "from": from.to_string(), "to": to.to_string(), "tables": tables });
        screen.out(&format!("{all}\n"));
        return Ok(());
    }
    let rows: String =
        copied.iter().map(|of| format!("{:<14}  {:>10}  {}\n", of.table, of.rows, &hex(&of.hash)[..16])).collect();
    screen.out(&format!("{:<14}  {:>10}  {}\n{rows}", "TABLE", "ROWS", "SHA-256, BOTH SIDES"));
    let setting = match to {
        Kept::Folder(folder) => format!("data = {:?}, and no `database`", folder.display().to_string()),
        Kept::Database(_) => "database = the URL that you gave as --to".to_owned(),
    };
    screen.complain(&format!(
        "{from} was copied to {to}, and both hold the same. Next: set {setting} in the settings, keep the root key where \
         the setting `root_key` says, delete `snapshot.keys` in the data folder, and start the server. What is in {from} was \
         left as it is, and opens as before: put it away, so that no key revoked from now on comes back with it."
    ));
    Ok(())
}
