//! A heat map that the server draws: a column a day, a row an hour. Behind it there is a table with its numbers.

use askama::Template;

use super::number::exact;

/// Hours of a day.
const HOURS: usize = 24;
/// Shades besides the one of nothing.
const SHADES: u64 = 5;

/// The heat map.
#[derive(Template)]
#[template(path = "ui/heat.html")]
pub(crate) struct Heat {
    /// What each cell counts: `Requests per hour`.
    about: String,
    days: Vec<Day>,
    axis: Vec<(String, String)>,
    most: String,
}

/// A column.
struct Day {
    at: usize,
    label: String,
    hours: Vec<Hour>,
}

/// A cell.
struct Hour {
    hour: usize,
    shade: u64,
    value: String,
}

impl Heat {
    /// Of these days, each with its label and its hours.
    pub(crate) fn new(about: &str, days: Vec<(String, [u64; HOURS])>) -> Self {
        let most = days.iter().flat_map(|(_, hours)| hours).copied().max().unwrap_or(0);
        let count = days.len().max(1);
        let axis = days.iter().enumerate().filter(|(at, _)| at % 5 == 0);
        let axis = axis
            .map(|(at, (label, _))| (format!("{:.2}", (at as f64 + 0.1) * 100.0 / count as f64), label.clone()))
            .collect();
        let days = days.into_iter().enumerate().map(|(at, (label, values))| {
            let hours = values.iter().enumerate();
            let hours =
                hours.map(|(hour, value)| Hour { hour, shade: shade(*value, most), value: exact(*value) }).collect();
            Day { at, label, hours }
        });
        Self { about: about.to_owned(), days: days.collect(), axis, most: exact(most) }
    }
}

/// How dark a cell is, from 0 for nothing to [`SHADES`]. By the root of the value, so that what is small is still seen.
fn shade(value: u64, most: u64) -> u64 {
    if value == 0 || most == 0 {
        return 0;
    }
    let share = (value as f64 / most as f64).sqrt();
    ((share * SHADES as f64).ceil() as u64).clamp(1, SHADES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_small_is_still_seen() {
        for (value, most, shown) in
            [(0, 0, 0), (0, 9, 0), (1, 1, 5), (1, 1_000_000, 1), (40, 1_000, 1), (41, 1_000, 2), (999, 1_000, 5)]
        {
            assert_eq!(shade(value, most), shown, "{value} of {most}");
        }
    }

    #[test]
    fn a_heat_map_shows_its_numbers_as_a_table_too() {
        let mut hours = [0; HOURS];
        hours[23] = 1_200;
        let html = Heat::new("Requests per hour", vec![("Mon <1>".into(), hours), ("Tue".into(), [0; HOURS])]);
        let html = html.render().unwrap();
        assert!(html.contains("<td>1,200</td>") && html.contains("<caption>Requests per hour</caption>"), "{html}");
        assert!(html.contains("class=\"h5\"") && !html.contains("<1>") && !html.contains("style="), "{html}");
        assert_eq!(html.matches("<rect").count(), 2 * HOURS, "{html}");
    }
}
