//! Calls as a table: a header line that names the columns, then a call a line, with tabs between. `time` is a moment (RFC
//! 3339), `t_ms` how many milliseconds after the beginning of the log a call was made; one of them is needed, and `client` or
//! `project`. `method`, `path` and `cost` may be there; other columns mean nothing here.

use keystile_core::time::Timestamp;

use super::By;
use super::calls::{Entry, Skipped, What, address, is_method};

/// Which column holds what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Columns {
    time: Time,
    client: Option<usize>,
    project: Option<usize>,
    method: Option<usize>,
    path: Option<usize>,
    cost: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Time {
    /// A moment, in this column.
    At(usize),
    /// Milliseconds after the beginning of the log, in this column.
    After(usize),
}

impl Columns {
    /// Reads a header; `None` if the line is none.
    pub(super) fn of_header(line: &[u8]) -> Option<Self> {
        let titles: Vec<&[u8]> = fields(line).collect();
        let at = |wanted: &str| titles.iter().position(|title| title.eq_ignore_ascii_case(wanted.as_bytes()));
        let time = at("time").map(Time::At).or(at("t_ms").map(Time::After))?;
        let (client, project) = (at("client"), at("project"));
        client.or(project)?;
        Some(Self { time, client, project, method: at("method"), path: at("path"), cost: at("cost") })
    }

    /// Whether it says who called.
    pub(super) const fn has(self, by: By) -> bool {
        self.of(by).is_some()
    }

    /// Whether it says of calls only how much later they were.
    pub(super) const fn is_without_date(self) -> bool {
        matches!(self.time, Time::After(_))
    }

    const fn of(self, by: By) -> Option<usize> {
        match by {
            By::Client => self.client,
            By::Project => self.project,
        }
    }

    /// The call of a line, of a log that begins at `start` if it does not say when.
    pub(super) fn read(self, line: &[u8], by: By, start: Timestamp) -> Result<Entry<'_>, Skipped> {
        let field = |n: Option<usize>| fields(line).nth(n?).filter(|field| !field.is_empty());
        let text = |n: usize| field(Some(n)).and_then(|field| std::str::from_utf8(field).ok());
        let at = match self.time {
            Time::At(n) => text(n).and_then(|text| text.parse().ok()),
            Time::After(n) => text(n).and_then(|text| text.parse::<u64>().ok()).and_then(|millis| later(start, millis)),
        };
        let at = at.ok_or(Skipped::NoRequest)?;
        let who = field(self.of(by)).ok_or(match by {
            By::Client => Skipped::NoRequest,
            By::Project => Skipped::NoProject,
        })?;
        let (method, target) = (field(self.method), field(self.path));
        if self.method.is_some() && !method.is_some_and(is_method) {
            return Err(Skipped::NoRequest);
        }
        let cost = match self.cost {
            Some(n) => text(n).and_then(|text| text.parse().ok()).ok_or(Skipped::NoRequest)?,
            None => 1,
        };
        let what = match (method, target) {
            (Some(method), Some(target)) => What::Request { method: method.into(), target: target.into() },
            _ => What::Unknown,
        };
        Ok(Entry {
            at,
            who: who.into(),
            cost,
            key: None,
            address: field(self.client).and_then(address),
            api: None,
            what,
            times: 1,
        })
    }
}

fn fields(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| *byte == b'\t')
}

fn later(start: Timestamp, millis: u64) -> Option<Timestamp> {
    let micros = i64::try_from(millis).ok()?.checked_mul(1_000)?;
    Some(Timestamp::from_micros(start.as_micros().checked_add(micros)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn columns(header: &str) -> Columns {
        Columns::of_header(header.as_bytes()).unwrap()
    }

    #[test]
    fn a_call_is_read_by_the_names_of_its_columns() {
        let line = b"1500\tc1\tGET\t/a\xff\x1b[2J\t200";
        let entry = columns("t_ms\tclient\tmethod\tpath\tstatus").read(line, By::Client, START).unwrap();
        assert_eq!((entry.at.as_micros(), &*entry.who, entry.cost), (START.as_micros() + 1_500_000, &b"c1"[..], 1));
        assert!(matches!(entry.what, What::Request { target, .. } if *target == b"/a\xff\x1b[2J"[..]));

        let columns = columns("Cost\tproject\tclient\tTIME");
        let line = b"7\tshop\t192.0.2.1\t2027-01-08T00:00:00+01:00";
        let entry = columns.read(line, By::Project, START).unwrap();
        assert_eq!((entry.at.to_string().as_str(), &*entry.who, entry.cost), ("2027-01-07T23:00:00Z", &b"shop"[..], 7));
        assert_eq!(
            (entry.address, &*columns.read(line, By::Client, START).unwrap().who),
            ("192.0.2.1".parse().ok(), &b"192.0.2.1"[..])
        );
        assert!(columns.has(By::Project) && !columns.is_without_date());
    }

    #[test]
    fn what_is_no_header_or_no_call_is_told_apart() {
        for header in ["", "t_ms", "client\tmethod", "time\tmethod", "a b c", "2027-01-08T00:00:00Z\tc1"] {
            assert_eq!(Columns::of_header(header.as_bytes()), None, "{header}");
        }
        let columns = columns("t_ms\tclient\tmethod\tpath\tcost\tproject");
        for line in [
            "",
            "1",
            "x\tc\tGET\t/\t1\tp",
            "-1\tc\tGET\t/\t1\tp",
            "99999999999999999999\tc\tGET\t/\t1\tp",
            "9223372036854775807\tc\tGET\t/\t1\tp",
            "1\t\tGET\t/\t1\tp",
            "1\tc\t\\x16\t/\t1\tp",
            "1\tc\t\t/\t1\tp",
            "1\tc\tGET\t/\t\tp",
            "1\tc\tGET\t/\t-1\tp",
            "1\tc\tGET\t/\t4294967296\tp",
        ] {
            assert_eq!(columns.read(line.as_bytes(), By::Client, START).err(), Some(Skipped::NoRequest), "{line}");
        }
        assert_eq!(columns.read(b"1\tc\tGET\t/\t1", By::Project, START).err(), Some(Skipped::NoProject));
    }
}
