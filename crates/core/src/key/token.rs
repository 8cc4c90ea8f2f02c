//! Secrets that are no keys but look like one: what a session, an invitation and a link (to a new password, or in) are known by. They
//! carry the mark of all keys, so whatever finds lost keys finds them too (scanners, logs that hide what looks like a key).

use sha2::{Digest, Sha256};

use super::text::{ENTROPY_LEN, KeyText, PoorEntropy, Prefix};
use super::{Environment, Presented};

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// A session.
    Session,
    /// An invitation.
    Invitation,
    /// A new password.
    Reset,
    /// A device that waits to be let in.
    Device,
    /// Whoever comes by a link.
    SignIn,
}

impl TokenKind {
    const fn word(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Invitation => "invitation",
            Self::Reset => "reset",
            Self::Device => "device",
            Self::SignIn => "signin",
        }
    }

    /// Makes a token out of random bytes: 190 bits of them.
    ///
    /// # Errors
    /// If the bytes are not random.
    pub fn issue(self, entropy: &[u8; ENTROPY_LEN]) -> Result<KeyText, PoorEntropy> {
        let prefix: Prefix = self.word().parse().map_err(|_| PoorEntropy)?;
        KeyText::issue(&prefix, Environment::Live, entropy)
    }

    /// What is kept of a token and found by it: SHA-256 of a text that nobody can guess. `None` if it is no such token.
    pub fn lookup(self, text: &str) -> Option<[u8; 32]> {
        let begins = text.strip_prefix(self.word()).is_some_and(|rest| rest.starts_with("_live_"));
        let is_sound = begins && matches!(Presented::parse(text), Ok(Presented::Marked { .. }));
        is_sound.then(|| Sha256::new_with_prefix("token|").chain_update(text).finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s01_a_token_has_the_mark_of_keys_and_is_found_as_what_it_is_alone() {
        let mut entropy = [0; ENTROPY_LEN];
        entropy.iter_mut().zip(0..).for_each(|(byte, n)| *byte = n);
        let session = TokenKind::Session.issue(&entropy).unwrap();
        let text = session.expose();
        assert!(text.starts_with("session_live_") && text.contains("KSTL"), "{text}");
        let found = TokenKind::Session.lookup(text).unwrap();
        assert_eq!(TokenKind::Invitation.lookup(text), None);
        for none in ["", "session_live_", &text[1..], &text[..text.len() - 1], &text.replace("live", "test")] {
            assert_eq!(TokenKind::Session.lookup(none), None, "{none}");
        }
        entropy[0] = 77;
        assert_ne!(TokenKind::Session.lookup(TokenKind::Session.issue(&entropy).unwrap().expose()), Some(found));
    }
}
