//! Rules: what a setting may be, how it is read, and how it is written. A rule is made once and serves the parser,
//! its messages, the example file and the settings document, so that none of them can disagree.

use super::root_key::RootKeyPlace;
use std::net::{IpAddr, SocketAddr};
use std::ops::{Range, RangeInclusive};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use keystile_core::api::UpstreamUrl;
use keystile_server::audit_stream::SyslogTarget;
use keystile_server::identity::{Issuer, PagesOrigin};
use keystile_server::mail::{MailServer, Sender};
use keystile_server::telemetry::journal::Destination;
use keystile_server::telemetry::trace::Sample;
use keystile_store::postgres::Url as DatabaseUrl;

/// Longest name.
const MAX_NAME: usize = 120;

/// A value as it was given, before any rule looked at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Raw {
    /// A text of the file.
    Text(String),
    /// A whole number of the file, unless it is beyond 64 bits.
    Whole(Option<i64>),
    /// A number with a fraction of the file, as it stands there.
    Fraction(String),
    /// `true` or `false` in the file.
    Flag(bool),
    /// A list of the file, with the place of each entry.
    List(Vec<(Raw, Range<usize>)>),
    /// Something else of the file, by the name of its kind.
    Other(&'static str),
    /// The text of an environment variable, which has no kinds: the rule decides what it means.
    Variable(String),
}

impl Raw {
    /// What to call such a value in a message; texts are quoted by the rules, which know whether they may be.
    const fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) | Self::Variable(_) => "a text",
            Self::Whole(_) => "a number",
            Self::Fraction(_) => "a number with a fraction",
            Self::Flag(_) => "true or false",
            Self::List(_) => "a list",
            Self::Other(kind) => kind,
        }
    }

    fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Variable(text) => Some(text),
            _ => None,
        }
    }
}

/// Why a value is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Complaint {
    /// What is wrong, as the end of a sentence that begins with the setting's name.
    pub(super) what: String,
    /// The part of the value that is wrong, if it is not all of it.
    pub(super) within: Option<Range<usize>>,
}

impl Complaint {
    fn of(what: impl Into<String>) -> Self {
        Self { what: what.into(), within: None }
    }

    fn kind(raw: &Raw) -> Self {
        Self::of(format!("{} does not fit here", raw.kind()))
    }
}

type Reader<T> = Box<dyn Fn(&Raw) -> Result<T, Complaint>>;

/// What one setting may be.
pub(super) struct Rule<T> {
    /// What is allowed, for messages and documents.
    pub(super) allowed: String,
    pub(super) read: Reader<T>,
    /// The value as it stands in a file.
    pub(super) write: fn(&T) -> String,
}

fn rule<T>(
    allowed: impl Into<String>,
    write: fn(&T) -> String,
    read: impl Fn(&Raw) -> Result<T, Complaint> + 'static,
) -> Rule<T> {
    Rule { allowed: allowed.into(), read: Box::new(read), write }
}

/// A text as TOML.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// A file or folder.
pub(super) fn path() -> Rule<PathBuf> {
    rule(
        "a path, relative to the folder that the server is started in",
        |path| quoted(&path.to_string_lossy()),
        |raw| match raw.text() {
            Some("") => Err(Complaint::of("the path is empty")),
            Some(text) if text.contains('\0') => Err(Complaint::of("a path holds no NUL character")),
            Some(text) => Ok(PathBuf::from(text)),
            None => Err(Complaint::kind(raw)),
        },
    )
}

/// A file or folder, or nothing: `None` is written `off`.
pub(super) fn path_or_off() -> Rule<Option<PathBuf>> {
    let path = path();
    rule(
        format!(r#"{}, or "off""#, path.allowed),
        |path| quoted(&path.as_ref().map_or("off".into(), |path| path.to_string_lossy())),
        move |raw| if raw.text() == Some("off") { Ok(None) } else { (path.read)(raw).map(Some) },
    )
}

/// Where the access log goes.
pub(super) fn access_log() -> Rule<Destination> {
    let path = path();
    rule(
        format!(r#"{}, "stdout", or "off""#, path.allowed),
        |to| match to {
            Destination::Off => quoted("off"),
            Destination::Stdout => quoted("stdout"),
            Destination::File(path) => quoted(&path.to_string_lossy()),
        },
        move |raw| match raw.text() {
            Some("off") => Ok(Destination::Off),
            Some("stdout") => Ok(Destination::Stdout),
            _ => (path.read)(raw).map(Destination::File),
        },
    )
}

/// A list of files or folders. In a variable they are separated by commas.
pub(super) fn paths() -> Rule<Vec<PathBuf>> {
    let path = path();
    rule(
        "a list of paths, relative to the folder that the server is started in; in a variable separated by commas",
        |paths| {
            let paths: Vec<String> = paths.iter().map(|path| quoted(&path.to_string_lossy())).collect();
            format!("[{}]", paths.join(", "))
        },
        move |raw| match raw {
            Raw::List(entries) => entries
                .iter()
                .map(|(entry, place)| {
                    (path.read)(entry).map_err(|complaint| Complaint { within: Some(place.clone()), ..complaint })
                })
                .collect(),
            Raw::Variable(text) => {
                let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
                entries.map(|entry| (path.read)(&Raw::Variable(entry.to_owned()))).collect()
            }
            other => Err(Complaint::kind(other)),
        },
    )
}

const ROOT_KEY_ALLOWED: &str = "a path (`<data>/` at its beginning stands for the data folder), `credential:NAME` of systemd, `env:NAME`, or one of these after `passphrase:`. The setting says where the key is, and is not the key";

/// Where a root key is. A text that looks like the key itself is refused, and not repeated in the message.
pub(super) fn root_key() -> Rule<RootKeyPlace> {
    rule(ROOT_KEY_ALLOWED, |place| quoted(&place.to_string()), read_root_key)
}

/// The same, or nothing.
pub(super) fn root_key_or_off() -> Rule<Option<RootKeyPlace>> {
    rule(
        format!("{ROOT_KEY_ALLOWED}; or \"off\""),
        |place| quoted(&place.as_ref().map_or_else(|| "off".to_owned(), ToString::to_string)),
        |raw| if raw.text() == Some("off") { Ok(None) } else { read_root_key(raw).map(Some) },
    )
}

fn read_root_key(raw: &Raw) -> Result<RootKeyPlace, Complaint> {
    match raw.text() {
        Some(text) if looks_like_key_material(text) => {
            Err(Complaint::of("this looks like a key instead of the place of one; it is not repeated here"))
        }
        Some(text) => RootKeyPlace::parse(text).map_err(Complaint::of),
        None => Err(Complaint::kind(raw)),
    }
}

/// 32 bytes or more in hexadecimal or Base64, and nothing that paths have.
fn looks_like_key_material(text: &str) -> bool {
    let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=-_".contains(&b));
    text.len() >= 43 && plain && text.matches('/').count() <= 3 && !text.starts_with(['/', '.'])
}

/// An address and port to listen on; `None` is written `off`.
pub(super) fn listener() -> Rule<Option<SocketAddr>> {
    rule(
        r#"an address and port, such as 127.0.0.1:4400 or [::1]:4400, or "off""#,
        |address| address.map_or_else(|| quoted("off"), |address| quoted(&address.to_string())),
        |raw| match raw.text() {
            Some("off") => Ok(None),
            Some(text) => text.parse().map(Some).map_err(|_| {
                Complaint::of(if text.parse::<u16>().is_ok() {
                    format!("`{}` is a port without an address", shown(text))
                } else if text.parse::<IpAddr>().is_ok() {
                    format!("`{}` is an address without a port", shown(text))
                } else {
                    format!("`{}` is no address and port", shown(text))
                })
            }),
            None => Err(Complaint::kind(raw)),
        },
    )
}

/// `auto` (`None`) or a whole number.
pub(super) fn auto_or_whole(range: RangeInclusive<u32>) -> Rule<Option<u32>> {
    let whole = whole(range);
    rule(
        format!(r#""auto" or {}"#, whole.allowed),
        |number| number.map_or_else(|| quoted("auto"), |number| number.to_string()),
        move |raw| if raw.text() == Some("auto") { Ok(None) } else { (whole.read)(raw).map(Some) },
    )
}

/// A whole number, or `off`.
pub(super) fn whole_or_off(range: RangeInclusive<u32>) -> Rule<Option<u32>> {
    let whole = whole(range);
    rule(
        format!(r#"{}, or "off""#, whole.allowed),
        |number| number.map_or_else(|| quoted("off"), |number| number.to_string()),
        move |raw| if raw.text() == Some("off") { Ok(None) } else { (whole.read)(raw).map(Some) },
    )
}

/// A whole number.
pub(super) fn whole(range: RangeInclusive<u32>) -> Rule<u32> {
    let (low, high) = (*range.start(), *range.end());
    rule(format!("a whole number from {low} to {high}"), u32::to_string, move |raw| {
        let number = match raw {
            Raw::Whole(number) => number.ok_or_else(|| Complaint::of("the number is too large"))?,
            Raw::Variable(text) => {
                text.parse().map_err(|_| Complaint::of(format!("`{}` is no whole number", shown(text))))?
            }
            other => return Err(Complaint::kind(other)),
        };
        u32::try_from(number)
            .ok()
            .filter(|number| (low..=high).contains(number))
            .ok_or_else(|| Complaint::of(format!("{number} is out of range")))
    })
}

/// A time in whole seconds.
pub(super) fn seconds(range: RangeInclusive<u32>) -> Rule<Duration> {
    let whole = whole(range);
    rule(
        format!("{} (seconds)", whole.allowed),
        |time| time.as_secs().to_string(),
        move |raw| (whole.read)(raw).map(|number| Duration::from_secs(number.into())),
    )
}

/// A time in whole milliseconds.
pub(super) fn millis(range: RangeInclusive<u32>) -> Rule<Duration> {
    let whole = whole(range);
    rule(
        format!("{} (milliseconds)", whole.allowed),
        |time| time.as_millis().to_string(),
        move |raw| (whole.read)(raw).map(|number| Duration::from_millis(number.into())),
    )
}

/// A share, from none to all.
pub(super) fn share() -> Rule<Sample> {
    rule(
        "a number from 0 to 1",
        |sample| format!("{:?}", sample.share()),
        |raw| {
            let share = match raw {
                Raw::Whole(Some(number)) => *number as f64,
                Raw::Fraction(text) | Raw::Variable(text) => {
                    text.parse().map_err(|_| Complaint::of(format!("`{}` is no number", shown(text))))?
                }
                other => return Err(Complaint::kind(other)),
            };
            Sample::of(share).ok_or_else(|| Complaint::of(format!("{share} is out of range")))
        },
    )
}

/// A name that other programs show.
pub(super) fn name() -> Rule<String> {
    rule(
        "1 to 120 visible characters",
        |name| quoted(name),
        |raw| match raw.text() {
            Some(text) if (1..=MAX_NAME).contains(&text.chars().count()) && !text.chars().any(char::is_control) => {
                Ok(text.to_owned())
            }
            Some(text) => Err(Complaint::of(format!("`{}` is no name", shown(text)))),
            None => Err(Complaint::kind(raw)),
        },
    )
}

/// The URL of a service, or nothing: `None` is written `off`.
pub(super) fn url_or_off() -> Rule<Option<UpstreamUrl>> {
    rule(
        r#"an http:// or https:// URL without user, query and fragment, such as http://127.0.0.1:4318, or "off""#,
        |url| quoted(&url.as_ref().map_or_else(|| "off".to_owned(), UpstreamUrl::to_string)),
        |raw| match raw.text() {
            Some("off") => Ok(None),
            Some(text) => text.parse().map(Some).map_err(|_| {
                Complaint::of("this is no such URL; it is not repeated here, because it could hold a password")
            }),
            None => Err(Complaint::kind(raw)),
        },
    )
}

/// Where browsers reach this server, or nothing.
pub(super) fn origin_or_off() -> Rule<Option<PagesOrigin>> {
    rule(
        r#"an https:// URL of a name, without path, such as https://keys.example.com, or http://localhost with a port, or "off""#,
        |origin| quoted(&origin.as_ref().map_or_else(|| "off".to_owned(), PagesOrigin::to_string)),
        |raw| match raw.text() {
            Some("off") => Ok(None),
            Some(text) => text.parse().map(Some).map_err(|_| Complaint::of("this is no such URL")),
            None => Err(Complaint::kind(raw)),
        },
    )
}

/// An identity provider, or nothing.
pub(super) fn issuer_or_off() -> Rule<Option<Issuer>> {
    rule(
        r#"an https:// URL without query and fragment, such as https://id.example.com, http:// on this machine alone, or "off""#,
        |issuer| quoted(&issuer.as_ref().map_or_else(|| "off".to_owned(), Issuer::to_string)),
        |raw| match raw.text() {
            Some("off") => Ok(None),
            Some(text) => text.parse().map(Some).map_err(|_| Complaint::of("this is no such URL")),
            None => Err(Complaint::kind(raw)),
        },
    )
}

/// A mail server, or nothing. What is written has no password.
pub(super) fn mail_server_or_off() -> Rule<Option<MailServer>> {
    rule(
        r#"smtp://user:password@host:port, smtps://user:password@host:port, or "off""#,
        |server| quoted(&server.as_ref().map_or_else(|| "off".to_owned(), MailServer::to_string)),
        |raw| match raw.text() {
            Some("off") => Ok(None),
            Some(text) => text.parse().map(Some).map_err(|error| {
                Complaint::of(format!("{error}; what was given is not repeated here, because it could hold a password"))
            }),
            None => Err(Complaint::kind(raw)),
        },
    )
}

/// Who letters are from, or nobody.
pub(super) fn sender_or_off() -> Rule<Option<Sender>> {
    rule(
        r#"an e-mail address, such as keys@example.com or Keys <keys@example.com>, or "off""#,
        |sender| quoted(&sender.as_ref().map_or_else(|| "off".to_owned(), Sender::to_string)),
        |raw| match raw.text() {
            Some("off") => Ok(None),
            Some(text) => text.parse().map(Some).map_err(|_| Complaint::of(format!("`{}` is no sender", shown(text)))),
            None => Err(Complaint::kind(raw)),
        },
    )
}

/// A receiver of syslog messages, or nothing.
pub(super) fn syslog_or_off() -> Rule<Option<SyslogTarget>> {
    rule(
        r#"unix:/dev/log, udp://HOST:PORT, tcp://HOST:PORT, or "off""#,
        |target| quoted(&target.as_ref().map_or_else(|| "off".to_owned(), SyslogTarget::to_string)),
        |raw| match raw.text() {
            Some("off") => Ok(None),
            Some(text) => text.parse().map(Some).map_err(|_| Complaint::of("this is no receiver of syslog messages")),
            None => Err(Complaint::kind(raw)),
        },
    )
}

/// The URL of a database, or nothing: `None` is written `off`. What is written has no password.
pub(super) fn database_or_off() -> Rule<Option<DatabaseUrl>> {
    rule(
        r#"postgres://user:password@host:port/name, or "off""#,
        |url| quoted(&url.as_ref().map_or_else(|| "off".to_owned(), DatabaseUrl::to_string)),
        |raw| match raw.text() {
            Some("off") => Ok(None),
            Some(text) => text.parse().map(Some).map_err(|error| {
                Complaint::of(format!("{error}; what was given is not repeated here, because it could hold a password"))
            }),
            None => Err(Complaint::kind(raw)),
        },
    )
}

/// Yes or no.
pub(super) fn flag() -> Rule<bool> {
    rule("true or false", bool::to_string, |raw| match raw {
        Raw::Flag(flag) => Ok(*flag),
        Raw::Variable(text) => {
            text.parse().map_err(|_| Complaint::of(format!("`{}` is neither true nor false", shown(text))))
        }
        other => Err(Complaint::kind(other)),
    })
}

/// A list of networks. In a variable they are separated by commas.
pub(super) fn networks() -> Rule<Vec<IpNet>> {
    rule(
        r#"a list of networks or addresses, such as ["10.0.0.0/8", "2001:db8::1"]; in a variable separated by commas"#,
        |nets| {
            let nets: Vec<String> = nets.iter().map(|net| quoted(&net.to_string())).collect();
            format!("[{}]", nets.join(", "))
        },
        |raw| match raw {
            Raw::List(entries) => entries
                .iter()
                .map(|(entry, place)| {
                    let complaint = match entry.text() {
                        Some(text) => match network(text) {
                            Ok(net) => return Ok(net),
                            Err(complaint) => complaint,
                        },
                        None => Complaint::kind(entry),
                    };
                    Err(Complaint { within: Some(place.clone()), ..complaint })
                })
                .collect(),
            Raw::Variable(text) => {
                text.split(',').map(str::trim).filter(|entry| !entry.is_empty()).map(network).collect()
            }
            other => Err(Complaint::kind(other)),
        },
    )
}

fn network(text: &str) -> Result<IpNet, Complaint> {
    let net = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    let net = net.map_err(|_| Complaint::of(format!("`{}` is no network", shown(text))))?;
    // `10.1.2.3/8` is either a slip of the host or of the length; guessing which would trust the wrong machines.
    if net.trunc() != net {
        return Err(Complaint::of(format!(
            "`{net}` has address bits behind its length; write {} or {}",
            net.trunc(),
            net.addr()
        )));
    }
    Ok(net)
}

/// One of our own words.
pub(super) trait Word: Copy + PartialEq + 'static {
    /// All of them, with what they are called.
    const WORDS: &'static [(&'static str, Self)];
}

/// One word of a few.
pub(super) fn word<T: Word>() -> Rule<T> {
    let words: Vec<String> = T::WORDS.iter().map(|(word, _)| format!("\"{word}\"")).collect();
    rule(
        format!("one of {}", words.join(", ")),
        |value| quoted(T::WORDS.iter().find(|(_, known)| known == value).map_or("", |(word, _)| word)),
        |raw| match raw.text() {
            Some(text) => T::WORDS.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or_else(|| {
                let hint = nearest(text, T::WORDS.iter().map(|(word, _)| *word))
                    .map_or_else(String::new, |word| format!("; did you mean `{word}`?"));
                Complaint::of(format!("`{}` is not known{hint}", shown(text)))
            }),
            None => Err(Complaint::kind(raw)),
        },
    )
}

/// A given text in a message: on one line, and not longer than anybody would read.
pub(super) fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(60).flat_map(char::escape_debug).collect();
    if text.chars().nth(60).is_some() {
        shown.push('…');
    }
    shown
}

/// The known word that was most likely meant: at most a third of its letters are other.
pub(super) fn nearest<'a>(text: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let text = text.to_lowercase();
    let near = known.into_iter().map(|word| (distance(&text, &word.to_lowercase()), word));
    near.filter(|(distance, word)| *distance <= 1.max(word.len() / 3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// Letters to change, add, leave out, or swap with their neighbour, to come from one word to the other.
fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    // Longer texts are no typing errors, and would only cost time.
    if from.len() > 64 {
        return usize::MAX;
    }
    let mut rows: Vec<Vec<usize>> = vec![(0..=to.len()).collect()];
    for (i, a) in from.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in to.iter().enumerate() {
            let mut cost = (rows[i][j] + usize::from(a != b)).min(rows[i][j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == to[j - 1] && from[i - 1] == *b {
                cost = cost.min(rows[i - 1][j - 1] + 1);
            }
            row.push(cost);
        }
        rows.push(row);
    }
    rows[from.len()][to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_error_finds_its_word_and_another_word_does_not() {
        for (text, meant) in [
            ("lisen", Some("listen")),
            ("lsiten", Some("listen")),
            ("LISTEN", Some("listen")),
            ("worker", Some("workers")),
            ("port", None),
            ("", None),
        ] {
            assert_eq!(nearest(text, ["listen", "workers", "idle_seconds"]), meant, "{text}");
        }
    }

    #[test]
    fn the_text_of_a_key_is_no_path_of_a_key() {
        let rule = root_key();
        for text in
            ["0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", &"A".repeat(43), &"a+b=".repeat(11)]
        {
            let complaint = (rule.read)(&Raw::Variable(text.to_owned())).unwrap_err();
            assert!(!complaint.what.contains(text), "{}", complaint.what);
        }
        for text in [
            "<data>/root.key",
            "/etc/keystile/root.key",
            "root.key",
            "keys/a-rather-long-name-of-a-folder-for-keys/root.key",
        ] {
            assert!((rule.read)(&Raw::Text(text.to_owned())).is_ok(), "{text}");
        }
    }
}
