//! Backups: everything that is kept, as it was at one moment, in one encrypted file; and putting one back.
//!
//! What is in the file is an installation in SQLite, whichever engine it comes from, and a manifest: a tar archive, encrypted
//! with [age](https://age-encryption.org/v1). The root key is not in it, and without it a backup opens nothing: texts of keys
//! are kept as digests under peppers that it wraps. Whoever uses the installation goes on meanwhile: catalogue and ledger are
//! each read in one view, the ledger's first, so that what it counts is in the catalogue.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use age::secrecy::SecretString;
use age::{Decryptor, Encryptor, IdentityFile};
use keystile_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::catalog::audit;
use crate::copy::{self, Copied, CopyError, What};
use crate::db::{Columns, sql};
use crate::root::hex;
use crate::upkeep::{self, Kept};
use crate::{OpenError, Random, RootKeys, Store, open, schema};

/// The files of a backup, and the folder's names of them.
const FILES: [&str; 2] = ["catalog.db", "usage.db"];
const MANIFEST: &str = "manifest.json";
/// What this program writes, and reads.
const FORMAT: u32 = 1;
/// A manifest is a few hundred bytes; more than this is something else.
const MAX_MANIFEST_BYTES: u64 = 64 << 10;

/// What a backup says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of this format.
    pub format: u32,
    /// When it was made.
    pub made_at: Timestamp,
    /// Of which installation, in hexadecimal.
    pub installation: String,
    /// The newest revision in it.
    pub revision: u64,
    /// The versions of its tables: the catalogue's and the ledger's.
    pub schema: [u32; 2],
    /// Its files with their SHA-256 in hexadecimal.
    pub files: Vec<(String, String)>,
    /// Where the audit in it is broken, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit_broken_at: Option<u64>,
}

/// Who can open a backup.
pub enum Lock {
    /// Whoever has the identity of one of these recipients, `age1…`.
    Recipients(Vec<age::x25519::Recipient>),
    /// Whoever knows this.
    Passphrase(SecretString),
}

/// What opens it.
pub enum Unlock {
    /// The identities of a file, as age-keygen writes them.
    Identities(Vec<Box<dyn age::Identity + Send + Sync>>),
    /// What it was made with.
    Passphrase(SecretString),
}

impl Unlock {
    /// The identities of a file, as age-keygen writes it.
    ///
    /// # Errors
    /// If it can't be read, or holds something else.
    pub fn of_file(path: &Path) -> Result<Self, BackupError> {
        let failed = |cause| BackupError::File { path: path.to_owned(), cause };
        let file = IdentityFile::from_buffer(BufReader::new(File::open(path).map_err(failed)?)).map_err(failed)?;
        let identities = file.into_identities().map_err(|error| failed(io::Error::other(error.to_string())))?;
        Ok(Self::Identities(identities))
    }
}

/// Why there is no backup, or none was put back.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// What it is to be made of can't be read.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// A side can't be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A file can't be read or written.
    #[error("{path}: {cause}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// Nobody could open it.
    #[error("name at least one recipient, or a passphrase")]
    NoLock,
    /// It is no backup, or what opens it is another identity or passphrase.
    #[error("{path} can't be decrypted: {cause}")]
    Locked {
        /// The file.
        path: PathBuf,
        /// What age said.
        cause: String,
    },
    /// It was altered, or is not whole.
    #[error("{path} is damaged or no backup: {cause}; use another one")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// A newer program made it.
    #[error("{path} was made by a newer version of Keystile (format {found}, this one reads {FORMAT}); use that one")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// What it holds was altered before it was made.
    #[error(
        "the audit in {path} is broken at entry {entry}: what was backed up had been altered; use an earlier backup, or \
         say --altered to have this one as it is"
    )]
    Audit {
        /// The file.
        path: PathBuf,
        /// The entry.
        entry: u64,
    },
    /// Rows in it were altered before it was made.
    #[error(
        "{what} in {path} was altered before it was backed up; use an earlier backup, or say --altered to have this one as it is"
    )]
    Rows {
        /// The file.
        path: PathBuf,
        /// The first of them.
        what: String,
    },
}

/// Makes a backup. A server may use what is backed up meanwhile. The file must not be there yet, and is there whole or not at
/// all. `each` is told of every table that was read.
///
/// # Errors
/// [`BackupError`] says what is wrong; then there is no file.
pub async fn make(
    kept: &Kept,
    lock: &Lock,
    file: &Path,
    at: Timestamp,
    each: &mut (dyn FnMut(&Copied) + Send),
) -> Result<Manifest, BackupError> {
    let failed = |cause| BackupError::File { path: file.to_owned(), cause };
    if file.try_exists().map_err(failed)? {
        return Err(failed(io::Error::new(io::ErrorKind::AlreadyExists, "is there already; name another file")));
    }
    let place = match file.parent() {
        Some(place) if !place.as_os_str().is_empty() => place,
        _ => Path::new("."),
    };
    let folder = tempfile::Builder::new().prefix(".keystile-backup-").tempdir_in(place).map_err(failed)?;
    let draft = Kept::Folder(folder.path().to_owned());
    let mut manifest = snapshot(kept, &draft, at, each).await?;
    for name in FILES {
        manifest.files.push((name.to_owned(), digest(&folder.path().join(name)).map_err(failed)?));
    }
    let whole = folder.path().join("backup");
    pack(&whole, folder.path(), &manifest, lock).map_err(|cause| match cause.get_ref() {
        Some(inner) if inner.is::<NoLock>() => BackupError::NoLock,
        _ => failed(cause),
    })?;
    // A hard link refuses to replace what is there; a rename would not.
    fs::hard_link(&whole, file).and_then(|()| File::open(place)?.sync_all()).map_err(failed)?;
    Ok(manifest)
}

/// Copies everything into a folder, each base in one view.
async fn snapshot(
    kept: &Kept,
    draft: &Kept,
    at: Timestamp,
    each: &mut (dyn FnMut(&Copied) + Send),
) -> Result<Manifest, BackupError> {
    let Some(sources) = open::existing(kept).await? else { return Err(CopyError::Nothing(kept.to_string()).into()) };
    for (base, what) in sources.iter().zip([What::Catalog, What::Usage]) {
        copy::refuse_other_version(base, what, &kept.to_string()).await?;
    }
    let targets = open::bases(draft).await?;
    // The ledger first: of what it counts, the catalogue then knows at least as much.
    for (place, what) in [(1, What::Usage), (0, What::Catalog)] {
        copy::copy(&sources[place], &targets[place], what, each).await?;
    }
    let read = async {
        let mut view = targets[0].view().await?;
        let row = sql("SELECT value FROM meta WHERE name = 'installation'").fetch_one(&mut view).await?;
        let installation = Columns::of(&row).bytes::<16>()?;
        let revision = sql("SELECT max(revision) FROM revisions").fetch_number_if_any(&mut view).await?.unwrap_or(0);
        let broken = audit::walk(&mut view, &installation, None).await?.err();
        Ok::<_, crate::StoreError>((hex(&installation), revision, broken))
    };
    let (installation, revision, audit_broken_at) = read.await.map_err(CopyError::from)?;
    upkeep::close(sources).await;
    upkeep::close(targets).await;
    let schema = [schema::CATALOG.known(), schema::USAGE.known()];
    Ok(Manifest { format: FORMAT, made_at: at, installation, revision, schema, files: Vec::new(), audit_broken_at })
}

#[derive(Debug, thiserror::Error)]
#[error("nobody could open it")]
struct NoLock;

/// Writes the archive, encrypted, and has it on disk when it returns.
fn pack(to: &Path, folder: &Path, manifest: &Manifest, lock: &Lock) -> io::Result<()> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to)?;
    let encryptor = match lock {
        Lock::Recipients(recipients) => {
            Encryptor::with_recipients(recipients.iter().map(|one| one as _)).map_err(|_| io::Error::other(NoLock))?
        }
        Lock::Passphrase(passphrase) => Encryptor::with_user_passphrase(passphrase.clone()),
    };
    let mut archive = tar::Builder::new(encryptor.wrap_output(BufWriter::new(file))?);
    archive.mode(tar::HeaderMode::Deterministic);
    let said = serde_json::to_vec_pretty(manifest)?;
    let mut header = tar::Header::new_gnu();
    header.set_size(said.len() as u64);
    header.set_mode(0o600);
    // First, so that whoever reads it knows what comes.
    archive.append_data(&mut header, MANIFEST, &said[..])?;
    for name in FILES {
        archive.append_path_with_name(folder.join(name), name)?;
    }
    let mut file = archive.into_inner()?.finish()?;
    file.flush()?;
    file.get_ref().sync_all()
}

/// Opens a backup into a folder; what it says of itself. Everything in it is what it says.
///
/// # Errors
/// [`BackupError`] says what is wrong.
pub fn unpack(file: &Path, unlock: &Unlock, folder: &Path) -> Result<Manifest, BackupError> {
    let failed = |cause| BackupError::File { path: file.to_owned(), cause };
    let damaged = |cause: String| BackupError::Damaged { path: file.to_owned(), cause };
    let locked = |cause: age::DecryptError| BackupError::Locked { path: file.to_owned(), cause: cause.to_string() };
    let decryptor = Decryptor::new_buffered(BufReader::new(File::open(file).map_err(failed)?)).map_err(locked)?;
    let stream = match unlock {
        Unlock::Passphrase(passphrase) => {
            let identity = age::scrypt::Identity::new(passphrase.clone());
            decryptor.decrypt(std::iter::once(&identity as _))
        }
        Unlock::Identities(identities) => decryptor.decrypt(identities.iter().map(|one| &**one as _)),
    };
    let mut archive = tar::Archive::new(stream.map_err(locked)?);
    let wrong = |cause: io::Error| damaged(cause.to_string());
    let mut manifest: Option<Manifest> = None;
    let mut found = Vec::new();
    for entry in archive.entries().map_err(wrong)? {
        let mut entry = entry.map_err(wrong)?;
        let name = entry.path().map_err(wrong)?.to_string_lossy().into_owned();
        match (name.as_str(), &manifest) {
            (MANIFEST, None) => {
                let mut text = Vec::new();
                entry.by_ref().take(MAX_MANIFEST_BYTES).read_to_end(&mut text).map_err(wrong)?;
                let said: Manifest =
                    serde_json::from_slice(&text).map_err(|error| damaged(format!("its manifest: {error}")))?;
                if said.format > FORMAT {
                    return Err(BackupError::Newer { path: file.to_owned(), found: said.format });
                }
                manifest = Some(said);
            }
            (name, Some(_)) if FILES.contains(&name) && !found.iter().any(|(own, _)| own == name) => {
                let mut hashed =
                    Hashed { into: create(&folder.join(name)).map_err(failed)?, hash: Sha256::new(), failed: None };
                io::copy(&mut entry, &mut hashed).map_err(|cause| match hashed.failed.take() {
                    Some(cause) => BackupError::File { path: folder.to_owned(), cause },
                    None => wrong(cause),
                })?;
                hashed.into.sync_all().map_err(failed)?;
                found.push((name.to_owned(), hex(&hashed.hash.finalize())));
            }
            (name, _) => return Err(damaged(format!("`{}` does not belong there", name.escape_default()))),
        }
    }
    let manifest = manifest.ok_or_else(|| damaged("it has no manifest".to_owned()))?;
    if manifest.files != found {
        return Err(damaged("its files are not those that its manifest names".to_owned()));
    }
    Ok(manifest)
}

/// Puts a backup back where there is nothing yet. It must be one of the root key's, and its audit and its rows as they were
/// written, unless whoever asks takes it as it is: then the audit stays broken for everybody to see, and that the rows were
/// sealed as they are will stand in it.
///
/// # Errors
/// [`BackupError`] says what is wrong; then nothing was put there that would be used.
pub async fn restore(
    file: &Path,
    (unlock, takes_altered): (&Unlock, bool),
    root_keys: &RootKeys,
    to: &Kept,
    at: Timestamp,
    random: &mut Random<'_>,
    each: &mut (dyn FnMut(&Copied) + Send),
) -> Result<Manifest, BackupError> {
    // Before anything is made: without its root key a backup is worth nothing.
    root_keys.current.read(None)?;
    open::make_place(to)?;
    let place = match to {
        Kept::Folder(folder) => folder.clone(),
        Kept::Database(_) => std::env::temp_dir(),
    };
    let failed = |cause| BackupError::File { path: place.clone(), cause };
    let folder = tempfile::Builder::new().prefix(".keystile-restore-").tempdir_in(&place).map_err(failed)?;
    let manifest = unpack(file, unlock, folder.path())?;
    let unpacked = Kept::Folder(folder.path().to_owned());
    if takes_altered {
        upkeep::unseal(&unpacked, root_keys).await?;
    }
    // Opened as a server does: whether the root key is its own, its peppers are sound, its tables are up to date.
    let opened = Store::open(folder.path(), root_keys, at, random).await;
    let Store { catalog, ledger } = opened.map_err(|error| match error {
        OpenError::Altered { what, .. } => BackupError::Rows { path: file.to_owned(), what },
        error => error.into(),
    })?;
    let (broken, altered) = (catalog.verify_audit().await, catalog.first_altered().await);
    catalog.close().await;
    ledger.close().await;
    if let Some(entry) = broken.map_err(CopyError::from)?.filter(|_| !takes_altered) {
        return Err(BackupError::Audit { path: file.to_owned(), entry });
    }
    if let Some(what) = altered.map_err(CopyError::from)? {
        return Err(BackupError::Rows { path: file.to_owned(), what });
    }
    upkeep::copy(&unpacked, to, each).await?;
    Ok(manifest)
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// What is written, and its hash.
struct Hashed {
    into: File,
    hash: Sha256,
    /// Why it could not be written, if that was why.
    failed: Option<io::Error>,
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.into.write(bytes).inspect_err(|cause| {
            self.failed = Some(cause.raw_os_error().map_or_else(|| cause.kind().into(), io::Error::from_raw_os_error));
        })?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.into.flush()
    }
}

fn digest(path: &Path) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex(&hash.finalize())),
            read => hash.update(&buffer[..read]),
        }
    }
}
