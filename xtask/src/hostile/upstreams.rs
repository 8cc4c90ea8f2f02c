//! The real servers behind the gateway: nginx (with njs), Node's http, and h11 of Python. Each answers with what it
//! parsed, by a script in `xtask/hostile/upstreams/`.

use std::fs;
use std::io::{self, BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use clap::ValueEnum;

use crate::{clock, test};

/// The release of h11 that is asked.
const H11: &str = "h11==0.16.0";
/// Where Debian puts njs (`libnginx-mod-http-js`).
const NJS: &str = "/usr/lib/nginx/modules/ngx_http_js_module.so";
/// A server that does not listen by then never will.
const START_WITHIN: Duration = Duration::from_secs(10);

/// A server that parses HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// nginx, as Debian packages it.
    Nginx,
    /// Node's `http`.
    Node,
    /// The Python library h11.
    H11,
}

/// A running server, ended with this value.
pub(super) struct Upstream {
    /// Where it listens.
    pub address: SocketAddr,
    child: Child,
    _folder: tempfile::TempDir,
}

impl Drop for Upstream {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Kind {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Nginx, Self::Node, Self::H11];

    /// How it is called.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Node => "node",
            Self::H11 => "h11",
        }
    }

    /// The host of its API: as long as what stands for it in the cases, and unlike the others, so that no small change makes
    /// one of another.
    pub(super) const fn host(self) -> &'static str {
        match self {
            Self::Nginx => "nginx000.hostile.test",
            Self::Node => "node0000.hostile.test",
            Self::H11 => "h1100000.hostile.test",
        }
    }

    /// What is missing to start it, and the Debian package that brings it; for h11 a virtual environment is made later.
    pub(crate) fn missing(self) -> Vec<(&'static str, &'static str)> {
        let program = |name: &'static str, package| (!test::is_installed(name)).then_some((name, package));
        match self {
            Self::Nginx => {
                let njs = (!Path::new(NJS).is_file()).then_some(("njs for nginx", "libnginx-mod-http-js"));
                program("nginx", "nginx").into_iter().chain(njs).collect()
            }
            Self::Node => program("node", "nodejs").into_iter().collect(),
            Self::H11 => program("python3", "python3-venv").into_iter().collect(),
        }
    }

    /// Starts it.
    ///
    /// # Errors
    /// If something of it is missing, or it does not start.
    pub(super) fn start(self) -> io::Result<Upstream> {
        let missing: Vec<String> =
            self.missing().iter().map(|(what, package)| format!("{what} (Debian: {package})")).collect();
        if !missing.is_empty() {
            return Err(io::Error::other(format!("missing: {}", missing.join(", "))));
        }
        let scripts = crate::root().join("xtask/hostile/upstreams");
        let folder = tempfile::tempdir()?;
        match self {
            Self::Nginx => nginx(&scripts, folder),
            Self::Node => announced(Command::new("node").arg(scripts.join("node.js")), folder),
            Self::H11 => announced(Command::new(python()?).arg(scripts.join("h11_server.py")), folder),
        }
    }
}

/// Starts a server that says on its first line on which port it listens, and ends with its standard input.
fn announced(command: &mut Command, folder: tempfile::TempDir) -> io::Result<Upstream> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut line = String::new();
    if let Some(stdout) = child.stdout.take() {
        BufReader::new(stdout).read_line(&mut line)?;
    }
    let mut upstream = Upstream { address: SocketAddr::from(([127, 0, 0, 1], 0)), child, _folder: folder };
    let port = line.trim().parse().map_err(|_| io::Error::other(format!("{command:?} does not say its port")))?;
    upstream.address.set_port(port);
    Ok(upstream)
}

fn nginx(scripts: &Path, folder: tempfile::TempDir) -> io::Result<Upstream> {
    let address = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
    let config = fs::read_to_string(scripts.join("nginx.conf"))?
        .replace("FOLDER", &folder.path().display().to_string())
        .replace("MODULE", NJS)
        .replace("PORT", &address.port().to_string());
    let path = folder.path().join("nginx.conf");
    fs::write(&path, config)?;
    fs::copy(scripts.join("nginx.js"), folder.path().join("nginx.js"))?;
    let program = if Path::new("/usr/sbin/nginx").is_file() { "/usr/sbin/nginx" } else { "nginx" };
    let mut command = Command::new(program);
    command.arg("-p").arg(folder.path()).arg("-c").arg(&path).arg("-e").arg(folder.path().join("error.log"));
    let mut upstream = Upstream { address, child: command.stdin(Stdio::null()).spawn()?, _folder: folder };
    let begun = clock::now();
    while TcpStream::connect(address).is_err() {
        if upstream.child.try_wait()?.is_some() || begun.elapsed() > START_WITHIN {
            let log = fs::read_to_string(upstream._folder.path().join("error.log")).unwrap_or_default();
            return Err(io::Error::other(format!("nginx does not start: {log}")));
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(upstream)
}

/// A Python that has h11.
fn python() -> io::Result<PathBuf> {
    let otherwise = "pip can't install h11 from the Python package index; leave it out with `--upstreams nginx,node`";
    crate::python::with(&crate::target_folder()?.join("hostile").join(H11), H11, "h11", otherwise)
}
