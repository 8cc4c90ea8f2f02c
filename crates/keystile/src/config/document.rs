//! Documents made from the list of settings: the example file, the effective settings, and the page of the manual.

use std::fmt::Write as _;

use super::given::{Entry, Given, OTHER_VARIABLES, Origin};
use super::{Loaded, settings};

/// Where comments of the example file are broken.
const COLUMN: usize = 100;

/// A commented settings file that says the defaults.
pub fn example() -> String {
    let mut text = String::from(
        "# Settings of `keystile serve`. Every line shows its default: keep what you change, the rest may go.\n\
         # Each setting is also an environment variable, which goes before this file: KEYSTILE_DATA for `data`,\n\
         # KEYSTILE_GATEWAY_LISTEN for `listen` in [gateway]. `keystile config show` says what is in force and why.\n",
    );
    let (sections, entries) = defaults();
    for (section, doc) in sections {
        if !section.is_empty() {
            let _ = write!(text, "\n\n# {doc}\n[{section}]");
        }
        for entry in entries.iter().filter(|entry| entry.section == section) {
            text.push('\n');
            comment(&mut text, entry.doc);
            comment(&mut text, &format!("Allowed: {}.", entry.allowed));
            let _ = writeln!(text, "{} = {}", entry.name, entry.default);
        }
        // The blank line before the next section is its own.
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text
}

/// The settings page of the manual.
pub fn markdown() -> String {
    let mut text = String::from(
        "# Settings\n\n\
         <!-- Generated from the list of settings; do not edit. -->\n\n\
         `keystile serve` reads `--config FILE`, else the file that `KEYSTILE_CONFIG` names, else `keystile.toml` in the\n\
         folder it is started in; without any of them the defaults hold. Environment variables go before the file. A\n\
         setting that is unknown or wrong keeps the server from starting, and it says where and what is allowed.\n\
         `keystile config example` writes a commented file, `keystile config check` judges one, `keystile config show`\n\
         prints what is in force and where it comes from.\n",
    );
    let (sections, entries) = defaults();
    for (section, doc) in sections {
        let title = if section.is_empty() { "At the top of the file".to_owned() } else { format!("`[{section}]`") };
        let _ = write!(text, "\n## {title}\n\n");
        if !doc.is_empty() {
            let _ = write!(text, "{doc}\n\n");
        }
        text.push_str("| setting | default | allowed | what it does | variable |\n| --- | --- | --- | --- | --- |\n");
        for entry in entries.iter().filter(|entry| entry.section == section) {
            let allowed = entry.allowed.replace('|', "\\|").replace('<', "&lt;");
            let _ = writeln!(
                text,
                "| `{}` | `{}` | {allowed} | {} | `{}` |",
                entry.name,
                entry.default,
                entry.doc.replace('|', "\\|"),
                entry.variable()
            );
        }
    }
    text.push_str("\n## Other variables\n\n| variable | what it is for |\n| --- | --- |\n");
    for (name, purpose) in OTHER_VARIABLES {
        let _ = writeln!(text, "| `{name}` | {purpose} |");
    }
    text.push_str(
        "\nAny other variable that begins with `KEYSTILE_` is refused, so that a typing error can't go unnoticed.\n",
    );
    text
}

impl Loaded {
    /// The settings in force, as a settings file that says of each line where it comes from.
    pub fn show(&self) -> String {
        let mut text = String::new();
        let mut section = "";
        let lines: Vec<(String, String)> = self.entries.iter().map(|entry| self.line(entry)).collect();
        // One long path must not push every comment off the screen.
        let width = lines.iter().map(|(line, _)| line.chars().count()).filter(|width| *width <= 60).max().unwrap_or(0);
        for (entry, (line, origin)) in self.entries.iter().zip(lines) {
            if entry.section != section {
                section = entry.section;
                let _ = write!(text, "\n[{section}]\n");
            }
            let _ = writeln!(text, "{line:width$}  # {origin}");
        }
        text
    }

    /// How many settings were set by somebody, and how many there are.
    pub fn counts(&self) -> (usize, usize) {
        (self.entries.iter().filter(|entry| entry.origin != Origin::Default).count(), self.entries.len())
    }

    fn line(&self, entry: &Entry) -> (String, String) {
        let origin = match &entry.origin {
            Origin::Default => "default".to_owned(),
            Origin::File { line } => {
                let file = self.file.as_deref().map_or("file".into(), |file| file.to_string_lossy());
                format!("{file}:{line}")
            }
            Origin::Environment { variable } => variable.clone(),
        };
        (format!("{} = {}", entry.name, entry.value), origin)
    }
}

fn defaults() -> (Vec<(&'static str, &'static str)>, Vec<Entry>) {
    let mut given = Given::default();
    settings::assemble(&mut given);
    (given.sections, given.entries)
}

/// Writes a sentence as comment lines.
fn comment(text: &mut String, sentence: &str) {
    let mut column = 0;
    for word in sentence.split(' ') {
        if column > 0 && column + 1 + word.chars().count() > COLUMN {
            text.push('\n');
            column = 0;
        }
        let before = if column == 0 { "# " } else { " " };
        text.push_str(before);
        text.push_str(word);
        column += before.len() + word.chars().count();
    }
    text.push('\n');
}
