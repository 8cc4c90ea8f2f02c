//! What the settings say of e-mail, as what sends it.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use keystile_server::mail::{Mailer, Means, NoMailServer};
use keystile_server::world::{Clock, Entropy};
use zeroize::Zeroizing;

use super::Both;
use crate::config::Config;

/// Why letters can't be sent.
#[derive(Debug, thiserror::Error)]
pub enum NoMail {
    /// The password of the mail server can't be read.
    #[error("mail.password_file: {} can't be read: {cause}", .path.display())]
    Password {
        /// Where it should be.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// What the server needs can't be used.
    #[error(transparent)]
    Server(#[from] NoMailServer),
}

/// What links to this server begin with: where browsers reach it as the settings say, else where it listens. The name of this machine
/// for itself is the one under which browsers have passkeys. `None` if letters reach nobody.
pub fn links(config: &Config, mail: &Mailer, admin: Both<SocketAddr>) -> Option<String> {
    let at = |scheme: &str, address: Option<SocketAddr>| {
        let address = address?;
        Some(match address.ip().to_canonical().is_loopback() {
            true => format!("{scheme}://localhost:{}", address.port()),
            false => format!("{scheme}://{address}"),
        })
    };
    let origin = config.login.origin.as_ref().map(ToString::to_string);
    origin.or_else(|| at("https", admin.tls)).or_else(|| at("http", admin.clear)).filter(|_| mail.is_of_use())
}

/// What sends letters. Without a server the links that they would hold go into the log if `shows_links`, or nowhere.
///
/// # Errors
/// If the password or the authorities of the server can't be read.
pub(super) fn mailer(
    config: &Config,
    shows_links: bool,
    (clock, entropy): (&Arc<dyn Clock>, &Arc<dyn Entropy>),
) -> Result<Arc<Mailer>, NoMail> {
    let means = match (&config.mail.server, &config.mail.from) {
        (Some(server), Some(from)) => {
            let mut server = server.clone();
            if let Some(path) = &config.mail.password_file {
                let read = std::fs::read_to_string(path).map(Zeroizing::new);
                let text = read.map_err(|cause| NoMail::Password { path: path.clone(), cause })?;
                server = server.with_password(Zeroizing::new(text.trim().to_owned()));
            }
            Means::Server(Box::new(server.trusting(config.mail.authorities.clone())), from.clone())
        }
        _ if shows_links => Means::Log,
        _ => Means::Nothing,
    };
    Ok(Arc::new(Mailer::new(means, clock.clone(), entropy.clone())?))
}
