//! `keystile db`: what keeps an installation. `status` looks, `migrate` brings tables up to date, `copy` moves an installation
//! between SQLite and PostgreSQL and proves that both hold the same, `backup` and `restore` put it into a file and back,
//! `check` says what is not as it was written, and `seal` takes that as it is.

mod backup;

use keystile_store::RootKeys;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use keystile_store::check;
use keystile_store::upkeep::{self, Kept, Version};
use serde_json::{Value, json};

use self::backup::{Backup, Restore};
use crate::cli::{Exit, Screen};
use crate::config::{self, Config, RootKeyPlace, root_keys};
use crate::serve::run_on_control_plane;

/// What to do with what is kept.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Say where everything is kept, how much there is, and whether its tables are up to date.
    Status(Where),
    /// Look through everything that is kept, and say what is not sound. A server may use it meanwhile.
    Check(Where),
    /// Take every row as it is, altered or not: the next start seals it, and the audit says so. No server may use it
    /// meanwhile.
    Seal(Where),
    /// Bring the tables up to date, as a server does when it starts. No server may use them meanwhile.
    Migrate(Where),
    /// Copy everything to another place, from SQLite to PostgreSQL or back, and prove that both hold the same.
    Copy(Copy),
    /// Make a backup of everything but the root key, encrypted, in one file. A server may use it meanwhile.
    Backup(Backup),
    /// Put a backup back where there is nothing yet. It takes the root key.
    Restore(Restore),
    /// Make an identity for backups: the file opens what is encrypted for the recipient that is printed.
    Identity {
        /// The file to make.
        file: PathBuf,
    },
}

/// Where the data folder says when the last backup was made.
pub(crate) const LAST_BACKUP: &str = "last-backup";

/// Which settings say where it is.
#[derive(Debug, Args)]
pub(crate) struct Where {
    /// The settings file; else KEYSTILE_CONFIG, else keystile.toml here.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Where everything is.
struct Place {
    kept: Kept,
    root_key: RootKeyPlace,
    previous_root_key: Option<RootKeyPlace>,
    data: PathBuf,
}

impl Where {
    /// Where everything is, as the settings say.
    fn read(&self) -> Result<Place, String> {
        let loaded =
            config::load(self.config.as_deref(), config::environment()).map_err(|errors| errors.to_string())?;
        let kept = match loaded.config.database {
            Some(url) => Kept::Database(url),
            None => Kept::Folder(loaded.config.data.clone()),
        };
        let Config { root_key, previous_root_key, data, .. } = loaded.config;
        Ok(Place { kept, root_key, previous_root_key, data })
    }
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

pub(crate) fn run(command: &Command, json: bool, yes: bool) -> ExitCode {
    let mut screen = Screen::of_process();
    match asked(command) {
        Ok(asked) => carry_out(&asked, (json, yes), &mut screen),
        Err(wrong) => {
            screen.complain(&wrong);
            Exit::Usage.into()
        }
    }
}

/// A command with what it is about.
enum Asked<'a> {
    Status(Kept),
    Check { kept: Kept, root_keys: RootKeys },
    Seal { kept: Kept, root_keys: RootKeys },
    Migrate(Kept),
    Copy { from: Kept, to: Kept },
    Backup { ask: &'a Backup, from: Place },
    Restore { ask: &'a Restore, to: Kept, root_keys: RootKeys },
    Identity(&'a Path),
}

fn asked(command: &Command) -> Result<Asked<'_>, String> {
    // Read here and not with the other arguments: what is wrong with one of those is repeated, with its password.
    let place = |name: &str, text: &str| text.parse::<Kept>().map_err(|error| format!("--{name}: {error}"));
    Ok(match command {
        Command::Status(settings) => Asked::Status(settings.read()?.kept),
        Command::Check(settings) | Command::Seal(settings) => {
            let Place { kept, root_key, previous_root_key, .. } = settings.read()?;
            let root_keys = root_keys(&root_key, previous_root_key.as_ref()).map_err(|error| error.to_string())?;
            match command {
                Command::Seal(_) => Asked::Seal { kept, root_keys },
                _ => Asked::Check { kept, root_keys },
            }
        }
        Command::Migrate(settings) => Asked::Migrate(settings.read()?.kept),
        Command::Copy(copy) => {
            let from = copy.from.as_deref().map(|from| place("from", from)).transpose()?;
            let to = place("to", &copy.to)?;
            Asked::Copy { from: from.map_or_else(|| Ok::<_, String>(copy.settings.read()?.kept), Ok)?, to }
        }
        Command::Backup(ask) => Asked::Backup { ask, from: ask.settings.read()? },
        Command::Restore(ask) => {
            let to = ask.to.as_deref().map(|to| place("to", to)).transpose()?;
            let Place { kept, root_key, previous_root_key, .. } = ask.settings.read()?;
            let root_keys = root_keys(&root_key, previous_root_key.as_ref()).map_err(|error| error.to_string())?;
            Asked::Restore { ask, to: to.unwrap_or(kept), root_keys }
        }
        Command::Identity { file } => Asked::Identity(file),
    })
}

fn carry_out(asked: &Asked<'_>, (json, yes): (bool, bool), screen: &mut Screen) -> ExitCode {
    let mut exit = Exit::Ok;
    let ended = run_on_control_plane(screen, async |screen| {
        match asked {
            Asked::Status(kept) => exit = status(kept, json, screen).await?,
            Asked::Check { kept, root_keys } => exit = check(kept, root_keys, json, screen).await?,
            Asked::Seal { kept, root_keys } => exit = seal(kept, root_keys, (json, yes), screen).await?,
            Asked::Migrate(kept) => migrate(kept, json, screen).await?,
            Asked::Copy { from, to } => copy(from, to, json, screen).await?,
            Asked::Backup { ask, from } => exit = backup::make(ask, from, json, screen).await?,
            Asked::Restore { ask, to, root_keys } => backup::put_back(ask, (to, root_keys), json, screen).await?,
            Asked::Identity(file) => backup::identity(file, json, screen)?,
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

/// Looks through everything. What is not sound is a finding.
async fn check(kept: &Kept, root_keys: &RootKeys, json: bool, screen: &mut Screen) -> Result<Exit, Box<dyn Error>> {
    let Some(checked) = check::check(kept, root_keys).await? else {
        screen.out(&format!("{kept} holds no installation; a server makes one when it starts\n"));
        return Ok(Exit::Ok);
    };
    let is_sound = checked.wrong.is_empty();
    if json {
        let looked: serde_json::Map<String, Value> =
            checked.counts.iter().map(|(name, rows)| (name.replace(' ', "_").to_lowercase(), (*rows).into())).collect();
        let wrong: Vec<Value> =
            checked.wrong.iter().map(|wrong| json!({ "id": wrong.id, "what": wrong.what })).collect();
        let all = json!({ "place": kept.to_string(), "sound": is_sound, "looked_at": looked, "wrong": wrong });
        screen.out(&format!("{all}\n"));
    } else {
        for wrong in &checked.wrong {
            screen.out(&format!("{:<12} {}\n", wrong.id, wrong.what));
        }
        if is_sound {
            let looked: Vec<String> = checked.counts.iter().map(|(name, count)| format!("{count} {name}")).collect();
            screen.out(&format!("sound: {}\n", looked.join(", ")));
        } else {
            screen.complain(
                "What is not sound is not mended here: restore the last backup in which it is (keystile db restore). Rows under \
                 `seals` can also be taken as they are, once you have looked at them (keystile db seal).",
            );
        }
    }
    Ok(if is_sound { Exit::Ok } else { Exit::Findings })
}

/// Says what would be taken as it is; with `yes`, takes it.
async fn seal(
    kept: &Kept,
    root_keys: &RootKeys,
    (json, yes): (bool, bool),
    screen: &mut Screen,
) -> Result<Exit, Box<dyn Error>> {
    if !yes {
        let exit = check(kept, root_keys, json, screen).await?;
        screen.complain(
            "Nothing was done. Rows that were altered are served as they are after this, whoever wrote them: say --yes if you \
             have looked at them.",
        );
        return Ok(if matches!(exit, Exit::Ok) { Exit::Usage } else { exit });
    }
    if !upkeep::unseal(kept, root_keys).await? {
        return Err(format!("{kept} holds no installation; a server makes one when it starts").into());
    }
    if json {
        screen.out(&format!("{}\n", json!({ "place": kept.to_string(), "sealed_at": "the next start" })));
    } else {
        screen.out("every row is sealed as it is when the server starts next, and the audit says so (store.seal)\n");
    }
    Ok(Exit::Ok)
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
