//! `cargo xtask deps`: licences, sources, banned crates and duplicates of what we depend on, by the lists of
//! `deny.toml` and without network. Advisories need a database and are left to `cargo deny check`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::process::{Command, Stdio};

use serde::Deserialize;
use serde_json::Value;

use crate::say;

/// Crates that may be there in two versions at once. Each costs build time; raise it only for a release of a crate
/// that the others have not followed yet. (39 of them come with `age`, `webauthn-rs` and `openidconnect`, which are on the RustCrypto of before 2026.)
const MAX_DUPLICATES: usize = 60;

const TARGET: &str = "x86_64-unknown-linux-gnu";

#[derive(Deserialize)]
struct Rules {
    licenses: Licenses,
    bans: Bans,
}

#[derive(Deserialize)]
struct Licenses {
    allow: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Bans {
    deny: Vec<Ban>,
}

#[derive(Deserialize)]
struct Ban {
    #[serde(rename = "crate")]
    name: String,
    /// Who may want it all the same.
    #[serde(default)]
    wrappers: BTreeSet<String>,
    reason: String,
}

/// Checks the dependencies; `false` if one breaks a rule.
///
/// # Errors
/// If `deny.toml` or the metadata can't be read.
pub(crate) fn main() -> io::Result<bool> {
    let text = fs::read_to_string(crate::root().join("deny.toml"))?;
    let rules: Rules = toml::from_str(&text).map_err(|error| io::Error::other(format!("deny.toml: {error}")))?;
    let metadata = metadata(&["--filter-platform", TARGET])?;
    let packages = metadata["packages"].as_array().map(Vec::as_slice).unwrap_or_default();
    let built = built()?;
    let mut faults = Vec::new();
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut count = 0;
    for package in packages {
        let (Some(name), Some(version)) = (package["name"].as_str(), package["version"].as_str()) else { continue };
        let Some(source) = package["source"].as_str() else { continue };
        if !built.contains(&(name.to_owned(), version.to_owned())) {
            continue;
        }
        count += 1;
        versions.entry(name).or_default().insert(version);
        if source != "registry+https://github.com/rust-lang/crates.io-index" {
            faults.push(format!("{name} {version} comes from {source}: depend on crates.io only"));
        }
        let license = package["license"].as_str().unwrap_or_default();
        if !is_allowed(license, &rules.licenses.allow) {
            faults.push(format!(
                "{name} {version} is licensed {license:?}: choose another crate, or add it to deny.toml"
            ));
        }
        let ban = rules.bans.deny.iter().find(|ban| ban.name == name);
        if let Some(ban) = ban.filter(|ban| !wanted_by(&metadata, name, &built).is_subset(&ban.wrappers)) {
            faults
                .push(format!("{name} {version} is banned: {} (`cargo tree -i {name}` says who wants it)", ban.reason));
        }
    }
    let twice: Vec<&str> = versions.iter().filter(|(_, versions)| versions.len() > 1).map(|(name, _)| *name).collect();
    if twice.len() > MAX_DUPLICATES {
        faults.push(format!(
            "{} crates are there in several versions, {MAX_DUPLICATES} may be (`cargo tree -d`): {}",
            twice.len(),
            twice.join(", ")
        ));
    }
    for fault in &faults {
        say::result(fault);
    }
    say::result(format_args!("deps: {count} crates, {} in several versions, {} faults", twice.len(), faults.len()));
    Ok(faults.is_empty())
}

/// The names of what is built and depends on this.
fn wanted_by(metadata: &Value, name: &str, built: &BTreeSet<(String, String)>) -> BTreeSet<String> {
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let wants = |package: &&Value| {
        package["dependencies"].as_array().into_iter().flatten().any(|wanted| {
            wanted["name"] == name
                && wanted["optional"] == false
                && wanted["kind"] != "dev"
                && wanted["target"].is_null()
        })
    };
    let named = |package: &Value| {
        let (name, version) = (package["name"].as_str()?, package["version"].as_str()?);
        built.contains(&(name.to_owned(), version.to_owned())).then(|| name.to_owned())
    };
    packages.filter(wants).filter_map(named).collect()
}

/// Names and versions of what is built. `cargo metadata` would name what an optional feature of a dependency wants, too.
fn built() -> io::Result<BTreeSet<(String, String)>> {
    let output = Command::new(crate::cargo())
        .args(["tree", "--workspace", "--edges", "normal,build,dev", "--target", TARGET])
        .args(["--prefix", "none", "--format", "{p}"])
        .current_dir(crate::root())
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err(io::Error::other("cargo tree failed"));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let package = |line: &str| {
        let (name, rest) = line.split_once(" v")?;
        Some((name.to_owned(), rest.split_whitespace().next()?.to_owned()))
    };
    Ok(text.lines().filter_map(package).collect())
}

/// What `cargo metadata` says of this workspace.
///
/// # Errors
/// If cargo can't say it.
pub(crate) fn metadata(arguments: &[&str]) -> io::Result<Value> {
    let output = Command::new(crate::cargo())
        .args(["metadata", "--format-version", "1"])
        .args(arguments)
        .current_dir(crate::root())
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err(io::Error::other("cargo metadata failed"));
    }
    serde_json::from_slice(&output.stdout).map_err(io::Error::other)
}

/// Whether an SPDX expression can be met with these licences. `/` is how old manifests write `OR`.
fn is_allowed(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let tokens: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = tokens.as_slice();
    any_of(&mut rest, allowed) && rest.is_empty()
}

fn any_of(rest: &mut &[&str], allowed: &BTreeSet<String>) -> bool {
    let mut met = all_of(rest, allowed);
    while let ["OR", tail @ ..] = *rest {
        *rest = tail;
        met |= all_of(rest, allowed);
    }
    met
}

fn all_of(rest: &mut &[&str], allowed: &BTreeSet<String>) -> bool {
    let mut met = one(rest, allowed);
    while let ["AND", tail @ ..] = *rest {
        *rest = tail;
        met &= one(rest, allowed);
    }
    met
}

fn one(rest: &mut &[&str], allowed: &BTreeSet<String>) -> bool {
    match *rest {
        ["(", tail @ ..] => {
            *rest = tail;
            let met = any_of(rest, allowed);
            match *rest {
                [")", tail @ ..] => *rest = tail,
                _ => return false,
            }
            met
        }
        [license, "WITH", exception, tail @ ..] => {
            *rest = tail;
            allowed.contains(&format!("{license} WITH {exception}"))
        }
        [license, tail @ ..] => {
            *rest = tail;
            allowed.contains(*license)
        }
        [] => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_licence_expression_is_met_by_the_allowed_ones() {
        let allowed: BTreeSet<String> = ["MIT", "Unicode-3.0", "A WITH E"].map(str::to_owned).into();
        for (expression, met) in [
            ("MIT", true),
            ("GPL-3.0", false),
            ("", false),
            ("MIT OR GPL-3.0", true),
            ("GPL-3.0/MIT", true),
            ("MIT AND GPL-3.0", false),
            ("(GPL-3.0 OR MIT) AND Unicode-3.0", true),
            ("GPL-3.0 OR MIT AND Unicode-3.0", true),
            ("A WITH E", true),
            ("A", false),
            ("(MIT", false),
            ("MIT)", false),
        ] {
            assert_eq!(is_allowed(expression, &allowed), met, "{expression}");
        }
    }
}
