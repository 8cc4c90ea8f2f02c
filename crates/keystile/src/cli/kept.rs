//! Sessions that `keystile login` began, kept for the commands that follow: a file of tokens by server, which nobody else of this
//! machine may read.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use serde_json::{Map, Value};

use super::fault::{Exit, Fault};
use super::secret::Secret;

/// Where they are kept.
pub(super) struct Kept(PathBuf);

impl Kept {
    /// `KEYSTILE_SESSIONS`, else `keystile/sessions.json` among the settings of this user.
    pub(super) fn new(env: &dyn Fn(&str) -> Option<String>) -> Result<Self, Fault> {
        let own = env("KEYSTILE_SESSIONS").map(PathBuf::from);
        let settings = || env("XDG_CONFIG_HOME").map(PathBuf::from);
        let home = || env("HOME").map(|home| PathBuf::from(home).join(".config"));
        let file = own.or_else(|| settings().or_else(home).map(|folder| folder.join("keystile/sessions.json")));
        file.map(Self).ok_or_else(|| {
            Fault::usage("there is no place to keep a session", "HOME is not set", "name a file in KEYSTILE_SESSIONS")
        })
    }

    /// The token for a server.
    pub(super) fn token(&self, server: &str) -> Result<Option<Secret>, Fault> {
        let all = self.read()?;
        let text = all.get(server).and_then(Value::as_str);
        text.map(|text| Secret::new(text.to_owned(), &format!("the file {}", self.0.display()))).transpose()
    }

    /// Keeps a token in the place of the one before.
    pub(super) fn keep(&self, server: &str, token: &str) -> Result<(), Fault> {
        let mut all = self.read()?;
        all.insert(server.to_owned(), token.into());
        self.write(&all)
    }

    /// Forgets a token.
    pub(super) fn forget(&self, server: &str) -> Result<(), Fault> {
        let mut all = self.read()?;
        if all.remove(server).is_some() { self.write(&all) } else { Ok(()) }
    }

    fn read(&self) -> Result<Map<String, Value>, Fault> {
        let bytes = match fs::read(&self.0) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Map::new()),
            Err(error) => return Err(self.fault("read", &error.to_string())),
        };
        serde_json::from_slice(&bytes).map_err(|_| self.fault("read", "it holds no sessions"))
    }

    /// Beside it and then in its place: what was there is there until the new one is whole.
    fn write(&self, all: &Map<String, Value>) -> Result<(), Fault> {
        let text = zeroize::Zeroizing::new(Value::Object(all.clone()).to_string());
        let written = || -> std::io::Result<()> {
            let folder = self.0.parent().unwrap_or_else(|| std::path::Path::new("."));
            fs::create_dir_all(folder)?;
            let fresh = self.0.with_extension(format!("{}.new", std::process::id()));
            let _ = fs::remove_file(&fresh);
            let mut file = File::options().write(true).create_new(true).mode(0o600).open(&fresh)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&fresh, &self.0)
        };
        written().map_err(|error| self.fault("write", &error.to_string()))
    }

    fn fault(&self, verb: &str, why: &str) -> Fault {
        Fault::new(
            Exit::Failure,
            format!("could not {verb} the file of sessions"),
            format!("{}: {why}", self.0.display()),
            "mend or remove it, or name another file in KEYSTILE_SESSIONS",
        )
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_session_is_kept_for_its_server_alone_and_for_nobody_else() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("deep/sessions.json");
        let name = file.display().to_string();
        let env = move |variable: &str| (variable == "KEYSTILE_SESSIONS").then(|| name.clone());
        let kept = Kept::new(&env).unwrap();
        assert!(kept.token("http://a").unwrap().is_none());
        kept.keep("http://a", "session_live_1").unwrap();
        kept.keep("http://b", "session_live_2").unwrap();
        kept.keep("http://a", "session_live_3").unwrap();
        let token = |server| kept.token(server).unwrap().map(|token| token.expose().to_owned());
        assert_eq!(
            (token("http://a").as_deref(), token("http://b").as_deref()),
            (Some("session_live_3"), Some("session_live_2"))
        );
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        kept.forget("http://a").unwrap();
        assert_eq!((token("http://a"), token("http://b").is_some()), (None, true));
        fs::write(&file, "nonsense").unwrap();
        assert!(kept.token("http://a").is_err() && kept.keep("http://a", "x").is_err(), "nothing is written over");
        assert!(Kept::new(&|_| None).is_err());
    }
}
