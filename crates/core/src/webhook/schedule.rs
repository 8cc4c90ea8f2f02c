//! When a delivery that failed is tried again: soon at first, then seldom, over about three days.

/// Pauses before each further attempt, in seconds: a restart of the receiver is bridged by the first ones, a weekend
/// without anybody by the last ones. Together 70.7 hours.
const PAUSES: [i64; 12] = [5, 30, 120, 600, 1_800, 3_600, 10_800, 21_600, 28_800, 43_200, 57_600, 86_400];
/// How often a delivery is tried until it has failed for good.
pub const MAX_ATTEMPTS: u32 = PAUSES.len() as u32 + 1;
/// A webhook that took nothing for so long is disabled: longer than one event is tried, so that it is never the fault of
/// a single one.
pub const DISABLE_AFTER_SECS: i64 = 5 * 86_400;

/// Microseconds from a failed attempt to the next one; `None` if there is none. `attempts` were made so far; `draw` is any
/// number, evenly spread: up to a fifth is taken off the pause, so that what failed together does not come back together.
pub fn retry_after_micros(attempts: u32, draw: u32) -> Option<i64> {
    let place = usize::try_from(attempts.checked_sub(1)?).ok()?;
    let micros = PAUSES.get(place)? * 1_000_000;
    // In wider numbers: a day's microseconds times any draw is more than 64 bits hold.
    let off = i128::from(micros / 5) * i128::from(draw) / (i128::from(u32::MAX) + 1);
    Some(micros - i64::try_from(off).unwrap_or(0))
}

/// The same for what is never given up: once the pauses are through, the last one comes again and again.
pub fn retry_always_after_micros(attempts: u32, draw: u32) -> i64 {
    retry_after_micros(attempts.clamp(1, MAX_ATTEMPTS - 1), draw).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_over_about_three_days_and_end() {
        let longest: Vec<i64> = (1..MAX_ATTEMPTS).map(|n| retry_after_micros(n, 0).unwrap()).collect();
        assert!(longest.windows(2).all(|pair| pair[0] < pair[1]), "{longest:?}");
        assert_eq!(longest[0], 5_000_000);
        let all: i64 = longest.iter().sum();
        assert!((60..=84).contains(&(all / 3_600_000_000)), "{all}");
        assert_eq!(retry_after_micros(MAX_ATTEMPTS, 0), None);
        assert_eq!(retry_after_micros(0, 0), None, "before the first attempt there is nothing to repeat");
        assert!(DISABLE_AFTER_SECS * 1_000_000 > all);
    }

    #[test]
    fn what_is_never_given_up_is_tried_each_day_in_the_end() {
        assert_eq!(retry_always_after_micros(1, 0), 5_000_000);
        for attempts in [MAX_ATTEMPTS - 1, MAX_ATTEMPTS, u32::MAX] {
            assert_eq!(retry_always_after_micros(attempts, 0), 86_400_000_000, "{attempts}");
        }
    }

    #[test]
    fn chance_takes_up_to_a_fifth_off() {
        assert_eq!(retry_after_micros(2, 0), Some(30_000_000));
        assert_eq!(retry_after_micros(2, 1 << 31), Some(27_000_000));
        let least = retry_after_micros(2, u32::MAX).unwrap();
        assert!((24_000_000..24_001_000).contains(&least), "{least}");
        for attempts in 1..MAX_ATTEMPTS {
            let (most, least) =
                (retry_after_micros(attempts, 0).unwrap(), retry_after_micros(attempts, u32::MAX).unwrap());
            assert!(((most - most / 5)..=most).contains(&least), "{attempts}: {least} of {most}");
        }
    }
}
