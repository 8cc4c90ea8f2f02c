//! The rules. Each takes the tree and names every place that breaks it, with what to do instead.

use std::collections::BTreeSet;

use super::{Fault, File, Tree};

/// A file longer than this has two subjects.
const MAX_LINES: usize = 700;

/// The crates that each crate may use; the order is the direction.
const MAY_USE: [(&str, &[&str]); 7] = [
    ("crates/core", &[]),
    ("crates/store", &["keystile-core"]),
    ("crates/server", &["keystile-core", "keystile-store"]),
    // It asks the management API as everybody does, and so needs none of what that is made of.
    ("crates/web", &["keystile-core"]),
    ("crates/keystile", &["keystile-core", "keystile-store", "keystile-server", "keystile-web"]),
    ("crates/testkit", &["keystile-core", "keystile-store", "keystile-server"]),
    ("xtask", &[]),
];

/// SQL stands in `crates/store` and nowhere else, except in tests that attack the file from outside.
pub(super) fn sql_stays_in_the_store(tree: &Tree) -> Vec<Fault> {
    // Split, so that this file does not break its own rule.
    let marks = [
        concat!("SEL", "ECT "),
        concat!("INS", "ERT INTO"),
        concat!("DEL", "ETE FROM"),
        concat!("CRE", "ATE TABLE"),
        concat!("PRA", "GMA "),
    ];
    let others = tree.rust().filter(|file| !file.path.starts_with("crates/store/") && !file.is_test());
    find_in_code(others, &marks, |mark| {
        format!("SQL (`{}`) outside crates/store: add a method to the store", mark.trim())
    })
}

/// `crates/core` takes time, randomness, network and disk as arguments and knows no runtime.
pub(super) fn core_is_pure(tree: &Tree) -> Vec<Fault> {
    const MARKS: [&str; 15] = [
        "tokio",
        "hyper",
        "http::",
        "axum",
        "rand::",
        "getrandom",
        "std::time::Instant",
        "Instant::now",
        "SystemTime",
        "std::fs",
        "net::Tcp",
        "net::Udp",
        "std::env",
        "std::thread",
        "async fn",
    ];
    let core = tree.rust().filter(|file| file.path.starts_with("crates/core/src/"));
    let mut faults =
        find_in_code(core, &MARKS, |mark| format!("`{mark}` in the core: take what it gives as an argument"));
    if let Some(manifest) = tree.file("crates/core/Cargo.toml") {
        for (line, name) in dependencies(manifest, &["dependencies"]) {
            if ["tokio", "hyper", "http", "axum", "rand", "getrandom", "sqlx", "socket2"].contains(&name) {
                faults.push(manifest.fault(line, format!("the core may not depend on `{name}`")));
            }
        }
    }
    faults
}

/// Crates use only those below them, and the test kit only for tests.
pub(super) fn crates_depend_downwards(tree: &Tree) -> Vec<Fault> {
    let mut faults = Vec::new();
    for manifest in manifests(tree) {
        let folder = manifest.path.trim_end_matches("/Cargo.toml");
        let Some((_, may)) = MAY_USE.iter().find(|(name, _)| *name == folder) else {
            faults.push(manifest.fault(0, "a new crate: say what it may use in `MAY_USE` of the tidy rules"));
            continue;
        };
        for (line, name) in dependencies(manifest, &["dependencies", "build-dependencies"]) {
            if name.starts_with("keystile") && !may.contains(&name) {
                faults
                    .push(manifest.fault(line, format!("{folder} may not use `{name}`: what it needs belongs lower")));
            }
        }
    }
    faults
}

/// Every crate is under the workspace's lints.
pub(super) fn every_crate_takes_the_lints(tree: &Tree) -> Vec<Fault> {
    let without = |manifest: &&File| !manifest.text.contains("[lints]\nworkspace = true");
    manifests(tree).filter(without).map(|manifest| manifest.fault(0, "add `[lints]` with `workspace = true`")).collect()
}

/// Every file says first what it is for.
pub(super) fn every_file_has_a_front_page(tree: &Tree) -> Vec<Fault> {
    let without = |file: &&File| !file.is_test() && !file.text.starts_with("//!");
    tree.rust()
        .filter(without)
        .map(|file| file.fault(1, "begin with `//!`: what is this for, what does it leave out?"))
        .collect()
}

/// Every folder of modules has the file that introduces it.
pub(super) fn every_folder_has_a_front_page(tree: &Tree) -> Vec<Fault> {
    let mut faults = Vec::new();
    for folder in module_folders(tree) {
        let pages = [format!("{folder}/mod.rs"), format!("{folder}.rs")];
        if !pages.iter().any(|page| tree.file(page).is_some()) {
            faults.push(Fault {
                path: folder,
                line: 0,
                what: "a folder without `mod.rs`: give it a front page".into(),
            });
        }
    }
    faults
}

/// One file, one room.
pub(super) fn files_are_short(tree: &Tree) -> Vec<Fault> {
    let long = |file: &&File| file.text.lines().count() > MAX_LINES;
    let what = format!("longer than {MAX_LINES} lines: it has two subjects, give each a file");
    tree.rust().filter(long).map(|file| file.fault(MAX_LINES + 1, what.clone())).collect()
}

/// What is not done is an issue, not a mark in a file.
pub(super) fn nothing_is_unfinished(tree: &Tree) -> Vec<Fault> {
    let marks = [
        concat!("to", "do!("),
        concat!("unimpl", "emented!("),
        concat!("FIX", "ME"),
        concat!("X", "XX"),
        concat!("TO", "DO"),
    ];
    let mut faults = Vec::new();
    for file in tree.files.iter().filter(|file| !file.path.ends_with(".json") && file.path != "STYLE.md") {
        for (line, text) in file.lines() {
            if let Some(mark) = marks.iter().find(|mark| holds_word(text, mark)) {
                faults.push(
                    file.fault(line, format!("`{mark}`: finish it, or file an issue and say what holds until then")),
                );
            }
        }
    }
    faults
}

/// Nothing depends on where somebody keeps their files.
pub(super) fn no_paths_of_one_machine(tree: &Tree) -> Vec<Fault> {
    let marks = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/tm", "p/"), concat!("/ho", "me/")];
    let mut faults = Vec::new();
    for file in &tree.files {
        for (line, text) in file.lines() {
            for mark in marks {
                let begins = |at: usize| {
                    !text[..at].ends_with(|before: char| before.is_alphanumeric() || "/.}-_*".contains(before))
                };
                if text.match_indices(mark).any(|(at, _)| begins(at)) {
                    faults
                        .push(file.fault(line, format!("`{mark}…` is a path of one machine: take it as an argument")));
                }
            }
        }
    }
    faults
}

/// The clock is asked where clippy was told why.
pub(super) fn time_is_an_argument(tree: &Tree) -> Vec<Fault> {
    let marks = [concat!("Instant::", "now("), concat!("SystemTime::", "now(")];
    let mut faults = Vec::new();
    // Tokio's clock is one that a test can stop and move, so it is an argument already.
    let tokios =
        |file: &&File| file.text.lines().any(|line| line.starts_with("use tokio::time::") && line.contains("Instant"));
    for file in tree.rust().filter(|file| !tokios(file)) {
        let lines: Vec<&str> = file.text.lines().collect();
        for (line, text) in file.code() {
            let allowed = |above: &str| above.contains("clippy::disallowed_methods") && above.contains("reason");
            if marks.iter().any(|mark| text.replace("tokio::time::Instant", "").contains(mark))
                && !lines[line.saturating_sub(10)..line].iter().any(|l| allowed(l))
            {
                faults.push(file.fault(line, "the clock is asked here: take the time as an argument"));
            }
        }
    }
    faults
}

/// The map shows every room.
pub(super) fn architecture_names_every_folder(tree: &Tree) -> Vec<Fault> {
    let Some(map) = tree.file("ARCHITECTURE.md") else { return Vec::new() };
    let mut faults = Vec::new();
    for folder in module_folders(tree).iter().filter(|folder| folder.starts_with("crates/")) {
        let name = folder.rsplit('/').next().unwrap_or(folder);
        if !map.text.contains(&format!("{name}/")) {
            faults.push(map.fault(0, format!("`{name}/` ({folder}) is not on the map: say what it is for")));
        }
    }
    faults
}

/// What a visitor looks for first is there.
pub(super) fn the_front_door_is_there(tree: &Tree) -> Vec<Fault> {
    let missing = |path: &&&str| tree.file(path).is_none();
    ["README.md", "ARCHITECTURE.md", "STYLE.md", "deny.toml"]
        .iter()
        .filter(missing)
        .map(|path| Fault { path: (*path).into(), line: 0, what: "missing".into() })
        .collect()
}

/// Each row of `xtask/rows.txt` is in the name of a test.
pub(super) fn every_security_row_has_a_test(tree: &Tree) -> Vec<Fault> {
    let words: BTreeSet<&str> = tree
        .rust()
        .flat_map(File::code)
        .filter_map(|(_, line)| line.trim_start().trim_start_matches("async ").strip_prefix("fn "))
        .filter_map(|rest| rest.split('(').next())
        .flat_map(|name| name.split('_'))
        .collect();
    let Some(rows) = tree.file("xtask/rows.txt") else { return Vec::new() };
    let mut faults = Vec::new();
    for (line, text) in rows.lines().filter(|(_, text)| !text.starts_with('#') && !text.trim().is_empty()) {
        let row = text.split_whitespace().next().unwrap_or_default();
        let word = row.split_once('-').map(|(chapter, number)| format!("{}{number:0>2}", chapter.to_lowercase()));
        match word {
            Some(word) if words.contains(word.as_str()) => {}
            Some(word) => faults.push(rows.fault(line, format!("{row} has no test: name one `fn {word}_…`"))),
            None => faults.push(rows.fault(line, "not a row: write `G-1` and what it is")),
        }
    }
    faults
}

fn find_in_code<'a>(
    files: impl Iterator<Item = &'a File>,
    marks: &[&str],
    what: impl Fn(&str) -> String,
) -> Vec<Fault> {
    let mut faults = Vec::new();
    for file in files {
        for (line, text) in file.code() {
            if let Some(mark) = marks.iter().find(|mark| holds_word(text, mark)) {
                faults.push(file.fault(line, what(mark)));
            }
        }
    }
    faults
}

/// Whether the mark is there and no part of a longer word.
fn holds_word(text: &str, mark: &str) -> bool {
    let is_word = |char: char| char.is_alphanumeric() || char == '_';
    text.match_indices(mark).any(|(at, _)| {
        let begins = !text[..at].ends_with(is_word);
        let ends = !mark.ends_with(is_word) || !text[at + mark.len()..].starts_with(is_word);
        begins && ends
    })
}

fn manifests(tree: &Tree) -> impl Iterator<Item = &File> {
    let of_workspace = |path: &str| path.starts_with("crates/") || path.starts_with("xtask/");
    tree.files.iter().filter(move |file| file.path.ends_with("/Cargo.toml") && of_workspace(&file.path))
}

/// The names under these tables of a manifest, with their lines.
fn dependencies<'a>(manifest: &'a File, tables: &[&str]) -> Vec<(usize, &'a str)> {
    let mut names = Vec::new();
    let mut inside = false;
    for (line, text) in manifest.lines() {
        if let Some(table) = text.strip_prefix('[') {
            let table = table.trim_end_matches(']');
            inside = tables.iter().any(|name| table == *name || table.ends_with(&format!(".{name}")));
        } else if inside && let Some((name, _)) = text.split_once(['=', '.']) {
            names.push((line, name.trim()));
        }
    }
    names
}

/// Folders below a `src` that hold Rust files.
fn module_folders(tree: &Tree) -> BTreeSet<String> {
    let mut folders = BTreeSet::new();
    for file in tree.rust() {
        let Some((krate, inside)) = file.path.split_once("/src/") else { continue };
        let mut end = 0;
        while let Some(at) = inside[end..].find('/') {
            end += at;
            folders.insert(format!("{krate}/src/{}", &inside[..end]));
            end += 1;
        }
    }
    // `src/bin` holds programs, not modules.
    folders.retain(|folder| !folder.ends_with("/src/bin"));
    folders
}

#[cfg(test)]
mod tests {
    use super::*;

    type Rule = fn(&Tree) -> Vec<Fault>;

    fn tree(files: &[(&str, &str)]) -> Tree {
        let file = |(path, text): &(&str, &str)| File { path: (*path).into(), text: (*text).into() };
        Tree { files: files.iter().map(file).collect() }
    }

    /// The lines that a rule finds in one file.
    fn found(rule: Rule, path: &str, text: &str) -> Vec<usize> {
        rule(&tree(&[(path, text)])).iter().map(|fault| fault.line).collect()
    }

    #[test]
    fn sql_is_found_outside_the_store() {
        let text = concat!("//! x\nlet q = \"SEL", "ECT 1\";\n// SEL", "ECT in a comment\n");
        assert_eq!(found(sql_stays_in_the_store, "crates/server/src/a.rs", text), [2]);
        assert!(found(sql_stays_in_the_store, "crates/store/src/a.rs", text).is_empty());
        assert!(found(sql_stays_in_the_store, "crates/server/tests/a.rs", text).is_empty());
    }

    #[test]
    fn the_core_knows_no_world() {
        for line in ["use tokio::time;", "std::fs::read(p)", "type T = std::time::Instant;", "async fn x() {}"] {
            assert_eq!(found(core_is_pure, "crates/core/src/a.rs", line), [1], "{line}");
            assert!(found(core_is_pure, "crates/server/src/a.rs", line).is_empty());
        }
        assert!(found(core_is_pure, "crates/core/src/a.rs", "let operand::x = 1; // strand::").is_empty());
        let manifest = "[dependencies]\nserde = \"1\"\nhttp.workspace = true\n[dev-dependencies]\ntokio = \"1\"\n";
        assert_eq!(found(core_is_pure, "crates/core/Cargo.toml", manifest), [3]);
    }

    #[test]
    fn crates_that_depend_upwards_are_found() {
        let manifest = "[dependencies]\nkeystile-core = { workspace = true }\nkeystile-server = { workspace = true }\n\
            [dev-dependencies]\nkeystile-testkit = { workspace = true }\n";
        assert_eq!(found(crates_depend_downwards, "crates/store/Cargo.toml", manifest), [3]);
        assert!(found(crates_depend_downwards, "crates/keystile/Cargo.toml", manifest).is_empty());
        assert_eq!(found(crates_depend_downwards, "crates/new/Cargo.toml", ""), [0]);
        assert_eq!(found(every_crate_takes_the_lints, "crates/core/Cargo.toml", manifest), [0]);
    }

    #[test]
    fn front_pages_are_asked_of_files_and_folders() {
        assert_eq!(found(every_file_has_a_front_page, "crates/core/src/a.rs", "use x;\n//! y\n"), [1]);
        assert!(found(every_file_has_a_front_page, "crates/core/src/a/tests.rs", "use x;\n").is_empty());
        let files = [
            ("crates/a/src/b/c.rs", ""),
            ("crates/a/src/d/mod.rs", ""),
            ("crates/a/src/e.rs", ""),
            ("crates/a/src/e/f.rs", ""),
        ];
        let faults = every_folder_has_a_front_page(&tree(&files));
        assert_eq!(faults.iter().map(|fault| fault.path.as_str()).collect::<Vec<_>>(), ["crates/a/src/b"]);
    }

    #[test]
    fn long_files_are_found() {
        assert!(found(files_are_short, "crates/a/src/b.rs", &"x\n".repeat(MAX_LINES)).is_empty());
        assert_eq!(found(files_are_short, "crates/a/src/b.rs", &"x\n".repeat(MAX_LINES + 1)), [MAX_LINES + 1]);
    }

    #[test]
    fn unfinished_work_and_machine_paths_are_found() {
        assert_eq!(found(nothing_is_unfinished, "a.md", concat!("x\nFIX", "ME later\n")), [2]);
        assert_eq!(found(nothing_is_unfinished, "crates/a/src/b.rs", concat!("to", "do!()")), [1]);
        assert!(found(nothing_is_unfinished, "a.md", "PREFIXXXL\n").is_empty());
        assert_eq!(found(no_paths_of_one_machine, "a.md", concat!("see `/wo", "rk/x`\n")), [1]);
        assert!(found(no_paths_of_one_machine, "a.md", concat!("bench/wo", "rk/x ../tm", "p/x\n")).is_empty());
    }

    #[test]
    fn asking_the_clock_needs_a_reason() {
        let call = concat!("fn x() { Instant::", "now(); }\n");
        assert_eq!(found(time_is_an_argument, "crates/a/src/b.rs", call), [1]);
        let with = format!("#[expect(clippy::disallowed_methods, reason = \"y\")]\n{call}");
        assert!(found(time_is_an_argument, "crates/a/src/b.rs", &with).is_empty());
    }

    #[test]
    fn the_map_must_show_every_folder() {
        let files = [("ARCHITECTURE.md", "`b/` is for x"), ("crates/a/src/b/c.rs", ""), ("crates/a/src/d/e.rs", "")];
        assert_eq!(architecture_names_every_folder(&tree(&files)).len(), 1);
    }

    #[test]
    fn a_row_is_tested_by_the_name_of_a_function() {
        let rows = ("xtask/rows.txt", "# comment\nG-1 x\nG-11 y\nK-5 z\n");
        let code =
            ("crates/a/tests/b.rs", "fn g11_paths() {}\n    async fn both_k05_and_more() {}\n// fn g01_no() {}\n");
        let lines: Vec<usize> =
            every_security_row_has_a_test(&tree(&[rows, code])).iter().map(|fault| fault.line).collect();
        assert_eq!(lines, [2]);
    }
}
