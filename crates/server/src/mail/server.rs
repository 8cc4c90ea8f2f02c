//! The mail server of the settings, and who its letters are from.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use keystile_core::account::EmailAddress;
use lettre::message::Mailbox;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncSmtpTransport, Tokio1Executor};
use url::{Host, Url};
use zeroize::Zeroizing;

/// How long the server may take to answer.
const PATIENCE: Duration = Duration::from_secs(15);
/// Ports of submission (RFC 6409), and of submission with TLS from the first byte on (RFC 8314).
const SUBMISSION: u16 = 587;
const SUBMISSION_TLS: u16 = 465;

/// A mail server. Over `smtps://` the connection is encrypted from the beginning; over `smtp://` before anything is said (STARTTLS),
/// but on this machine. Its certificate must be its own (C-7).
#[derive(Clone, PartialEq, Eq)]
pub struct MailServer {
    host: String,
    port: u16,
    is_encrypted: bool,
    user: Option<String>,
    password: Option<Zeroizing<String>>,
    /// A file of authorities besides those of the system.
    authorities: Option<PathBuf>,
}

/// The text is no mail server. It is not repeated: a password could be in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a mail server is written smtp://user:password@host:port or smtps://user:password@host:port; @ : / # ? and % in a user or password are escaped (%40)"
)]
pub struct NotAServer;

/// The text names nobody whom letters can be from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a sender is written keys@example.com or Name <keys@example.com>")]
pub struct NotASender;

/// Why letters can't be sent by the server.
#[derive(Debug, thiserror::Error)]
pub enum NoMailServer {
    /// Its authorities can't be read.
    #[error("mail.authorities: {} can't be read: {cause}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// They can't be used.
    #[error("mail.authorities: {0}")]
    Authorities(lettre::transport::smtp::Error),
    /// TLS can't be spoken.
    #[error("mail.server: {0}")]
    Tls(lettre::transport::smtp::Error),
}

impl FromStr for MailServer {
    type Err = NotAServer;

    fn from_str(text: &str) -> Result<Self, NotAServer> {
        let url = Url::parse(text).map_err(|_| NotAServer)?;
        let is_encrypted = match url.scheme() {
            "smtp" => false,
            "smtps" => true,
            _ => return Err(NotAServer),
        };
        let is_bare = matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
        // The host of a scheme that is not the web's is not looked at by the parser.
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or(NotAServer)?;
        let host = match Host::parse(host).map_err(|_| NotAServer)? {
            Host::Domain(name) => name,
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => address.to_string(),
        };
        let user = unescaped(url.username())?;
        let password = url.password().map(unescaped).transpose()?.map(Zeroizing::new);
        if !is_bare || (user.is_empty() && password.is_some()) {
            return Err(NotAServer);
        }
        let port = url.port().unwrap_or(if is_encrypted { SUBMISSION_TLS } else { SUBMISSION });
        let user = Some(user).filter(|user| !user.is_empty());
        Ok(Self { host, port, is_encrypted, user, password, authorities: None })
    }
}

/// A part of a URL as it was before it was escaped.
fn unescaped(text: &str) -> Result<String, NotAServer> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16)).ok_or(NotAServer);
        let (high, low) = (digit()?, digit()?);
        bytes.push((high * 16 + low) as u8);
    }
    String::from_utf8(bytes).map_err(|_| NotAServer)
}

/// Without the password.
impl fmt::Display for MailServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = self.user.as_ref().map(|user| {
            let escape = |byte: u8| match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'+' => {
                    char::from(byte).to_string()
                }
                byte => format!("%{byte:02X}"),
            };
            format!("{}@", user.bytes().map(escape).collect::<String>())
        });
        let scheme = if self.is_encrypted { "smtps" } else { "smtp" };
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        write!(f, "{scheme}://{}{host}:{}", user.unwrap_or_default(), self.port)
    }
}

impl fmt::Debug for MailServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MailServer({self})")
    }
}

impl MailServer {
    /// Who logs in there.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// Whether a password stands in the text.
    pub const fn has_password(&self) -> bool {
        self.password.is_some()
    }

    /// Whether it is on this machine.
    pub fn is_here(&self) -> bool {
        self.host == "localhost" || self.host.parse().is_ok_and(|address: IpAddr| address.to_canonical().is_loopback())
    }

    /// The same with a password.
    #[must_use]
    pub fn with_password(self, password: Zeroizing<String>) -> Self {
        Self { password: Some(password), ..self }
    }

    /// The same with authorities besides those of the system, in a PEM file.
    #[must_use]
    pub fn trusting(self, authorities: Option<PathBuf>) -> Self {
        Self { authorities, ..self }
    }

    /// What sends by it.
    pub(super) fn transport(&self) -> Result<AsyncSmtpTransport<Tokio1Executor>, NoMailServer> {
        let tls = match (self.is_encrypted, self.is_here()) {
            (true, _) => Tls::Wrapper(self.tls()?),
            (false, false) => Tls::Required(self.tls()?),
            (false, true) => Tls::None,
        };
        let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&self.host)
            .port(self.port)
            .hello_name(ClientId::Domain("localhost".to_owned()))
            .timeout(Some(PATIENCE))
            .tls(tls);
        if let (Some(user), Some(password)) = (&self.user, &self.password) {
            transport = transport.credentials(Credentials::new(user.clone(), password.to_string()));
        }
        Ok(transport.build())
    }

    fn tls(&self) -> Result<TlsParameters, NoMailServer> {
        let mut parameters = TlsParameters::builder(self.host.clone());
        if let Some(path) = &self.authorities {
            let pem = std::fs::read(path).map_err(|cause| NoMailServer::Unreadable { path: path.clone(), cause })?;
            let authorities = Certificate::from_pem(&pem).map_err(NoMailServer::Authorities)?;
            parameters = parameters.add_root_certificate(authorities);
        }
        parameters.build().map_err(NoMailServer::Tls)
    }
}

/// Who letters are from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    name: Option<String>,
    address: EmailAddress,
}

impl FromStr for Sender {
    type Err = NotASender;

    fn from_str(text: &str) -> Result<Self, NotASender> {
        if text.chars().any(char::is_control) {
            return Err(NotASender);
        }
        let (name, address) = match text.strip_suffix('>').and_then(|text| text.rsplit_once('<')) {
            Some((name, address)) => (Some(name.trim().trim_matches('"').to_owned()), address),
            None => (None, text),
        };
        let address: EmailAddress = address.parse().map_err(|_| NotASender)?;
        if !address.as_str().is_ascii() || name.as_ref().is_some_and(|name| name.contains(['<', '>', '"'])) {
            return Err(NotASender);
        }
        Ok(Self { name: name.filter(|name| !name.is_empty()), address })
    }
}

impl fmt::Display for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{name} <{}>", self.address),
            None => write!(f, "{}", self.address),
        }
    }
}

impl Sender {
    pub(super) fn mailbox(&self) -> Mailbox {
        let address = self.address.as_str().parse().expect("an ASCII address of ours is one of mail servers");
        Mailbox::new(self.name.clone(), address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_shown_without_its_password() {
        for (text, shown, is_here) in [
            ("smtp://mail.example.com", "smtp://mail.example.com:587", false),
            ("smtps://mail.example.com", "smtps://mail.example.com:465", false),
            ("smtp://u%40a:p%3Aw@mail.example.com:25", "smtp://u%40a@mail.example.com:25", false),
            ("smtp://127.0.0.1:2525", "smtp://127.0.0.1:2525", true),
            ("smtp://[::1]:2525/", "smtp://[::1]:2525", true),
            ("smtp://localhost", "smtp://localhost:587", true),
        ] {
            let server: MailServer = text.parse().unwrap();
            assert_eq!((server.to_string().as_str(), server.is_here()), (shown, is_here), "{text}");
            assert!(!format!("{server:?}").contains("p:w"));
            assert_eq!(server.to_string().parse::<MailServer>().unwrap().to_string(), shown);
        }
        let with: MailServer = "smtp://u%40a:p%3Aw@mail.example.com".parse().unwrap();
        assert_eq!((with.user(), with.password.as_deref().map(String::as_str)), (Some("u@a"), Some("p:w")));
        for none in [
            "",
            "mail.example.com",
            "http://mail.example.com",
            "smtp://",
            "smtp://:p@h",
            "smtp://h/x",
            "smtp://h?a=b",
            "smtp://h#x",
            "smtp://a%2:b@h",
            "smtp://a b",
        ] {
            assert_eq!(none.parse::<MailServer>().unwrap_err(), NotAServer, "{none}");
        }
    }

    #[test]
    fn a_sender_is_an_address_with_or_without_a_name() {
        for (text, shown) in [
            ("keys@example.com", "keys@example.com"),
            ("Keys <Keys@example.com>", "Keys <keys@example.com>"),
            ("\"Wetter & Söhne\" <keys@example.com>", "Wetter & Söhne <keys@example.com>"),
        ] {
            let sender: Sender = text.parse().unwrap();
            assert_eq!(sender.to_string(), shown);
            assert_eq!(sender.mailbox().email.to_string(), "keys@example.com");
        }
        for none in ["", "Keys", "Keys <keys>", "a\r\nBcc: b@c <keys@example.com>", "jörg@example.com", "<a@b> <c@d>"]
        {
            assert_eq!(none.parse::<Sender>().unwrap_err(), NotASender, "{none}");
        }
    }
}
