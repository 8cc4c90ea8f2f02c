//! `cargo xtask pages`: the pages in a real browser, and what axe says of them. The scripts are in `xtask/pages/`, a file a
//! page; the pictures that they take are for people to look at.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::Args;

use crate::gateway::{Gateway, build};
use crate::say;
use crate::test::{apt_install, is_installed};

/// Microsoft's driver of browsers without the browsers (8 MB), Deque's rules for accessibility, and an identity provider that is
/// certified by the OpenID Foundation (3 MB with the 30 modules that it needs).
const MODULES: [&str; 3] = ["playwright-core@1.65.1", "axe-core@4.14.1", "oidc-provider@9.13.3"];

/// What it takes, and Debian's package of it.
const PROGRAMS: [(&str, &str); 3] = [("chromium", "chromium"), ("node", "nodejs"), ("npm", "npm")];

/// Looks at the pages in Chromium.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Start this binary instead of building one.
    #[arg(long)]
    binary: Option<PathBuf>,
    /// Only the room of this name, such as `consoleKeys`.
    #[arg(long)]
    room: Option<String>,
}

/// What is missing for it, and Debian's package of that.
pub(crate) fn missing() -> Vec<(&'static str, &'static str)> {
    PROGRAMS.into_iter().filter(|(program, _)| !is_installed(program)).collect()
}

/// Looks at all of them; `false` if something is wrong with one.
///
/// # Errors
/// If something that it takes is missing, or the server can't be started.
pub(crate) fn main(options: &Options) -> io::Result<bool> {
    let packages: Vec<&str> = missing().iter().map(|(_, package)| *package).collect();
    if !packages.is_empty() {
        if !rustix::process::geteuid().is_root() || !is_installed("apt-get") {
            return Err(io::Error::other(format!("missing for the pages; install: {}", packages.join(" "))));
        }
        apt_install(&packages)?;
    }
    let binary = options.binary.clone().map_or_else(build, Ok)?;
    let folder = crate::target_folder()?.join("pages");
    modules(&folder)?;
    let pictures = crate::target_folder()?.join("screens");
    let (gateway, _) = Gateway::start(&binary, None)?;
    let status = Command::new("node")
        .arg(crate::root().canonicalize()?.join("xtask/pages/run.mjs"))
        .env("KEYSTILE_MODULES", &folder)
        .env("KEYSTILE_CHROMIUM", chromium())
        .env("KEYSTILE_PICTURES", &pictures)
        .env("KEYSTILE_BINARY", binary.canonicalize()?)
        .env("KEYSTILE_ADMIN", gateway.admin())
        .env("KEYSTILE_GATEWAY", format!("http://{}", gateway.address))
        .env("KEYSTILE_AUTHORIZATION", gateway.authorization())
        .env("KEYSTILE_ROOM", options.room.as_deref().unwrap_or_default())
        .status()?;
    say::note(format_args!("pictures: {}", pictures.display()));
    Ok(status.success())
}

/// Installs the modules beside what cargo builds, unless they are there.
fn modules(folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let is_there = |module: &str| {
        let (name, version) = module.rsplit_once('@').unwrap_or((module, ""));
        let described = std::fs::read_to_string(folder.join("node_modules").join(name).join("package.json"));
        described.is_ok_and(|text| text.contains(&format!("\"version\": \"{version}\"")))
    };
    if MODULES.iter().all(|module| is_there(module)) {
        return Ok(());
    }
    say::note(format_args!("installing {} into {}", MODULES.join(", "), folder.display()));
    let mut command = Command::new("npm");
    command.args([
        "install",
        "--silent",
        "--no-audit",
        "--no-fund",
        "--no-save",
        "--no-package-lock",
        "--ignore-scripts",
    ]);
    let installed = command.arg("--prefix").arg(folder).args(MODULES).stdout(Stdio::null()).status()?;
    if installed.success() {
        return Ok(());
    }
    Err(io::Error::other("npm can't install the modules for the pages from the npm registry; see what it says"))
}

/// Where the browser is.
fn chromium() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join("chromium")).find(|place| place.is_file());
    found.unwrap_or_else(|| PathBuf::from("/usr/bin/chromium"))
}
