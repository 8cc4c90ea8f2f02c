//! Values that people type: limits (`100/min`), spans (`7d`) and moments.

use keystile_core::api::{NamedOperation, OperationCost, SettingError};
use keystile_core::limit::{Algorithm, Counted, LimitRule, MAX_OVERRIDES, NoSuchDimension, Override};
use keystile_core::time::Timestamp;

const FORM: &str = "write a rate limit as `100/min`, `name=100/60s`, `bucket:name=100/60s,burst=20`, `fixed:name=1000/day` or `flight:name=5`, with `,by=project+operation`, `,for=SUBJECT:LIMIT`, `,calls` and `,shadow` behind it";

/// Reads `[bucket:|window:|fixed:|flight:][name=]COUNT/WINDOW` and options behind it, each after a comma: `burst=N`,
/// `by=DIMENSION+DIMENSION`, `for=SUBJECT:LIMIT` (as often as there are), `calls` and `shadow`. Calls in flight need no window.
///
/// # Errors
/// What is wrong, and how it is written.
pub(super) fn rate_limit(text: &str) -> Result<LimitRule, String> {
    let mut parts = text.split(',');
    let rate = parts.next().unwrap_or_default();
    let (algorithm, rate) = match rate.split_once(':') {
        Some(("bucket", rest)) => (Algorithm::TokenBucket, rest),
        Some(("window", rest)) => (Algorithm::SlidingWindow, rest),
        Some(("fixed", rest)) => (Algorithm::FixedWindow, rest),
        Some(("flight", rest)) => (Algorithm::Concurrency, rest),
        Some(_) => return Err(format!("only `bucket:`, `window:`, `fixed:` and `flight:` can stand in front; {FORM}")),
        None => (Algorithm::SlidingWindow, rate),
    };
    let (mut burst, mut counts, mut by, mut overrides, mut shadow) =
        (None, Counted::Cost, Vec::new(), Vec::new(), false);
    for option in parts {
        match option.trim().split_once('=') {
            Some(("burst", number)) => {
                burst = Some(count(number).ok_or_else(|| format!("`{number}` is no number of calls; {FORM}"))?);
            }
            Some(("by", names)) => {
                for name in names.split('+') {
                    by.push(name.parse().map_err(|error: NoSuchDimension| error.to_string())?);
                }
            }
            Some(("for", other)) => {
                let (subject, limit) = other.rsplit_once(':').ok_or_else(|| FORM.to_owned())?;
                let limit = count(limit).ok_or_else(|| format!("`{limit}` is no number of calls; {FORM}"))?;
                overrides.push(Override::new(subject, limit).map_err(|error| error.to_string())?);
            }
            None if option.trim() == "shadow" => shadow = true,
            None if option.trim() == "calls" => counts = Counted::Calls,
            _ => return Err(format!("only burst=, by=, for=, calls and shadow can follow a comma; {FORM}")),
        }
    }
    if overrides.len() > MAX_OVERRIDES {
        return Err(format!("a limit has at most {MAX_OVERRIDES} overrides"));
    }
    let (name, rate) = rate.split_once('=').map_or((None, rate), |(name, rate)| (Some(name.trim()), rate));
    let (limit, window) = match (rate.split_once('/'), algorithm) {
        (Some((limit, window)), _) => (limit, window.trim()),
        (None, Algorithm::Concurrency) => (rate, "1m"),
        (None, _) => return Err(FORM.to_owned()),
    };
    let limit = count(limit.trim()).ok_or_else(|| format!("`{limit}` is no number of calls; {FORM}"))?;
    let seconds = seconds(window).ok_or_else(|| {
        format!("`{window}` is no window; write 60s, 5m, 1h or 1d, or second, minute, hour, day or week")
    })?;
    let default_name = match (algorithm, seconds) {
        (Algorithm::Concurrency, _) => "concurrency".to_owned(),
        (_, 1) => "second".to_owned(),
        (_, 60) => "minute".to_owned(),
        (_, 3_600) => "hour".to_owned(),
        (_, 86_400) => "day".to_owned(),
        (_, 604_800) => "week".to_owned(),
        (_, other) => format!("{other}s"),
    };
    let name = name.unwrap_or(&default_name);
    let seconds = u32::try_from(seconds).map_err(|_| "the window is too long".to_owned())?;
    let rule = LimitRule::new(name, limit, seconds, algorithm, burst).and_then(|rule| rule.by(by));
    Ok(LimitRule { counts, overrides, shadow, ..rule.map_err(|error| error.to_string())? })
}

/// A rate limit as it is typed.
pub(super) fn written(rule: &LimitRule) -> String {
    let algorithm = match rule.algorithm {
        Algorithm::SlidingWindow => "",
        Algorithm::TokenBucket => "bucket:",
        Algorithm::FixedWindow => "fixed:",
        Algorithm::Concurrency => "flight:",
    };
    let mut text = format!("{algorithm}{}={}/{}s", rule.name.as_str(), rule.limit, rule.window_seconds);
    if let Some(burst) = rule.burst {
        text.push_str(&format!(",burst={burst}"));
    }
    if rule.counts == Counted::Calls {
        text.push_str(",calls");
    }
    if !rule.by.is_empty() {
        let by: Vec<String> = rule.by.iter().map(ToString::to_string).collect();
        text.push_str(&format!(",by={}", by.join("+")));
    }
    for other in &rule.overrides {
        text.push_str(&format!(",for={}:{}", other.subject(), other.limit()));
    }
    if rule.shadow {
        text.push_str(",shadow");
    }
    text
}

fn count(text: &str) -> Option<u32> {
    let digits: String = text.chars().filter(|c| *c != '_').collect();
    (!text.starts_with('_') && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse().ok()).flatten()
}

/// Reads `90s`, `5m`, `24h`, `7d`, or the name of a unit alone, as seconds.
fn seconds(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit = match unit.trim_start() {
        "s" | "sec" | "second" | "seconds" => 1,
        "m" | "min" | "minute" | "minutes" => 60,
        "h" | "hour" | "hours" => 3_600,
        "d" | "day" | "days" => 86_400,
        "w" | "week" | "weeks" => 604_800,
        _ => return None,
    };
    let number: u64 = if number.is_empty() { 1 } else { number.parse().ok()? };
    number.checked_mul(unit)
}

/// A moment as people say it: so long ago, or a date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// Seconds before now.
    Ago(i64),
    /// This moment.
    At(Timestamp),
}

impl When {
    /// The moment, seen from now.
    pub(super) const fn seen_from(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Ago(seconds) => now.plus_secs(-seconds),
            Self::At(moment) => moment,
        }
    }
}

/// Reads `7d`, `24h`, `2027-01-31` or an RFC 3339 moment.
///
/// # Errors
/// How it is written.
pub(super) fn when(text: &str) -> Result<When, String> {
    // A unit alone is a window, but "since day" means nothing.
    if text.starts_with(|c: char| c.is_ascii_digit())
        && let Some(ago) = seconds(text).and_then(|seconds| i64::try_from(seconds).ok())
    {
        return Ok(When::Ago(ago));
    }
    moment(text).map(When::At)
}

/// Reads a time: `90s`, `30m`, `12h`, `7d`, or 0 for none.
///
/// # Errors
/// How it is written.
pub(super) fn seconds_of(text: &str) -> Result<u32, String> {
    if text == "0" {
        return Ok(0);
    }
    let seconds = text.starts_with(|c: char| c.is_ascii_digit()).then(|| seconds(text)).flatten();
    seconds.and_then(|seconds| u32::try_from(seconds).ok()).ok_or_else(|| "write 90s, 30m, 12h, 7d or 0".to_owned())
}

/// Reads `2027-01-31` (its beginning, in UTC) or an RFC 3339 moment.
///
/// # Errors
/// How it is written.
pub(super) fn moment(text: &str) -> Result<Timestamp, String> {
    let moment = if text.len() == 10 { format!("{text}T00:00:00Z").parse() } else { text.parse() };
    moment.map_err(|_| "write 7d, 24h, 30m, 2027-01-31 or 2027-01-31T12:00:00Z".to_owned())
}

/// How far a moment is away: `in 89 days`, `3 hours ago`.
pub(super) fn distance(moment: Timestamp, now: Timestamp) -> String {
    let seconds = moment.as_secs() - now.as_secs();
    let (number, unit) = match seconds.unsigned_abs() {
        0..=1 => return "now".to_owned(),
        s @ 2..=89 => (s, "second"),
        s @ 90..=5_399 => (s / 60, "minute"),
        s @ 5_400..=172_799 => (s / 3_600, "hour"),
        s => (s / 86_400, "day"),
    };
    let plural = if number == 1 { "" } else { "s" };
    if seconds > 0 { format!("in {number} {unit}{plural}") } else { format!("{number} {unit}{plural} ago") }
}

/// Bytes as people read them.
pub(super) fn bytes(number: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = number as f64;
    let mut unit = 0;
    while value >= 1_024.0 && unit + 1 < UNITS.len() {
        value /= 1_024.0;
        unit += 1;
    }
    if unit == 0 { format!("{number} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

/// The same of a number that can be negative.
pub(super) fn signed(number: i64) -> String {
    let sign = if number < 0 { "-" } else { "" };
    format!("{sign}{}", thousands(number.unsigned_abs()))
}

/// A number with its thousands apart: `1,234,567`.
pub(super) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `POST /images/{id}=10`
///
/// # Errors
/// What is wrong, and how it is written.
pub(super) fn operation_cost(text: &str) -> Result<OperationCost, String> {
    const FORM: &str = "write what an operation costs as \"POST /images/{id}=10\"";
    let (operation, cost) = text.rsplit_once('=').ok_or(FORM)?;
    let operation: NamedOperation = operation.parse().map_err(|error: SettingError| error.to_string())?;
    if operation.path().contains('*') {
        return Err(format!("`*` is no pattern there, write {{name}} for a part of a path; {FORM}"));
    }
    Ok(OperationCost { operation, cost: cost.trim().parse().map_err(|_| FORM)? })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_rate_limit_is_read_as_people_say_it() {
        use Algorithm::{SlidingWindow, TokenBucket};
        for (text, name, limit, window, algorithm, burst) in [
            ("100/min", "minute", 100, 60, SlidingWindow, None),
            ("100/60s", "minute", 100, 60, SlidingWindow, None),
            ("burst=100/60s", "burst", 100, 60, SlidingWindow, None),
            ("free=10_000/day", "free", 10_000, 86_400, SlidingWindow, None),
            ("5/90s", "90s", 5, 90, SlidingWindow, None),
            ("window:a=1/h", "a", 1, 3_600, SlidingWindow, None),
            ("bucket:b.c=100/60s,burst=20", "b.c", 100, 60, TokenBucket, Some(20)),
            ("bucket:2/second", "second", 2, 1, TokenBucket, None),
        ] {
            let rule = LimitRule::new(name, limit, window, algorithm, burst).unwrap();
            assert_eq!(rate_limit(text), Ok(rule.clone()), "{text}");
            assert_eq!(rate_limit(&written(&rule)), Ok(rule), "{text}");
        }
        for (text, json) in [
            ("fixed:1000/week", json!({"name":"week","limit":1000,"window_seconds":604800,"algorithm":"fixed_window"})),
            (
                "flight:5,calls,by=tag:plan+end_user,shadow",
                json!({"name":"concurrency","limit":5,"algorithm":"concurrency","counts":"calls","by":["end_user","tag:plan"],"shadow":true}),
            ),
            (
                "each=9/min,by=end_user,for=a:b:0,for=vip-*:99",
                json!({"name":"each","limit":9,"window_seconds":60,"by":["end_user"],
                    "overrides":[{"subject":"a:b","limit":0},{"subject":"vip-*","limit":99}]}),
            ),
        ] {
            let rule: LimitRule = serde_json::from_value(json).unwrap();
            assert_eq!(rate_limit(text), Ok(rule.clone()), "{text}");
            assert_eq!(rate_limit(&written(&rule)), Ok(rule), "{text}");
        }
        for text in [
            "",
            "100",
            "/min",
            "x/min",
            "100/",
            "100/60",
            "-1/min",
            "0/min",
            "100/fortnight",
            "100/min,burst=5",
            "100/min,by=everybody",
            "100/min,by=project+project",
            "100/min,for=a",
            "100/min,for=a:-1",
            "100/min,for=:1",
            "100/min,tried",
            "fixed:5",
            "bucket:100/min,burst=0",
            "bucket:100/min,speed=5",
            "leaky:100/min",
            "a b=1/min",
            "=1/min",
            "1/99999d",
            "99999999999/min",
            "_1/min",
        ] {
            assert!(rate_limit(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_moment_is_a_date_or_so_long_ago() {
        let at = |text: &str| When::At(text.parse().unwrap());
        for (text, expected) in [
            ("7d", When::Ago(604_800)),
            ("24h", When::Ago(86_400)),
            ("30m", When::Ago(1_800)),
            ("1 week", When::Ago(604_800)),
            ("2027-01-31", at("2027-01-31T00:00:00Z")),
            ("2027-01-31T12:00:00+01:00", at("2027-01-31T11:00:00Z")),
        ] {
            assert_eq!(when(text), Ok(expected), "{text}");
        }
        for text in ["", "day", "7", "yesterday", "-7d", "2027-13-01", "99999999999999999999d"] {
            assert!(when(text).is_err(), "{text}");
        }
        let now: Timestamp = "2027-01-08T00:00:00Z".parse().unwrap();
        assert_eq!(When::Ago(604_800).seen_from(now).to_string(), "2027-01-01T00:00:00Z");
    }

    #[test]
    fn distances_bytes_and_numbers_are_humane() {
        let now = Timestamp::from_secs(1_000_000);
        for (seconds, text) in [
            (0, "now"),
            (45, "in 45 seconds"),
            (-60, "60 seconds ago"),
            (-3_600, "60 minutes ago"),
            (86_400, "in 24 hours"),
            (90 * 86_400, "in 90 days"),
        ] {
            assert_eq!(distance(now.plus_secs(seconds), now), text);
        }
        assert_eq!((bytes(0), bytes(1_536)), ("0 B".to_owned(), "1.5 KiB".to_owned()));
        assert_eq!([0, 999, 1_000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
    }
}
