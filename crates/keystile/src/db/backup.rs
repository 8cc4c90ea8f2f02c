//! `keystile db backup`, `restore` and `identity`: everything that is kept in one encrypted file, and back.

use keystile_store::RootKeys;
use std::error::Error;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use age::secrecy::{ExposeSecret, SecretString};
use age::x25519::{Identity, Recipient};
use clap::Args;
use keystile_core::time::Timestamp;
use keystile_server::world::{Clock as _, Entropy as _, SystemClock, SystemEntropy};
use keystile_store::OpenError;
use keystile_store::backup::{self, Lock, Manifest, Unlock};
use keystile_store::upkeep::Kept;
use serde_json::json;

use super::{LAST_BACKUP, Place, Where};
use crate::cli::{Exit, Screen};

/// What is backed up to where, and for whom.
#[derive(Debug, Args)]
pub(crate) struct Backup {
    /// The file to make. It must not be there yet.
    file: PathBuf,
    /// Who can open it: what `keystile db identity` or age-keygen prints, age1…; repeat for several.
    #[arg(long = "recipient", value_name = "age1…", required_unless_present = "passphrase_file")]
    recipients: Vec<Recipient>,
    /// Whoever knows what is in this file can open it.
    #[arg(long, value_name = "FILE", conflicts_with = "recipients")]
    passphrase_file: Option<PathBuf>,
    #[command(flatten)]
    pub(super) settings: Where,
}

/// What is put back from where.
#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// The backup.
    file: PathBuf,
    /// The file of an identity that it was made for.
    #[arg(long, value_name = "FILE", required_unless_present = "passphrase_file")]
    identity: Option<PathBuf>,
    /// The file with the passphrase that it was made with.
    #[arg(long, value_name = "FILE", conflicts_with = "identity")]
    passphrase_file: Option<PathBuf>,
    /// Take it even if its audit or its rows had been altered when it was made; that stays to be seen.
    #[arg(long)]
    altered: bool,
    /// Put it there instead of where the settings say: sqlite://DATA-FOLDER or postgres://user@host:port/name.
    #[arg(long, value_name = "URL")]
    pub(super) to: Option<String>,
    #[command(flatten)]
    pub(super) settings: Where,
}

/// Makes an identity.
pub(super) fn identity(file: &Path, json: bool, screen: &mut Screen) -> Result<(), Box<dyn Error>> {
    let identity = Identity::generate();
    let recipient = identity.to_public().to_string();
    let made = OpenOptions::new().write(true).create_new(true).mode(0o400).open(file);
    let mut made = made.map_err(|error| format!("{}: {error}; name another file", file.display()))?;
    let secret = identity.to_string();
    made.write_all(secret.expose_secret().as_bytes())?;
    made.write_all(b"\n")?;
    made.sync_all()?;
    if json {
        screen.out(&format!("{}\n", json!({ "identity": file.display().to_string(), "recipient": recipient })));
    } else {
        screen.out(&format!("{recipient}\n"));
        screen.complain(&format!(
            "{} opens what is encrypted for the recipient above. Keep it apart from the backups and from this machine; \
             nothing else opens them.",
            file.display()
        ));
    }
    Ok(())
}

/// Makes a backup.
///
/// # Errors
/// If there is none. One of something that was altered is made all the same, and is a finding.
pub(super) async fn make(ask: &Backup, from: &Place, json: bool, screen: &mut Screen) -> Result<Exit, Box<dyn Error>> {
    let lock = match &ask.passphrase_file {
        Some(file) => Lock::Passphrase(passphrase(file, 15)?),
        None => Lock::Recipients(ask.recipients.clone()),
    };
    let mut rows = Vec::new();
    let mut each = |table: &keystile_store::copy::Copied| rows.push((table.table, table.rows));
    let made = backup::make(&from.kept, &lock, &ask.file, now(), &mut each).await?;
    // For whoever asks when the last one was; that it can't be said is no reason to say that there is none.
    let said = fs::write(from.data.join(LAST_BACKUP), format!("{}\n", made.made_at));
    if let Err(error) = said {
        screen.complain(&format!("{} could not be written ({error}); keystile doctor will miss it", LAST_BACKUP));
    }
    if let Some(entry) = made.audit_broken_at {
        screen.complain(&format!(
            "The audit is broken at entry {entry}: somebody altered what is kept. The backup holds it as it is; keep the \
             earlier ones, and see keystile audit verify."
        ));
    }
    let exit = if made.audit_broken_at.is_some() { Exit::Findings } else { Exit::Ok };
    let bytes = fs::metadata(&ask.file)?.len();
    let keys = rows.iter().find(|(table, _)| *table == "keys").map_or(0, |(_, rows)| *rows);
    if json {
        let file = ask.file.display().to_string();
        screen.out(&format!("{}\n", json!({ "file": file, "bytes": bytes, "keys": keys, "manifest": made })));
        return Ok(exit);
    }
    screen.out(&format!("{}: {bytes} bytes, {keys} keys, up to revision {}\n", ask.file.display(), made.revision));
    screen.complain(
        "The root key is not in it: keep that apart, for without it the backup opens nothing. Try it now and then: \
         keystile db restore FILE --identity FILE --to sqlite://EMPTY-FOLDER",
    );
    Ok(exit)
}

/// Puts a backup back.
pub(super) async fn put_back(
    ask: &Restore,
    (to, root_keys): (&Kept, &RootKeys),
    json: bool,
    screen: &mut Screen,
) -> Result<(), Box<dyn Error>> {
    let unlock = match (&ask.identity, &ask.passphrase_file) {
        (Some(file), _) => Unlock::of_file(file)?,
        (None, Some(file)) => Unlock::Passphrase(passphrase(file, 1)?),
        (None, None) => return Err("say --identity or --passphrase-file".into()),
    };
    let mut random = |bytes: &mut [u8]| SystemEntropy.fill(bytes).map_err(|_| OpenError::NoEntropy);
    let (file, at) = (&ask.file, now());
    let manifest: Manifest =
        backup::restore(file, (&unlock, ask.altered), root_keys, to, at, &mut random, &mut |_| {}).await?;
    if json {
        screen.out(&format!("{}\n", json!({ "to": to.to_string(), "manifest": manifest })));
        return Ok(());
    }
    screen.out(&format!("{to} holds what was kept on {}, up to revision {}\n", manifest.made_at, manifest.revision));
    screen.complain(
        "Keys that were revoked after the backup was made are good again: revoke them anew before you let anybody call. \
         Next: delete `snapshot.keys` in the data folder if there is one, and start the server.",
    );
    Ok(())
}

fn now() -> Timestamp {
    SystemClock::new().now().wall
}

/// A passphrase of a file: its first line.
fn passphrase(file: &Path, shortest: usize) -> Result<SecretString, Box<dyn Error>> {
    let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let line = text.lines().next().unwrap_or_default();
    if line.len() < shortest {
        return Err(format!("{}: a passphrase has at least {shortest} characters", file.display()).into());
    }
    Ok(SecretString::from(line.to_owned()))
}
