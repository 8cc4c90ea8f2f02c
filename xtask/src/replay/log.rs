//! Reads access logs: the project's own columns (`.tsv`) and the common and combined formats of nginx and Apache.
//!
//! Everything is bytes, because a log of attacks holds what no text type would. Lines that are no HTTP request are
//! counted and left out; what a gateway makes of the others is not decided here.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::read::MultiGzDecoder;

/// A line to replay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// Its number in the file, from 1.
    pub number: usize,
    /// Milliseconds since the first line; logs are not always in order.
    pub at_ms: u64,
    /// Which of [`Log::clients`].
    pub client: usize,
    /// Letters.
    pub method: String,
    /// The request target, byte for byte.
    pub target: Vec<u8>,
    /// What the server of the log answered.
    pub status: u16,
    /// What the client called itself, if it did.
    pub user_agent: Option<Arc<str>>,
}

/// Why a line is not replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Skip {
    /// Its columns or quotes are not those of the format.
    ForeignLine,
    /// Its method is not letters, or there is no request at all.
    NoRequest,
    /// Its target is empty or holds white space or a control character: no request line of HTTP can carry that.
    Unsendable,
}

impl Skip {
    /// Every reason.
    pub(super) const ALL: [Self; 3] = [Self::ForeignLine, Self::NoRequest, Self::Unsendable];

    /// The reason in words.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::ForeignLine => "not a line of this log format",
            Self::NoRequest => "not an HTTP request (the method is not letters)",
            Self::Unsendable => "a target that no request line can carry (empty, white space, control character)",
        }
    }
}

/// A log, read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Log {
    /// The callers in order of appearance.
    pub clients: Vec<String>,
    /// The lines in the order of the file.
    pub lines: Vec<Line>,
    /// The lines left out.
    pub skipped: Vec<(usize, Skip)>,
}

/// The fields of a line, before the clients have numbers.
struct Fields<'a> {
    /// Milliseconds on whatever scale the format has.
    at_ms: i64,
    client: &'a [u8],
    method: &'a [u8],
    target: Vec<u8>,
    status: u16,
    user_agent: Option<Arc<str>>,
}

impl Log {
    /// Reads a file, and the user agents beside it if it is `.tsv`.
    ///
    /// # Errors
    /// If a file can't be read.
    pub(super) fn read(path: &Path) -> io::Result<Self> {
        let text = bytes_of(path)?;
        if text.starts_with(b"t_ms\tclient\t") {
            let agents = agents_path(path).filter(|agents| agents.exists()).map(|agents| bytes_of(&agents));
            Ok(Self::of_columns(&text, &agents.transpose()?.unwrap_or_default()))
        } else {
            Ok(Self::of_combined(&text))
        }
    }

    /// Reads tab-separated columns: `t_ms client method path status bytes ua flags`, the first line names them.
    pub(super) fn of_columns(text: &[u8], agents: &[u8]) -> Self {
        let agents: Vec<Option<Arc<str>>> = lines_of(agents).map(user_agent).collect();
        let mut builder = Builder::default();
        for (index, line) in lines_of(text).enumerate().skip(1) {
            builder.add(index + 1, columns(line, &agents));
        }
        builder.log
    }

    /// Reads the common or the combined format; each line may be of either.
    pub(super) fn of_combined(text: &[u8]) -> Self {
        let mut builder = Builder::default();
        for (index, line) in lines_of(text).enumerate() {
            if !line.is_empty() {
                builder.add(index + 1, combined(line));
            }
        }
        builder.log
    }
}

#[derive(Default)]
struct Builder {
    log: Log,
    numbers: HashMap<Vec<u8>, usize>,
    first_ms: Option<i64>,
}

impl Builder {
    fn add(&mut self, number: usize, fields: Result<Fields<'_>, Skip>) {
        let fields = match fields.and_then(|fields| check(&fields).map(|()| fields)) {
            Ok(fields) => fields,
            Err(reason) => return self.log.skipped.push((number, reason)),
        };
        let client = *self.numbers.entry(fields.client.to_vec()).or_insert_with(|| {
            self.log.clients.push(String::from_utf8_lossy(fields.client).into_owned());
            self.log.clients.len() - 1
        });
        let first_ms = *self.first_ms.get_or_insert(fields.at_ms);
        self.log.lines.push(Line {
            number,
            at_ms: u64::try_from(fields.at_ms - first_ms).unwrap_or(0),
            client,
            method: String::from_utf8_lossy(fields.method).into_owned(),
            target: fields.target,
            status: fields.status,
            user_agent: fields.user_agent,
        });
    }
}

fn check(fields: &Fields<'_>) -> Result<(), Skip> {
    if fields.method.is_empty() || !fields.method.iter().all(u8::is_ascii_alphabetic) {
        return Err(Skip::NoRequest);
    }
    if fields.target.is_empty() || fields.target.iter().any(|byte| *byte <= b' ' || *byte == 0x7F) {
        return Err(Skip::Unsendable);
    }
    Ok(())
}

fn bytes_of(path: &Path) -> io::Result<Vec<u8>> {
    let raw = fs::read(path)?;
    if !raw.starts_with(&[0x1F, 0x8B]) {
        return Ok(raw);
    }
    let mut text = Vec::new();
    MultiGzDecoder::new(raw.as_slice()).read_to_end(&mut text)?;
    Ok(text)
}

/// `x.tsv` and `x.tsv.gz` have their user agents in `x.ua.txt`.
fn agents_path(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_str()?;
    let stem = name.strip_suffix(".gz").unwrap_or(name);
    Some(path.with_file_name(format!("{}.ua.txt", stem.strip_suffix(".tsv")?)))
}

fn lines_of(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    text.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}

/// A user agent as it can stand in a header; `-` is how logs write that there was none.
fn user_agent(raw: &[u8]) -> Option<Arc<str>> {
    if raw.is_empty() || raw == b"-" {
        return None;
    }
    let visible = |byte: &u8| if (0x20..0x7F).contains(byte) { char::from(*byte) } else { '?' };
    let text: String = raw.iter().map(visible).collect();
    Some(text.trim().into()).filter(|text: &Arc<str>| !text.is_empty())
}

fn number<T: std::str::FromStr>(raw: &[u8]) -> Result<T, Skip> {
    std::str::from_utf8(raw).ok().and_then(|text| text.parse().ok()).ok_or(Skip::ForeignLine)
}

fn columns<'a>(line: &'a [u8], agents: &[Option<Arc<str>>]) -> Result<Fields<'a>, Skip> {
    let mut columns = line.split(|byte| *byte == b'\t');
    let mut next = || columns.next().ok_or(Skip::ForeignLine);
    let (at_ms, client, method, target, status, _bytes, agent) =
        (next()?, next()?, next()?, next()?, next()?, next()?, next()?);
    Ok(Fields {
        at_ms: number(at_ms)?,
        client,
        method,
        target: target.to_vec(),
        status: number(status)?,
        user_agent: agents.get(number::<usize>(agent)?).cloned().flatten(),
    })
}

/// `client identity user [time] "request" status bytes`, in the combined format followed by `"referrer" "agent"`.
fn combined(line: &[u8]) -> Result<Fields<'_>, Skip> {
    let (client, rest) = cut(line, b" ")?;
    let (_identity_and_user, rest) = cut(rest, b" [")?;
    let (time, rest) = cut(rest, b"] ")?;
    let (request, rest) = quoted(rest)?;
    let mut rest = rest.trim_ascii_start().splitn(3, |byte| *byte == b' ');
    let status = number(rest.next().ok_or(Skip::ForeignLine)?)?;
    let _bytes = rest.next().ok_or(Skip::ForeignLine)?;
    let agent = match rest.next() {
        None => None,
        Some(rest) => {
            let (_referrer, rest) = quoted(rest)?;
            let (agent, _) = quoted(rest.trim_ascii_start())?;
            user_agent(&agent)
        }
    };
    let at_ms = clf_time(time).ok_or(Skip::ForeignLine)? * 1_000;
    // The quotes hold `METHOD target HTTP/x.y`, and the target may hold spaces.
    let method_end = request.iter().position(|byte| *byte == b' ').ok_or(Skip::NoRequest)?;
    let target_end = request.iter().rposition(|byte| *byte == b' ').ok_or(Skip::NoRequest)?;
    if !request[target_end + 1..].starts_with(b"HTTP/") {
        return Err(Skip::NoRequest);
    }
    let target = request.get(method_end + 1..target_end).unwrap_or_default().to_vec();
    // The method is looked for in the raw line, where it has no escapes if it is letters.
    let method_at = line.iter().position(|byte| *byte == b'"').map_or(0, |at| at + 1);
    let method = line.get(method_at..method_at + method_end).unwrap_or_default();
    Ok(Fields { at_ms, client, method, target, status, user_agent: agent })
}

fn cut<'a>(text: &'a [u8], mark: &[u8]) -> Result<(&'a [u8], &'a [u8]), Skip> {
    let at = text.windows(mark.len()).position(|window| window == mark).ok_or(Skip::ForeignLine)?;
    Ok((&text[..at], &text[at + mark.len()..]))
}

/// The bytes between quotes, with the escapes of Apache (`\"`, `\\`, `\n`…) and nginx (`\xHH`) undone, and the rest.
fn quoted(text: &[u8]) -> Result<(Vec<u8>, &[u8]), Skip> {
    let text = text.strip_prefix(b"\"").ok_or(Skip::ForeignLine)?;
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    loop {
        match (text.get(at), text.get(at + 1)) {
            (None, _) => return Err(Skip::ForeignLine),
            (Some(b'"'), _) => return Ok((out, &text[at + 1..])),
            (Some(b'\\'), Some(b'x')) => match hex_byte(text.get(at + 2..at + 4)) {
                Some(byte) => {
                    out.push(byte);
                    at += 4;
                }
                None => {
                    out.push(b'\\');
                    at += 1;
                }
            },
            (Some(b'\\'), Some(escaped)) => {
                out.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 0x08,
                    b'f' => 0x0C,
                    b'v' => 0x0B,
                    itself => *itself,
                });
                at += 2;
            }
            (Some(byte), _) => {
                out.push(*byte);
                at += 1;
            }
        }
    }
}

fn hex_byte(digits: Option<&[u8]>) -> Option<u8> {
    let digits = std::str::from_utf8(digits?).ok()?;
    u8::from_str_radix(digits, 16).ok()
}

/// Seconds since 1970 of `17/May/2015:10:05:03 +0000`.
fn clf_time(text: &[u8]) -> Option<i64> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let text = std::str::from_utf8(text).ok()?;
    let (date, zone) = text.split_once(' ')?;
    let mut parts = date.split(['/', ':']);
    let day: i64 = parts.next()?.parse().ok()?;
    let name = parts.next()?;
    let month = MONTHS.iter().position(|month| *month == name)? as i64 + 1;
    let mut next = || parts.next()?.parse::<i64>().ok();
    let (year, hour, minute, second) = (next()?, next()?, next()?, next()?);
    let offset: i64 = zone.parse().ok()?;
    let offset_minutes = offset / 100 * 60 + offset % 100;
    // Years are counted from March, so that the day that comes and goes is a year's last.
    let shifted = if month > 2 { year } else { year - 1 };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = 365 * shifted + shifted.div_euclid(4) - shifted.div_euclid(100) + shifted.div_euclid(400) + day_of_year;
    Some((days - 719_468) * 86_400 + hour * 3_600 + (minute - offset_minutes) * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(line: &str) -> Result<Line, Skip> {
        let log = Log::of_combined(line.as_bytes());
        log.skipped.first().map_or_else(|| Ok(log.lines[0].clone()), |(_, reason)| Err(*reason))
    }

    #[test]
    fn columns_are_read_with_their_user_agents() {
        let text = b"t_ms\tclient\tmethod\tpath\tstatus\tbytes\tua\tflags\n\
            0\tc1\tGET\t/a?x=\\\"<\t200\t5\t1\t\n\
            3000\tc2\tPOST\t//b\xff\t303\t0\t0\tprobe\n\
            2000\tc1\tGET\t/c\t404\t0\t9\t\n\
            1\tc1\tGET\t\t400\t0\t0\t\n\
            1\tc1\t\\x16\t/\t400\t0\t0\t\n\
            short\n";
        let log = Log::of_columns(text, b"-\nAgent/1 (x)\n");
        assert_eq!(log.clients, ["c1", "c2"]);
        let rows: Vec<_> = log.lines.iter().map(|l| (l.number, l.at_ms, l.client, l.status)).collect();
        assert_eq!(rows, [(2, 0, 0, 200), (3, 3_000, 1, 303), (4, 2_000, 0, 404)]);
        assert_eq!(log.lines[0].target, b"/a?x=\\\"<");
        assert_eq!(log.lines[1].target, b"//b\xff");
        assert_eq!(log.lines[0].user_agent.as_deref(), Some("Agent/1 (x)"));
        assert_eq!((&log.lines[1].user_agent, &log.lines[2].user_agent), (&None, &None));
        assert_eq!(log.skipped, [(5, Skip::Unsendable), (6, Skip::NoRequest), (7, Skip::ForeignLine)]);
    }

    #[test]
    fn common_and_combined_lines_are_read() {
        let line = one(r#"192.0.2.7 - - [17/May/2015:10:05:03 +0000] "GET /a/b?c=d HTTP/1.1" 200 17"#).expect("common");
        assert_eq!((line.method.as_str(), line.target.as_slice(), line.status), ("GET", &b"/a/b?c=d"[..], 200));
        assert_eq!(line.user_agent, None);
        let line = one(
            r#"2001:db8::1 - amy w [17/May/2015:10:05:03 +0200] "POST /\x22\\\" HTTP/1.0" 404 - "http://r.test/" "A \"B\"""#,
        )
        .expect("combined");
        assert_eq!(line.target, b"/\"\\\"");
        assert_eq!(line.user_agent.as_deref(), Some("A \"B\""));
    }

    #[test]
    fn what_is_no_request_is_left_out_with_its_reason() {
        let with = |request: &str| one(&format!(r#"192.0.2.7 - - [17/May/2015:10:05:03 +0000] "{request}" 400 0"#));
        assert_eq!(with("-"), Err(Skip::NoRequest));
        assert_eq!(with(r"\x16\x03\x01 \x00 HTTP/1.1"), Err(Skip::NoRequest));
        assert_eq!(with("GET /old-protocol"), Err(Skip::NoRequest));
        assert_eq!(with("GET /a b HTTP/1.1"), Err(Skip::Unsendable));
        assert_eq!(with(r"GET /a\x00b HTTP/1.1"), Err(Skip::Unsendable));
        assert_eq!(with("GET  HTTP/1.1"), Err(Skip::Unsendable));
        assert_eq!(with("GET HTTP/1.1"), Err(Skip::Unsendable));
        assert_eq!(one("nonsense"), Err(Skip::ForeignLine));
    }

    #[test]
    fn log_times_become_seconds() {
        for (text, seconds) in [
            ("01/Jan/1970:00:00:00 +0000", 0),
            ("17/May/2015:10:05:03 +0000", 1_431_857_103),
            ("29/Feb/2024:23:59:59 +0130", 1_709_245_799),
            ("28/Feb/2023:12:00:00 -0800", 1_677_614_400),
        ] {
            assert_eq!(clf_time(text.as_bytes()), Some(seconds), "{text}");
        }
        assert_eq!(clf_time(b"17/Mai/2015:10:05:03 +0000"), None);
    }
}
