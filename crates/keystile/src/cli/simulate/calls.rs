//! The calls of all logs together, in order of time, and what was left out of them.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::IpAddr;

use keystile_core::api::Costs;
use keystile_core::id::KeyId;
use keystile_core::method::Method;
use keystile_core::operation::segments_label;
use keystile_core::plan::{Call, Known};
use keystile_core::target::CanonicalTarget;
use keystile_core::time::Timestamp;

use super::super::fault::{Exit, Fault};
use super::super::lines::{Lines, Next};
use super::columns::Columns;
use super::{By, Format, combined, journal, log, usage};

/// Most calls of one simulation: they are put in order in memory, and each takes some 80 bytes.
const MAX_CALLS: usize = 10_000_000;
/// Longest name of who calls.
const MAX_WHO_BYTES: usize = 256;
/// How many lines are named of those that were left out for one reason.
const MAX_NAMED: usize = 5;
/// Where a log begins that says of its calls only how much later they were, unless somebody says when.
const NO_DATE: Timestamp = Timestamp::from_secs(0);

/// A call as a line says it.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    pub(super) at: Timestamp,
    pub(super) who: Cow<'a, [u8]>,
    pub(super) cost: u32,
    pub(super) key: Option<KeyId>,
    pub(super) address: Option<IpAddr>,
    /// The id of the API that it called, if that is known.
    pub(super) api: Option<Cow<'a, str>>,
    pub(super) what: What<'a>,
    /// How many such calls there were at that moment.
    pub(super) times: u32,
}

/// What was called.
#[derive(Debug)]
pub(super) enum What<'a> {
    /// An operation, as it was counted.
    Operation(Cow<'a, str>),
    /// What a request line says; any bytes.
    Request { method: Cow<'a, [u8]>, target: Cow<'a, [u8]> },
    /// Nobody knows.
    Unknown,
}

/// Why a line was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Skipped {
    /// It is no request, or not written as the others are.
    NoRequest,
    /// It is longer than any sensible line, or who called has a name that is.
    TooLong,
    /// It was refused for another reason than a limit, or came to nothing.
    OtherReason,
    /// It is of no project.
    NoProject,
    /// It is of another API than the one that is meant.
    OtherApi,
    /// It was recorded by hand.
    Recorded,
}

impl Skipped {
    pub(super) const ALL: [Self; 6] =
        [Self::NoRequest, Self::TooLong, Self::OtherReason, Self::NoProject, Self::OtherApi, Self::Recorded];

    /// The word in JSON.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::NoRequest => "no_request",
            Self::TooLong => "too_long",
            Self::OtherReason => "other_reason",
            Self::NoProject => "no_project",
            Self::OtherApi => "other_api",
            Self::Recorded => "recorded",
        }
    }

    /// What such lines are.
    pub(super) const fn why(self) -> &'static str {
        match self {
            Self::NoRequest => "no request that is understood",
            Self::TooLong => "longer than any sensible line",
            Self::OtherReason => "refused for another reason than a limit, or come to nothing behind the gateway",
            Self::NoProject => "of no project",
            Self::OtherApi => "of another API",
            Self::Recorded => "recorded by hand, which is no call",
        }
    }
}

/// Lines that were left out for one reason.
#[derive(Debug, Default)]
pub(super) struct Left {
    pub(super) lines: u64,
    /// The first of them: the number of the log, and that of the line.
    pub(super) first: Vec<(usize, u64)>,
}

/// A call as it is kept.
#[derive(Debug, Clone, Copy)]
struct Kept {
    at: Timestamp,
    who: u32,
    cost: u32,
    /// Its operation, if it is asked for and known.
    operation: Option<u32>,
    key: Option<KeyId>,
    address: Option<IpAddr>,
}

/// Names, each by a number.
#[derive(Debug, Default)]
struct Names {
    numbers: HashMap<Vec<u8>, u32>,
    texts: Vec<String>,
}

impl Names {
    fn number(&mut self, name: &[u8]) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        // Fewer than there are calls.
        let number = self.texts.len() as u32;
        self.numbers.insert(name.to_owned(), number);
        self.texts.push(visible(name));
        number
    }
}

/// How the lines of a log are written.
#[derive(Debug, Clone, Copy)]
enum Written {
    Combined,
    Keystile,
    Usage,
    Columns(Columns),
}

impl Written {
    /// By a log's first line.
    fn of(format: Format, line: &[u8]) -> Option<Self> {
        let columns = Columns::of_header(line).map(Self::Columns);
        match format {
            Format::Combined => Some(Self::Combined),
            Format::Keystile => Some(Self::Keystile),
            Format::Usage => Some(Self::Usage),
            Format::Columns => columns,
            Format::Auto if usage::is_one(line) => Some(Self::Usage),
            Format::Auto if line.starts_with(b"{") => Some(Self::Keystile),
            Format::Auto => columns.or_else(|| combined::read(line).ok().map(|_| Self::Combined)),
        }
    }

    /// Whom it says that called, if nothing else is wanted.
    const fn usual(self) -> By {
        match self {
            Self::Combined => By::Client,
            Self::Keystile | Self::Usage => By::Project,
            Self::Columns(columns) if columns.has(By::Project) => By::Project,
            Self::Columns(_) => By::Client,
        }
    }

    const fn has(self, by: By) -> bool {
        match self {
            Self::Combined => matches!(by, By::Client),
            Self::Usage => matches!(by, By::Project),
            Self::Keystile => true,
            Self::Columns(columns) => columns.has(by),
        }
    }

    fn read<'a>(self, line: &'a [u8], by: By, ask: &How) -> Result<Entry<'a>, Skipped> {
        match self {
            Self::Combined => combined::read(line),
            Self::Keystile => journal::read(line, by, ask.api.as_deref()),
            Self::Usage => usage::read(line, ask.api.as_deref()),
            Self::Columns(columns) => columns.read(line, by, ask.start.unwrap_or(NO_DATE)),
        }
    }
}

/// How logs are to be read.
#[derive(Debug)]
pub(super) struct How {
    pub(super) format: Format,
    /// Whom they are taken apart by; what the first log has, unless somebody says.
    pub(super) by: Option<By>,
    /// When one begins that has no date.
    pub(super) start: Option<Timestamp>,
    /// The API that is meant, by id or name, where a log says which was called.
    pub(super) api: Option<String>,
    /// Whether each log has to say so.
    pub(super) must_name_api: bool,
    /// Whether operations must be known.
    pub(super) asks_operation: bool,
    /// What operations cost under the plan, whatever they cost when they were called.
    pub(super) costs: Costs,
}

/// Everything that was read.
#[derive(Debug)]
pub(super) struct Calls {
    how: How,
    /// The names of the logs.
    pub(super) logs: Vec<String>,
    pub(super) lines: u64,
    left: [Left; Skipped::ALL.len()],
    /// Calls that stood behind a later one.
    pub(super) late: u64,
    /// Lines that said another cost than the plan.
    pub(super) replaced: u64,
    /// Whether a log had no date, and none was said.
    pub(super) is_without_date: bool,
    /// The API of the first call, if it is known.
    api: Option<String>,
    /// Whether others called another one.
    pub(super) is_of_several_apis: bool,
    who: Names,
    operations: Names,
    calls: Vec<Kept>,
}

impl Calls {
    pub(super) fn new(how: How) -> Self {
        Self {
            how,
            logs: Vec::new(),
            lines: 0,
            left: Default::default(),
            late: 0,
            replaced: 0,
            is_without_date: false,
            api: None,
            is_of_several_apis: false,
            who: Names::default(),
            operations: Names::default(),
            calls: Vec::new(),
        }
    }

    /// Reads a log.
    pub(super) fn read(&mut self, name: &str, mut lines: Lines) -> Result<(), Fault> {
        self.logs.push(name.to_owned());
        let mut written: Option<(Written, By)> = None;
        let mut latest = None;
        loop {
            match lines.advance().map_err(|error| log::broken(name, lines.number(), &error))? {
                Next::End => return Ok(()),
                Next::TooLong => {
                    self.lines += 1;
                    self.leave_out(Skipped::TooLong, lines.number());
                }
                // What follows the last line end, or stands between lines, is nothing.
                Next::Line if lines.line().is_empty() => {}
                Next::Line => {
                    let (form, by) = match written {
                        Some(known) => known,
                        None => {
                            let found = self.understand(name, lines.line())?;
                            written = Some(found);
                            if matches!(found.0, Written::Columns(_)) {
                                continue;
                            }
                            found
                        }
                    };
                    self.lines += 1;
                    let read = form.read(lines.line(), by, &self.how);
                    match read.and_then(|entry| self.keep(&entry)) {
                        Ok(at) => {
                            self.late += u64::from(latest.is_some_and(|latest| at < latest));
                            latest = latest.max(Some(at));
                        }
                        Err(why) => self.leave_out(why, lines.number()),
                    }
                    if self.calls.len() > MAX_CALLS {
                        return Err(Fault::new(
                            Exit::Failure,
                            "there are too many calls",
                            format!("more than {MAX_CALLS} are not put in order at once"),
                            "try the plan out on a shorter time",
                        ));
                    }
                }
            }
        }
    }

    /// How a log is written, by its first line, and whom it is taken apart by. All logs are taken apart by the same.
    fn understand(&mut self, name: &str, line: &[u8]) -> Result<(Written, By), Fault> {
        let written = Written::of(self.how.format, line).ok_or_else(|| match self.how.format {
            Format::Columns => Fault::usage(
                format!("the columns of {name} are not understood"),
                "its first line must name them, with tabs between: t_ms or time, and client or project",
                "put such a line in front",
            ),
            Format::Auto | Format::Combined | Format::Keystile | Format::Usage => Fault::usage(
                format!("it is not understood how {name} is written"),
                "its first line is neither of the Common or Combined Log Format, nor JSON, nor names of columns",
                "say how with --format",
            ),
        })?;
        let by = *self.how.by.get_or_insert(written.usual());
        if !written.has(by) {
            return Err(Fault::usage(
                format!("{name} does not say which {} called", by.as_str()),
                format!("its lines name no {}", by.as_str()),
                "say --by client or --by project, whichever it has",
            ));
        }
        if self.how.must_name_api && !matches!(written, Written::Keystile | Written::Usage) {
            return Err(Fault::usage(
                format!("{name} does not say which API was called"),
                "only Keystile's own access log and exports of usage do",
                "leave --api out",
            ));
        }
        self.is_without_date |=
            self.how.start.is_none() && matches!(written, Written::Columns(columns) if columns.is_without_date());
        Ok((written, by))
    }

    fn keep(&mut self, entry: &Entry<'_>) -> Result<Timestamp, Skipped> {
        if entry.who.len() > MAX_WHO_BYTES {
            return Err(Skipped::TooLong);
        }
        match (&self.api, entry.api.as_deref()) {
            (None, Some(api)) => self.api = Some(api.to_owned()),
            (Some(first), Some(api)) => self.is_of_several_apis |= first != api,
            (_, None) => {}
        }
        let called = called(&entry.what);
        let cost = called.as_ref().and_then(|(method, path)| self.how.costs.find(*method, path));
        self.replaced += u64::from(cost.is_some_and(|cost| cost != entry.cost && entry.cost != 1));
        let operation = if self.how.asks_operation { label(&entry.what, called) } else { None };
        let kept = Kept {
            at: entry.at,
            who: self.who.number(&entry.who),
            cost: cost.unwrap_or(entry.cost),
            operation: operation.map(|label| self.operations.number(label.as_bytes())),
            key: entry.key,
            address: entry.address,
        };
        // No more than would be too many.
        let times = (entry.times as usize).min(MAX_CALLS + 1);
        self.calls.extend(std::iter::repeat_n(kept, times));
        Ok(entry.at)
    }

    fn leave_out(&mut self, why: Skipped, line: u64) {
        let left = &mut self.left[why as usize];
        left.lines += 1;
        if left.first.len() < MAX_NAMED {
            left.first.push((self.logs.len() - 1, line));
        }
    }

    /// Puts calls in order of time, those of one moment as they stood.
    pub(super) fn put_in_order(&mut self) {
        self.calls.sort_by_key(|call| call.at);
    }

    /// Whom they are taken apart by.
    pub(super) fn by(&self) -> By {
        self.how.by.unwrap_or(By::Client)
    }

    /// What is known of all of them.
    pub(super) fn known(&self) -> Known {
        let all = |is_known: fn(&Kept) -> bool| self.calls.iter().all(is_known);
        Known { key: all(|call| call.key.is_some()), address: all(|call| call.address.is_some()), operation: true }
    }

    pub(super) const fn count(&self) -> usize {
        self.calls.len()
    }

    /// When the first was made, and the last.
    pub(super) fn ends(&self) -> Option<(Timestamp, Timestamp)> {
        Some((self.calls.first()?.at, self.calls.last()?.at))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Call<'_>> {
        self.calls.iter().map(|kept| {
            let Kept { at, who, cost, operation, key, address } = *kept;
            Call { at, who: &self.who.texts[who as usize], cost, key, address, operation }
        })
    }

    /// What was left out, by reason.
    pub(super) fn left(&self) -> impl Iterator<Item = (Skipped, &Left)> {
        Skipped::ALL.into_iter().zip(&self.left).filter(|(_, left)| left.lines > 0)
    }
}

/// Whether a method is one: letters.
pub(super) fn is_method(word: &[u8]) -> bool {
    !word.is_empty() && word.iter().all(u8::is_ascii_alphabetic)
}

/// The address that a client's name is, if it is one.
pub(super) fn address(name: &[u8]) -> Option<IpAddr> {
    std::str::from_utf8(name).ok()?.parse().ok()
}

/// The method and the path of a call, of an operation that of its template; `None` if the gateway would not understand it.
fn called(what: &What<'_>) -> Option<(Method, String)> {
    match what {
        What::Operation(operation) => {
            // Of an API without a document the rest of the path was not kept: it may have been any operation.
            let (method, path) = operation.split_once(' ').filter(|(_, path)| !path.contains('*'))?;
            Some((method.parse().ok()?, path.to_owned()))
        }
        What::Request { method, target } => {
            let text = |bytes| std::str::from_utf8(bytes).ok();
            let (method, target) = (text(method)?.parse().ok()?, text(target)?);
            Some((method, CanonicalTarget::parse(target).ok()?.path().to_owned()))
        }
        What::Unknown => None,
    }
}

/// What a call would be counted as at an API without a document.
fn label(what: &What<'_>, called: Option<(Method, String)>) -> Option<String> {
    match what {
        What::Operation(operation) => Some(operation.to_string()),
        What::Request { .. } | What::Unknown => {
            let (method, path) = called?;
            let mut label = String::new();
            segments_label(method, &path, &mut label);
            Some(label)
        }
    }
}

/// A name of others, any bytes, as text in which everything can be seen: what is no text, or would move a cursor or turn a
/// line, stands escaped.
fn visible(name: &[u8]) -> String {
    let mut text = String::new();
    for chunk in name.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\\' => text.push_str("\\\\"),
                c if c.is_control() || keystile_core::name::is_unseen(c) => text.extend(c.escape_default()),
                c => text.push(c),
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_shown_so_that_it_moves_nothing_and_no_two_are_alike() {
        for (name, shown) in [
            (&b"192.0.2.1"[..], "192.0.2.1"),
            ("Zürich".as_bytes(), "Zürich"),
            (b"a\x1b[2J\x9b\xff", r"a\u{1b}[2J\x9b\xff"),
            ("a\u{202e}b\u{9b}".as_bytes(), r"a\u{202e}b\u{9b}"),
            (br"a\xff", r"a\\xff"),
        ] {
            assert_eq!(visible(name), shown);
        }
    }

    #[test]
    fn a_request_is_of_the_operation_that_the_gateway_would_count() {
        let request = |method: &'static str, target: &'static [u8]| {
            let what = What::Request { method: method.as_bytes().into(), target: target.into() };
            label(&what, called(&what))
        };
        for (method, target, expected) in [
            ("GET", &b"/pets/7/toys?x=1"[..], Some("GET /pets/7/*")),
            ("GET", b"/pets/%37", Some("GET /pets/7")),
            ("GET", b"/pets/../7", None),
            ("NETSPARKER", b"/", None),
            ("GET", b"/a\xff", None),
        ] {
            assert_eq!(request(method, target).as_deref(), expected, "{method} {target:?}");
        }
        let documented = What::Operation("GET /pets/{id}".into());
        assert_eq!(label(&documented, called(&documented)).as_deref(), Some("GET /pets/{id}"));
        assert_eq!(called(&documented), Some((Method::Get, "/pets/{id}".to_owned())));
        assert_eq!(label(&What::Unknown, None), None);
    }
}
