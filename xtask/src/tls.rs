//! `cargo xtask tls`: sslyze, which knows nothing of us, looks at every listener with TLS, and holds what it finds against
//! Mozilla's configurations: `intermediate` as the settings are, `modern` with TLS 1.3 alone (SECURITY.md C-6).

use std::fs;
use std::io::{self, BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use clap::Args;
use serde_json::Value;

use crate::gateway::build;
use crate::say;

/// The version that is known to judge by Mozilla's guidelines of 2026.
const SSLYZE: &str = "sslyze==6.3.1";
/// The listeners, by what the server calls them when it starts.
const LISTENERS: [&str; 3] = ["gateway_tls", "check_tls", "admin_tls"];
/// Mozilla's configurations, and the settings that are to reach them.
const CONFIGURATIONS: [(&str, &str); 2] = [("intermediate", ""), ("modern", "min_version = \"1.3\"\n")];

/// Looks at the listeners with TLS, with sslyze.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Start this binary instead of building one.
    #[arg(long)]
    binary: Option<PathBuf>,
}

/// Runs it; `false` if it found something.
///
/// # Errors
/// If sslyze is missing and can't be installed, or the server can't be started.
pub(crate) fn main(options: &Options) -> io::Result<bool> {
    let binary = options.binary.clone().map_or_else(build, Ok)?;
    let environment = crate::target_folder()?.join("tls").join(SSLYZE);
    let otherwise = "pip can't install sslyze from the Python package index; see what it says";
    let python = crate::python::with(&environment, SSLYZE, "sslyze", otherwise)?;
    let mut is_well = true;
    for (configuration, settings) in CONFIGURATIONS {
        let folder = tempfile::tempdir()?;
        certificates(folder.path())?;
        let server = Server::start(&binary, folder.path(), settings)?;
        let looked = Command::new(python.with_file_name("sslyze"))
            .args(["--mozilla_config", configuration, "--certinfo", "--certinfo_ca_file"])
            .arg(folder.path().join("authority.pem"))
            .args(&server.listeners)
            .output()?;
        let said = String::from_utf8_lossy(&looked.stdout);
        let verdict = said.split("COMPLIANCE").nth(1).unwrap_or(&said);
        let compliant = verdict.matches("OK - Compliant").count();
        say::result(format_args!("{configuration}: {compliant} of {} listeners are compliant", LISTENERS.len()));
        if !looked.status.success() || compliant != LISTENERS.len() {
            say::note(format_args!("{said}{}", String::from_utf8_lossy(&looked.stderr)));
            is_well = false;
        }
    }
    Ok(is_well)
}

/// An authority, and a certificate of it for this machine with its key.
fn certificates(folder: &Path) -> io::Result<()> {
    let name = "subjectAltName=DNS:localhost\nextendedKeyUsage=serverAuth\nbasicConstraints=critical,CA:FALSE\n\
                authorityKeyIdentifier=keyid\nsubjectKeyIdentifier=hash\n";
    fs::write(folder.join("extensions"), name)?;
    let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    let authority = ["-keyout", "authority.key", "-out", "authority.pem", "-days", "90", "-subj", "/CN=an authority"];
    let may_sign = ["-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign"];
    openssl(folder, &[&["req", "-x509"][..], &curve, &authority, &may_sign].concat())?;
    let request = ["-keyout", "own.key", "-out", "request.pem", "-subj", "/CN=localhost"];
    openssl(folder, &[&["req"][..], &curve, &request].concat())?;
    let by = ["-CA", "authority.pem", "-CAkey", "authority.key", "-days", "90", "-extfile", "extensions"];
    openssl(folder, &[&["x509", "-req", "-in", "request.pem", "-out", "own.pem"][..], &by].concat())?;
    let both = [fs::read(folder.join("own.pem"))?, fs::read(folder.join("own.key"))?].concat();
    fs::write(folder.join("both.pem"), both)
}

fn openssl(folder: &Path, arguments: &[&str]) -> io::Result<()> {
    let made = Command::new("openssl").args(arguments).current_dir(folder).output()?;
    if made.status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("openssl {}: {}", arguments.join(" "), String::from_utf8_lossy(&made.stderr))))
}

/// A server with all its listeners with TLS; ended when dropped.
struct Server {
    child: Child,
    /// Each as sslyze wants it.
    listeners: Vec<String>,
}

impl Server {
    fn start(binary: &Path, folder: &Path, settings: &str) -> io::Result<Self> {
        let listener = |name: &str| format!("[{name}]\nlisten = \"127.0.0.1:0\"\ntls_listen = \"127.0.0.1:0\"\n");
        let listeners: String = ["gateway", "check", "admin"].map(listener).concat();
        let (data, both) = (folder.join("data"), folder.join("both.pem"));
        let file = folder.join("keystile.toml");
        let text = format!("data = {data:?}\n{listeners}[tls]\ncertificates = [{both:?}]\n{settings}");
        fs::write(&file, text)?;
        let mut child = Command::new(binary)
            .args(["serve", "--json", "--config"])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let mut server = Self { child, listeners: Vec::new() };
        let said: Value = serde_json::from_str(&line)
            .map_err(|error| io::Error::other(format!("the server did not say where it listens: {error}")))?;
        for name in LISTENERS {
            let port = said[name].as_str().and_then(|url| url.rsplit_once(':')).map(|(_, port)| port);
            let port = port.ok_or_else(|| io::Error::other(format!("the server has no {name}")))?;
            // By the certificate's name.
            server.listeners.push(format!("localhost:{port}"));
        }
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
