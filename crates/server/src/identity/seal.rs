//! What somebody keeps for this server between two requests, under its seal: so that asking writes nothing, and any node goes on.

use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, KeyInit, Mac};
use keystile_core::time::Timestamp;
use keystile_store::records::Challenge;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Longest sealed text that is looked at.
const MAX_LEN: usize = 16 * 1024;
/// Bytes of a seal.
const TAG_LEN: usize = 32;

/// The key of seals. Whoever holds what is sealed can read it, and change nothing of it.
pub(super) struct Seal([u8; 32]);

#[derive(Serialize, Deserialize)]
struct Sealed<T> {
    ends_at: i64,
    what: T,
}

impl Seal {
    pub(super) const fn new(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// Seals something until this moment.
    pub(super) fn seal<T: Serialize>(&self, what: T, ends_at: Timestamp) -> String {
        let plain = serde_json::to_vec(&Sealed { ends_at: ends_at.as_micros(), what }).unwrap_or_default();
        let mut sealed = self.mac(&plain).finalize().into_bytes().to_vec();
        sealed.extend(plain);
        BASE64URL_NOPAD.encode(&sealed)
    }

    /// What was sealed, if its time is not over, with what is remembered of it once it was used.
    pub(super) fn open<T: DeserializeOwned>(&self, text: &str, now: Timestamp) -> Option<(T, Challenge)> {
        let text = Some(text).filter(|text| text.len() <= MAX_LEN)?;
        let sealed = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
        let (tag, plain) = sealed.split_at_checked(TAG_LEN)?;
        self.mac(plain).verify_slice(tag).ok()?;
        let Sealed { ends_at, what } = serde_json::from_slice(plain).ok()?;
        let ends_at = Timestamp::from_micros(ends_at);
        (now < ends_at).then(|| (what, Challenge { lookup: Sha256::digest(plain).into(), ends_at }))
    }

    fn mac(&self, plain: &[u8]) -> Hmac<Sha256> {
        let mac: Hmac<Sha256> = KeyInit::new_from_slice(&self.0).expect("HMAC takes any key");
        mac.chain_update(plain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a06_a13_what_is_sealed_is_good_for_its_time_and_nobody_makes_it_up() {
        let (ours, theirs, at) = (Seal::new([1; 32]), Seal::new([2; 32]), Timestamp::from_secs(1_000));
        let before = at.plus_secs(-1);
        let text = ours.seal("state", at);
        let (state, challenge) = ours.open::<String>(&text, before).unwrap();
        assert_eq!((state.as_str(), challenge.ends_at), ("state", at));
        assert!(ours.open::<String>(&text, at).is_none(), "its time is over");
        assert!(theirs.open::<String>(&text, before).is_none(), "another installation's");
        assert!(ours.open::<u32>(&text, before).is_none(), "something else");
        for place in 0..text.len() {
            let mut other = text.clone().into_bytes();
            other[place] = if other[place] == b'A' { b'B' } else { b'A' };
            let other = String::from_utf8(other).unwrap();
            assert!(ours.open::<String>(&other, before).is_none(), "altered at {place}");
        }
        for none in ["", "A", "é", &"A".repeat(MAX_LEN + 1)] {
            assert!(ours.open::<String>(none, before).is_none());
        }
    }
}
