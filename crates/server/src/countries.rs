//! In which country an address is, by a file that the server's owner names: a MaxMind DB (`.mmdb`), the format in which
//! MaxMind, DB-IP, IPinfo and others publish. It is held in memory and read anew when it changes. Only keys that are bound
//! to countries have it looked at.

use std::fmt;
use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use keystile_core::country::Country;
use maxminddb::{PathElement, Reader, WithinOptions};

/// Longest file that is read: those of all cities have some 130 MB.
const MAX_FILE_BYTES: u64 = 512 << 20;
/// So many entries are looked at to see whether a file says anything of countries: in those that do, almost each does.
const LOOKED_AT: usize = 1_000;
/// Where the code stands: MaxMind and DB-IP; IPinfo and others.
const PLACES: [&[PathElement<'static>]; 3] = [
    &[PathElement::Key("country"), PathElement::Key("iso_code")],
    &[PathElement::Key("country_code")],
    &[PathElement::Key("country")],
];

/// What is known of addresses; nothing, if no file was named.
#[derive(Default)]
pub struct Countries(ArcSwapOption<Database>);

/// What a file says.
pub struct Database(Reader<Vec<u8>>);

/// The file.
pub struct CountryFile {
    path: PathBuf,
    seen: Stamp,
}

/// What changes when a file does: where it lies, how long it is, and when it was written.
#[derive(PartialEq, Eq)]
struct Stamp([i64; 6]);

/// Why a file can't be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {what}", path.display())]
pub struct CountryFileError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it, and what would be right.
    pub what: String,
}

impl fmt::Debug for Countries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Countries").field(&self.0.load().is_some()).finish()
    }
}

impl Countries {
    /// The country of an address; `None` if nobody knows.
    pub fn of(&self, address: IpAddr) -> Option<Country> {
        self.0.load().as_ref()?.country(address)
    }

    /// From now on this is what is known.
    pub fn follow(&self, database: Arc<Database>) {
        self.0.store(Some(database));
    }
}

impl Database {
    fn country(&self, address: IpAddr) -> Option<Country> {
        let found = self.0.lookup(address.to_canonical()).ok()?;
        // What stands in another place is of another type, which is no failure.
        PLACES.iter().find_map(|place| found.decode_path::<&str>(place).ok().flatten().and_then(Country::of))
    }

    fn knows_countries(&self) -> bool {
        let Ok(networks) = self.0.networks(WithinOptions::default()) else { return false };
        let some = networks.take(LOOKED_AT).filter_map(Result::ok).filter_map(|found| found.network().ok());
        some.into_iter().any(|network| self.country(network.ip()).is_some())
    }
}

impl CountryFile {
    /// Reads a file.
    ///
    /// # Errors
    /// If it is no such database.
    pub fn open(path: &Path) -> Result<(Self, Arc<Database>), CountryFileError> {
        let seen = stamp(path)?;
        let database = read(path)?;
        Ok((Self { path: path.to_owned(), seen }, database))
    }

    /// Reads it again if it has changed.
    ///
    /// # Errors
    /// If it can't be used any more. It is said once: what has not changed since is not read again.
    pub fn reload(&mut self) -> Result<Option<Arc<Database>>, CountryFileError> {
        let now = stamp(&self.path)?;
        if now == self.seen {
            return Ok(None);
        }
        // Before it is read: what is written meanwhile is another change.
        self.seen = now;
        read(&self.path).map(Some)
    }
}

fn stamp(path: &Path) -> Result<Stamp, CountryFileError> {
    let found = fs::metadata(path).map_err(|error| unreadable(path, &error))?;
    // What is no file could keep us waiting for ever.
    if !found.is_file() {
        return Err(CountryFileError { path: path.to_owned(), what: "it is not a file".to_owned() });
    }
    if found.len() > MAX_FILE_BYTES {
        let what = "it is longer than 512 MiB; name a database of countries alone".to_owned();
        return Err(CountryFileError { path: path.to_owned(), what });
    }
    let (dev, ino) = (found.dev() as i64, found.ino() as i64);
    Ok(Stamp([dev, ino, found.len() as i64, found.mtime(), found.mtime_nsec(), found.ctime()]))
}

fn unreadable(path: &Path, error: &std::io::Error) -> CountryFileError {
    CountryFileError { path: path.to_owned(), what: format!("it can't be read: {error}") }
}

fn read(path: &Path) -> Result<Arc<Database>, CountryFileError> {
    let bytes = fs::read(path).map_err(|error| unreadable(path, &error))?;
    let wrong = |what: String| CountryFileError { path: path.to_owned(), what };
    let reader = Reader::from_source(bytes).map_err(|error| {
        wrong(format!("it is no MaxMind DB ({error}); name an .mmdb file, such as GeoLite2-Country.mmdb"))
    })?;
    let database = Database(reader);
    if !database.knows_countries() {
        return Err(wrong(
            "it says nothing of countries; name a database of countries, such as GeoLite2-Country.mmdb".to_owned(),
        ));
    }
    Ok(Arc::new(database))
}
