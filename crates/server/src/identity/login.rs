//! Logging in with a password, and proving it once more.

use std::net::IpAddr;
use std::sync::Arc;

use keystile_core::account::{EmailAddress, Locked};
use keystile_core::id::{AccountId, OrganizationId, RequestId, SessionId};
use keystile_core::key::TokenKind;
use keystile_core::time::Timestamp;
use keystile_store::records::{Account, Credentials, Membership, NewSession, UsedFactor};
use keystile_store::{Actor, ApplyError, Author, Change, StoreError, Who};
use zeroize::Zeroizing;

use super::hashing::{Overloaded, is_of_before, normalized};
use super::{Identity, NoToken, Token};
use crate::enforce::change::NotMade;
use crate::enforce::feed::Feed;
use crate::problem::causes;
use crate::world::{NoEntropy, random};

/// Longest name of a program that is kept of a session.
const MAX_AGENT: usize = 200;

/// Why somebody is not let in.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The address or the password is wrong, or the account is a member of nothing. Nobody learns which.
    #[error("the e-mail address or the password is wrong")]
    Wrong,
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
        let known = self.catalog.account_of(email).await?;
        let account = known.as_ref().map(|known| known.account.id);
        // For an address without an account the same questions are asked.
        let asked = account.unwrap_or(AccountId::from_entropy(random(&*self.entropy)?));
        let memberships = self.catalog.memberships(asked).await?;
        let home = match memberships.first() {
            Some(first) => first.organization,
            None => self.first_organization().await?,
        };
        let lookup = self.lookup_of(email);
        let proven = self.prove(feed, visitor, (home, account), lookup, (known.as_ref(), proof)).await;
        let factor = proven?;
        let (Some(known), Some(first)) = (known, memberships.first().cloned()) else {
            return Err(LoginError::Wrong);
        };
        let membership = match organization {
            None => first,
            Some(wanted) => {
                memberships.into_iter().find(|one| one.organization == wanted).ok_or(LoginError::Elsewhere)?
            }
        };
        let (token, id) = (self.token(TokenKind::Session)?, SessionId::from_entropy(random(&*self.entropy)?));
        let session = NewSession {
            id,
            account: known.account.id,
            lookup: token.lookup,
            agent: shown_agent(visitor.agent),
            replaces: visitor.replaces,
            forgives: Some(lookup),
            factor,
        };
        let author = self.author(visitor, membership.organization, Who::Account(known.account.id));
        let opened = feed.make(author, Change::OpenSession(session), self.now().ticks).await;
        if let Err(NotMade::Refused(ApplyError::NotFound("code"))) = opened {
            return self.failed(feed, visitor, (home, account), lookup).await;
        }
        opened?;
        Ok(Opened { id, account: known.account, membership, token })
    }

    /// Proves once more who holds a session: its new token.
    ///
    /// # Errors
    /// [`LoginError`] says why not.
    pub async fn prove_again(
        &self,
        feed: &Arc<Feed>,
        visitor: &Visitor<'_>,
        (session, account, organization): (SessionId, AccountId, OrganizationId),
        proof: Proof<'_>,
    ) -> Result<Token, LoginError> {
        let known = self.catalog.account(account).await?.ok_or(LoginError::Wrong)?;
        let lookup = self.lookup_of(&known.account.email);
        let home = (organization, Some(account));
        let factor = self.prove(feed, visitor, home, lookup, (Some(&known), proof)).await?;
        let token = self.token(TokenKind::Session)?;
        let change = Change::ProveSession { id: session, lookup: token.lookup, forgives: Some(lookup), factor };
        let author = self.author(visitor, organization, Who::Account(account));
        match feed.make(author, change, self.now().ticks).await {
            Ok(_) => Ok(token),
            Err(NotMade::Refused(ApplyError::NotFound("code"))) => self.failed(feed, visitor, home, lookup).await,
            Err(error) => Err(error.into()),
        }
    }

    /// Looks at a password, and at a second factor where there is one. What is wrong is counted before this is answered.
    async fn prove(
        &self,
        feed: &Arc<Feed>,
        visitor: &Visitor<'_>,
        whose: (OrganizationId, Option<AccountId>),
        lookup: [u8; 32],
        (known, proof): (Option<&Credentials>, Proof<'_>),
    ) -> Result<Option<UsedFactor>, LoginError> {
        let now = self.now();
        if !self.tries.lock().may_try(visitor.address, now.ticks) {
            return Err(LoginError::TooMany);
        }
        match self.catalog.failures(lookup).await?.locked_until(now.wall) {
            Some(Locked::Until(end)) => return Err(LoginError::Locked(Some(end))),
            Some(Locked::ForGood) => return Err(LoginError::Locked(None)),
            None => {}
        }
        let password = normalized(proof.password);
        let kept = known.and_then(|known| known.password.clone());
        let fits = self.hashing.fits(password.clone(), kept.clone()).await?;
        let (true, Some(known), Some(kept)) = (fits, known, kept) else {
            return self.failed(feed, visitor, whose, lookup).await;
        };
        let account = known.account.id;
        let factor = match (known.account.has_totp, proof.code) {
            (false, _) => None,
            (true, None) => return Err(LoginError::FactorRequired),
            (true, Some(code)) => match self.factor(account, code).await? {
                Some(factor) => Some(factor),
                None => return self.failed(feed, visitor, whose, lookup).await,
            },
        };
        self.rehash(account, kept, password).await;
        Ok(factor)
    }

    /// Counts what was wrong.
    async fn failed<T>(
        &self,
        feed: &Arc<Feed>,
        visitor: &Visitor<'_>,
        (organization, account): (OrganizationId, Option<AccountId>),
        lookup: [u8; 32],
    ) -> Result<T, LoginError> {
        let now = self.now();
        self.tries.lock().note(visitor.address, now.ticks);
        let author = self.author(visitor, organization, Who::System("login"));
        feed.make(author, Change::FailLogin { account, lookup }, now.ticks).await?;
        Err(LoginError::Wrong)
    }

    /// A hash of before becomes one of today; that it could not be is no reason to let nobody in.
    async fn rehash(
        &self,
        account: AccountId,
        kept: keystile_store::records::PasswordHash,
        password: Zeroizing<String>,
    ) {
        if !is_of_before(&kept) {
            return;
        }
        let Ok(salt) = random(&*self.entropy) else { return };
        let Ok(hash) = self.hashing.hash(password, salt).await else { return };
        if let Err(error) = self.catalog.rehash_password(account, &kept, &hash).await {
            tracing::warn!(cause = causes(&error), "a password could not be hashed anew");
        }
    }

    async fn first_organization(&self) -> Result<OrganizationId, LoginError> {
        let all = self.catalog.organizations().await?;
        all.first().map(|first| first.id).ok_or(LoginError::Wrong)
    }

    pub(super) fn author(&self, visitor: &Visitor<'_>, organization: OrganizationId, who: Who) -> Author {
        let actor = Actor { organization, who, address: visitor.address, request: Some(visitor.request) };
        Author { actor, at: self.now().wall, idempotency: None }
    }
}
