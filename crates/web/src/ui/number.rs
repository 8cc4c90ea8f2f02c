//! Numbers as people read them: grouped where they are exact, short where they are compared.

/// With commas between thousands.
pub(crate) fn exact(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// With three digits that count, and a letter for thousands, millions and so on.
pub(crate) fn short(number: u64) -> String {
    const LETTERS: [&str; 5] = ["k", "M", "G", "T", "P"];
    if number < 1_000 {
        return number.to_string();
    }
    let mut value = number as f64 / 1e3;
    let mut letter = 0;
    // What would be written as a thousand of the letter is one of the next.
    while value >= 999.5 && letter + 1 < LETTERS.len() {
        value /= 1e3;
        letter += 1;
    }
    let decimals = if value >= 99.95 {
        0
    } else if value >= 9.995 {
        1
    } else {
        2
    };
    let text = format!("{value:.decimals$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{}", LETTERS[letter])
}

/// How many in a hundred, with a decimal where it says something.
pub(crate) fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "0%".into();
    }
    let share = part as f64 * 100.0 / whole as f64;
    if part > 0 && share < 0.1 {
        "<0.1%".into()
    } else if share >= 99.95 || share == 0.0 {
        format!("{share:.0}%")
    } else {
        format!("{share:.1}%")
    }
}

/// By how much something grew, with its sign; `None` if there was nothing before.
pub(crate) fn change(now: u64, before: u64) -> Option<String> {
    if before == 0 {
        return None;
    }
    let share = (now as f64 - before as f64) * 100.0 / before as f64;
    Some(if share.abs() >= 10.0 { format!("{share:+.0}%") } else { format!("{share:+.1}%") })
}

/// Bytes in the largest unit that leaves a whole number before the point.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 1_024.0 && unit + 1 < UNITS.len() {
        value /= 1_024.0;
        unit += 1;
    }
    if unit == 0 || value >= 100.0 {
        format!("{value:.0} {}", UNITS[unit])
    } else {
        format!("{value:.1} {}", UNITS[unit])
    }
}

/// Microseconds, as milliseconds below a second.
pub(crate) fn micros(count: u64) -> String {
    match count {
        0..1_000 => format!("{:.2} ms", count as f64 / 1e3),
        1_000..10_000 => format!("{:.1} ms", count as f64 / 1e3),
        10_000..1_000_000 => format!("{} ms", (count + 500) / 1_000),
        _ => format!("{:.2} s", count as f64 / 1e6),
    }
}

/// So many of them, in words: `1 key`, `12,000 keys`.
pub(crate) fn of(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", exact(number), if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_people_read_them() {
        for (number, grouped, shortened) in [
            (0, "0", "0"),
            (999, "999", "999"),
            (1_000, "1,000", "1k"),
            (48_249, "48,249", "48.2k"),
            (999_499, "999,499", "999k"),
            (999_500, "999,500", "1M"),
            (1_932_000, "1,932,000", "1.93M"),
            (12_345_678, "12,345,678", "12.3M"),
            (u64::MAX, "18,446,744,073,709,551,615", "18447P"),
        ] {
            assert_eq!((exact(number).as_str(), short(number).as_str()), (grouped, shortened), "{number}");
        }
    }

    #[test]
    fn shares_and_changes_say_what_they_are_of() {
        assert_eq!(
            (percent(0, 0), percent(0, 9), percent(1, 9_999), percent(25, 1_000)),
            ("0%".into(), "0%".into(), "<0.1%".into(), "2.5%".into())
        );
        assert_eq!(percent(9, 9), "100%");
        assert_eq!(
            (change(5, 0), change(131, 100), change(1_082, 1_000)),
            (None, Some("+31%".into()), Some("+8.2%".into()))
        );
        assert_eq!(
            (micros(420), micros(4_200), micros(42_000), micros(4_200_000)),
            ("0.42 ms".into(), "4.2 ms".into(), "42 ms".into(), "4.20 s".into())
        );
        assert_eq!((bytes(12), bytes(1_536), bytes(10 << 20)), ("12 B".into(), "1.5 KiB".into(), "10.0 MiB".into()));
    }
}
