//! The text of a key: `<prefix>_<env>_<32 base62 random>KSTL<6 base62 CRC-32>` (SECURITY.md §1).
//!
//! 32 base62 characters are 190 bits. `KSTL` is common to every installation, so that one scanner rule finds
//! them all whatever prefix an owner chose. The checksum covers everything before it, so a junk key, or a live
//! key whose environment was edited to `test`, is refused before anything is looked up (K-3).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::base62::{self, DIGITS};
use crate::key::Environment;

/// The mark that every Keystile key of every installation carries.
pub const MARK: &str = "KSTL";
/// Random characters: 190.5 bits.
const RANDOM_LEN: usize = 32;
/// Base62 characters that hold any CRC-32.
const CHECKSUM_LEN: usize = 6;
/// Everything after `<prefix>_<env>_`.
const TAIL_LEN: usize = RANDOM_LEN + MARK.len() + CHECKSUM_LEN;
/// Characters of a prefix at most.
const MAX_PREFIX_LEN: usize = 16;
/// Shortest text that can be a key of ours: `a_live_` before its tail.
pub const MIN_MARKED_KEY_TEXT: usize = 7 + TAIL_LEN;
/// Longest text that can be a key. Imported keys may be long; 512 leaves room in a header block of 32 KiB.
pub const MAX_KEY_TEXT: usize = 512;
/// Shortest text that can be a key: below this no alphabet reaches 112 bits.
pub const MIN_KEY_TEXT: usize = 16;
/// Random bytes that one key consumes. Rejection sampling uses 248 of 256 byte values; 64 bytes fall short of
/// 32 accepted once in 10^24 keys, and then issuing fails instead of weakening the key.
pub const ENTROPY_LEN: usize = 64;

/// What an owner's keys begin with: 1 to 16 of `a-z0-9`, beginning with a letter.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct Prefix(String);

impl Prefix {
    /// The prefix as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Prefix {
    fn default() -> Self {
        Self("ks".to_owned())
    }
}

/// The text can't be a key prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAPrefix;

impl fmt::Display for NotAPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key prefix is 1 to 16 of a-z and 0-9 and begins with a letter, such as `acme`")
    }
}

impl std::error::Error for NotAPrefix {}

impl FromStr for Prefix {
    type Err = NotAPrefix;

    fn from_str(text: &str) -> Result<Self, NotAPrefix> {
        let sound = (1..=MAX_PREFIX_LEN).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        if sound { Ok(Self(text.to_owned())) } else { Err(NotAPrefix) }
    }
}

impl<'de> Deserialize<'de> for Prefix {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The secret text of a key. It hides itself in `Debug` and `Display` and is wiped when dropped.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct KeyText(String);

impl KeyText {
    /// Makes a new key text out of random bytes.
    ///
    /// # Errors
    /// If the bytes hold too few usable values, which real randomness does not.
    pub fn issue(prefix: &Prefix, environment: Environment, entropy: &[u8; ENTROPY_LEN]) -> Result<Self, PoorEntropy> {
        let mut text = String::with_capacity(prefix.0.len() + 6 + TAIL_LEN);
        text.push_str(&prefix.0);
        text.push('_');
        text.push_str(environment.as_str());
        text.push('_');
        // 248 is 4 × 62: the values above it would favour the first eight digits.
        let digits = entropy.iter().filter(|byte| **byte < 248).take(RANDOM_LEN);
        let before = text.len();
        text.extend(digits.map(|byte| DIGITS[usize::from(byte % 62)] as char));
        if text.len() - before < RANDOM_LEN {
            return Err(PoorEntropy);
        }
        text.push_str(MARK);
        let checksum = base62::encode_u32(crc32fast::hash(text.as_bytes()));
        text.extend(checksum.map(char::from));
        Ok(Self(text))
    }

    /// The secret itself. Every call of this is a place where it can leak: there are few.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What may be shown of it: `ks_live_Ab3d••••9f3a`.
    pub fn hint(&self) -> String {
        hint(&self.0)
    }
}

impl fmt::Debug for KeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.hint())
    }
}

/// The random bytes were not random.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoorEntropy;

impl fmt::Display for PoorEntropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the system's random source gave bytes that are not random")
    }
}

impl std::error::Error for PoorEntropy {}

/// What may be shown of a key text: up to and including four characters after the environment, and the last four.
/// A text without our shape shows its last four only, if it is long enough to spare them.
pub fn hint(text: &str) -> String {
    let last = text.len() - 4.min(text.len());
    match Presented::parse(text) {
        Ok(Presented::Marked { .. }) => format!("{}••••{}", &text[..text.len() - TAIL_LEN + 4], &text[last..]),
        Ok(Presented::Foreign) => format!("••••{}", &text[last..]),
        Err(_) => "••••".to_owned(),
    }
}

/// A presented text that is worth looking up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presented {
    /// It carries our mark and its checksum holds.
    Marked {
        /// The environment that the text names.
        environment: Environment,
    },
    /// It has another format: an imported key, if anything.
    Foreign,
}

/// Why a presented text can't be a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotAKey {
    /// Not 16 to 512 visible ASCII characters.
    Shape,
    /// It carries our mark but not the checksum that belongs to it: a typing error or a guess.
    Checksum,
}

impl Presented {
    /// Judges a presented text from its characters alone. No look-up happens for what fails here (K-3).
    ///
    /// # Errors
    /// [`NotAKey`] says which rule the text broke.
    pub fn parse(text: &str) -> Result<Self, NotAKey> {
        let bytes = text.as_bytes();
        if !(MIN_KEY_TEXT..=MAX_KEY_TEXT).contains(&bytes.len()) || !bytes.iter().all(u8::is_ascii_graphic) {
            return Err(NotAKey::Shape);
        }
        let Some(environment) = marked_environment(bytes) else {
            return Ok(Self::Foreign);
        };
        let (covered, checksum) = bytes.split_at(bytes.len() - CHECKSUM_LEN);
        if checksum == base62::encode_u32(crc32fast::hash(covered)) {
            Ok(Self::Marked { environment })
        } else {
            Err(NotAKey::Checksum)
        }
    }
}

/// The environment named by a text of our shape, whatever its checksum; `None` for other shapes.
fn marked_environment(bytes: &[u8]) -> Option<Environment> {
    let mark_end = bytes.len() - CHECKSUM_LEN;
    if bytes.get(mark_end - MARK.len()..mark_end)? != MARK.as_bytes() {
        return None;
    }
    let (head, tail) = bytes.split_at_checked(bytes.len().checked_sub(TAIL_LEN)?)?;
    let head = head.strip_suffix(b"_")?;
    let environment = Environment::ALL.into_iter().find(|env| {
        head.strip_suffix(env.as_str().as_bytes()).is_some_and(|prefix| prefix.len() > 1 && prefix.ends_with(b"_"))
    })?;
    tail.iter().all(u8::is_ascii_alphanumeric).then_some(environment)
}

/// The key whose mark stands at this byte of a text, whatever stands around it.
pub fn marked_at(text: &[u8], mark: usize) -> Option<&str> {
    let end = mark + MARK.len() + CHECKSUM_LEN;
    let head_end = mark.checked_sub(RANDOM_LEN)?;
    let (text, head) = (text.get(..end)?, text.get(..head_end)?.strip_suffix(b"_")?);
    let environment = Environment::ALL.into_iter().find(|env| head.ends_with(env.as_str().as_bytes()))?;
    let before = head.strip_suffix(environment.as_str().as_bytes())?.strip_suffix(b"_")?.len();
    // The checksum says which of these begins it.
    let starts = (before.saturating_sub(MAX_PREFIX_LEN)..before).rev();
    let mut texts = starts.filter_map(|start| std::str::from_utf8(&text[start..]).ok());
    texts.find(|text| matches!(Presented::parse(text), Ok(Presented::Marked { .. })))
}

/// Bits that a text of this length over the alphabets it visibly uses could hold at most; the estimate that
/// decides whether an imported key is too weak for a plain keyed digest (SECURITY.md K-7, floor 112 bits).
pub fn estimated_bits(text: &str) -> u32 {
    if let Some(bits) = uuid_bits(text) {
        return bits;
    }
    let bytes = text.as_bytes();
    let uses = |class: fn(&u8) -> bool| bytes.iter().any(class);
    let hex = bytes.iter().all(|b| b.is_ascii_hexdigit() || *b == b'-');
    let alphabet = if hex && uses(u8::is_ascii_alphabetic) {
        16
    } else {
        let mut size = 0;
        size += if uses(u8::is_ascii_digit) { 10 } else { 0 };
        size += if uses(u8::is_ascii_lowercase) { 26 } else { 0 };
        size += if uses(u8::is_ascii_uppercase) { 26 } else { 0 };
        // Separators are structure, not chance.
        size + if bytes.iter().any(|b| b.is_ascii_punctuation() && !b"-_.".contains(b)) { 16 } else { 0 }
    };
    let mut seen = [false; 256];
    for byte in bytes {
        seen[usize::from(*byte)] = true;
    }
    let distinct = seen.iter().filter(|seen| **seen).count();
    let characters = bytes.iter().filter(|b| !b"-_.".contains(b)).count();
    // A text over few distinct characters holds no more than those allow, whatever the alphabet. In hexadecimal a few are
    // missing by chance often enough to be expected (11 of 16 in one of 40 texts of 32).
    let symbols = if alphabet == 16 && distinct > FEW_HEX { 16 } else { distinct.min(alphabet).max(1) };
    (characters as f64 * (symbols as f64).log2()) as u32
}

/// Different digits above which a hexadecimal text counts as random: of 32 random ones one in 80,000 has no more.
const FEW_HEX: usize = 8;

/// The chance in a UUID of the usual writing (RFC 9562), by its version; `None` for other texts, and for those of version 4
/// that do not look random. Only version 4 is made of it: the others hold a time, a counter, a name.
fn uuid_bits(text: &str) -> Option<u32> {
    let bytes = text.as_bytes();
    let is_uuid = bytes.len() == 36
        && bytes.iter().enumerate().all(|(place, byte)| match place {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        });
    let is_rfc = is_uuid && matches!(bytes[19].to_ascii_lowercase(), b'8' | b'9' | b'a' | b'b');
    let digits = bytes.iter().filter(|byte| **byte != b'-').map(u8::to_ascii_lowercase);
    let distinct = digits.collect::<std::collections::BTreeSet<u8>>().len();
    match bytes.get(14).filter(|_| is_rfc)? {
        // What is left of time, clock and node is known to whoever knows one other of the same machine.
        b'1' | b'2' | b'6' => Some(14),
        b'4' if distinct > FEW_HEX => Some(122),
        b'7' => Some(74),
        // A hash of a name: as guessable as the name is; or whatever somebody made up.
        b'3' | b'5' | b'8' => Some(0),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn issue(entropy: [u8; 32]) -> KeyText {
        let mut bytes = [0; ENTROPY_LEN];
        bytes[..32].copy_from_slice(&entropy.map(|b| b % 248));
        bytes[32..].copy_from_slice(&entropy.map(|b| b % 248));
        KeyText::issue(&Prefix::default(), Environment::Live, &bytes).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]
        // K-2
        #[test]
        fn k02_every_issued_text_has_the_format_and_is_recognised(entropy: [u8; 32]) {
            let text = issue(entropy);
            let text = text.expose();
            prop_assert_eq!(text.len(), "ks_live_".len() + TAIL_LEN);
            prop_assert!(text.starts_with("ks_live_"));
            prop_assert_eq!(Presented::parse(text), Ok(Presented::Marked { environment: Environment::Live }));
        }

        // K-3
        #[test]
        fn k03_one_changed_character_is_caught_by_the_checksum(entropy: [u8; 32], at in 8usize..46, step in 1usize..62) {
            let text = issue(entropy).expose().to_owned();
            let mut bytes = text.clone().into_bytes();
            // The mark itself is left alone: without it the text is none of ours.
            let at = if at >= 40 { at + 4 } else { at };
            let digit = DIGITS.iter().position(|digit| *digit == bytes[at]).unwrap();
            bytes[at] = DIGITS[(digit + step) % 62];
            let changed = String::from_utf8(bytes).unwrap();
            prop_assert_eq!(Presented::parse(&changed), Err(NotAKey::Checksum));
        }

        #[test]
        fn no_text_breaks_the_parser(text in ".{0,80}") {
            let _ = Presented::parse(&text);
            let _ = hint(&text);
            let _ = estimated_bits(&text);
        }
    }

    #[test]
    fn k03_a_live_key_renamed_to_test_fails_its_checksum() {
        let text = issue([9; 32]).expose().replace("_live_", "_test_");
        assert_eq!(Presented::parse(&text), Err(NotAKey::Checksum));
        let text = issue([9; 32]).expose().replace("ks_", "other_");
        assert_eq!(Presented::parse(&text), Err(NotAKey::Checksum));
    }

    #[test]
    fn other_formats_are_looked_up_by_digest() {
        for text in ["0f5b1c1e-8f5e-4a54-9a49-3a8d1cf2a111", "sk_abcdefghijklmnopqrstuvwxyz012345"] {
            assert_eq!(Presented::parse(text), Ok(Presented::Foreign), "{text}");
        }
        for text in ["", "short", "has a space in it, has a space", "umläut-umläut-umläut-umläut", &"x".repeat(513)]
        {
            assert_eq!(Presented::parse(text), Err(NotAKey::Shape), "{text}");
        }
    }

    #[test]
    fn a_key_text_never_prints_itself() {
        let text = issue([200; 32]);
        let shown = format!("{text:?}");
        assert!(shown.contains("••••") && shown.starts_with("ks_live_"), "{shown}");
        assert!(!shown.contains(&text.expose()[12..40]));
    }

    #[test]
    fn poor_entropy_is_refused_not_used() {
        assert_eq!(KeyText::issue(&Prefix::default(), Environment::Live, &[255; ENTROPY_LEN]), Err(PoorEntropy));
    }

    #[test]
    fn k07_a_uuid_is_as_strong_as_its_version_says() {
        for (text, bits) in [
            ("0f5b1c1e-8f5e-4a54-9a49-3a8d1cf2a117", 122),
            ("0F5B1C1E-8F5E-4A54-9A49-3A8D1CF2A117", 122),
            // Version 4 by its digit alone: it has seven different ones.
            ("1b4e28ba-2b8e-41be-a1ba-2e8b1e4ab128", 96),
            ("c232ab00-9414-11ec-b3c8-9f6bdeced846", 14),
            ("1ec9414c-232a-6b00-b3c8-9f6bdeced846", 14),
            ("5df41881-3aed-3515-88a7-2f4a814cf09e", 0),
            ("2ed6657d-e927-568b-95e1-2665a8aea6a2", 0),
            ("017f22e2-79b0-7cc3-98c4-dc0c0c07398f", 74),
            ("2489e9ad-2ee2-8e00-8ec9-32d5f69181c0", 0),
            ("00000000-0000-4000-8000-000000000001", 66),
            ("00000000-0000-0000-0000-000000000000", 32),
        ] {
            assert!((bits..=bits + 8).contains(&estimated_bits(text)), "{text}: {}", estimated_bits(text));
        }
    }

    #[test]
    fn k07_random_hexadecimal_is_strong_even_if_digits_are_missing_by_chance() {
        assert!(estimated_bits("1b4e28ba2b8ef1bea1ba2e8b1e4ab937") >= 112, "eleven different digits");
        for text in ["deadbeefdeadbeefdeadbeefdeadbeef", "0123401234012340123401234012340a", "abcdefabcdefabcdefabcdef"]
        {
            assert!(estimated_bits(text) < 112, "{text}: {}", estimated_bits(text));
        }
    }

    #[test]
    fn weak_imports_are_told_from_strong_ones() {
        let strong = ["0f5b1c1e-8f5e-4a54-9a49-3a8d1cf2a117", "gk_live_9Zk2mQ4tR7vX1bN6cL8dF3gH5jP0sWyA"];
        let weak = [
            "0000000000000000000000000000000000",
            "password-password",
            "12345678901234567890",
            "abcabcabcabcabcabcabcabc",
        ];
        for text in strong {
            assert!(estimated_bits(text) >= 112, "{text}: {}", estimated_bits(text));
        }
        for text in weak {
            assert!(estimated_bits(text) < 112, "{text}: {}", estimated_bits(text));
        }
    }
}
