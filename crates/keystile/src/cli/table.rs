//! Tables and cards: how objects of the API look to people.

use keystile_core::api::OperationCost;
use keystile_core::limit::LimitRule;
use keystile_core::time::Timestamp;
use serde_json::Value;

use super::credit::terms_of;
use super::screen::{Screen, harmless};
use super::values::{distance, thousands, written};
use super::{price, quotas};

/// One column of a list.
pub(super) struct Column {
    pub(super) title: &'static str,
    pub(super) right: bool,
    pub(super) cell: fn(&Value, Timestamp) -> String,
}

impl Column {
    /// A column whose cells stand at the left.
    pub(super) const fn left(title: &'static str, cell: fn(&Value, Timestamp) -> String) -> Self {
        Self { title, right: false, cell }
    }
}

/// Prints rows as they come. The widths are those of the first rows; later ones that are wider push to the right.
pub(super) struct Table {
    columns: Vec<(String, bool)>,
    widths: Option<Vec<usize>>,
}

impl Table {
    pub(super) fn new(columns: impl IntoIterator<Item = (String, bool)>) -> Self {
        Self { columns: columns.into_iter().collect(), widths: None }
    }

    /// Prints these rows, and the titles before the first.
    pub(super) fn rows(&mut self, screen: &mut Screen, rows: &[Vec<String>]) {
        if self.widths.is_none() {
            let titles: Vec<String> = self.columns.iter().map(|(title, _)| title.clone()).collect();
            let width = |n: usize| {
                let cells = rows.iter().chain(std::iter::once(&titles));
                cells.filter_map(|row| row.get(n)).map(|cell| cell.chars().count()).max().unwrap_or(0)
            };
            let widths: Vec<usize> = (0..titles.len()).map(width).collect();
            let line = self.line(&widths, &titles);
            self.widths = Some(widths);
            let line = screen.bold(&line);
            screen.out(&(line + "\n"));
        }
        let widths = self.widths.clone().unwrap_or_default();
        let text: String = rows.iter().map(|row| self.line(&widths, row) + "\n").collect();
        screen.out(&text);
    }

    fn line(&self, widths: &[usize], cells: &[String]) -> String {
        let mut line = String::new();
        for ((cell, width), (_, right)) in cells.iter().zip(widths).zip(&self.columns) {
            if !line.is_empty() {
                line.push_str("  ");
            }
            line.push_str(&if *right { format!("{cell:>width$}") } else { format!("{cell:width$}") });
        }
        line.truncate(line.trim_end().len());
        line
    }
}

/// A field as text; a dash where there is nothing.
pub(super) fn field(object: &Value, name: &str) -> String {
    plain(object.get(name).unwrap_or(&Value::Null))
}

/// A field that counts something; zero where there is nothing.
pub(super) fn number(object: &Value, name: &str) -> String {
    thousands(object.get(name).and_then(Value::as_u64).unwrap_or(0))
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) if text.is_empty() => "-".to_owned(),
        Value::String(text) => harmless(text),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Array(items) if items.is_empty() => "-".to_owned(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        Value::Object(fields) if fields.is_empty() => "-".to_owned(),
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| format!("{name} {}", plain(value))).collect::<Vec<_>>().join(" ")
        }
    }
}

/// How far a field's moment is away.
pub(super) fn away(object: &Value, name: &str, now: Timestamp) -> String {
    match object.get(name).and_then(Value::as_str).map(str::parse::<Timestamp>) {
        Some(Ok(moment)) => distance(moment, now),
        Some(Err(_)) => field(object, name),
        None => "-".to_owned(),
    }
}

/// All fields of one object, one a line, those first that a person looks for first.
pub(super) fn card(object: &Value, now: Timestamp) -> String {
    const FIRST: [&str; 4] = ["id", "name", "state", "active"];
    const LAST: [&str; 2] = ["created_at", "updated_at"];
    let Some(fields) = object.as_object() else {
        return plain(object) + "\n";
    };
    let middle = fields.keys().map(String::as_str).filter(|name| !FIRST.contains(name) && !LAST.contains(name));
    let names: Vec<&str> =
        FIRST.into_iter().chain(middle).chain(LAST).filter(|name| fields.contains_key(*name)).collect();
    let width = names.iter().map(|name| name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for name in names {
        let value = field(object, name);
        let value = match name {
            "expires_at" if value == "-" => "never".to_owned(),
            name if name.ends_with("_at") && value != "-" => format!("{value} ({})", away(object, name, now)),
            "rate_limits" | "anonymous_rate_limits" => limits(object, name).unwrap_or(value),
            "ceilings" => quotas::all(object, name).unwrap_or(value),
            "versions" => versions(object).unwrap_or(value),
            _ => value,
        };
        text.push_str(&format!("{:width$}  {value}\n", name.replace('_', " ")));
    }
    text
}

/// What a plan says from when, a line each.
fn versions(object: &Value) -> Option<String> {
    let versions = object.get("versions")?.as_array()?;
    let line = |version: &Value| {
        let said = [
            limits(version, "rate_limits"),
            quotas::all(version, "quotas"),
            costs(version),
            price::of(version),
            credits_of(version),
        ];
        let said: Vec<String> = said.into_iter().flatten().collect();
        let said = if said.is_empty() { "no limits".to_owned() } else { said.join("  ") };
        let (number, from, zone) = (field(version, "version"), field(version, "from"), field(version, "time_zone"));
        format!("\n  {number}, from {from}: {said} ({zone})")
    };
    Some(versions.iter().map(line).collect())
}

/// What operations cost, as it is typed.
fn costs(version: &Value) -> Option<String> {
    let costs: Vec<OperationCost> = serde_json::from_value(version.get("operation_costs")?.clone()).ok()?;
    let cost = |one: &OperationCost| format!("{}={}", one.operation, one.cost);
    (!costs.is_empty()).then(|| costs.iter().map(cost).collect::<Vec<_>>().join("  "))
}

/// What a plan says of credits, as it is typed.
fn credits_of(version: &Value) -> Option<String> {
    terms_of(version).map(|terms| format!("credits={terms}"))
}

/// Rate limits as they are typed.
pub(super) fn limits(object: &Value, name: &str) -> Option<String> {
    let rules: Vec<LimitRule> = serde_json::from_value(object.get(name)?.clone()).ok()?;
    (!rules.is_empty()).then(|| rules.iter().map(written).collect::<Vec<_>>().join("  "))
}
