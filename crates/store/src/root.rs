//! The root key: 32 bytes that wrap the encryption keys, from a file of mode 0400, from somewhere else, or stretched from a
//! passphrase. A file is made once, for new data, and nothing is ever made over existing data (C-9).

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use argon2::{Algorithm, Argon2, Params, Version};
use zeroize::Zeroizing;

use crate::cipher::SecretKey;
use crate::{OpenError, Random};

/// A root key file is 64 digits and a newline; more than this is something else, and is not read to its end.
const MAX_FILE_LEN: u64 = 80;
/// How a passphrase is stretched: Argon2id with 64 MiB and three passes (RFC 9106 §4, the second recommended option but for its
/// four lanes), about a third of a second. Once for a start, never for a call.
const STRETCHING: (u32, u32, u32) = (64 << 10, 3, 1);
/// Characters of a passphrase at least: whoever has the data may try as many as he likes.
pub const MIN_PASSPHRASE_CHARS: usize = 20;

/// The root key of an installation. It never prints itself and is wiped when dropped.
#[derive(Debug, Clone)]
pub struct RootKey(SecretKey);

/// Where a root key comes from.
#[derive(Clone, PartialEq, Eq)]
pub enum RootSource {
    /// A file of 64 hexadecimal digits. One is made for a new installation.
    File(PathBuf),
    /// 64 hexadecimal digits from elsewhere, and what to call that: `the environment variable KEYSTILE_ROOT`.
    Given(Zeroizing<String>, String),
    /// A passphrase that it is stretched from, and what to call that.
    Passphrase(Zeroizing<String>, String),
    /// Something that is not there, and what to call it: it is missed when it is needed.
    Absent(String),
}

impl std::fmt::Debug for RootSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RootSource({self})")
    }
}

impl std::fmt::Display for RootSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => write!(f, "the root key file {}", path.display()),
            Self::Given(_, whence) | Self::Passphrase(_, whence) | Self::Absent(whence) => f.write_str(whence),
        }
    }
}

/// The root key, and the one before it as long as the data may still be under that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootKeys {
    /// What everything is to be under.
    pub current: RootSource,
    /// What everything may still be under: then it is wrapped anew.
    pub previous: Option<RootSource>,
}

impl RootKeys {
    /// The one of them that an installation is under, by what it keeps to tell it; `None` if it is another one.
    ///
    /// # Errors
    /// If one can't be read.
    pub(crate) fn belonging_to(&self, installation: &[u8; 16], check: &[u8; 32]) -> Result<Option<RootKey>, OpenError> {
        for source in std::iter::once(&self.current).chain(&self.previous) {
            let root = source.read(None)?.of(installation);
            if root.check(installation) == *check {
                return Ok(Some(root));
            }
        }
        Ok(None)
    }
}

impl<T: AsRef<Path> + ?Sized> From<&T> for RootKeys {
    fn from(path: &T) -> Self {
        Self { current: RootSource::File(path.as_ref().to_owned()), previous: None }
    }
}

impl From<&Self> for RootKeys {
    fn from(keys: &Self) -> Self {
        keys.clone()
    }
}

/// Why there is no root key to work with. Each says in one line what to do.
#[derive(Debug, thiserror::Error)]
pub enum RootKeyError {
    /// There is data, but no root key.
    #[error(
        "{source_name} is missing, and without it nothing that is kept can be read; put it back from your backup (a new one would not open this data). For another root key than before, and for a new installation, put 64 hexadecimal digits there: openssl rand -hex 32"
    )]
    Missing {
        /// What was asked for it.
        source_name: String,
    },
    /// The file can't be read.
    #[error(
        "the root key file {path} can't be read ({cause}); make it readable for the user that runs Keystile, and for nobody else"
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: String,
    },
    /// It is something else.
    #[error(
        "what is in {source_name} is not a root key: that is 64 hexadecimal digits and nothing else; put it back from your backup"
    )]
    Malformed {
        /// What was asked for it.
        source_name: String,
    },
    /// A passphrase that can be guessed.
    #[error(
        "the passphrase in {source_name} is too short: it protects everything, so it has {MIN_PASSPHRASE_CHARS} characters at least, such as six words drawn by lot"
    )]
    Guessable {
        /// What was asked for it.
        source_name: String,
    },
    /// A passphrase of several lines.
    #[error("the passphrase in {source_name} has several lines; it is all of one line, and nothing stands after it")]
    Lines {
        /// What was asked for it.
        source_name: String,
    },
    /// It belongs to other data.
    #[error(
        "what is in {source_name} is the root key of another installation than the data, or of another time; give the one that the data is under, and if it is to be changed, name that one in previous_root_key"
    )]
    Wrong {
        /// What was asked for it.
        source_name: String,
    },
    /// The file could not be made.
    #[error(
        "the root key file {path} can't be made ({cause}); choose a place where the user that runs Keystile may write"
    )]
    NotMade {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: String,
    },
}

/// What was read from a source: a key, or what one is stretched from once the installation is known.
pub(crate) enum Material {
    Key(RootKey),
    Passphrase(Zeroizing<String>),
}

impl RootSource {
    /// Reads it. With `random` it may be made: only for a place that holds no data yet.
    pub(crate) fn read(&self, random: Option<&mut Random<'_>>) -> Result<Material, OpenError> {
        match (self, random) {
            (Self::File(path), Some(random)) => Ok(Material::Key(RootKey::load_or_make(path, random)?)),
            (Self::File(path), None) => Ok(Material::Key(RootKey::load(path)?)),
            (Self::Given(text, whence), _) => {
                let malformed = || RootKeyError::Malformed { source_name: whence.clone() };
                let key = from_hex(text.as_bytes().trim_ascii()).ok_or_else(malformed)?;
                Ok(Material::Key(RootKey(SecretKey::new(key))))
            }
            (Self::Absent(whence), _) => Err(RootKeyError::Missing { source_name: whence.clone() }.into()),
            (Self::Passphrase(text, whence), _) if text.lines().count() > 1 => {
                Err(RootKeyError::Lines { source_name: whence.clone() }.into())
            }
            (Self::Passphrase(text, whence), _) if text.chars().count() < MIN_PASSPHRASE_CHARS => {
                Err(RootKeyError::Guessable { source_name: whence.clone() }.into())
            }
            (Self::Passphrase(text, _), _) => Ok(Material::Passphrase(text.clone())),
        }
    }

    /// That it belongs to other data.
    pub(crate) fn wrong(&self) -> OpenError {
        RootKeyError::Wrong { source_name: self.to_string() }.into()
    }

    /// Its file, if it is in one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Given(..) | Self::Passphrase(..) | Self::Absent(_) => None,
        }
    }
}

impl Material {
    /// The root key of an installation. A passphrase is stretched with the installation's id as salt.
    pub(crate) fn of(self, installation: &[u8; 16]) -> RootKey {
        match self {
            Self::Key(key) => key,
            Self::Passphrase(text) => {
                let (memory, passes, lanes) = STRETCHING;
                let params =
                    Params::new(memory, passes, lanes, Some(32)).expect("they are within the bounds of Argon2");
                let mut key = [0; 32];
                let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
                let stretched = argon2.hash_password_into(text.as_bytes(), installation, &mut key);
                stretched.expect("a salt of 16 bytes and a key of 32 are within the bounds of Argon2");
                RootKey(SecretKey::new(key))
            }
        }
    }
}

impl RootKey {
    /// The key itself.
    pub(crate) fn key(&self) -> &SecretKey {
        &self.0
    }

    /// Reads the file.
    ///
    /// # Errors
    /// [`RootKeyError`] says what is wrong with it and what to do.
    pub(crate) fn load(path: &Path) -> Result<Self, RootKeyError> {
        let source_name = || format!("the root key file {}", path.display());
        let unreadable = |cause: io::Error| match cause.kind() {
            io::ErrorKind::NotFound => RootKeyError::Missing { source_name: source_name() },
            _ => RootKeyError::Unreadable { path: path.to_owned(), cause: cause.to_string() },
        };
        // Sized at once: a vector that grows leaves copies of the secret behind.
        let mut text = Zeroizing::new(Vec::with_capacity(2 * MAX_FILE_LEN as usize));
        File::open(path).and_then(|file| file.take(MAX_FILE_LEN).read_to_end(&mut text)).map_err(unreadable)?;
        let malformed = || RootKeyError::Malformed { source_name: source_name() };
        from_hex(text.trim_ascii_end()).map(|key| Self(SecretKey::new(key))).ok_or_else(malformed)
    }

    /// Reads the file, or makes one if there is none. Only for a folder that holds no data yet.
    fn load_or_make(path: &Path, random: &mut Random<'_>) -> Result<Self, OpenError> {
        match Self::load(path) {
            Err(RootKeyError::Missing { .. }) => {}
            other => return Ok(other?),
        }
        let mut bytes = Zeroizing::new([0; 32]);
        random(bytes.as_mut_slice())?;
        let key = Self(SecretKey::new(*bytes));
        key.write(path).map_err(|cause| RootKeyError::NotMade { path: path.to_owned(), cause: cause.to_string() })?;
        Ok(key)
    }

    /// Writes the file so that it is whole or absent after a crash: under another name first, then renamed; never over
    /// a file that is there.
    fn write(&self, path: &Path) -> io::Result<()> {
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let mut draft = path.as_os_str().to_owned();
        draft.push(".new");
        let draft = PathBuf::from(draft);
        // What a crash left behind was never a root key: nothing was wrapped under it.
        match fs::remove_file(&draft) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o400).open(&draft)?;
        file.write_all(to_hex(self.0.expose()).as_bytes())?;
        file.sync_all()?;
        // A hard link refuses to replace what is there; a rename would not.
        fs::hard_link(&draft, path)?;
        fs::remove_file(&draft)?;
        File::open(folder)?.sync_all()
    }

    /// A value that tells whether data belongs to this key, and tells nothing else.
    pub(crate) fn check(&self, installation: &[u8; 16]) -> [u8; 32] {
        self.0.derive(&format!("check|{}", hex(installation)))
    }
}

/// Warns of a file or folder that others than its owner may use.
pub(crate) fn exposed(path: &Path) -> Option<String> {
    let mode = fs::metadata(path).ok()?.permissions().mode() & 0o777;
    (mode & 0o077 != 0).then(|| {
        format!("{} may be used by others than its owner (mode {mode:03o}); run: chmod go= {0}", path.display())
    })
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn to_hex(bytes: &[u8; 32]) -> Zeroizing<String> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    // Sized at once: a string that grows leaves copies of itself behind.
    let mut text = Zeroizing::new(String::with_capacity(65));
    for byte in bytes {
        text.push(DIGITS[usize::from(byte >> 4)].into());
        text.push(DIGITS[usize::from(byte & 15)].into());
    }
    text.push('\n');
    text
}

fn from_hex(text: &[u8]) -> Option<[u8; 32]> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    if text.len() != 64 {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_root_key_is_64_digits() {
        assert_eq!(from_hex(to_hex(&[0xA5; 32]).trim_end().as_bytes()), Some([0xA5; 32]));
        for text in ["", "a5", &"g".repeat(64), &"a".repeat(63), &"a".repeat(65)] {
            assert_eq!(from_hex(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_passphrase_gives_every_installation_another_root_key_and_does_not_print_itself() {
        let phrase = Zeroizing::new("correct horse battery staple".to_owned());
        let source = RootSource::Passphrase(phrase.clone(), "the file /p".to_owned());
        let of = |installation: u8| Material::Passphrase(phrase.clone()).of(&[installation; 16]).check(&[0; 16]);
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
        assert_eq!(format!("{source:?}"), "RootSource(the file /p)");
        let short = RootSource::Passphrase("nineteen characters".to_owned().into(), "the file /p".to_owned());
        assert!(matches!(short.read(None), Err(OpenError::Root(RootKeyError::Guessable { .. }))));
    }
}
