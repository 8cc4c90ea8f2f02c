//! `cargo xtask tidy`: the house rules that a machine can check, each a function in [`rules`].
//!
//! They read text and know no grammar: simple enough to be understood at once, and a rule that hits something
//! innocent is sharpened here, with a test. What rustc, clippy and rustfmt check is left to them.

use std::fs;
use std::io;
use std::path::Path;

use crate::say;

mod rules;

/// A text file of the tree.
#[derive(Debug, Clone)]
pub(crate) struct File {
    /// From the root of the tree, with `/`.
    pub path: String,
    /// What is in it.
    pub text: String,
}

/// The tree under these rules.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    /// Every text file that belongs to the project.
    pub files: Vec<File>,
}

/// A place where a rule is broken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The file.
    pub path: String,
    /// The line, from 1; 0 for the file as a whole.
    pub line: usize,
    /// What is wrong and what to do.
    pub what: String,
}

/// A rule and its name.
type Rule = (&'static str, fn(&Tree) -> Vec<Fault>);

const RULES: [Rule; 13] = [
    ("sql_stays_in_the_store", rules::sql_stays_in_the_store),
    ("core_is_pure", rules::core_is_pure),
    ("crates_depend_downwards", rules::crates_depend_downwards),
    ("every_crate_takes_the_lints", rules::every_crate_takes_the_lints),
    ("every_file_has_a_front_page", rules::every_file_has_a_front_page),
    ("every_folder_has_a_front_page", rules::every_folder_has_a_front_page),
    ("files_are_short", rules::files_are_short),
    ("nothing_is_unfinished", rules::nothing_is_unfinished),
    ("no_paths_of_one_machine", rules::no_paths_of_one_machine),
    ("time_is_an_argument", rules::time_is_an_argument),
    ("architecture_names_every_folder", rules::architecture_names_every_folder),
    ("the_front_door_is_there", rules::the_front_door_is_there),
    ("every_security_row_has_a_test", rules::every_security_row_has_a_test),
];

/// Folders that hold what was built, fetched or made.
const NOT_OURS: [&str; 9] = [
    "target",
    ".git",
    "node_modules",
    "testdata",
    "__pycache__",
    "bench/bin",
    "bench/keys",
    "bench/work",
    "bench/results",
];

/// Endings of the files that are read.
const TEXT: [&str; 12] = ["rs", "md", "toml", "txt", "py", "sh", "json", "html", "css", "js", "sql", "run"];

/// Checks the tree; `false` if a rule is broken.
///
/// # Errors
/// If the tree can't be read.
pub(crate) fn main() -> io::Result<bool> {
    let tree = Tree::read(&crate::root())?;
    let mut count = 0;
    for (name, rule) in RULES {
        for fault in rule(&tree) {
            count += 1;
            say::result(format_args!("{}:{}: {} [{name}]", fault.path, fault.line, fault.what));
        }
    }
    say::result(format_args!("tidy: {} files, {} rules, {count} faults", tree.files.len(), RULES.len()));
    Ok(count == 0)
}

impl Tree {
    /// Reads every text file below a folder.
    ///
    /// # Errors
    /// If a folder or file can't be read.
    pub(crate) fn read(root: &Path) -> io::Result<Self> {
        let mut tree = Self::default();
        tree.visit(root, "")?;
        tree.files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(tree)
    }

    fn visit(&mut self, folder: &Path, path: &str) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
            if NOT_OURS.iter().any(|other| path == *other || name == *other) {
                continue;
            }
            let kind = entry.file_type()?;
            if kind.is_dir() {
                self.visit(&entry.path(), &path)?;
            } else if kind.is_file() && TEXT.contains(&name.rsplit('.').next().unwrap_or_default()) {
                let text = String::from_utf8_lossy(&fs::read(entry.path())?).into_owned();
                self.files.push(File { path, text });
            }
        }
        Ok(())
    }

    /// The Rust files of the workspace.
    pub(crate) fn rust(&self) -> impl Iterator<Item = &File> {
        let own = |file: &&File| file.path.starts_with("crates/") || file.path.starts_with("xtask/");
        self.files.iter().filter(|file| file.path.ends_with(".rs")).filter(own)
    }

    /// A file by its path.
    pub(crate) fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }
}

impl File {
    /// The lines with their numbers.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }

    /// The lines that are code, without those that are comments from their start.
    pub(crate) fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.lines().filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    /// Whether it holds tests and nothing else.
    pub(crate) fn is_test(&self) -> bool {
        self.path.ends_with("/tests.rs") || self.path.contains("/tests/")
    }

    /// A fault here.
    pub(crate) fn fault(&self, line: usize, what: impl Into<String>) -> Fault {
        Fault { path: self.path.clone(), line, what: what.into() }
    }
}
