//! The Common Log Format and the Combined one, as Apache and nginx write them:
//! `HOST IDENT USER [17/May/2015:10:05:03 +0000] "GET /path HTTP/1.1" 200 1234 "REFERRER" "AGENT"`.

use keystile_core::time::Timestamp;

use super::calls::{Entry, Skipped, What, address, is_method};

/// How long a moment is: `17/May/2015:10:05:03 +0000`.
const MOMENT_BYTES: usize = 26;
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The call of a line.
pub(super) fn read(line: &[u8]) -> Result<Entry<'_>, Skipped> {
    let host = line.split(|byte| *byte == b' ').next().filter(|host| !host.is_empty()).ok_or(Skipped::NoRequest)?;
    let (at, rest) = moment_in(&line[host.len()..]).ok_or(Skipped::NoRequest)?;
    let request = quoted(rest).ok_or(Skipped::NoRequest)?;
    let mut words = request.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    if !is_method(method) || target.is_empty() {
        return Err(Skipped::NoRequest);
    }
    let what = What::Request { method: method.into(), target: target.into() };
    Ok(Entry { at, who: host.into(), cost: 1, key: None, address: address(host), api: None, what, times: 1 })
}

/// The first moment in brackets, and what stands behind it: a user's name may have spaces and brackets too.
fn moment_in(line: &[u8]) -> Option<(Timestamp, &[u8])> {
    let brackets = line.iter().enumerate().filter(|(_, byte)| **byte == b'[').map(|(at, _)| &line[at + 1..]);
    let mut moments = brackets.filter_map(|rest| {
        let (moment, rest) = rest.split_at_checked(MOMENT_BYTES)?;
        Some((moment_of(std::str::from_utf8(moment).ok()?)?, rest.strip_prefix(b"] ")?))
    });
    moments.next()
}

/// Reads `17/May/2015:10:05:03 +0000`.
fn moment_of(text: &str) -> Option<Timestamp> {
    let (date, time) = text.split_once(':')?;
    let [day, month, year] = date.split('/').collect::<Vec<_>>().try_into().ok()?;
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    let (time, zone) = time.split_once(' ')?;
    let (hours, minutes) = zone.split_at_checked(3)?;
    format!("{year}-{month:02}-{day}T{time}{hours}:{minutes}").parse().ok()
}

/// What stands in quotes, which some servers escape and others do not: up to the first quote behind which a status stands.
fn quoted(text: &[u8]) -> Option<&[u8]> {
    let inner = text.strip_prefix(b"\"")?;
    let is_status = |rest: &[u8]| {
        rest.len() >= 4
            && rest[0] == b' '
            && rest[1..4].iter().all(u8::is_ascii_digit)
            && matches!(rest.get(4), None | Some(b' '))
    };
    let end = (0..inner.len()).find(|at| inner[*at] == b'"' && is_status(&inner[at + 1..]))?;
    Some(&inner[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(line: &str) -> Option<(String, String, String)> {
        let entry = read(line.as_bytes()).ok()?;
        let What::Request { method, target } = entry.what else { return None };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Some((entry.at.to_string(), text(&entry.who), format!("{} {}", text(&method), text(&target))))
    }

    #[test]
    fn lines_are_read_as_servers_write_them() {
        for (line, at, who, call) in [
            (
                r#"83.149.9.216 - - [17/May/2015:10:05:03 +0000] "GET /a/b?c=d HTTP/1.1" 200 7697 "http://x.test/" "Mozilla/5.0 (X11)""#,
                "2015-05-17T10:05:03Z",
                "83.149.9.216",
                "GET /a/b?c=d",
            ),
            (
                r#"::1 - frank [10/Oct/2000:13:55:36 -0700] "POST /x HTTP/1.0" 404 -"#,
                "2000-10-10T20:55:36Z",
                "::1",
                "POST /x",
            ),
            // HTTP/0.9, and a user with brackets and spaces in the name.
            (
                r#"a.test - a [b] c [01/Jan/2027:00:00:00 +0100] "GET /" 200 5"#,
                "2026-12-31T23:00:00Z",
                "a.test",
                "GET /",
            ),
            // Quotes, escaped by Apache, by nginx, and by nobody.
            (
                r#"h - - [01/Jan/2027:00:00:00 +0000] "GET /a\"b HTTP/1.1" 200 5"#,
                "2027-01-01T00:00:00Z",
                "h",
                "GET /a\\\"b",
            ),
            (
                r#"h - - [01/Jan/2027:00:00:00 +0000] "GET /a\x22b HTTP/1.1" 200 5"#,
                "2027-01-01T00:00:00Z",
                "h",
                "GET /a\\x22b",
            ),
            (
                r#"h - - [01/Jan/2027:00:00:00 +0000] "GET /a"b HTTP/1.1" 200 5 "-" "-""#,
                "2027-01-01T00:00:00Z",
                "h",
                "GET /a\"b",
            ),
            (r#"h - - [01/Jan/2027:00:00:00 +0000] "GET /a" 200"#, "2027-01-01T00:00:00Z", "h", "GET /a"),
        ] {
            assert_eq!(said(line), Some((at.to_owned(), who.to_owned(), call.to_owned())), "{line}");
        }
    }

    #[test]
    fn what_is_no_request_is_told_apart() {
        for line in [
            "",
            "# a remark",
            "83.149.9.216",
            r#"h - - [17/May/2015:10:05:03 +0000] "-" 408 0"#,
            r#"h - - [17/May/2015:10:05:03 +0000] "" 400 0"#,
            r#"h - - [17/May/2015:10:05:03 +0000] "\x16\x03\x01\x02" 400 226"#,
            r#"h - - [17/May/2015:10:05:03 +0000] "GET" 400 226"#,
            r#"h - - [17/Mai/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 1"#,
            r#"h - - [32/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 1"#,
            r#"h - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1"#,
            r#"h - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" - 1"#,
            r#"h - - [17/May/2015:10:05"#,
            r#"- - - ["#,
        ] {
            assert_eq!(read(line.as_bytes()).err(), Some(Skipped::NoRequest), "{line}");
        }
        assert!(read(b"h - - [17/May/2015:10:05:03 +0000] \"GET /\xff\x1b[2J HTTP/1.1\" 200 1").is_ok(), "any bytes");
    }

    #[test]
    fn an_address_is_known_where_it_is_one() {
        let address = |host: &str| {
            let line = format!(r#"{host} - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 1"#);
            read(line.as_bytes()).unwrap().address
        };
        assert_eq!(address("192.0.2.1"), "192.0.2.1".parse().ok());
        assert_eq!(address("2001:db8::1"), "2001:db8::1".parse().ok());
        assert_eq!(address("host.test"), None);
    }
}
