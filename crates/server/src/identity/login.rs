//! Logging in with a password, and proving it once more.

use std::net::IpAddr;
use std::sync::Arc;

use keystile_core::account::{EmailAddress, Locked, MAX_PASSWORD_CHARS};
use keystile_core::id::{AccountId, OrganizationId, RequestId, SessionId};
use keystile_core::key::TokenKind;
use keystile_core::time::Timestamp;
use keystile_store::records::{Account, Failure, Membership, NewSession, PasswordHash, Shown, Try};
use keystile_store::{Actor, ApplyError, Author, Change, StoreError, Who};

use super::hashing::{Overloaded, is_of_before, normalized};
use super::{Identity, NoToken, PasskeyError, Token};
use crate::enforce::change::NotMade;
use crate::enforce::feed::Feed;
use crate::problem::causes;
use crate::world::{NoEntropy, random};

/// Longest name of a program that is kept of a session.
const MAX_AGENT: usize = 200;
/// Longest text that is looked at as a password: four bytes for each character of the longest one.
const MAX_PASSWORD_BYTES: usize = 4 * MAX_PASSWORD_CHARS;

/// Why somebody is not let in.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The address or the password is wrong, or the account is a member of nothing. Nobody learns which.
    #[error("the e-mail address or the password is wrong")]
    Wrong,
    /// The passkey is not known, does not fit, or its account is a member of nothing.
    #[error("the passkey is not known here")]
    WrongPasskey,
    /// Nobody here is known by what an identity provider vouched for, or is a member of anything.
    #[error("nobody is known by this identity here")]
    UnknownIdentity,
    /// The link was used, has ended, or never was; or its account is a member of nothing.
    #[error("the link lets nobody in")]
    WrongLink,
    /// There was no answer of a passkey that could be looked at.
    #[error(transparent)]
    Passkey(#[from] PasskeyError),
    /// The password is right, and a second factor is asked for.
    #[error("a second factor is asked for")]
    FactorRequired,
    /// Too many were wrong; until then none is looked at. `None`: until there is a new password.
    #[error("too many passwords were wrong")]
    Locked(Option<Timestamp>),
    /// Too many were wrong from this network.
    #[error("too many passwords were wrong from this network")]
    TooMany,
    /// The account is no member of the organization that was named.
    #[error("there is no such organization among those of this account")]
    Elsewhere,
    /// Too many others log in.
    #[error(transparent)]
    Overloaded(#[from] Overloaded),
    /// There is no randomness for a token.
    #[error(transparent)]
    NoToken(#[from] NoToken),
    /// The store can't be asked.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It could not be written down.
    #[error("it could not be written down")]
    NotMade(NotMade),
}

impl From<NotMade> for LoginError {
    fn from(why: NotMade) -> Self {
        Self::NotMade(why)
    }
}

impl From<NoEntropy> for LoginError {
    fn from(error: NoEntropy) -> Self {
        Self::NoToken(error.into())
    }
}

/// What somebody shows of who they are.
#[derive(Clone, Copy)]
pub struct Proof<'a> {
    /// The password.
    pub password: &'a str,
    /// A one-time code or a recovery code.
    pub code: Option<&'a str>,
}

/// From where somebody logs in.
pub struct Visitor<'a> {
    /// The address.
    pub address: Option<IpAddr>,
    /// The request.
    pub request: RequestId,
    /// What the program calls itself.
    pub agent: &'a str,
    /// The session that this one takes the place of.
    pub replaces: Option<SessionId>,
}

/// Somebody who showed who they are.
#[derive(Debug, Clone)]
pub struct Proven {
    /// Who.
    pub account: Account,
    /// By what. It is used up by the change that it is shown for.
    pub shown: Shown,
    pub(super) wrong: Wrong,
}

/// What is noted if it turns out to be wrong.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wrong {
    pub(super) home: OrganizationId,
    pub(super) account: Option<AccountId>,
    pub(super) tried: Tried,
}

/// What somebody tried.
#[derive(Debug, Clone, Copy)]
pub(super) enum Tried {
    /// A password, which was counted before.
    Password(Try),
    /// What nobody guesses, so that it is not counted.
    Other(Failure),
}

/// A session that was opened just now.
pub struct Opened {
    /// Its id.
    pub id: SessionId,
    /// Whose.
    pub account: Account,
    /// Where.
    pub membership: Membership,
    /// What it is known by.
    pub token: Token,
}

/// What a program calls itself, as it is kept and shown.
pub(super) fn shown_agent(agent: &str) -> String {
    agent.chars().filter(|c| !c.is_control()).take(MAX_AGENT).collect()
}

impl Identity {
    /// Lets somebody in who knows a password: into this organization, else into the one that the account joined first.
    ///
    /// # Errors
    /// [`LoginError`] says why not.
    pub async fn log_in(
        &self,
        feed: &Arc<Feed>,
        visitor: &Visitor<'_>,
        (email, proof): (&EmailAddress, Proof<'_>),
        organization: Option<OrganizationId>,
    ) -> Result<Opened, LoginError> {
        let (proven, memberships) = self.prove(feed, visitor, email, proof).await?;
        let opened = self.open(feed, visitor, (&proven, memberships), organization).await?;
        if let Shown::Password { hash, .. } = &proven.shown {
            self.rehash(proven.account.id, hash, proof.password).await;
        }
        Ok(opened)
    }

    /// Opens a session for whoever showed who they are.
    pub(super) async fn open(
        &self,
        feed: &Arc<Feed>,
        visitor: &Visitor<'_>,
        (proven, memberships): (&Proven, Vec<Membership>),
        organization: Option<OrganizationId>,
    ) -> Result<Opened, LoginError> {
        let Some(first) = memberships.first().cloned() else {
            return self.failed(feed, visitor, proven).await;
        };
        let membership = match organization {
            None => first,
            Some(wanted) => {
                self.release(proven).await?;
                memberships.into_iter().find(|one| one.organization == wanted).ok_or(LoginError::Elsewhere)?
            }
        };
        let (token, id) = (self.token(TokenKind::Session)?, SessionId::from_entropy(random(&*self.entropy)?));
        let account = proven.account.clone();
        let session = NewSession {
            id,
            account: account.id,
            lookup: token.lookup,
            agent: shown_agent(visitor.agent),
            replaces: visitor.replaces,
            shown: Some(proven.shown.clone()),
        };
        let author = self.author(visitor, membership.organization, Who::Account(account.id));
        self.used(feed, visitor, proven, (author, Change::OpenSession(session))).await?;
        Ok(Opened { id, account, membership, token })
    }

    /// Proves once more who holds a session: its new token.
    ///
    /// # Errors
    /// [`LoginError`] says why not.
    pub async fn prove_again(
        &self,
        feed: &Arc<Feed>,
        visitor: &Visitor<'_>,
        (session, account, organization): (SessionId, &Account, OrganizationId),
        proof: Proof<'_>,
    ) -> Result<Token, LoginError> {
        let (proven, _) = self.prove(feed, visitor, &account.email, proof).await?;
        self.renew(feed, visitor, (session, account.id, organization), &proven).await
    }

    /// Gives the session of whoever showed who they are another token.
    pub(super) async fn renew(
        &self,
        feed: &Arc<Feed>,
        visitor: &Visitor<'_>,
        (session, account, organization): (SessionId, AccountId, OrganizationId),
        proven: &Proven,
    ) -> Result<Token, LoginError> {
        let token = self.token(TokenKind::Session)?;
        let change = Change::ProveSession { id: session, lookup: token.lookup, shown: proven.shown.clone() };
        let author = self.author(visitor, organization, Who::Account(account));
        self.used(feed, visitor, proven, (author, change)).await?;
        Ok(token)
    }

    /// Makes the change for which somebody showed who they are. If that is not so any more, it counts as wrong.
    ///
    /// # Errors
    /// [`LoginError`] says why it was not made.
    pub async fn used(
        &self,
        feed: &Arc<Feed>,
        visitor: &Visitor<'_>,
        proven: &Proven,
        (author, change): (Author, Change),
    ) -> Result<(), LoginError> {
        match feed.make(author, change, self.now().ticks).await {
            Ok(_) => Ok(()),
            Err(NotMade::Refused(ApplyError::NotFound("proof"))) => self.failed(feed, visitor, proven).await,
            Err(error) => {
                self.release(proven).await?;
                Err(error.into())
            }
        }
    }

    /// Takes back that it was tried: it was neither right nor wrong.
    async fn release(&self, proven: &Proven) -> Result<(), StoreError> {
        match proven.wrong.tried {
            Tried::Password(tried) => self.catalog.release_try(tried).await,
            Tried::Other(_) => Ok(()),
        }
    }

    /// Refuses whoever was wrong too often.
    pub(super) fn may_try(&self, visitor: &Visitor<'_>) -> Result<(), LoginError> {
        let may = self.tries.lock().may_try(visitor.address, self.now().ticks);
        if may { Ok(()) } else { Err(LoginError::TooMany) }
    }

    /// Looks at a password, and at a second factor where there is one, one after the other: each try is counted before it is made, so
    /// that of many at once none is looked at too much; what was wrong is noted before this is answered.
    ///
    /// # Errors
    /// [`LoginError`] says what was wrong.
    pub async fn prove(
        &self,
        feed: &Arc<Feed>,
        visitor: &Visitor<'_>,
        email: &EmailAddress,
        proof: Proof<'_>,
    ) -> Result<(Proven, Vec<Membership>), LoginError> {
        self.may_try(visitor)?;
        let turn = self.hashing.turn().await?;
        if !feed.makers.are_here().await {
            return Err(NotMade::Elsewhere.into());
        }
        let known = self.catalog.account_of(email).await?;
        let account = known.as_ref().map(|known| known.account.id);
        // For an address without an account the same questions are asked.
        let asked = account.unwrap_or(AccountId::from_entropy(random(&*self.entropy)?));
        let memberships = self.catalog.memberships(asked).await?;
        let home = memberships.first().map_or(self.first_organization().await?, |first| first.organization);
        let lookup = self.lookup_of(email);
        let tried = match self.catalog.reserve_try(lookup, self.now().wall).await? {
            Ok(tried) => tried,
            Err(Locked::Until(end)) => return Err(LoginError::Locked(Some(end))),
            Err(Locked::ForGood) => return Err(LoginError::Locked(None)),
        };
        let wrong = Wrong { home, account, tried: Tried::Password(tried) };
        let is_sound = proof.password.len() <= MAX_PASSWORD_BYTES;
        let password = normalized(if is_sound { proof.password } else { "" });
        let kept = known.as_ref().and_then(|known| known.password.clone()).filter(|_| is_sound);
        let (fits, _turn) = match self.hashing.fits(turn, password, kept.clone()).await {
            Ok(looked) => looked,
            Err(error) => {
                self.catalog.release_try(tried).await?;
                return Err(error.into());
            }
        };
        let (true, Some(known), Some(kept)) = (fits, known, kept) else {
            return self.note(feed, visitor, wrong).await;
        };
        let factor = match (known.account.has_totp, proof.code) {
            (false, _) => None,
            (true, None) => {
                self.catalog.release_try(tried).await?;
                return Err(LoginError::FactorRequired);
            }
            (true, Some(code)) => match self.factor(known.account.id, code).await? {
                Some(factor) => Some(factor),
                None => return self.note(feed, visitor, wrong).await,
            },
        };
        let shown = Shown::Password { hash: kept, factor, forgives: lookup };
        Ok((Proven { account: known.account, shown, wrong }, memberships))
    }

    pub(super) async fn failed<T>(
        &self,
        feed: &Arc<Feed>,
        visitor: &Visitor<'_>,
        proven: &Proven,
    ) -> Result<T, LoginError> {
        self.note(feed, visitor, proven.wrong).await
    }

    /// Notes what was wrong.
    pub(super) async fn note<T>(&self, feed: &Arc<Feed>, visitor: &Visitor<'_>, wrong: Wrong) -> Result<T, LoginError> {
        let failure = match wrong.tried {
            Tried::Password(tried) => Failure::Password { in_a_row: tried.in_a_row },
            Tried::Other(failure) => failure,
        };
        self.note_as(feed, visitor, wrong, failure).await
    }

    /// Notes what was wrong as this.
    pub(super) async fn note_as<T>(
        &self,
        feed: &Arc<Feed>,
        visitor: &Visitor<'_>,
        wrong: Wrong,
        failure: Failure,
    ) -> Result<T, LoginError> {
        let now = self.now();
        let is_noted = match wrong.tried {
            Tried::Password(_) => {
                self.tries.lock().note(visitor.address, now.ticks);
                true
            }
            // Nobody guesses one, so nobody waits; of those that nobody has a sample is noted, for they cost their sender nothing.
            Tried::Other(_) => wrong.account.is_some() || self.strangers.lock().may_note(now.ticks),
        };
        let author = self.author(visitor, wrong.home, Who::System("login"));
        if is_noted {
            feed.make(author, Change::FailLogin { account: wrong.account, failure }, now.ticks).await?;
        }
        Err(match wrong.tried {
            Tried::Password(_) => LoginError::Wrong,
            Tried::Other(Failure::Identity) => LoginError::UnknownIdentity,
            Tried::Other(Failure::Link) => LoginError::WrongLink,
            Tried::Other(_) => LoginError::WrongPasskey,
        })
    }

    /// Notes that a key was refused at the management API, a sample of it: what is refused costs its sender nothing. Nobody waits for that, and
    /// that it could not be noted is no reason to answer otherwise.
    pub async fn note_refused(
        &self,
        feed: &Arc<Feed>,
        (organization, change): (OrganizationId, Change),
        (address, request): (Option<IpAddr>, RequestId),
    ) {
        let now = self.now();
        if !self.strangers.lock().may_note(now.ticks) {
            return;
        }
        let actor = Actor { organization, who: Who::System("login"), address, request: Some(request) };
        let author = Author { actor, at: now.wall, idempotency: None };
        if let Err(error) = feed.make(author, change, now.ticks).await {
            tracing::debug!(?error, "that a management key was refused could not be noted");
        }
    }

    /// A hash of before becomes one of today; that it could not be is no reason to let nobody in.
    async fn rehash(&self, account: AccountId, kept: &PasswordHash, password: &str) {
        if !is_of_before(kept) {
            return;
        }
        let Ok(salt) = random(&*self.entropy) else { return };
        let Ok(hash) = self.hashing.hash(normalized(password), salt).await else { return };
        if let Err(error) = self.catalog.rehash_password(account, kept, &hash).await {
            tracing::warn!(cause = causes(&error), "a password could not be hashed anew");
        }
    }

    pub(super) async fn first_organization(&self) -> Result<OrganizationId, LoginError> {
        if let Some(first) = self.first.get() {
            return Ok(*first);
        }
        let first = self.catalog.first_organization().await?.ok_or(LoginError::Wrong)?;
        Ok(*self.first.get_or_init(|| first))
    }

    /// Who it is that acts, from where.
    pub fn author(&self, visitor: &Visitor<'_>, organization: OrganizationId, who: Who) -> Author {
        let actor = Actor { organization, who, address: visitor.address, request: Some(visitor.request) };
        Author { actor, at: self.now().wall, idempotency: None }
    }
}
