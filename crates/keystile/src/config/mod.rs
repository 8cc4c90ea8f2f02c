//! The settings of `keystile serve`: a TOML file, environment variables above it, defaults below it.
//!
//! [`load`] reads and checks all of it and says everything that is wrong at once, each with file, line and column;
//! a server never starts on settings that nobody understood. The list of settings is `settings.rs`, one line each.
//!
//! Not here: what the settings do (that is `serve`), and the options of `keystile dev`, which needs no file.

mod command;
mod document;
mod error;
mod given;
mod root_key;
mod rule;
mod settings;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

pub use command::{Command, run};
pub use document::{example, markdown};
pub use error::{ConfigError, ConfigErrors, Place};
pub use given::Origin;
pub use root_key::{RootKeyPlace, root_keys};
pub use settings::{Admin, Check, Config, Gateway, Log, LogFormat, LogLevel, Snapshot, Tls, Trace, Usage, Webhooks};

use given::{Entry, Given};

/// The settings file that is read from the working directory when none is named.
pub const DEFAULT_FILE: &str = "keystile.toml";
/// Longest settings file: ten thousand lines are another file than ours.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Checked settings and where they come from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// The file that was read, if any.
    pub file: Option<PathBuf>,
    /// What is allowed but deserves a second look; a sentence each, to be logged at the start.
    pub warnings: Vec<String>,
    entries: Vec<Entry>,
}

/// Reads the settings: from `path`, else from the file that `KEYSTILE_CONFIG` names, else from `keystile.toml` in the
/// working directory if there is one; then from the variables, which go before the file.
///
/// # Errors
/// Everything that is wrong, with its place.
pub fn load(path: Option<&Path>, env: impl Iterator<Item = (String, String)>) -> Result<Loaded, ConfigErrors> {
    let env: Vec<(String, String)> = env.collect();
    let named = || env.iter().find(|(name, _)| name == "KEYSTILE_CONFIG").map(|(_, file)| PathBuf::from(file));
    let file = path.map(Path::to_owned).or_else(named).or_else(|| {
        let file = PathBuf::from(DEFAULT_FILE);
        file.exists().then_some(file)
    });
    let text = file.as_deref().map_or(Ok(String::new()), read)?;
    check(file, &text, env.into_iter())
}

/// The settings of a server about which nothing was said.
///
/// # Errors
/// None that a test of this module does not find.
pub fn defaults() -> Result<Config, ConfigErrors> {
    check(None, "", std::iter::empty()).map(|loaded| loaded.config)
}

/// The variables of this process that [`load`] looks at. Bytes that are no text become `�`, which no setting takes.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter(|(name, _)| name.as_encoded_bytes().starts_with(b"KEYSTILE_"))
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
}

fn read(file: &Path) -> Result<String, ConfigErrors> {
    let wrong = |what: String, hint: &str| ConfigErrors::whole_file(file, what, hint);
    let failed = |error: std::io::Error| {
        wrong(
            format!("the settings file can't be read: {error}"),
            "write one with `keystile config example > keystile.toml`, or name another with --config",
        )
    };
    let size = std::fs::metadata(file).map_err(failed)?.len();
    if size > MAX_FILE_BYTES {
        return Err(wrong(format!("the settings file has {size} bytes"), "allowed: at most 1 MiB"));
    }
    let bytes = std::fs::read(file).map_err(failed)?;
    String::from_utf8(bytes).map_err(|error| {
        let before = String::from_utf8_lossy(&error.as_bytes()[..error.utf8_error().valid_up_to()]).into_owned();
        let place = Place::of(&before, before.len());
        let error = ConfigError { place, what: "not UTF-8".to_owned(), hints: vec!["allowed: UTF-8 text".to_owned()] };
        ConfigErrors { file: Some(file.to_owned()), errors: vec![error] }
    })
}

/// Checks the text of a file together with the variables.
fn check(
    file: Option<PathBuf>,
    text: &str,
    env: impl Iterator<Item = (String, String)>,
) -> Result<Loaded, ConfigErrors> {
    let mut given = Given::new(text, env);
    let syntax_is_sound = given.errors.is_empty();
    let mut config = settings::assemble(&mut given);
    given.refuse_the_rest();
    let Given { entries, mut errors, .. } = given;
    // Relations between settings are judged only when each of them is sound: half of a relation misleads.
    if syntax_is_sound && errors.is_empty() {
        errors = contradictions(&config, &entries);
    }
    if !errors.is_empty() {
        return Err(ConfigErrors { file, errors });
    }
    config.root_key = config.root_key.within(&config.data);
    config.previous_root_key = config.previous_root_key.map(|place| place.within(&config.data));
    let warnings = warnings(&config);
    Ok(Loaded { config, file, warnings, entries })
}

/// What each setting alone can't know.
fn contradictions(config: &Config, entries: &[Entry]) -> Vec<ConfigError> {
    let mut errors = Vec::new();
    let place = |names: &[&str]| {
        let mut places = names.iter().filter_map(|name| entries.iter().find(|entry| entry.full_name() == *name));
        places.find_map(|entry| entry.place.clone()).unwrap_or(Place::WholeFile)
    };
    for (name, address) in [("check.listen", config.check.listen), ("check.tls_listen", config.check.tls_listen)] {
        let Some(address) = address.filter(is_exposed).filter(|_| !config.check.require_key) else { continue };
        errors.push(ConfigError {
            place: place(&[name, "check.require_key"]),
            what: format!(
                "{name}: {address} can be reached from other machines, and without check.require_key anybody there could try keys out"
            ),
            hints: vec!["allowed: a loopback address, or `require_key = true` in [check]".to_owned()],
        });
    }
    for (name, address) in tls_listeners(config) {
        if config.tls.certificates.is_empty() {
            errors.push(ConfigError {
                place: place(&[name]),
                what: format!("{name}: {address} needs a certificate, and tls.certificates names none"),
                hints: vec![format!("allowed: `certificates` in [tls], or `{name} = \"off\"`")],
            });
        }
    }
    for (name, is_set, without) in [
        ("tls.client_authorities", config.tls.client_authorities.is_some(), "client_authorities = \"off\""),
        ("tls.hsts_seconds", config.tls.hsts > 0, "hsts_seconds = 0"),
    ] {
        if is_set && config.gateway.tls_listen.is_none() {
            errors.push(ConfigError {
                place: place(&[name]),
                what: format!("{name}: the gateway has no listener with TLS, so this would do nothing"),
                hints: vec![format!("allowed: with `tls_listen` in [gateway], or `{without}`")],
            });
        }
    }
    if config.oidc.issuer.is_some() && config.login.origin.is_none() {
        errors.push(ConfigError {
            place: place(&["oidc.issuer"]),
            what: "oidc.issuer: browsers come back from there, and nobody said where this server is".to_owned(),
            hints: vec!["allowed: with `origin` in [login], or `issuer = \"off\"`".to_owned()],
        });
    }
    let says = |name: &str| entries.iter().any(|entry| entry.full_name() == name && entry.place.is_some());
    if let Some(name) = ["oidc.client_id", "oidc.client_secret_file", "oidc.name"].into_iter().find(|name| says(name))
        && !says("oidc.issuer")
    {
        errors.push(ConfigError {
            place: place(&[name]),
            what: format!("{name}: no issuer is named, so this would do nothing"),
            hints: vec!["allowed: with `issuer`, which may be \"off\"".to_owned()],
        });
    }
    mail_contradictions(config, &place, &says, &mut errors);
    if config.gateway.proxy_protocol && config.gateway.trusted_proxies.is_empty() {
        errors.push(ConfigError {
            place: place(&["gateway.proxy_protocol"]),
            what: "gateway.proxy_protocol: nobody is trusted to say who the client is, so nobody could connect"
                .to_owned(),
            hints: vec!["allowed: with `trusted_proxies`, the addresses of your load balancer".to_owned()],
        });
    }
    let listeners = listeners(config);
    for (n, (name, address)) in listeners.iter().enumerate() {
        // Port 0 is a different port each time.
        let twin = listeners[..n].iter().find(|(_, other)| other == address && address.port() != 0);
        if let Some((other, _)) = twin {
            errors.push(ConfigError {
                place: place(&[name, other]),
                what: format!("{name}: {address} is taken by {other} already"),
                hints: vec!["allowed: an address and port that no other listener has".to_owned()],
            });
        }
    }
    if listeners.is_empty() {
        errors.push(ConfigError {
            place: place(&["gateway.listen"]),
            what: "every listener is off, so there is nothing to serve".to_owned(),
            hints: vec!["allowed: at least one `listen` with an address".to_owned()],
        });
    }
    errors
}

/// What is wrong with how letters are sent.
fn mail_contradictions(
    config: &Config,
    place: &impl Fn(&[&str]) -> Place,
    says: &impl Fn(&str) -> bool,
    errors: &mut Vec<ConfigError>,
) {
    let mut wrong = |name: &str, what: &str, hint: &str| {
        errors.push(ConfigError {
            place: place(&[name]),
            what: format!("{name}: {what}"),
            hints: vec![format!("allowed: {hint}")],
        });
    };
    let Some(server) = &config.mail.server else {
        if let Some(name) = ["mail.password_file", "mail.from", "mail.authorities"].into_iter().find(|name| says(name))
            && !says("mail.server")
        {
            wrong(name, "no server is named, so this would do nothing", "with `server`, which may be \"off\"");
        }
        return;
    };
    if config.mail.from.is_none() {
        wrong("mail.server", "nobody said who letters are from", "with `from` in [mail], or `server = \"off\"`");
    }
    if config.login.origin.is_none()
        && listeners(config).iter().any(|(name, address)| name.starts_with("admin.") && is_exposed(address))
    {
        wrong(
            "mail.server",
            "letters hold links to this server, and nobody said where browsers reach it",
            "with `origin` in [login], or `server = \"off\"`",
        );
    }
    let has_password = server.has_password() || config.mail.password_file.is_some();
    if server.user().is_some() != has_password || (server.has_password() && config.mail.password_file.is_some()) {
        wrong(
            "mail.server",
            "a user and a password belong together, and the password is said once",
            "`user:password@` in `server`, or `user@` there and `password_file`, or neither",
        );
    }
}

fn listeners(config: &Config) -> Vec<(&'static str, std::net::SocketAddr)> {
    let all = [
        ("gateway.listen", config.gateway.listen),
        ("admin.listen", config.admin.listen),
        ("check.listen", config.check.listen),
    ];
    let clear = all.into_iter().filter_map(|(name, address)| Some((name, address?)));
    clear.chain(tls_listeners(config)).collect()
}

fn tls_listeners(config: &Config) -> Vec<(&'static str, std::net::SocketAddr)> {
    let all = [
        ("gateway.tls_listen", config.gateway.tls_listen),
        ("admin.tls_listen", config.admin.tls_listen),
        ("check.tls_listen", config.check.tls_listen),
    ];
    all.into_iter().filter_map(|(name, address)| Some((name, address?))).collect()
}

/// Whether other machines can reach it.
fn is_exposed(address: &std::net::SocketAddr) -> bool {
    !address.ip().to_canonical().is_loopback()
}

fn warnings(config: &Config) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(address) = config.admin.listen.filter(is_exposed) {
        warnings.push(format!(
            "admin.listen: {address} can be reached from other machines, and management keys cross that network unencrypted; use admin.tls_listen, or a proxy with TLS in front and listen on loopback"
        ));
    }
    if let Some(address) = config.check.listen.filter(is_exposed) {
        warnings.push(format!(
            "check.listen: {address} can be reached from other machines, and the keys to be checked cross that network unencrypted; use check.tls_listen"
        ));
    }
    if let Some(net) = config.gateway.trusted_proxies.iter().find(|net| net.prefix_len() == 0) {
        warnings.push(format!(
            "gateway.trusted_proxies: {net} is every address, so every client can claim to be any other; network restrictions of keys mean nothing then"
        ));
    }
    warnings
}
