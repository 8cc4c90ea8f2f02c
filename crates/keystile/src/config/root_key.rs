//! Where the root key comes from: a file, a credential that systemd gives, a variable of the environment, or a passphrase in
//! one of those.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use keystile_store::{RootKeyError, RootKeys, RootSource};
use zeroize::Zeroizing;

/// Where systemd puts the credentials of a unit (systemd.exec(5), `LoadCredential=`).
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

/// Where a root key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RootKeyPlace {
    /// In a file, which is made for a new installation.
    File(PathBuf),
    /// In a credential of this name.
    Credential(String),
    /// In a variable of this name.
    Environment(String),
    /// Stretched from a passphrase, which is there.
    Passphrase(Box<Self>),
}

impl fmt::Display for RootKeyPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Credential(name) => write!(f, "credential:{name}"),
            Self::Environment(name) => write!(f, "env:{name}"),
            Self::Passphrase(place) => write!(f, "passphrase:{place}"),
        }
    }
}

impl RootKeyPlace {
    /// Reads what people write; `Err` says why it is nothing.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if let Some(place) = text.strip_prefix("passphrase:") {
            return match Self::parse(place)? {
                Self::Passphrase(_) => Err("a passphrase is in a file, a credential or a variable".to_owned()),
                place => Ok(Self::Passphrase(Box::new(place))),
            };
        }
        if let Some(name) = text.strip_prefix("credential:") {
            let is_name = !name.is_empty() && !name.contains('/') && !name.starts_with('.');
            return if is_name { Ok(Self::Credential(name.to_owned())) } else { Err(unnamed("credential")) };
        }
        if let Some(name) = text.strip_prefix("env:") {
            if name.starts_with("KEYSTILE_") {
                return Err("variables that begin with KEYSTILE_ are settings; choose another name".to_owned());
            }
            let is_name = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') && !name.is_empty();
            return if is_name { Ok(Self::Environment(name.to_owned())) } else { Err(unnamed("variable")) };
        }
        if let Some((word, _)) = text.split_once(':')
            && word.len() > 1
            && word.bytes().all(|byte| byte.is_ascii_alphanumeric())
        {
            return Err(format!("`{word}:` is not known here (a file is named by its path alone)"));
        }
        if text.is_empty() { Err("it names nothing".to_owned()) } else { Ok(Self::File(text.into())) }
    }

    /// The same, with a path that stands in the data folder put there.
    pub(super) fn within(self, data: &Path) -> Self {
        match self {
            Self::File(path) => match path.strip_prefix("<data>") {
                Ok(inside) => Self::File(data.join(inside)),
                Err(_) => Self::File(path),
            },
            Self::Passphrase(place) => Self::Passphrase(Box::new(place.within(data))),
            Self::Credential(_) | Self::Environment(_) => self,
        }
    }

    /// The file that it names, if it names one: of the key or of a passphrase.
    pub fn file(&self) -> Option<PathBuf> {
        match self {
            Self::File(path) => Some(path.clone()),
            Self::Passphrase(place) => place.file(),
            Self::Credential(name) => std::env::var_os(CREDENTIALS).map(|folder| Path::new(&folder).join(name)),
            Self::Environment(_) => None,
        }
    }

    /// The variable that it names, if it names one.
    pub fn variable(&self) -> Option<&str> {
        match self {
            Self::Environment(name) => Some(name),
            Self::Passphrase(place) => place.variable(),
            Self::File(_) | Self::Credential(_) => None,
        }
    }

    /// What is there. A file of a key is read later, and may be made.
    fn open(&self) -> Result<RootSource, RootKeyError> {
        let absent = |error| match error {
            RootKeyError::Missing { source_name } => Ok(RootSource::Absent(source_name)),
            error => Err(error),
        };
        match self {
            Self::File(path) => Ok(RootSource::File(path.clone())),
            Self::Credential(_) | Self::Environment(_) => {
                self.text().map(|text| RootSource::Given(text, self.called())).or_else(absent)
            }
            Self::Passphrase(place) => {
                let of_text = |text: Zeroizing<String>| {
                    RootSource::Passphrase(Zeroizing::new(text.trim_end().to_owned()), place.called())
                };
                place.text().map(of_text).or_else(absent)
            }
        }
    }

    fn called(&self) -> String {
        match self {
            Self::File(path) => format!("the file {}", path.display()),
            Self::Credential(name) => format!("the credential {name}"),
            Self::Environment(name) => format!("the environment variable {name}"),
            Self::Passphrase(place) => place.called(),
        }
    }

    fn text(&self) -> Result<Zeroizing<String>, RootKeyError> {
        let missing = || RootKeyError::Missing { source_name: self.called() };
        if let Self::Environment(name) = self {
            return std::env::var(name).map(Zeroizing::new).map_err(|_| missing());
        }
        let path = self.file().ok_or_else(missing)?;
        fs::read_to_string(&path).map(Zeroizing::new).map_err(|cause| match cause.kind() {
            std::io::ErrorKind::NotFound => missing(),
            _ => RootKeyError::Unreadable { path, cause: cause.to_string() },
        })
    }
}

/// The root keys that the settings name.
///
/// # Errors
/// If one is not where they say.
pub fn root_keys(current: &RootKeyPlace, previous: Option<&RootKeyPlace>) -> Result<RootKeys, RootKeyError> {
    Ok(RootKeys { current: current.open()?, previous: previous.map(RootKeyPlace::open).transpose()? })
}

fn unnamed(what: &str) -> String {
    format!("a {what} has a name of letters, digits and _")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_as_they_are_written() {
        for text in [
            "/etc/keystile/root.key",
            "<data>/root.key",
            "credential:root-key",
            "env:ROOT_KEY",
            "passphrase:/etc/keystile/phrase",
            "passphrase:credential:phrase",
            "passphrase:env:PHRASE",
        ] {
            assert_eq!(RootKeyPlace::parse(text).unwrap().to_string(), text);
        }
        for text in [
            "",
            "credential:",
            "credential:../x",
            "env:",
            "env:A B",
            "env:KEYSTILE_ROOT",
            "passphrase:",
            "passphrase:passphrase:/x",
            "file:/x",
            "Env:X",
            "vault:x",
        ] {
            assert!(RootKeyPlace::parse(text).is_err(), "{text}");
        }
    }
}
