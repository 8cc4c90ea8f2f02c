//! The text of all metrics, as Prometheus (0.0.4) or OpenMetrics (1.0) wants it. The two differ in the names of
//! counters' families and in the last line.

use std::fmt::Write;

/// How the text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' own text.
    Prometheus,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Format {
    /// The one that a scraper's `Accept` asks for.
    pub fn accepted(accept: Option<&str>) -> Self {
        let wants_open = accept.is_some_and(|accept| accept.contains("application/openmetrics-text"));
        if wants_open { Self::OpenMetrics } else { Self::Prometheus }
    }

    /// Its media type.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// What a family's values mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, from 0 at the start of the process.
    Counter,
    /// Goes up and down.
    Gauge,
    /// How often a duration was at most so long.
    Histogram,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A value, written without loss.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    /// A count.
    Whole(u64),
    /// A measure.
    Real(f64),
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Whole(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Real(value)
    }
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Whole(value) => write!(f, "{value}"),
            Self::Real(value) => write!(f, "{value}"),
        }
    }
}

/// Bounds of the histograms in microseconds: from what the gateway itself needs to the longest patience of most
/// clients. A pair of neighbours is at most a factor of 2.5 apart, so a quantile read off them is never further off.
const BOUNDS_US: [u64; 17] = [
    250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000,
    10_000_000, 30_000_000, 60_000_000,
];

/// How durations are distributed.
#[derive(Debug, Clone, Default)]
pub struct Histogram {
    /// By the first bound that is not exceeded; the last is for those above all.
    counts: [u64; BOUNDS_US.len() + 1],
    sum_us: u64,
}

impl Histogram {
    /// Adds `times` durations that took so many microseconds together.
    pub fn add(&mut self, times: u64, sum_us: u64) {
        // Several at once were folded together: their mean stands for each.
        let each = sum_us / times.max(1);
        self.counts[BOUNDS_US.partition_point(|bound| *bound < each)] += times;
        self.sum_us = self.sum_us.saturating_add(sum_us);
    }
}

/// A page of metrics that is being written.
pub struct Page {
    text: String,
    format: Format,
}

impl Page {
    /// An empty one.
    pub fn new(format: Format) -> Self {
        Self { text: String::with_capacity(16 << 10), format }
    }

    /// Begins a family.
    pub fn family(&mut self, kind: Kind, name: &'static str, help: &str) -> Samples<'_> {
        let family = match self.format {
            Format::OpenMetrics if kind == Kind::Counter => name.strip_suffix("_total").unwrap_or(name),
            _ => name,
        };
        let _ = writeln!(self.text, "# HELP {family} {help}\n# TYPE {family} {}", kind.as_str());
        Samples { text: &mut self.text, name }
    }

    /// The whole text.
    pub fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        self.text
    }
}

/// The values of one family.
pub struct Samples<'a> {
    text: &'a mut String,
    name: &'static str,
}

impl Samples<'_> {
    /// A value under these labels.
    pub fn put(&mut self, labels: &[(&str, &str)], value: impl Into<Value>) {
        self.line("", labels, None, value.into());
    }

    /// A distribution under these labels.
    pub fn put_histogram(&mut self, labels: &[(&str, &str)], histogram: &Histogram) {
        let mut so_far = 0;
        let bounds = BOUNDS_US.iter().map(|bound| format!("{:?}", *bound as f64 / 1e6));
        for (count, bound) in histogram.counts.iter().zip(bounds.chain(["+Inf".to_owned()])) {
            so_far += count;
            self.line("_bucket", labels, Some(&bound), so_far.into());
        }
        self.line("_sum", labels, None, (histogram.sum_us as f64 / 1e6).into());
        self.line("_count", labels, None, so_far.into());
    }

    fn line(&mut self, suffix: &str, labels: &[(&str, &str)], bound: Option<&str>, value: Value) {
        self.text.push_str(self.name);
        self.text.push_str(suffix);
        let labels = labels.iter().copied().chain(bound.map(|bound| ("le", bound)));
        let mut before = '{';
        for (name, value) in labels {
            self.text.push(before);
            self.text.push_str(name);
            self.text.push_str("=\"");
            escape(value, self.text);
            self.text.push('"');
            before = ',';
        }
        if before == ',' {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }
}

/// The three characters that would end a value or a line.
fn escape(value: &str, out: &mut String) {
    for character in value.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(format: Format) -> String {
        let mut page = Page::new(format);
        let mut calls = page.family(Kind::Counter, "k_calls_total", "Calls.");
        calls.put(&[("api", "a\"b\\c\nd"), ("code", "allowed")], 3);
        page.family(Kind::Gauge, "k_age_seconds", "Age.").put(&[], 0.5);
        page.finish()
    }

    #[test]
    fn the_two_formats_differ_in_the_names_of_counters_and_the_end() {
        let sample = "k_calls_total{api=\"a\\\"b\\\\c\\nd\",code=\"allowed\"} 3\n";
        let age = "# HELP k_age_seconds Age.\n# TYPE k_age_seconds gauge\nk_age_seconds 0.5\n";
        let prometheus = format!("# HELP k_calls_total Calls.\n# TYPE k_calls_total counter\n{sample}{age}");
        assert_eq!(page(Format::Prometheus), prometheus);
        let open = format!("# HELP k_calls Calls.\n# TYPE k_calls counter\n{sample}{age}# EOF\n");
        assert_eq!(page(Format::OpenMetrics), open);
    }

    #[test]
    fn a_histogram_adds_up_from_bound_to_bound() {
        let mut histogram = Histogram::default();
        for time in [1, 250, 251, 59_000_000, 61_000_000] {
            histogram.add(1, time);
        }
        histogram.add(10, 30_000);
        let mut page = Page::new(Format::Prometheus);
        page.family(Kind::Histogram, "k_seconds", "Time.").put_histogram(&[], &histogram);
        let text = page.finish();
        for line in [
            "k_seconds_bucket{le=\"0.00025\"} 2",
            "k_seconds_bucket{le=\"0.0005\"} 3",
            "k_seconds_bucket{le=\"0.0025\"} 3",
            "k_seconds_bucket{le=\"0.005\"} 13",
            "k_seconds_bucket{le=\"30.0\"} 13",
            "k_seconds_bucket{le=\"60.0\"} 14",
            "k_seconds_bucket{le=\"+Inf\"} 15",
            "k_seconds_sum 120.030502",
            "k_seconds_count 15",
        ] {
            assert!(text.lines().any(|other| other == line), "{line} in {text}");
        }
    }

    #[test]
    fn a_scraper_gets_what_it_asks_for() {
        for (accept, format) in [
            (None, Format::Prometheus),
            (Some("*/*"), Format::Prometheus),
            (Some("application/openmetrics-text;version=1.0.0,text/plain;q=0.5"), Format::OpenMetrics),
        ] {
            assert_eq!(Format::accepted(accept), format, "{accept:?}");
        }
    }
}
