//! Charts that the server draws, as SVG without a style attribute. Behind each there is a table with its numbers, for whoever
//! can't see it; script adds hovering and keys alone.

use askama::Template;

use super::number::{exact, short};

/// Lines across a chart, the one at the bottom not counted.
const LINES: u64 = 3;
/// Height of a chart in its own units.
const HEIGHT: f64 = 100.0;
/// Labels begin no further right than this, of a hundred.
const LAST_LABEL: usize = 95;
/// How much of its place a bar takes.
const BAR: f64 = 0.72;

/// A chart of bars, in which up to three series stand on each other.
#[derive(Template)]
#[template(path = "ui/chart.html")]
pub(crate) struct Bars {
    /// What each bar is about, for its table: `Requests per 3 hours`.
    pub(crate) about: String,
    /// What the series are called.
    pub(crate) series: Vec<&'static str>,
    ticks: Vec<String>,
    columns: Vec<Column>,
    axis: Vec<Tick>,
}

/// A label of the axis below, with how many columns it stands for.
struct Tick {
    text: String,
    x: String,
}

struct Column {
    at: usize,
    x: String,
    label: String,
    parts: Vec<Part>,
}

struct Part {
    class: usize,
    y: String,
    height: String,
    value: String,
}

/// What a column shows.
pub(crate) struct Datum {
    /// When it is, in words.
    pub(crate) label: String,
    /// What stands below it, if it begins something (a day, an hour).
    pub(crate) axis: Option<String>,
    /// The value of each series.
    pub(crate) values: Vec<u64>,
}

impl Bars {
    /// Of these.
    pub(crate) fn new(about: &str, series: &[&'static str], data: Vec<Datum>) -> Self {
        let highest = data.iter().map(|datum| datum.values.iter().sum::<u64>()).max().unwrap_or(0);
        let top = ceiling(highest);
        let count = data.len().max(1);
        let axis = data.iter().enumerate().filter_map(|(at, datum)| {
            // A label that would not fit before the edge is left out.
            let text = datum.axis.clone().filter(|_| at * 100 / count < LAST_LABEL)?;
            Some(Tick { text, x: format!("{:.2}", (at as f64 + 0.14) * 100.0 / count as f64) })
        });
        let axis = axis.collect();
        let columns = data.into_iter().enumerate().map(|(at, datum)| column(at, datum, top)).collect();
        let ticks = (0..=LINES).rev().map(|line| short(top * line / LINES)).collect();
        Self { about: about.to_owned(), series: series.to_vec(), ticks, columns, axis }
    }

    /// The lines across.
    fn lines(&self) -> impl Iterator<Item = String> {
        (0..=LINES).map(|line| format!("{:.2}", line as f64 * HEIGHT / LINES as f64))
    }
}

fn column(at: usize, datum: Datum, top: u64) -> Column {
    let mut base = HEIGHT;
    let parts = datum.values.iter().enumerate().map(|(class, value)| {
        let height = *value as f64 * HEIGHT / top as f64;
        base -= height;
        Part { class: class + 1, y: format!("{base:.2}"), height: format!("{height:.2}"), value: exact(*value) }
    });
    let parts = parts.collect();
    Column { at, x: format!("{:.2}", at as f64 + (1.0 - BAR) / 2.0), label: datum.label, parts }
}

/// The least round number that is no less and that [`LINES`] lines divide.
fn ceiling(highest: u64) -> u64 {
    let mut step = 1;
    loop {
        for factor in [1, 2, 5] {
            if factor * step * LINES >= highest {
                return factor * step * LINES;
            }
        }
        step *= 10;
    }
}

/// A line of a word's size.
#[derive(Template)]
#[template(
    ext = "html",
    source = "<svg class=\"spark\" viewBox=\"0 0 {{ last }} 20\" preserveAspectRatio=\"none\" aria-hidden=\"true\"><path class=\"a\" d=\"{{ area }}\"/><path d=\"{{ line }}\"/></svg>"
)]
pub(crate) struct Spark {
    last: usize,
    line: String,
    area: String,
}

impl Spark {
    /// Of these values, each a step further.
    pub(crate) fn new(values: &[u64]) -> Self {
        let highest = values.iter().copied().max().unwrap_or(0).max(1);
        let points = values
            .iter()
            .enumerate()
            .map(|(at, value)| format!("{at} {:.1}", 19.0 - *value as f64 * 17.0 / highest as f64));
        let line = format!("M{}", points.collect::<Vec<_>>().join("L"));
        let last = values.len().saturating_sub(1).max(1);
        Self { last, area: format!("{line}L{last} 20L0 20Z"), line }
    }
}

/// How full something is.
#[derive(Template)]
#[template(
    ext = "html",
    source = "<svg class=\"meter {{ tone }}\" viewBox=\"0 0 100 6\" preserveAspectRatio=\"none\" aria-hidden=\"true\"><rect class=\"of\" width=\"100\" height=\"6\" rx=\"3\"/><rect class=\"is\" width=\"{{ width }}\" height=\"6\" rx=\"3\"/></svg>"
)]
pub(crate) struct Meter {
    tone: &'static str,
    width: String,
}

impl Meter {
    /// So much of so much.
    pub(crate) fn new(part: u64, whole: u64) -> Self {
        let share = if whole == 0 { 0.0 } else { (part as f64 * 100.0 / whole as f64).min(100.0) };
        let tone = if share >= 100.0 {
            "bad"
        } else if share >= 80.0 {
            "warn"
        } else {
            "ok"
        };
        Self { tone, width: format!("{share:.1}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_round_numbers() {
        for (highest, top) in [(0, 3), (3, 3), (4, 6), (16, 30), (61, 150), (299, 300), (301, 600), (68_000, 150_000)] {
            assert_eq!(ceiling(highest), top, "{highest}");
        }
    }

    #[test]
    fn a_chart_shows_its_numbers_as_a_table_too() {
        let datum = |label: &str, values: &[u64]| Datum {
            label: label.into(),
            axis: Some(label.into()),
            values: values.to_vec(),
        };
        let data = vec![datum("Mon <1>", &[1_200, 0, 300]), datum("Tue", &[0, 0, 0])];
        let html = Bars::new("Requests per day", &["Allowed", "Rate limited", "Rejected"], data).render().unwrap();
        assert!(html.contains("<td>1,200</td>") && html.contains("<caption>Requests per day</caption>"), "{html}");
        assert!(!html.contains("<1>") && !html.contains("style="), "{html}");
    }

    #[test]
    fn a_line_stays_in_its_box() {
        for values in [&[][..], &[0, 0], &[5], &[1, u64::MAX]] {
            let spark = Spark::new(values);
            assert!(!spark.line.contains("NaN") && !spark.line.contains('-'), "{}", spark.line);
        }
    }
}
