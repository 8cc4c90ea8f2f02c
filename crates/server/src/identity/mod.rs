//! People at the management API: what proves who they are, and that they are logged in.
//!
//! A password is looked at aside of everything else ([`hashing`]), and a new one is judged first ([`strength`]). Who is wrong too
//! often waits ([`tries`]; the rules are the core's). A session is known by a token that nobody can guess, of which the store has a
//! hash, and is read with each request: what changes of a person holds for the next one on every node. An address without an
//! account is answered like one with another password, after the same work.
//!
//! Whoever has a second factor ([`factor`]) shows it with the password; each code is taken once, in the transaction that it opens.
//! A link that comes by e-mail ([`link`]) takes the place of a password, but not of a second factor.
//! A passkey ([`passkey`]) takes the place of all of it, and so does what an identity provider vouches for ([`provider`]).
//!
//! Not here: routes and cookies (`manage`), what a role may do (the core).

mod device;
mod factor;
mod hashing;
mod link;
mod login;
mod origin;
mod passkey;
mod provider;
mod seal;
mod strength;
mod tries;

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use keystile_core::account::{EmailAddress, PoorPassword, SessionLimits, checked_length};
use keystile_core::id::{OrganizationId, SessionId};
use keystile_core::key::{ENTROPY_LEN, KeyText, PoorEntropy, TokenKind};
use keystile_core::time::{Moment, Timestamp};
use keystile_store::records::{Membership, PasswordHash, Session};
use keystile_store::{Catalog, StoreError};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

pub use device::{DeviceCodes, Polled};
pub(crate) use device::{INTERVAL_SECS as DEVICE_INTERVAL_SECS, LIFE_SECS as DEVICE_LIFE_SECS};
pub use factor::{Enrolment, RecoveryCodes};
pub use link::{LINK_SECS, NoLetter};
pub use login::{LoginError, Opened, Proof, Proven, Visitor};
pub use origin::{Issuer, NotAnOrigin, Pages, PagesOrigin};
pub use passkey::{Answer, Asked, PasskeyError};
pub use provider::{CALLBACK, Departure, Errand, ProviderError, ProviderSettings, Return, Vouched};
pub use strength::BreachedFile;

use crate::problem::causes;
use crate::world::{Clock, Entropy, NoEntropy, random};
use hashing::{Hashing, Overloaded};
use seal::Seal;
use strength::Weak;
use tries::{Letters, Strangers, Tries};

/// Seconds for which a session may go on unnoted: its store is written once in so long, not with each request.
const NOTED_SECS: i64 = 30;

/// What logging in is like here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentitySettings {
    /// How long sessions last.
    pub sessions: SessionLimits,
    /// Passwords that others found, if somebody brought a file of them.
    pub breached: Option<PathBuf>,
    /// Where browsers reach the pages.
    pub pages: Pages,
    /// The identity provider at which people may log in.
    pub provider: Option<ProviderSettings>,
    /// What links in letters begin with, if letters reach anybody.
    pub links: Option<String>,
}

/// People and what proves who they are.
pub struct Identity {
    catalog: Catalog,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    /// How long sessions last.
    pub limits: SessionLimits,
    hashing: Hashing,
    breached: Option<BreachedFile>,
    passkeys: passkey::Passkeys,
    provider: Option<provider::Provider>,
    /// What links in letters begin with, if letters reach anybody.
    links: Option<String>,
    tries: Mutex<Tries>,
    letters: Mutex<Letters>,
    /// Letters that are being written.
    writing: Arc<Semaphore>,
    /// Failed ways back from the identity provider, each of which asked it.
    returns: Mutex<Tries>,
    strangers: Mutex<Strangers>,
    /// What e-mail addresses are looked up by where wrong passwords are counted.
    address_key: [u8; 32],
    /// What recovery codes, and codes that people type for a device, are kept under.
    code_key: [u8; 32],
    polls: Mutex<device::Polls>,
    /// The organization that runs the installation, once it was asked for.
    first: OnceLock<OrganizationId>,
}

/// Why a text does not become a password.
#[derive(Debug, thiserror::Error)]
pub enum NotAPassword {
    /// Its length.
    #[error("{0}")]
    Poor(PoorPassword),
    /// Others would try it soon.
    #[error("{0}")]
    Weak(&'static str),
    /// Nothing can be looked at now.
    #[error(transparent)]
    Overloaded(#[from] Overloaded),
    /// The file of passwords that others found can't be read.
    #[error("the file of breached passwords can't be read: {0}")]
    Unreadable(#[from] std::io::Error),
    /// There is no randomness for its salt.
    #[error(transparent)]
    Entropy(#[from] NoEntropy),
}

/// Why no token can be made.
#[derive(Debug, thiserror::Error)]
pub enum NoToken {
    /// There is no randomness.
    #[error(transparent)]
    Entropy(#[from] NoEntropy),
    /// The randomness is none.
    #[error(transparent)]
    Poor(#[from] PoorEntropy),
}

/// A token with what it is found by.
pub struct Token {
    /// Shown once.
    pub text: KeyText,
    /// Kept.
    pub lookup: [u8; 32],
}

impl Identity {
    /// People of an installation.
    pub fn new(catalog: Catalog, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>, settings: IdentitySettings) -> Self {
        let hashing = Hashing::new(catalog.derive("passwords"));
        let address_key = catalog.derive("login addresses");
        let code_key = catalog.derive("recovery codes");
        let passkeys = passkey::Passkeys::new(&settings.pages, Seal::new(catalog.derive("passkey ceremonies")));
        let journeys = Seal::new(catalog.derive("provider journeys"));
        let provider = settings.provider.map(|settings| provider::Provider::new(settings, journeys));
        let breached = settings.breached.map(BreachedFile::new);
        let (limits, tries) = (settings.sessions, Mutex::default());
        Self {
            catalog,
            clock,
            entropy,
            limits,
            hashing,
            breached,
            passkeys,
            provider,
            links: settings.links,
            tries,
            letters: Mutex::default(),
            writing: Arc::new(Semaphore::new(link::WRITING)),
            returns: Mutex::default(),
            strangers: Mutex::default(),
            address_key,
            code_key,
            polls: Mutex::default(),
            first: OnceLock::new(),
        }
    }

    fn now(&self) -> Moment {
        self.clock.now()
    }

    /// Makes a token.
    ///
    /// # Errors
    /// If there is no randomness.
    pub fn token(&self, kind: TokenKind) -> Result<Token, NoToken> {
        let text = kind.issue(&random::<ENTROPY_LEN>(&*self.entropy)?)?;
        let lookup = kind.lookup(text.expose()).ok_or(PoorEntropy)?;
        Ok(Token { text, lookup })
    }

    /// The session of a token, with what its holder is where it is. That it was used is noted now and then, aside.
    ///
    /// # Errors
    /// If the store can't be asked.
    pub async fn session(&self, text: &str) -> Result<Option<(Session, Membership)>, StoreError> {
        let Some(lookup) = TokenKind::Session.lookup(text) else { return Ok(None) };
        let now = self.now().wall;
        let found = self.catalog.session(lookup, &self.limits, now).await?;
        if let Some((session, _)) = &found
            && session.times.seen_at.plus_secs(self.noted_secs()) <= now
        {
            self.note_used(session.id, now);
        }
        Ok(found)
    }

    /// Often enough that nobody who is there all the time counts as gone.
    fn noted_secs(&self) -> i64 {
        NOTED_SECS.min(self.limits.idle_secs / 4)
    }

    fn note_used(&self, id: SessionId, now: Timestamp) {
        let catalog = self.catalog.clone();
        tokio::spawn(async move {
            if let Err(error) = catalog.note_session_used(id, now).await {
                tracing::debug!(cause = causes(&error), "that a session was used is noted with its next request");
            }
        });
    }

    /// Judges a new password and hashes it. `known` is what its holder is known by, which no password is made of.
    ///
    /// # Errors
    /// [`NotAPassword`] says what is wrong.
    pub async fn new_password(
        &self,
        password: &str,
        has_factor: bool,
        known: &[&str],
    ) -> Result<PasswordHash, NotAPassword> {
        let password = hashing::normalized(password);
        checked_length(&password, has_factor).map_err(NotAPassword::Poor)?;
        let known: Vec<String> = known.iter().map(|text| (*text).to_owned()).collect();
        let (judged, breached) = (password.clone(), self.breached.clone());
        let judge = move || -> std::io::Result<Result<(), Weak>> {
            if let Err(weak) = strength::judge(&judged, &known) {
                return Ok(Err(weak));
            }
            match breached {
                Some(file) if file.holds(&judged)? => Ok(Err(Weak::BREACHED)),
                _ => Ok(Ok(())),
            }
        };
        if let Err(weak) = self.hashing.aside(judge).await?? {
            return Err(NotAPassword::Weak(weak.0));
        }
        Ok(self.hashing.hash(password, random(&*self.entropy)?).await?)
    }

    /// Whether a password may be all that is asked for.
    pub fn may_be_alone(&self, password: &str) -> bool {
        checked_length(&hashing::normalized(password), false).is_ok()
    }

    /// What wrong passwords for an address are counted by.
    pub fn lookup_of(&self, email: &EmailAddress) -> [u8; 32] {
        use hmac::{Hmac, KeyInit, Mac};
        let mut mac: Hmac<sha2::Sha256> = KeyInit::new_from_slice(&self.address_key).expect("HMAC takes any key");
        mac.update(email.as_str().as_bytes());
        mac.finalize().into_bytes().into()
    }
}
