//! Messages of syslog (RFC 5424): facility 13, which is for audits, severity 6. Over TCP they are counted in octets (RFC 6587
//! §3.4.1); over UDP (RFC 5426) and to a socket of this machine each is a datagram, of which the first may be lost without a
//! word: whoever needs every entry takes TCP, or the file.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpStream, UdpSocket, UnixDatagram, lookup_host};
use tokio::time::timeout;

use crate::manage::AuditLine;

/// Facility "log audit", severity "informational": 13 * 8 + 6.
const PRIORITY: u8 = 110;
/// How long a receiver may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest datagram of UDP over IPv4; what is longer is cut off there, as receivers do anyway.
const MAX_DATAGRAM: usize = 65_507;

/// Who receives messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyslogTarget {
    /// A socket of this machine, such as `/dev/log`.
    Unix(PathBuf),
    /// A host and port, each message a datagram.
    Udp(String),
    /// A host and port, all messages on one connection.
    Tcp(String),
}

/// The text names no receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotASyslog;

impl fmt::Display for NotASyslog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("write unix:/dev/log, udp://HOST:PORT or tcp://HOST:PORT")
    }
}

impl std::error::Error for NotASyslog {}

impl FromStr for SyslogTarget {
    type Err = NotASyslog;

    fn from_str(text: &str) -> Result<Self, NotASyslog> {
        let host_and_port = |text: &str| {
            let (host, port) = text.rsplit_once(':').ok_or(NotASyslog)?;
            let is_sound =
                !host.is_empty() && !host.contains(['/', '@', ' ']) && port.parse::<u16>().is_ok_and(|port| port > 0);
            if is_sound { Ok(text.to_owned()) } else { Err(NotASyslog) }
        };
        if let Some(path) = text.strip_prefix("unix:").filter(|path| path.starts_with('/')) {
            Ok(Self::Unix(path.into()))
        } else if let Some(rest) = text.strip_prefix("udp://") {
            host_and_port(rest).map(Self::Udp)
        } else if let Some(rest) = text.strip_prefix("tcp://") {
            host_and_port(rest).map(Self::Tcp)
        } else {
            Err(NotASyslog)
        }
    }
}

impl fmt::Display for SyslogTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Udp(to) => write!(f, "udp://{to}"),
            Self::Tcp(to) => write!(f, "tcp://{to}"),
        }
    }
}

impl SyslogTarget {
    /// Sends them all.
    pub(super) async fn send(&self, lines: &[AuditLine]) -> io::Result<()> {
        let sent = async {
            match self {
                Self::Unix(path) => {
                    let socket = UnixDatagram::unbound()?;
                    socket.connect(path)?;
                    for line in lines {
                        socket.send(&message(line)?).await?;
                    }
                }
                Self::Udp(to) => {
                    let to = lookup_host(to).await?.next().ok_or_else(|| io::Error::other("its name leads nowhere"))?;
                    let from: SocketAddr = if to.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0_u16; 8], 0).into() };
                    let socket = UdpSocket::bind(from).await?;
                    socket.connect(to).await?;
                    for line in lines {
                        let message = message(line)?;
                        socket.send(&message[..message.len().min(MAX_DATAGRAM)]).await?;
                    }
                }
                Self::Tcp(to) => {
                    let mut stream = TcpStream::connect(to).await?;
                    for line in lines {
                        let message = message(line)?;
                        stream.write_all(format!("{} ", message.len()).as_bytes()).await?;
                        stream.write_all(&message).await?;
                    }
                    // Whoever closed the connection meanwhile has not read them.
                    stream.shutdown().await?;
                }
            }
            Ok(())
        };
        timeout(PATIENCE, sent).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }
}

/// An entry as a message. What is in it is JSON, in which nothing breaks a line.
fn message(line: &AuditLine) -> io::Result<Vec<u8>> {
    let (at, kind) = (line.created_at(), line.kind());
    // A message's id is up to 32 visible characters; ours are words.
    let mut message = format!("<{PRIORITY}>1 {at} - keystile - {kind} - ").into_bytes();
    serde_json::to_writer(&mut message, line)?;
    Ok(message)
}

#[cfg(test)]
mod tests {
    use keystile_core::id::OrganizationId;
    use keystile_core::time::Timestamp;
    use keystile_store::records::AuditEntry;

    use super::*;

    #[test]
    fn a_receiver_is_written_as_it_is_read() {
        for text in ["unix:/dev/log", "udp://127.0.0.1:514", "tcp://logs.example.com:6514", "udp://[::1]:514"] {
            assert_eq!(text.parse::<SyslogTarget>().unwrap().to_string(), text);
        }
        for wrong in ["", "/dev/log", "unix:log", "udp://host", "tcp://:514", "tcp://u@h:1", "udp://h:0", "http://h:1"]
        {
            assert_eq!(wrong.parse::<SyslogTarget>(), Err(NotASyslog), "{wrong}");
        }
    }

    #[test]
    fn e03_a_message_is_one_line_whatever_is_in_it() {
        let entry = AuditEntry {
            sequence: 7,
            at: Timestamp::from_secs(0),
            organization: OrganizationId::from_entropy([1; 16]),
            actor: "system:test".to_owned(),
            address: None,
            request: None,
            action: "key.update".to_owned(),
            subject: "key_1".to_owned(),
            before: String::new(),
            after: r#"{"name":"a\nb\u001b[2J\u2028"}"#.to_owned(),
            is_erased: false,
        };
        let message = String::from_utf8(message(&AuditLine::of(&[2; 16], entry)).unwrap()).unwrap();
        assert!(message.starts_with("<110>1 1970-01-01T00:00:00Z - keystile - key.update - {"), "{message}");
        assert!(!message.contains(['\n', '\r', '\u{1b}']), "{message}");
    }
}
