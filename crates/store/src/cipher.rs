//! A secret key of 32 bytes, and what is done with one: authenticated encryption (RFC 5116) and keys derived from it.

use aes_gcm::Aes256Gcm;
use aes_gcm::aead::{Aead, AeadCore, KeyInit, Nonce, Payload};
use chacha20poly1305::XChaCha20Poly1305;
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::{Zeroize, Zeroizing};

/// Random bytes for what is sealed: of each algorithm's nonce so many are used as it takes.
pub type Salt = [u8; 24];

/// How something is encrypted. A record says so itself, in a byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Algorithm {
    /// AES-256-GCM with a random nonce of 96 bits (SP 800-38D; §8.3: at most 2^32 under one key).
    Aes256Gcm,
    /// XChaCha20-Poly1305 with a random nonce of 192 bits (draft-irtf-cfrg-xchacha-03): for any number.
    XChaCha20Poly1305,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Aes256Gcm, Self::XChaCha20Poly1305];

    /// Its number, as it is kept.
    pub const fn number(self) -> u8 {
        match self {
            Self::Aes256Gcm => 1,
            Self::XChaCha20Poly1305 => 2,
        }
    }

    /// The algorithm of a number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.number() == number)
    }

    /// Its word, as people write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Aes256Gcm => "aes-256-gcm",
            Self::XChaCha20Poly1305 => "xchacha20-poly1305",
        }
    }

    pub(crate) const fn nonce_len(self) -> usize {
        match self {
            Self::Aes256Gcm => 12,
            Self::XChaCha20Poly1305 => 24,
        }
    }
}

impl std::fmt::Display for Algorithm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Algorithm {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|algorithm| algorithm.name() == text);
        found.ok_or_else(|| format!("write {}", Self::ALL.map(Self::name).join(" or ")))
    }
}

/// A secret key. It never prints itself, is wiped when dropped, and stays in one place in memory until then: what is moved
/// leaves copies behind.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretKey(Box<[u8; 32]>);

impl Drop for SecretKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretKey(…)")
    }
}

impl SecretKey {
    /// A key of these bytes.
    pub fn new(mut bytes: [u8; 32]) -> Self {
        let key = Self(Box::new(bytes));
        bytes.zeroize();
        key
    }

    /// A key of these bytes, if there are 32.
    pub(crate) fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self::new)
    }

    pub(crate) fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// A key for another purpose, derived with HMAC-SHA-256 from this one.
    pub fn derive(&self, purpose: &str) -> [u8; 32] {
        let mut mac: Hmac<Sha256> = KeyInit::new_from_slice(self.0.as_slice()).expect("HMAC takes a key of any length");
        mac.update(purpose.as_bytes());
        mac.finalize().into_bytes().into()
    }

    /// A key that needs a token besides this one.
    pub(crate) fn with_token(&self, purpose: &str, token: &[u8]) -> Self {
        let derived = Zeroizing::new(self.derive(purpose));
        let mut mac: Hmac<Sha256> =
            KeyInit::new_from_slice(derived.as_slice()).expect("HMAC takes a key of any length");
        mac.update(token);
        Self::new(mac.finalize().into_bytes().into())
    }

    /// A key for one purpose and one salt, by HKDF with SHA-256 (RFC 5869).
    pub(crate) fn expand(&self, salt: &[u8], info: &[u8]) -> Self {
        let mut key = Self::new([0; 32]);
        let expanded = Hkdf::<Sha256>::new(Some(salt), self.0.as_slice()).expand(info, key.0.as_mut_slice());
        expanded.expect("HKDF gives 32 bytes");
        key
    }

    /// Encrypts: the nonce, and then what is encrypted with its tag. It only comes back together with `bound`.
    pub(crate) fn encrypt(&self, algorithm: Algorithm, secret: &[u8], bound: &[u8], salt: &Salt) -> Vec<u8> {
        let payload = Payload { msg: secret, aad: bound };
        let nonce = &salt[..algorithm.nonce_len()];
        let sealed = match algorithm {
            Algorithm::Aes256Gcm => {
                under(&self.cipher::<Aes256Gcm>(), nonce, |cipher, nonce| cipher.encrypt(nonce, payload))
            }
            Algorithm::XChaCha20Poly1305 => {
                under(&self.cipher::<XChaCha20Poly1305>(), nonce, |cipher, nonce| cipher.encrypt(nonce, payload))
            }
        };
        [nonce, &sealed.expect("secrets are far shorter than 64 GiB")].concat()
    }

    /// Decrypts; `None` if it was altered, or belongs elsewhere.
    pub(crate) fn decrypt(&self, algorithm: Algorithm, sealed: &[u8], bound: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, sealed) = sealed.split_at_checked(algorithm.nonce_len())?;
        let payload = Payload { msg: sealed, aad: bound };
        let secret = match algorithm {
            Algorithm::Aes256Gcm => {
                under(&self.cipher::<Aes256Gcm>(), nonce, |cipher, nonce| cipher.decrypt(nonce, payload))
            }
            Algorithm::XChaCha20Poly1305 => {
                under(&self.cipher::<XChaCha20Poly1305>(), nonce, |cipher, nonce| cipher.decrypt(nonce, payload))
            }
        };
        secret.ok().map(Zeroizing::new)
    }

    fn cipher<C: KeyInit>(&self) -> C {
        C::new_from_slice(self.0.as_slice()).expect("the key is 32 bytes long")
    }

    /// Encrypts under a key that is derived from this one for nothing else; the first byte says how. For what has no
    /// organization: other keys, and texts that wait for a token.
    pub(crate) fn wrap(&self, secret: &[u8], bound: &str, salt: &Salt) -> Vec<u8> {
        let key = Self::new(self.derive("wrap"));
        let sealed = key.encrypt(Algorithm::Aes256Gcm, secret, bound.as_bytes(), salt);
        [&[WRAPPED][..], &sealed].concat()
    }

    /// Decrypts what was wrapped; `None` if it was altered, or belongs elsewhere.
    pub(crate) fn unwrap(&self, wrapped: &[u8], bound: &str) -> Option<Zeroizing<Vec<u8>>> {
        let (&WRAPPED, sealed) = wrapped.split_first()? else { return None };
        Self::new(self.derive("wrap")).decrypt(Algorithm::Aes256Gcm, sealed, bound.as_bytes())
    }
}

/// The first byte of what is wrapped: AES-256-GCM under a key derived from the one at hand.
pub(crate) const WRAPPED: u8 = 1;

/// Uses a cipher with a nonce, whose length fits.
fn under<C: AeadCore, T>(cipher: &C, nonce: &[u8], work: impl FnOnce(&C, &Nonce<C>) -> T) -> T {
    work(cipher, nonce.try_into().expect("so many bytes were taken"))
}
