//! Links that let somebody in who gets them by e-mail: each is good for a quarter of an hour, once, for one account.
//!
//! Whoever asks for one is answered before anything is looked up, so that nothing tells whether the address has an account; what
//! there is to do is done aside. A link takes the place of a password. A second factor is asked for besides, and a link is not spent by
//! asking. Whoever has a passkey, or is known by an identity provider, gets no link: a mailbox would be the easier way in.

use std::net::IpAddr;
use std::sync::Arc;

use keystile_core::account::{EmailAddress, Locked};
use keystile_core::id::{OrganizationId, RequestId};
use keystile_core::key::TokenKind;
use keystile_store::records::{Failure, Shown, UsedLink};
use keystile_store::{Actor, Author, Change, Who};

use super::Identity;
use super::login::{LoginError, Opened, Proven, Tried, Visitor, Wrong};
use crate::enforce::change::NotMade;
use crate::enforce::feed::Feed;
use crate::mail::{About, Letter, Mailer};

/// Seconds for which a link in a letter is good: letters take a moment, and mailboxes are left open.
pub const LINK_SECS: i64 = 900;
/// Letters that are written at once; of more, whoever asks is told to come again.
pub(super) const WRITING: usize = 64;

/// Why no letter is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoLetter {
    /// Too many were asked for from this network.
    TooMany,
    /// Too many are being written.
    Overloaded,
}

impl Identity {
    /// Whether links reach people.
    pub const fn has_links(&self) -> bool {
        self.links.is_some()
    }

    /// Writes a letter with a link to whoever has this address, aside: nobody learns whether there is somebody.
    ///
    /// # Errors
    /// [`NoLetter`] says why not; it depends on who asks alone.
    pub fn offer_link(
        self: &Arc<Self>,
        (feed, mail): (&Arc<Feed>, &Arc<Mailer>),
        from: (Option<IpAddr>, RequestId),
        email: EmailAddress,
    ) -> Result<(), NoLetter> {
        if !self.letters.lock().may_ask(from.0, self.now().ticks) {
            return Err(NoLetter::TooMany);
        }
        let writing = self.writing.clone().try_acquire_owned().map_err(|_| NoLetter::Overloaded)?;
        let (identity, feed, mail) = (self.clone(), feed.clone(), mail.clone());
        tokio::spawn(async move {
            if let Err(error) = identity.write_link(&feed, &mail, from, email).await {
                tracing::warn!(%error, "a link to sign in could not be made");
            }
            drop(writing);
        });
        Ok(())
    }

    async fn write_link(
        &self,
        feed: &Arc<Feed>,
        mail: &Mailer,
        (address, request): (Option<IpAddr>, RequestId),
        email: EmailAddress,
    ) -> Result<(), LoginError> {
        let Some(known) = self.catalog.account_of(&email).await? else { return Ok(()) };
        let memberships = self.catalog.memberships(known.account.id).await?;
        let Some(home) = memberships.first() else { return Ok(()) };
        let now = self.now();
        if !self.letters.lock().may_go(self.lookup_of(&email), now.ticks) {
            tracing::info!("no further link to sign in is sent to somebody who was sent some just now");
            return Ok(());
        }
        let base = self.links.as_deref().unwrap_or_default();
        if self.catalog.has_other_way(known.account.id).await? {
            let about = About::OtherWay { page: format!("{base}/account") };
            mail.send(&Letter { to: email, about });
            return Ok(());
        }
        if !mail.is_of_use() {
            // It is counted and said; no link is made that nobody sees.
            mail.send(&Letter { to: email, about: About::SignIn { link: String::new(), minutes: 0 } });
            return Ok(());
        }
        let token = self.token(TokenKind::SignIn)?;
        let actor =
            Actor { organization: home.organization, who: Who::System("login"), address, request: Some(request) };
        let author = Author { actor, at: now.wall, idempotency: None };
        let ends_at = now.wall.plus_secs(LINK_SECS);
        let change = Change::OfferSignIn { account: known.account.id, lookup: token.lookup, ends_at };
        feed.make(author, change, now.ticks).await?;
        let link = format!("{base}/enter#{}", token.text.expose());
        mail.send(&Letter { to: email, about: About::SignIn { link, minutes: LINK_SECS / 60 } });
        Ok(())
    }

    /// Lets somebody in who shows a link, and a code where one is asked for.
    ///
    /// # Errors
    /// [`LoginError`] says why not. The link is good as before if a code is asked for, or was wrong.
    pub async fn log_in_by_link(
        &self,
        feed: &Arc<Feed>,
        visitor: &Visitor<'_>,
        (token, code): (&str, Option<&str>),
        organization: Option<OrganizationId>,
    ) -> Result<Opened, LoginError> {
        self.may_try(visitor)?;
        if !feed.makers.are_here().await {
            return Err(NotMade::Elsewhere.into());
        }
        let home = self.first_organization().await?;
        let mut wrong = Wrong { home, account: None, tried: Tried::Other(Failure::Link) };
        let Some(lookup) = TokenKind::SignIn.lookup(token) else { return self.note(feed, visitor, wrong).await };
        let known = self.catalog.account_of_link(lookup, self.now().wall).await?;
        let Some(known) = known else { return self.note(feed, visitor, wrong).await };
        let account = known.account;
        let memberships = self.catalog.memberships(account.id).await?;
        wrong.home = memberships.first().map_or(home, |first| first.organization);
        wrong.account = Some(account.id);
        let address = self.lookup_of(&account.email);
        let factor = match (account.has_totp, code) {
            (false, _) => None,
            (true, None) => return Err(LoginError::FactorRequired),
            (true, Some(code)) => {
                // A code could be guessed, so that it counts as a password does.
                let tried = match self.catalog.reserve_try(address, self.now().wall).await? {
                    Ok(tried) => tried,
                    Err(Locked::Until(end)) => return Err(LoginError::Locked(Some(end))),
                    Err(Locked::ForGood) => return Err(LoginError::Locked(None)),
                };
                wrong.tried = Tried::Password(tried);
                match self.factor(account.id, code).await? {
                    Some(factor) => Some(factor),
                    None => return self.note(feed, visitor, wrong).await,
                }
            }
        };
        let shown = Shown::Link(UsedLink { lookup, factor, forgives: address });
        let proven = Proven { account, shown, wrong };
        self.open(feed, visitor, (&proven, memberships), organization).await
    }
}
