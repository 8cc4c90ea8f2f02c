//! A line of an import: a key as text, or as another system keeps it.

use std::borrow::Cow;
use std::sync::Arc;

use keystile_core::api::KeyRules;
use keystile_core::id::KeyId;
use keystile_core::key::{
    DigestAlgorithm, KeyDigest, KeyKind, LOOKUP_CHARS, Lookup, MIN_IMPORT_BITS, NotAHash, NotAKey, Pepper, Presented,
    ShortToken, SlowHash, TextHash, estimated_bits, hint, hint_of_beginning, is_lookup, slow_algorithm,
};
use keystile_core::metadata::{Labels, Metadata, Tags};
use keystile_core::time::Timestamp;
use keystile_store::records::{ImportKey, NewKey};
use serde::Deserialize;
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::super::rules::{checked_end, within};
use super::report::{Class, Refusal, refusal};
use crate::manage::extract::spoken;
use crate::manage::projects::checked_name;

/// Bits below which a text is not even kept under a slow hash: it could be guessed by asking.
const MIN_WEAK_BITS: u32 = 32;
const ONE_OF: &str = "Say key, sha256, short_token with long_token_hash, or hash with lookup.";
const HASH_FORM: &str = "64 hexadecimal digits, or base64 of the 32 bytes";

/// A line: `key`, `sha256`, `short_token` with `long_token_hash`, or `hash` with `lookup`; and what belongs to this key
/// alone.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ImportLine)]
pub(in crate::manage::keys) struct Line<'a> {
    /// The text of the key.
    #[serde(borrow)]
    key: Option<Cow<'a, str>>,
    /// The SHA-256 of the text, where the text is not known: 64 hexadecimal digits, or base64 of either alphabet.
    #[serde(borrow)]
    sha256: Option<Cow<'a, str>>,
    /// Of a `prefixed-api-key` its short token; with all that stands before it (`mycompany_BRTRKFsL`), the key is only good
    /// with that.
    #[serde(borrow)]
    #[schema(example = "mycompany_BRTRKFsL")]
    short_token: Option<Cow<'a, str>>,
    /// The SHA-256 of its long token.
    #[serde(borrow)]
    long_token_hash: Option<Cow<'a, str>>,
    /// The bcrypt or Argon2 hash of the text, with its parameters: `$2b$…`, `$argon2id$…`.
    #[serde(borrow)]
    hash: Option<Cow<'a, str>>,
    /// With `hash`: the visible beginning of the text, 6 to 64 characters, by which its hash is found. At most 16 keys may
    /// have the same one.
    #[serde(borrow)]
    lookup: Option<Cow<'a, str>>,
    /// Its name.
    name: Option<String>,
    /// What it is found by.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    labels: Labels,
    /// What your programs want to know of it.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    metadata: Metadata,
    /// When it ends; `null` for never.
    #[serde(default, deserialize_with = "spoken")]
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Option<Timestamp>>,
}

/// A line that was read. The key has no id yet.
pub(super) enum Read {
    /// A key.
    Key(ImportKey, Class),
    /// A text that could be guessed, and why it is refused unless it is wanted all the same.
    Weak(Refusal, Weak),
}

/// A text that could be guessed.
pub(super) struct Weak {
    pub(super) text: Zeroizing<String>,
    own: Own,
}

/// What belongs to one key alone.
struct Own {
    name: String,
    expires_at: Option<Timestamp>,
    tags: Tags,
}

/// How a key is kept.
struct Held {
    digest: KeyDigest,
    hint: String,
    algorithm: DigestAlgorithm,
    slow: Option<SlowHash>,
    class: Class,
    older: Vec<KeyDigest>,
}

/// Reads lines, each for itself.
pub(super) struct Reader {
    /// The newest first; the others find what is known already.
    pub(super) peppers: Arc<Vec<Pepper>>,
    pub(super) end: Option<Timestamp>,
    pub(super) now: Timestamp,
    pub(super) rules: KeyRules,
}

impl Reader {
    pub(super) fn read(&self, line: &str) -> Result<Read, Refusal> {
        // The error's place is told, its text is not: it may quote the key.
        let line: Line<'_> = serde_json::from_str(line).map_err(|error| {
            let column = error.column();
            refusal("invalid", format!("This is no JSON object of an import (column {column}). {ONE_OF}"))
        })?;
        let expires_at = match line.expires_at {
            None => self.end,
            Some(None) => None,
            Some(Some(end)) => Some(checked_end(end, self.now).map_err(|problem| refusal("invalid", problem.detail))?),
        };
        within(&self.rules, KeyKind::Secret, expires_at, self.now)
            .map_err(|problem| refusal("invalid", problem.detail))?;
        let name = match line.name {
            None => "imported".to_owned(),
            Some(name) => checked_name(name).map_err(|problem| refusal("invalid", problem.detail))?,
        };
        let own = Own { name, expires_at, tags: Tags { labels: line.labels, metadata: line.metadata } };
        let fields = (&line.key, &line.sha256, &line.short_token, &line.long_token_hash, &line.hash, &line.lookup);
        let held = match fields {
            (Some(text), None, None, None, None, None) => match self.of_text(text)? {
                Ok(held) => held,
                Err(why) => {
                    let weak = Weak { text: Zeroizing::new(text.as_ref().to_owned()), own };
                    return Ok(Read::Weak(why, weak));
                }
            },
            (None, Some(hash), None, None, None, None) => self.of_hash(hash)?,
            (None, None, Some(token), Some(hash), None, None) => self.of_tokens(token, hash)?,
            (None, None, None, None, Some(hash), lookup) => self.of_slow_hash(hash, lookup.as_deref())?,
            _ => return Err(refusal("invalid", ONE_OF)),
        };
        let class = held.class;
        Ok(Read::Key(self.key(held, own), class))
    }

    /// A text that could be guessed, with its slow hash.
    pub(super) fn stretched(&self, weak: Weak, lookup: Lookup, hash: String) -> ImportKey {
        let slow = SlowHash { lookup, hash };
        let held = Held {
            digest: self.pepper().placeholder(&slow),
            older: Vec::new(),
            // Of what can be guessed nothing is shown.
            hint: "••••".to_owned(),
            algorithm: DigestAlgorithm::Argon2,
            slow: Some(slow),
            class: Class::Argon2id,
        };
        self.key(held, weak.own)
    }

    fn key(&self, held: Held, Own { name, expires_at, tags }: Own) -> ImportKey {
        let Held { digest, hint, algorithm, slow, older, .. } = held;
        let (id, kind, pepper_version) = (KeyId::from_entropy([0; 16]), KeyKind::Secret, self.pepper().version());
        ImportKey {
            key: NewKey { id, name, kind, hint, digest, pepper_version, text: None, expires_at, tags },
            algorithm,
            slow,
            older,
        }
    }

    /// The inner refusal is of a text that could be guessed.
    fn of_text(&self, text: &str) -> Result<Result<Held, Refusal>, Refusal> {
        match Presented::parse(text) {
            Err(NotAKey::Shape) => {
                return Err(refusal("malformed", "A key is 16 to 512 visible ASCII characters without spaces."));
            }
            Err(NotAKey::Checksum) => {
                return Err(refusal("checksum", "It carries Keystile's mark but not the checksum that belongs to it."));
            }
            Ok(Presented::Marked { .. }) => {}
            // K-7: what can be guessed is no key.
            Ok(Presented::Foreign) => {
                let bits = estimated_bits(text);
                let holds = format!("It holds about {bits} bits of chance; at least {MIN_IMPORT_BITS} are needed.");
                if bits < MIN_WEAK_BITS {
                    return Err(refusal("weak", format!("{holds} Issue a new key instead.")));
                } else if bits < MIN_IMPORT_BITS {
                    let detail = format!(
                        "{holds} Issue a new key instead, or say weak=argon2id to keep it under a slow hash all the same."
                    );
                    return Ok(Err(refusal("weak", detail)));
                }
            }
        }
        Ok(Ok(self.plain(|pepper| pepper.digest(text), hint(text), Class::Text)))
    }

    fn of_hash(&self, hash: &str) -> Result<Held, Refusal> {
        let hash = TextHash::parse(hash).ok_or_else(|| refusal("malformed", format!("sha256 is {HASH_FORM}.")))?;
        Ok(self.plain(|pepper| pepper.digest_of_hash(&hash), "••••".to_owned(), Class::Sha256))
    }

    fn plain(&self, digest: impl Fn(&Pepper) -> KeyDigest, hint: String, class: Class) -> Held {
        let (digest, older) = self.digests(digest);
        Held { digest, hint, algorithm: DigestAlgorithm::HmacSha256OfSha256, slow: None, class, older }
    }

    /// The digest under the newest pepper, and those under the others.
    fn digests(&self, digest: impl Fn(&Pepper) -> KeyDigest) -> (KeyDigest, Vec<KeyDigest>) {
        (digest(self.pepper()), self.peppers.iter().skip(1).map(digest).collect())
    }

    /// What a text is hashed to, under each pepper.
    pub(super) fn every_digest(&self, text: &str) -> Vec<KeyDigest> {
        self.peppers.iter().map(|pepper| pepper.digest(text)).collect()
    }

    /// The newest.
    pub(super) fn pepper(&self) -> &Pepper {
        self.peppers.first().expect("an opened store has a pepper")
    }

    fn of_tokens(&self, token: &str, hash: &str) -> Result<Held, Refusal> {
        let token = ShortToken::parse(token).ok_or_else(|| {
            let detail = "short_token is a token such as BRTRKFsL, or mycompany_BRTRKFsL with what stands before it: 4 to 64 visible characters.";
            refusal("malformed", detail)
        })?;
        let long =
            TextHash::parse(hash).ok_or_else(|| refusal("malformed", format!("long_token_hash is {HASH_FORM}.")))?;
        let (digest, older) = self.digests(|pepper| pepper.digest_of_prefixed(token, &long));
        let algorithm = DigestAlgorithm::HmacSha256OfPrefixed;
        Ok(Held { digest, hint: token.hint(), algorithm, slow: None, class: Class::Prefixed, older })
    }

    fn of_slow_hash(&self, hash: &str, lookup: Option<&str>) -> Result<Held, Refusal> {
        let algorithm = slow_algorithm(hash).map_err(|error| {
            let reason = match error {
                NotAHash::Class => "unsupported",
                NotAHash::Malformed => "malformed",
                NotAHash::TooDear => "too_dear",
            };
            refusal(reason, format!("{error}."))
        })?;
        let (fewest, most) = (LOOKUP_CHARS.start(), LOOKUP_CHARS.end());
        let Some(lookup) = lookup else {
            let detail = format!(
                "A slow hash can't be looked up; add lookup, the visible beginning of the key ({fewest} to {most} characters)."
            );
            return Err(refusal("no_lookup", detail));
        };
        if !is_lookup(lookup) {
            let detail = format!(
                "lookup is the beginning of the key, {fewest} to {most} visible ASCII characters without spaces."
            );
            return Err(refusal("malformed", detail));
        }
        let slow = SlowHash { lookup: self.pepper().lookup_of_beginning(lookup), hash: hash.to_owned() };
        let class = if algorithm == DigestAlgorithm::Bcrypt { Class::Bcrypt } else { Class::Argon2 };
        let of = |pepper: &Pepper| {
            let lookup = pepper.lookup_of_beginning(lookup);
            pepper.placeholder(&SlowHash { lookup, hash: hash.to_owned() })
        };
        let (digest, older) = self.digests(of);
        Ok(Held { digest, hint: hint_of_beginning(lookup), algorithm, slow: Some(slow), class, older })
    }
}

#[cfg(test)]
mod tests {
    use keystile_core::key::PepperSecret;

    use super::*;

    const BCRYPT: &str = "$2b$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy";

    fn read(line: &str) -> Result<Read, Refusal> {
        let peppers = Arc::new(vec![Pepper::new(1, &PepperSecret::new([1; 32]))]);
        Reader { peppers, end: None, now: Timestamp::from_secs(1), rules: KeyRules::of([]) }.read(line)
    }

    fn outcome(line: &str) -> Result<Class, &'static str> {
        match read(line) {
            Ok(Read::Key(_, class)) => Ok(class),
            Ok(Read::Weak(refusal, _)) => Err(refusal.reason),
            Err(refusal) => Err(refusal.reason),
        }
    }

    #[test]
    fn every_class_is_read_and_what_is_none_is_refused_with_its_reason() {
        let (hex, base64) = ("aB".repeat(32), "q83vq83vq83vq83vq83vq83vq83vq83vq83vq83vq80=");
        let slow = |hash: &str, lookup: &str| format!("{{\"hash\":\"{hash}\",\"lookup\":\"{lookup}\"}}");
        let tokens =
            |short: &str, long: &str| format!("{{\"short_token\":\"{short}\",\"long_token_hash\":\"{long}\"}}");
        for (line, expected) in [
            (format!("{{\"sha256\":\"{hex}\"}}"), Ok(Class::Sha256)),
            (format!("{{\"sha256\":\"{base64}\"}}"), Ok(Class::Sha256)),
            (tokens("mycompany_BRTRKFsL", &hex), Ok(Class::Prefixed)),
            (tokens("BRTRKFsL", base64), Ok(Class::Prefixed)),
            (tokens("abc", &hex), Err("malformed")),
            (tokens("BRTRKFsL", "abc"), Err("malformed")),
            ("{\"short_token\":\"BRTRKFsL\"}".to_owned(), Err("invalid")),
            (slow(BCRYPT, "sk_live"), Ok(Class::Bcrypt)),
            (slow(BCRYPT, "sk_li"), Err("malformed")),
            (slow(&BCRYPT.replace("$10$", "$15$"), "sk_live"), Err("too_dear")),
            (slow(&BCRYPT[..50], "sk_live"), Err("malformed")),
            (slow("$pbkdf2$x", "sk_live"), Err("unsupported")),
            (format!("{{\"hash\":\"{BCRYPT}\"}}"), Err("no_lookup")),
            ("{\"key\":\"abcdefabcdef-abcdef\"}".to_owned(), Err("weak")),
            ("{\"key\":\"0f5b1c1e-8f5e-4a54-9a49-3a8d1cf2a117\"}".to_owned(), Ok(Class::Text)),
            (
                format!("{{\"key\":\"0f5b1c1e-8f5e-4a54-9a49-3a8d1cf2a117\",\"lookup\":\"x\",\"sha256\":\"{hex}\"}}"),
                Err("invalid"),
            ),
            ("{\"lookup\":\"sk_live\"}".to_owned(), Err("invalid")),
        ] {
            assert_eq!(outcome(&line), expected, "{line}");
        }
    }

    #[test]
    fn a_hash_that_is_none_is_refused_and_nothing_else_happens() {
        let too_long = "0".repeat(66);
        for hash in ["", "z", "zz", "ää", "00", &too_long] {
            assert_eq!(outcome(&format!("{{\"sha256\":\"{hash}\"}}")), Err("malformed"), "{hash}");
        }
    }

    #[test]
    fn k07_a_text_that_could_be_guessed_is_kept_apart_and_one_that_is_no_secret_at_all_refused() {
        assert!(matches!(read("{\"key\":\"password-password\"}"), Ok(Read::Weak(..))));
        assert_eq!(read("{\"key\":\"1111111111111111\"}").err().map(|refusal| refusal.reason), Some("weak"));
    }

    #[test]
    fn k04_what_is_shown_of_a_hashed_key_is_what_its_owner_says_is_visible() {
        let hint_of = |line: &str| match read(line) {
            Ok(Read::Key(one, _)) => one.key.hint,
            _ => panic!("{line}"),
        };
        assert_eq!(hint_of(&format!("{{\"hash\":\"{BCRYPT}\",\"lookup\":\"sk_live_abcdefgh\"}}")), "sk_live_abcd••••");
        assert_eq!(hint_of(&format!("{{\"sha256\":\"{}\"}}", "ab".repeat(32))), "••••");
    }
}
