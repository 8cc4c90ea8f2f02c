//! Tells a service manager what it can't see, in the way of systemd (`sd_notify`): that the server answers, and which
//! process it is after an upgrade. Where nobody listens, nothing is said.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// The variable that names the socket of whoever listens.
const SOCKET: &str = "NOTIFY_SOCKET";

/// The server answers.
pub(crate) fn ready() {
    say("READY=1");
}

/// Another process is the server now.
pub(crate) fn main_process(pid: i32) {
    say(&format!("MAINPID={pid}\nREADY=1"));
}

fn say(text: &str) {
    let Some(name) = std::env::var_os(SOCKET) else { return };
    let told = || -> io::Result<()> {
        let address = match name.as_encoded_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            _ => SocketAddr::from_pathname(&name)?,
        };
        UnixDatagram::unbound()?.send_to_addr(text.as_bytes(), &address).map(|_| ())
    };
    if let Err(error) = told() {
        tracing::warn!(%error, "{SOCKET} can't be told anything");
    }
}
