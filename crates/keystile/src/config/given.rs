//! What was given: the values of the file and of the environment, each with its place, until the list of settings
//! has taken them. What nobody takes is unknown.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::error::{ConfigError, Place};
use super::rule::{Raw, Rule, nearest, shown};

/// Where the value of a setting comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// This line of the settings file.
    File {
        /// Counted from 1.
        line: usize,
    },
    /// This variable.
    Environment {
        /// Its name.
        variable: String,
    },
}

/// One setting, with all that is to be said about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) section: &'static str,
    pub(super) name: &'static str,
    pub(super) doc: &'static str,
    pub(super) allowed: String,
    /// As TOML.
    pub(super) default: String,
    /// As TOML.
    pub(super) value: String,
    pub(super) origin: Origin,
    pub(super) place: Option<Place>,
}

impl Entry {
    /// The name in messages: `gateway.listen`.
    pub(super) fn full_name(&self) -> String {
        full_name(self.section, self.name)
    }

    pub(super) fn variable(&self) -> String {
        variable(self.section, self.name)
    }
}

/// `gateway.listen`, or the name alone outside of any section.
fn full_name(section: &str, name: &str) -> String {
    if section.is_empty() { name.to_owned() } else { format!("{section}.{name}") }
}

/// `KEYSTILE_GATEWAY_LISTEN`.
fn variable(section: &str, name: &str) -> String {
    let name = if section.is_empty() { name.to_owned() } else { format!("{section}_{name}") };
    format!("KEYSTILE_{}", name.to_uppercase())
}

/// Variables of ours that are no settings of the server.
pub(super) const OTHER_VARIABLES: [(&str, &str); 4] = [
    ("KEYSTILE_CONFIG", "the settings file, where `--config` is not given"),
    ("KEYSTILE_URL", "for the commands that talk to a running server: its management API"),
    ("KEYSTILE_MANAGEMENT_KEY", "for the same commands: the management key"),
    ("KEYSTILE_CHECK_URL", "for `keystile key verify`: the verification API"),
];
/// Variables that begin so belong to tests.
const TEST_VARIABLES: &str = "KEYSTILE_TEST_";

struct FileValue {
    raw: Raw,
    key: Range<usize>,
    value: Range<usize>,
}

/// The values that were given and not yet taken.
#[derive(Default)]
pub(super) struct Given<'a> {
    text: &'a str,
    values: BTreeMap<(String, String), FileValue>,
    sections_seen: BTreeMap<String, Range<usize>>,
    variables: BTreeMap<String, String>,
    section: &'static str,
    pub(super) sections: Vec<(&'static str, &'static str)>,
    pub(super) entries: Vec<Entry>,
    pub(super) errors: Vec<ConfigError>,
}

impl<'a> Given<'a> {
    /// Reads the text of a file, as far as it is TOML, and sorts out the variables that are ours.
    pub(super) fn new(text: &'a str, env: impl Iterator<Item = (String, String)>) -> Self {
        let mut given = Self { text, ..Self::default() };
        given.variables = env
            .filter(|(name, _)| {
                name.starts_with("KEYSTILE_")
                    && !name.starts_with(TEST_VARIABLES)
                    && !OTHER_VARIABLES.iter().any(|(other, _)| other == name)
            })
            .collect();
        let (table, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            // The parser's own words; the first line of them says it, the rest draws the source.
            let what = error.message().lines().next().unwrap_or("not understood").to_owned();
            let place = Place::of(text, error.span().unwrap_or_default().start);
            given.errors.push(ConfigError { place, what, hints: Vec::new() });
        }
        // After an error of syntax the rest may be anywhere: better no opinion than a wrong one.
        if given.errors.is_empty() {
            given.sort_in(table.get_ref());
        }
        given
    }

    /// From here on settings of this section are taken.
    pub(super) fn begin(&mut self, section: &'static str, doc: &'static str) {
        self.section = section;
        self.sections.push((section, doc));
    }

    /// The value of a setting: the environment's, else the file's, else the default. A wrong value is noted, and
    /// the default stands in for it so that the rest can be checked as well.
    pub(super) fn take<T>(&mut self, name: &'static str, doc: &'static str, rule: Rule<T>, default: T) -> T {
        let section = self.section;
        let default_text = (rule.write)(&default);
        let mut entry = Entry {
            section,
            name,
            doc,
            allowed: rule.allowed,
            default: default_text,
            value: String::new(),
            origin: Origin::Default,
            place: None,
        };
        let mut value = default;
        if let Some(given) = self.values.remove(&(section.to_owned(), name.to_owned())) {
            let place = Place::of(self.text, given.value.start);
            match (rule.read)(&given.raw) {
                Ok(read) => value = read,
                Err(complaint) => {
                    let place = complaint.within.map_or(place.clone(), |within| Place::of(self.text, within.start));
                    self.errors.push(ConfigError::value(place, &entry, &complaint.what));
                }
            }
            if let Place::File { line, .. } = place {
                entry.origin = Origin::File { line };
            }
            entry.place = Some(place);
        }
        let variable = entry.variable();
        if let Some(text) = self.variables.remove(&variable) {
            let place = Place::Variable(variable.clone());
            match (rule.read)(&Raw::Variable(text)) {
                Ok(read) => value = read,
                Err(complaint) => self.errors.push(ConfigError::value(place.clone(), &entry, &complaint.what)),
            }
            entry.origin = Origin::Environment { variable };
            entry.place = Some(place);
        }
        entry.value = (rule.write)(&value);
        self.entries.push(entry);
        value
    }

    /// Complains about everything that nobody took.
    pub(super) fn refuse_the_rest(&mut self) {
        let known_sections: Vec<&str> =
            self.sections.iter().map(|(section, _)| *section).filter(|section| !section.is_empty()).collect();
        let mut errors = Vec::new();
        for (section, key) in &self.sections_seen {
            if !known_sections.contains(&section.as_str()) {
                // Once for the section, not again for each line in it.
                self.values.retain(|(owner, _), _| owner != section);
                let what = if self.settings_of("").contains(&section.as_str()) {
                    format!("`{}` is a setting, not a section", shown(section))
                } else {
                    format!("unknown section `{}`", shown(section))
                };
                errors.push(unknown(Place::of(self.text, key.start), what, section, &known_sections));
            }
        }
        for ((section, name), value) in std::mem::take(&mut self.values) {
            let place = Place::of(self.text, value.key.start);
            if section.is_empty() && known_sections.contains(&name.as_str()) {
                let hints = vec![format!("write [{name}] on a line of its own and its settings below it")];
                errors.push(ConfigError { place, what: format!("`{name}` is a section, not a setting"), hints });
                continue;
            }
            let mut allowed = self.settings_of(&section);
            let what = if section.is_empty() {
                allowed.extend(&known_sections);
                format!("unknown setting `{}`", shown(&name))
            } else {
                format!("unknown setting `{}` in [{section}]", shown(&name))
            };
            let mut error = unknown(place, what, &name, &allowed);
            if let Some(entry) = self.entries.iter().find(|entry| entry.name == name) {
                let home = if entry.section.is_empty() {
                    "the top of the file".into()
                } else {
                    format!("[{}]", entry.section)
                };
                error.hints.push(format!("`{name}` belongs to {home}"));
            }
            errors.push(error);
        }
        for (name, _) in std::mem::take(&mut self.variables) {
            // Without what they all begin with, or every one of them would look like every other.
            let tail = |name: &str| name.trim_start_matches("KEYSTILE_").to_owned();
            let own = self.entries.iter().map(Entry::variable);
            let others = OTHER_VARIABLES.iter().map(|(name, _)| (*name).to_owned());
            let known: Vec<String> = own.chain(others).map(|name| tail(&name)).collect();
            let mut hints = vec!["allowed: the variables that `keystile config example` names".to_owned()];
            if let Some(meant) = nearest(&tail(&name), known.iter().map(String::as_str)) {
                hints.push(format!("did you mean KEYSTILE_{meant}?"));
            }
            errors.push(ConfigError {
                place: Place::Variable(shown(&name)),
                what: "unknown variable".to_owned(),
                hints,
            });
        }
        self.errors.append(&mut errors);
        self.errors.sort_by(|a, b| a.place.cmp(&b.place));
    }

    fn settings_of(&self, section: &str) -> Vec<&'static str> {
        self.entries.iter().filter(|entry| entry.section == section).map(|entry| entry.name).collect()
    }

    fn sort_in(&mut self, table: &DeTable<'_>) {
        for (key, value) in table {
            let name = key.get_ref().to_string();
            if let DeValue::Table(section) = value.get_ref() {
                for (inner, value) in section {
                    let value = FileValue { raw: raw(value.get_ref()), key: inner.span(), value: value.span() };
                    self.values.insert((name.clone(), inner.get_ref().to_string()), value);
                }
                self.sections_seen.insert(name, key.span());
            } else {
                let value = FileValue { raw: raw(value.get_ref()), key: key.span(), value: value.span() };
                self.values.insert((String::new(), name), value);
            }
        }
    }
}

/// Something that has no place here.
fn unknown(place: Place, what: String, word: &str, allowed: &[&str]) -> ConfigError {
    let mut hints = vec![format!("allowed: {}", allowed.join(", "))];
    if let Some(meant) = nearest(word, allowed.iter().copied()) {
        hints.push(format!("did you mean `{meant}`?"));
    }
    ConfigError { place, what, hints }
}

fn raw(value: &DeValue<'_>) -> Raw {
    match value {
        DeValue::String(text) => Raw::Text(text.to_string()),
        DeValue::Integer(number) => Raw::Whole(i64::from_str_radix(number.as_str(), number.radix()).ok()),
        DeValue::Float(number) => Raw::Fraction(number.as_str().replace('_', "")),
        DeValue::Boolean(flag) => Raw::Flag(*flag),
        DeValue::Datetime(_) => Raw::Other("a date"),
        DeValue::Array(entries) => {
            Raw::List(entries.iter().map(|entry| (raw(entry.get_ref()), entry.span())).collect())
        }
        DeValue::Table(_) => Raw::Other("a section"),
    }
}
