//! The root key: 32 bytes in a file of mode 0400 that wrap the peppers (AES-256-GCM, AAD bound) and derive the keys of
//! other files. It is made once, for new data, and never over existing data (C-9).

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes256Gcm, KeyInit, Nonce};
use hmac::{Hmac, Mac};
use keystile_core::key::PepperSecret;
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::{OpenError, Random};

/// The first byte of everything wrapped: AES-256-GCM with a random nonce of 96 bits.
const AES_256_GCM: u8 = 1;
/// Bytes of its nonce.
pub(crate) const NONCE_LEN: usize = 12;
/// A root key file is 64 digits and a newline; more than this is something else, and is not read to its end.
const MAX_FILE_LEN: u64 = 80;

/// The root key of an installation. It never prints itself and is wiped when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct RootKey([u8; 32]);

impl std::fmt::Debug for RootKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RootKey(…)")
    }
}

/// Why there is no root key to work with. Each says in one line what to do.
#[derive(Debug, thiserror::Error)]
pub enum RootKeyError {
    /// There is data, but no file.
    #[error(
        "the root key file {path} is missing, and the data can't be read without it; put it back from your backup (a new one would not open this data)"
    )]
    Missing {
        /// The file.
        path: PathBuf,
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
    /// The file holds something else.
    #[error(
        "the root key file {path} is not one: it holds 64 hexadecimal digits and a newline, and nothing else; put it back from your backup"
    )]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// The file belongs to other data.
    #[error(
        "the root key in {path} belongs to another installation than the data; put back the file that was made with this data"
    )]
    Wrong {
        /// The file.
        path: PathBuf,
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

impl RootKey {
    /// Reads the file.
    ///
    /// # Errors
    /// [`RootKeyError`] says what is wrong with it and what to do.
    pub fn load(path: &Path) -> Result<Self, RootKeyError> {
        let unreadable = |cause: io::Error| match cause.kind() {
            io::ErrorKind::NotFound => RootKeyError::Missing { path: path.to_owned() },
            _ => RootKeyError::Unreadable { path: path.to_owned(), cause: cause.to_string() },
        };
        // Sized at once: a vector that grows leaves copies of the secret behind.
        let mut text = Zeroizing::new(Vec::with_capacity(2 * MAX_FILE_LEN as usize));
        File::open(path).and_then(|file| file.take(MAX_FILE_LEN).read_to_end(&mut text)).map_err(unreadable)?;
        let malformed = || RootKeyError::Malformed { path: path.to_owned() };
        from_hex(text.trim_ascii_end()).map(Self).ok_or_else(malformed)
    }

    /// Reads the file, or makes one if there is none. Only for a folder that holds no data yet.
    pub(crate) fn load_or_make(path: &Path, random: &mut Random<'_>) -> Result<Self, OpenError> {
        match Self::load(path) {
            Err(RootKeyError::Missing { .. }) => {}
            other => return Ok(other?),
        }
        let mut key = Self([0; 32]);
        random(&mut key.0)?;
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
        file.write_all(to_hex(&self.0).as_bytes())?;
        file.sync_all()?;
        // A hard link refuses to replace what is there; a rename would not.
        fs::hard_link(&draft, path)?;
        fs::remove_file(&draft)?;
        File::open(folder)?.sync_all()
    }

    /// A key for another purpose, derived with HMAC-SHA-256 from this one.
    pub fn derive(&self, purpose: &str) -> [u8; 32] {
        let mut mac: Hmac<Sha256> = KeyInit::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        mac.update(purpose.as_bytes());
        mac.finalize().into_bytes().into()
    }

    /// A key that needs a token besides this one.
    pub(crate) fn with_token(&self, purpose: &str, token: &[u8]) -> Self {
        let mut mac: Hmac<Sha256> =
            KeyInit::new_from_slice(&self.derive(purpose)).expect("HMAC takes a key of any length");
        mac.update(token);
        Self(mac.finalize().into_bytes().into())
    }

    /// A value that tells whether a file belongs to this key, and tells nothing else.
    pub(crate) fn check(&self, installation: &[u8; 16]) -> [u8; 32] {
        self.derive(&format!("check|{}", hex(installation)))
    }

    /// Wraps a pepper for its row.
    pub(crate) fn wrap_pepper(
        &self,
        secret: &PepperSecret,
        installation: &[u8; 16],
        version: u32,
        random: &mut Random<'_>,
    ) -> Result<Vec<u8>, OpenError> {
        let mut nonce = [0; NONCE_LEN];
        random(&mut nonce)?;
        Ok(self.seal(secret.expose(), &bound_to(installation, version), nonce))
    }

    /// Unwraps the pepper of a row; `None` if the row was altered, or moved from another place.
    pub(crate) fn unwrap_pepper(&self, wrapped: &[u8], installation: &[u8; 16], version: u32) -> Option<PepperSecret> {
        let secret = self.unseal(wrapped, &bound_to(installation, version))?;
        Some(PepperSecret::new(secret.as_slice().try_into().ok()?))
    }

    /// Encrypts a secret for one place, which `bound` names (AES-256-GCM with that as associated data). The nonce is
    /// random: of one key there are far fewer than 2^32 secrets (SP 800-38D §8.3).
    pub(crate) fn seal(&self, secret: &[u8], bound: &str, nonce: [u8; NONCE_LEN]) -> Vec<u8> {
        let payload = Payload { msg: secret, aad: bound.as_bytes() };
        let sealed = self.cipher().encrypt(&Nonce::from(nonce), payload).expect("AES-GCM takes messages up to 64 GiB");
        [&[AES_256_GCM][..], &nonce, &sealed].concat()
    }

    /// Decrypts what was sealed for this place; `None` if it was altered, or moved from another place.
    pub(crate) fn unseal(&self, sealed: &[u8], bound: &str) -> Option<Zeroizing<Vec<u8>>> {
        let (&AES_256_GCM, rest) = sealed.split_first()? else { return None };
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        let payload = Payload { msg: sealed, aad: bound.as_bytes() };
        self.cipher().decrypt(&Nonce::from(*nonce), payload).ok().map(Zeroizing::new)
    }

    fn cipher(&self) -> Aes256Gcm {
        let key = Zeroizing::new(self.derive("wrap"));
        Aes256Gcm::new_from_slice(key.as_slice()).expect("the key is 32 bytes long")
    }
}

/// The associated data of a wrapped pepper: it can't be moved to another installation or version.
fn bound_to(installation: &[u8; 16], version: u32) -> String {
    format!("pepper|{}|{version}", hex(installation))
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

    const HOME: [u8; 16] = [7; 16];

    fn wrapped() -> Vec<u8> {
        RootKey([1; 32])
            .wrap_pepper(&PepperSecret::new([2; 32]), &HOME, 1, &mut |bytes: &mut [u8]| {
                bytes.fill(9);
                Ok(())
            })
            .unwrap()
    }

    #[test]
    fn a_pepper_comes_back_under_its_own_root_key_in_its_own_place_only() {
        let (right, wrong) = (RootKey([1; 32]), RootKey([3; 32]));
        assert_eq!(right.unwrap_pepper(&wrapped(), &HOME, 1).map(|secret| *secret.expose()), Some([2; 32]));
        assert!(wrong.unwrap_pepper(&wrapped(), &HOME, 1).is_none());
        assert!(right.unwrap_pepper(&wrapped(), &HOME, 2).is_none(), "another version");
        assert!(right.unwrap_pepper(&wrapped(), &[8; 16], 1).is_none(), "another installation");
    }

    #[test]
    fn c02_a_flipped_bit_of_a_wrapped_pepper_is_detected() {
        for bit in 0..wrapped().len() * 8 {
            let mut altered = wrapped();
            altered[bit / 8] ^= 1 << (bit % 8);
            assert!(RootKey([1; 32]).unwrap_pepper(&altered, &HOME, 1).is_none(), "bit {bit}");
        }
        for length in 0..wrapped().len() {
            assert!(RootKey([1; 32]).unwrap_pepper(&wrapped()[..length], &HOME, 1).is_none(), "length {length}");
        }
    }

    #[test]
    fn purposes_have_keys_of_their_own() {
        let root = RootKey([1; 32]);
        assert_ne!(root.derive("a"), root.derive("b"));
        assert_ne!(root.derive("a"), RootKey([2; 32]).derive("a"));
        assert_eq!(format!("{root:?}"), "RootKey(…)");
    }

    #[test]
    fn the_text_of_a_root_key_is_64_digits() {
        assert_eq!(from_hex(to_hex(&[0xA5; 32]).trim_end().as_bytes()), Some([0xA5; 32]));
        for text in ["", "a5", &"g".repeat(64), &"a".repeat(63), &"a".repeat(65)] {
            assert_eq!(from_hex(text.as_bytes()), None, "{text}");
        }
    }
}
