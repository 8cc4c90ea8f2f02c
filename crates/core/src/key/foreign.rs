//! Keys as other systems keep them: SHA-256, a short token with the SHA-256 of a long one (`prefixed-api-key`), bcrypt and
//! Argon2. Each is read here and bounded, and found again in a way that needs no try of every hash.
//!
//! What is made of them are digests under the pepper, over bytes that begin with NUL and have another length than a
//! SHA-256, so that no text leads there but by the way that is meant (K-5). What verifies slow hashes is the server's.

use std::fmt;

use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER_PERMISSIVE};

use super::digest::{DigestAlgorithm, KeyDigest, Pepper, TextHash};

/// Characters of the beginning by which a slow hash is found: fewer would be shared by many keys, more would be the key.
pub const LOOKUP_CHARS: std::ops::RangeInclusive<usize> = 6..=64;
/// Slow hashes that one lookup may lead to: so many are tried at most for one text.
pub const MAX_CANDIDATES: usize = 16;
/// bcrypt takes so many bytes of a text and forgets the rest; a longer text is none that a hash of it speaks for.
pub const MAX_BCRYPT_TEXT: usize = 72;
/// Dearest bcrypt: 2^14 rounds, about a second of one core.
const MAX_BCRYPT_COST: u32 = 14;
/// Most memory of Argon2, in KiB: two at once are half a GiB.
const MAX_ARGON2_KIB: u32 = 256 << 10;
/// Most passes of Argon2 over its memory.
const MAX_ARGON2_PASSES: u32 = 10;
/// Most lanes of Argon2.
const MAX_ARGON2_LANES: u32 = 16;
/// Characters of a short token, with what stands before it.
const TOKEN_CHARS: std::ops::RangeInclusive<usize> = 4..=64;
/// Shortest long token: below this no alphabet reaches 112 bits.
const MIN_LONG_TOKEN: usize = 16;
/// Bits by which a text is found of which all is known here. Few, so that they say little of a text that can be guessed.
const BUCKET_BITS: u32 = 16;
/// Characters of a beginning that may be shown.
const SHOWN_CHARS: usize = 12;

/// What finds the slow hashes that a text may belong to: how many of its first characters count, and 56 bits of their
/// keyed digest; or, with no characters, 16 bits of that of the whole text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lookup(u64);

impl Lookup {
    /// As it was kept.
    pub const fn from_number(number: u64) -> Self {
        Self(number)
    }

    /// The number to keep.
    pub const fn number(self) -> u64 {
        self.0
    }

    /// How many characters of a text's beginning it is of; 0 if it is of the whole text.
    pub const fn chars(self) -> usize {
        (self.0 >> 56) as usize
    }
}

/// A slow hash as another system kept it, and what finds it.
#[derive(Clone, PartialEq, Eq)]
pub struct SlowHash {
    /// What finds it.
    pub lookup: Lookup,
    /// The hash with its parameters, as text: `$2b$…`, `$argon2id$…`.
    pub hash: String,
}

impl fmt::Debug for SlowHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SlowHash(…)")
    }
}

/// Why a text is no slow hash that can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotAHash {
    /// Of no class that is known here.
    Class,
    /// Of a known class, and not well formed.
    Malformed,
    /// So dear that whoever presents a text could keep the server busy.
    TooDear,
}

impl fmt::Display for NotAHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Class => "hash is bcrypt ($2a$, $2b$, $2y$) or Argon2 ($argon2id$, $argon2i$, $argon2d$)",
            Self::Malformed => "this hash is cut short or altered; export it anew, with its parameters and salt",
            Self::TooDear => {
                "this hash costs too much to verify: bcrypt takes a cost of at most 14, Argon2 m=262144 (256 MiB), t=10, p=16; issue a new key instead"
            }
        })
    }
}

impl std::error::Error for NotAHash {}

/// Which class of slow hash this is.
///
/// # Errors
/// [`NotAHash`] says why it can't be used.
pub fn slow_algorithm(hash: &str) -> Result<DigestAlgorithm, NotAHash> {
    if let Some(rest) = ["$2a$", "$2b$", "$2y$"].iter().find_map(|class| hash.strip_prefix(class)) {
        return bcrypt(rest).map(|()| DigestAlgorithm::Bcrypt);
    }
    let classes = ["$argon2id$", "$argon2i$", "$argon2d$"];
    let rest = classes.iter().find_map(|class| hash.strip_prefix(class)).ok_or(NotAHash::Class)?;
    argon2(rest).map(|()| DigestAlgorithm::Argon2)
}

/// `10$` and 22 characters of salt with 31 of hash.
fn bcrypt(rest: &str) -> Result<(), NotAHash> {
    let (cost, rest) = rest.split_once('$').ok_or(NotAHash::Malformed)?;
    let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'/';
    if cost.len() != 2 || rest.len() != 53 || !rest.bytes().all(is_digit) {
        return Err(NotAHash::Malformed);
    }
    match number(cost)? {
        0..=3 => Err(NotAHash::Malformed),
        4..=MAX_BCRYPT_COST => Ok(()),
        _ => Err(NotAHash::TooDear),
    }
}

/// `v=19$m=65536,t=3,p=4$SALT$HASH`.
fn argon2(rest: &str) -> Result<(), NotAHash> {
    let parts: Vec<&str> = rest.split('$').collect();
    let ["v=16" | "v=19", parameters, salt, output] = parts[..] else { return Err(NotAHash::Malformed) };
    let mut parameters = parameters.split(',');
    let mut parameter = |name: &str| {
        let value = parameters.next().and_then(|text| text.strip_prefix(name)).ok_or(NotAHash::Malformed)?;
        number(value)
    };
    let (kib, passes, lanes) = (parameter("m=")?, parameter("t=")?, parameter("p=")?);
    let length = |text: &str| BASE64_NOPAD.decode(text.as_bytes()).map(|bytes| bytes.len()).unwrap_or_default();
    let is_sound = parameters.next().is_none()
        && (8..=48).contains(&length(salt))
        && (16..=64).contains(&length(output))
        && passes > 0
        && lanes > 0
        && kib >= lanes.saturating_mul(8);
    if kib > MAX_ARGON2_KIB || passes > MAX_ARGON2_PASSES || lanes > MAX_ARGON2_LANES {
        Err(NotAHash::TooDear)
    } else if is_sound {
        Ok(())
    } else {
        Err(NotAHash::Malformed)
    }
}

fn number(text: &str) -> Result<u32, NotAHash> {
    let is_plain = !text.is_empty() && text.len() <= 9 && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_plain { text.parse().map_err(|_| NotAHash::Malformed) } else { Err(NotAHash::Malformed) }
}

/// Whether this may be the beginning of keys by which slow hashes are found.
pub fn is_lookup(text: &str) -> bool {
    LOOKUP_CHARS.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// What may be shown of a key of which only this beginning is known.
pub fn hint_of_beginning(beginning: &str) -> String {
    format!("{}••••", beginning.get(..SHOWN_CHARS).unwrap_or(beginning))
}

/// What is public of a `prefixed-api-key`: its short token, alone or with all that stands before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShortToken<'a>(&'a str);

impl<'a> ShortToken<'a> {
    /// Reads a short token, `BRTRKFsL` or `mycompany_BRTRKFsL`.
    pub fn parse(text: &'a str) -> Option<Self> {
        let is_sound = TOKEN_CHARS.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        let token = text.rsplit('_').next().unwrap_or_default();
        (is_sound && token.len() >= *TOKEN_CHARS.start()).then_some(Self(text))
    }

    /// What may be shown of its key.
    pub fn hint(self) -> String {
        format!("{}_••••", self.0)
    }

    /// The ways in which a presented text can be read as one of these, with the long token; none if it can't.
    pub fn of_presented(text: &'a str) -> Option<([Self; 2], &'a str)> {
        let (head, long) = text.rsplit_once('_')?;
        let (_, short) = head.rsplit_once('_')?;
        (long.len() >= MIN_LONG_TOKEN).then_some(([Self(head), Self(short)], long))
    }
}

impl TextHash {
    /// Reads a SHA-256 as systems write it: 64 hexadecimal digits, or 43 characters of base64, of either alphabet, with or
    /// without its padding. Its length says which one it is.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = match text.len() {
            64 => HEXLOWER_PERMISSIVE.decode(text.as_bytes()),
            43 | 44 => {
                let text = if text.len() == 44 { text.strip_suffix('=')? } else { text };
                let alphabet = if text.contains(['-', '_']) { BASE64URL_NOPAD } else { BASE64_NOPAD };
                alphabet.decode(text.as_bytes())
            }
            _ => return None,
        };
        bytes.ok()?.try_into().ok().map(Self::from_bytes)
    }
}

impl Pepper {
    /// The digest by which a `prefixed-api-key` is kept.
    pub fn digest_of_prefixed(&self, short: ShortToken<'_>, long: &TextHash) -> KeyDigest {
        self.digest_of_parts(&[b"\0prefixed\0", short.0.as_bytes(), b"\0", long.as_bytes()])
    }

    /// What stands for the digest of a text of which only a slow hash is known. The same hash has the same one, so that it
    /// is not taken over twice.
    pub fn placeholder(&self, slow: &SlowHash) -> KeyDigest {
        self.placeholder_of(slow.lookup, &slow.hash)
    }

    /// Whether this is what stands for the text of a slow hash. Who can write to the store and does not know the pepper can
    /// neither give a key another hash nor a hash another lookup (K-5).
    pub fn stands_for(&self, digest: &KeyDigest, lookup: Lookup, hash: &str) -> bool {
        self.placeholder_of(lookup, hash) == *digest
    }

    fn placeholder_of(&self, lookup: Lookup, hash: &str) -> KeyDigest {
        self.digest_of_parts(&[b"\0slow\0", &lookup.0.to_le_bytes(), hash.as_bytes()])
    }

    /// The lookup of keys with this beginning. Keyed, so that the store does not hold what somebody took for a beginning.
    pub fn lookup_of_beginning(&self, beginning: &str) -> Lookup {
        Lookup((beginning.len() as u64) << 56 | self.lookup_bits(beginning) >> 8)
    }

    /// The lookup of a text that is known as a whole.
    pub fn lookup_of_whole(&self, text: &str) -> Lookup {
        Lookup(self.lookup_bits(text) >> (64 - BUCKET_BITS))
    }

    fn lookup_bits(&self, text: &str) -> u64 {
        let digest = self.digest_of_parts(&[b"\0lookup\0", text.as_bytes(), &[0; 32]]);
        u64::from_le_bytes(*digest.as_bytes().first_chunk().expect("a digest has more than eight bytes"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::PepperSecret;
    use proptest::prelude::*;

    const BCRYPT: &str = "$2b$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy";
    const ARGON2: &str =
        "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$Jkcx3KvVBnIiULHjRiJj3YFMJ5Mq0zDHsFvcGnVGoTM";

    fn pepper() -> Pepper {
        Pepper::new(1, &PepperSecret::new([1; 32]))
    }

    #[test]
    fn slow_hashes_are_told_apart_and_bounded() {
        use NotAHash::{Class, Malformed, TooDear};
        let with = |from: &str, to: &str| ARGON2.replace(from, to);
        for (hash, expected) in [
            (BCRYPT.to_owned(), Ok(DigestAlgorithm::Bcrypt)),
            (BCRYPT.replace("$2b$", "$2a$"), Ok(DigestAlgorithm::Bcrypt)),
            (BCRYPT.replace("$2b$", "$2y$"), Ok(DigestAlgorithm::Bcrypt)),
            (BCRYPT.replace("$2b$", "$2x$"), Err(Class)),
            (BCRYPT.replace("$10$", "$14$"), Ok(DigestAlgorithm::Bcrypt)),
            (BCRYPT.replace("$10$", "$15$"), Err(TooDear)),
            (BCRYPT.replace("$10$", "$99$"), Err(TooDear)),
            (BCRYPT.replace("$10$", "$03$"), Err(Malformed)),
            (BCRYPT.replace("$10$", "$1$"), Err(Malformed)),
            (BCRYPT.replace("$10$", "$+9$"), Err(Malformed)),
            (BCRYPT[..59].to_owned(), Err(Malformed)),
            (format!("{BCRYPT}a"), Err(Malformed)),
            (BCRYPT.replace('W', "="), Err(Malformed)),
            (ARGON2.to_owned(), Ok(DigestAlgorithm::Argon2)),
            (with("argon2id", "argon2i"), Ok(DigestAlgorithm::Argon2)),
            (with("argon2id", "argon2d"), Ok(DigestAlgorithm::Argon2)),
            (with("v=19$", ""), Err(Malformed)),
            (with("v=19$", "v=16$"), Ok(DigestAlgorithm::Argon2)),
            (with("argon2id", "argon2"), Err(Class)),
            (with("v=19", "v=18"), Err(Malformed)),
            (with("m=19456", "m=262144"), Ok(DigestAlgorithm::Argon2)),
            (with("m=19456", "m=262145"), Err(TooDear)),
            (with("m=19456", "m=7"), Err(Malformed)),
            (with("t=2", "t=10"), Ok(DigestAlgorithm::Argon2)),
            (with("t=2", "t=11"), Err(TooDear)),
            (with("t=2", "t=0"), Err(Malformed)),
            (with("p=1", "p=17"), Err(TooDear)),
            (with("p=1", "p=1,keyid=x"), Err(Malformed)),
            (with("m=19456,t=2", "t=2,m=19456"), Err(Malformed)),
            (with("$c29tZXNhbHRzb21lc2FsdA$", "$c29t$"), Err(Malformed)),
            (ARGON2[..80].to_owned(), Err(Malformed)),
            ("$pbkdf2-sha256$i=1000$c2FsdA$aGFzaA".to_owned(), Err(Class)),
            (String::new(), Err(Class)),
        ] {
            assert_eq!(slow_algorithm(&hash), expected, "{hash}");
        }
    }

    #[test]
    fn a_sha_256_is_read_in_every_writing_of_it() {
        let bytes = [0xFB; 32];
        let hex = "fb".repeat(32);
        let standard = "+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/s";
        let url = standard.replace('+', "-").replace('/', "_");
        let padded = [standard, &url].map(|text| format!("{text}="));
        for text in [&hex, &hex.to_uppercase(), standard, &url, &padded[0], &padded[1]] {
            assert_eq!(TextHash::parse(text).map(|hash| *hash.as_bytes()), Some(bytes), "{text}");
        }
        let mixed = standard.replacen('+', "-", 1);
        let last_bits = format!("{}t", &standard[..42]);
        for text in
            ["", "fb", &hex[..62], &"g".repeat(64), &hex[..43].replace('f', "!"), &mixed, &last_bits, &"=".repeat(44)]
        {
            assert!(TextHash::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_prefixed_key_is_found_by_its_parts_and_by_nothing_else() {
        let (pepper, text) = (pepper(), "my_company_BRTRKFsL_51FwqftsmMDHHbJAMEXXHCgG");
        let ([whole, short], long) = ShortToken::of_presented(text).unwrap();
        let long = TextHash::of(long);
        let kept = |token: &str| pepper.digest_of_prefixed(ShortToken::parse(token).unwrap(), &long);
        assert_eq!(kept("my_company_BRTRKFsL"), pepper.digest_of_prefixed(whole, &long));
        assert_eq!(kept("BRTRKFsL"), pepper.digest_of_prefixed(short, &long));
        assert_ne!(kept("other_BRTRKFsL"), pepper.digest_of_prefixed(whole, &long));
        for text in ["nothing", "one_51FwqftsmMDHHbJAMEXXHCgG", "a_b_short", "__"] {
            assert!(ShortToken::of_presented(text).is_none(), "{text}");
        }
        for token in ["", "abc", "mycompany_", "mycompany_abc", "has space", &"x".repeat(65)] {
            assert!(ShortToken::parse(token).is_none(), "{token}");
        }
        assert_eq!(ShortToken::parse("mycompany_BRTRKFsL").unwrap().hint(), "mycompany_BRTRKFsL_••••");
    }

    #[test]
    fn a_lookup_says_how_much_of_a_text_it_is_of_and_keeps_nothing_of_it() {
        let pepper = pepper();
        assert!(is_lookup("abcdef") && is_lookup(&"x".repeat(64)));
        assert!(!is_lookup("abcde") && !is_lookup(&"x".repeat(65)) && !is_lookup("abc def") && !is_lookup("äöüäöü"));
        let beginning = pepper.lookup_of_beginning("sk_live_Ab12");
        assert_eq!((beginning.chars(), Lookup::from_number(beginning.number())), (12, beginning));
        assert_ne!(beginning, pepper.lookup_of_beginning("sk_live_Ab13"));
        let whole = pepper.lookup_of_whole("a weak text");
        assert!(whole.chars() == 0 && whole.number() < 1 << 16);
        assert_eq!(hint_of_beginning("sk_live_Ab12Cd34"), "sk_live_Ab12••••");
    }

    proptest! {
        #[test]
        fn k05_no_text_has_the_digest_of_a_slow_hash_or_of_a_prefixed_key(text in "[!-~]{16,80}", lookup: u64) {
            let pepper = pepper();
            let slow = SlowHash { lookup: Lookup::from_number(lookup), hash: text.clone() };
            prop_assert_ne!(pepper.placeholder(&slow), pepper.digest(&text));
            let shown = format!("{slow:?}");
            prop_assert!(!shown.contains(&text));
            if let Some((tokens, long)) = ShortToken::of_presented(&text) {
                for token in tokens {
                    prop_assert_ne!(pepper.digest_of_prefixed(token, &TextHash::of(long)), pepper.digest(&text));
                }
            }
        }

        #[test]
        fn no_text_breaks_the_readers(text in ".{0,90}") {
            let _ = (slow_algorithm(&text), TextHash::parse(&text), is_lookup(&text), hint_of_beginning(&text));
            let _ = (ShortToken::parse(&text).map(ShortToken::hint), ShortToken::of_presented(&text));
            let _ = slow_algorithm(&format!("$argon2id${text}"));
        }
    }
}
