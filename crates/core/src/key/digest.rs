//! What is stored of a key: HMAC-SHA-256 under a pepper, over the SHA-256 of the text (RFC 2104, FIPS 180-4).
//!
//! Keyed, so that whoever can write to the database can't mint a key (K-5), and so that dumps of two
//! installations can't be joined. The inner SHA-256 lets a key that is known only by its SHA-256 be imported
//! and then found exactly like every other.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// The algorithm of a stored digest; kept in every row, so that a second one can be told from the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DigestAlgorithm {
    /// HMAC-SHA-256 over SHA-256 of the text.
    HmacSha256OfSha256,
    /// None yet: an Argon2 hash is kept beside the key.
    Argon2,
    /// None yet: a bcrypt hash is kept beside the key.
    Bcrypt,
    /// HMAC-SHA-256 over a short token and the SHA-256 of a long one.
    HmacSha256OfPrefixed,
}

impl DigestAlgorithm {
    /// The number kept in a row.
    pub const fn number(self) -> u8 {
        match self {
            Self::HmacSha256OfSha256 => 1,
            Self::Argon2 => 2,
            Self::Bcrypt => 3,
            Self::HmacSha256OfPrefixed => 4,
        }
    }

    /// Reads the number of a row; `None` for one that this version does not know.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::HmacSha256OfSha256),
            2 => Some(Self::Argon2),
            3 => Some(Self::Bcrypt),
            4 => Some(Self::HmacSha256OfPrefixed),
            _ => None,
        }
    }
}

/// The keyed digest of one key: what is stored and looked up.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyDigest([u8; 32]);

impl KeyDigest {
    /// A digest as it was stored.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes to store.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyDigest({:02x}{:02x}…)", self.0[0], self.0[1])
    }
}

/// The unkeyed SHA-256 of a key text: the form in which other systems often keep keys, and what an import may bring.
#[derive(Clone, Copy, PartialEq, Eq, Zeroize)]
pub struct TextHash([u8; 32]);

impl TextHash {
    /// Hashes a text.
    pub fn of(text: &str) -> Self {
        Self(Sha256::digest(text.as_bytes()).into())
    }

    /// A hash that somebody else computed.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub(super) const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// A versioned secret that keys every digest. It never prints itself; its schedule is prepared once, which
/// makes a digest 127 ns instead of 195.
#[derive(Clone)]
pub struct Pepper {
    version: u32,
    schedule: Hmac<Sha256>,
}

impl Pepper {
    /// A pepper out of its secret bytes.
    pub fn new(version: u32, secret: &PepperSecret) -> Self {
        let schedule = Hmac::new_from_slice(&secret.0).expect("HMAC takes a key of any length");
        Self { version, schedule }
    }

    /// Which pepper this is; kept in every row.
    pub const fn version(&self) -> u32 {
        self.version
    }

    /// The digest of a key text.
    pub fn digest(&self, text: &str) -> KeyDigest {
        self.digest_of_hash(&TextHash::of(text))
    }

    /// The digest of a key of which only the SHA-256 is known.
    pub fn digest_of_hash(&self, hash: &TextHash) -> KeyDigest {
        self.digest_of_parts(&[&hash.0])
    }

    pub(super) fn digest_of_parts(&self, parts: &[&[u8]]) -> KeyDigest {
        let mut mac = self.schedule.clone();
        for part in parts {
            mac.update(part);
        }
        KeyDigest(mac.finalize().into_bytes().into())
    }
}

impl fmt::Debug for Pepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pepper(version {})", self.version)
    }
}

/// The 32 secret bytes of a pepper, wiped when dropped.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct PepperSecret([u8; 32]);

impl PepperSecret {
    /// A secret out of random bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, for wrapping them under the root key.
    pub const fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for PepperSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PepperSecret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "ks_live_0123456789abcdefghijklmnopqrstuvKSTL000000";

    #[test]
    fn k05_two_peppers_give_two_digests_and_neither_is_the_plain_hash() {
        let (a, b) = (Pepper::new(1, &PepperSecret::new([1; 32])), Pepper::new(2, &PepperSecret::new([2; 32])));
        assert_ne!(a.digest(TEXT), b.digest(TEXT));
        assert_ne!(a.digest(TEXT).0, TextHash::of(TEXT).0);
        assert_eq!(a.digest(TEXT), a.digest(TEXT));
    }

    #[test]
    fn a_key_imported_by_hash_is_found_by_its_text() {
        let pepper = Pepper::new(1, &PepperSecret::new([7; 32]));
        assert_eq!(pepper.digest_of_hash(&TextHash::of(TEXT)), pepper.digest(TEXT));
    }

    #[test]
    fn hmac_sha_256_is_the_one_of_rfc_4231() {
        // Test case 2 of RFC 4231, through the same library types.
        let mut mac: Hmac<Sha256> = Hmac::new_from_slice(b"Jefe").unwrap();
        mac.update(b"what do ya want for nothing?");
        assert_eq!(mac.finalize().into_bytes()[..4], [0x5b, 0xdc, 0xc1, 0x46]);
    }

    #[test]
    fn secrets_do_not_print_themselves() {
        let secret = PepperSecret::new([0xAB; 32]);
        assert_eq!(format!("{secret:?} {:?}", Pepper::new(3, &secret)), "PepperSecret(…) Pepper(version 3)");
    }
}
