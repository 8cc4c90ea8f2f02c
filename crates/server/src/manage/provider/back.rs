//! A browser that comes back from the identity provider.

use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use http::header::LOCATION;
use http::{HeaderMap, StatusCode};
use keystile_core::id::{AccountId, MemberId, OrganizationId};
use keystile_core::time::Timestamp;
use keystile_store::records::{Entry, Joining, NewAccount, Session};
use keystile_store::{ApplyError, Change, StoreError, Who};
use serde::Deserialize;

use crate::enforce::change::NotMade;
use crate::identity::{Errand, LoginError, ProviderError, Return, Vouched};
use crate::manage::app::App;
use crate::manage::authenticate::{Newcomer, cookie_of, no_journey};
use crate::problem::causes;

/// What stands in the address when a browser comes back.
#[derive(Deserialize)]
pub(in crate::manage) struct Answer {
    #[serde(default)]
    state: String,
    #[serde(default)]
    code: String,
    iss: Option<String>,
    error: Option<String>,
}

/// Why somebody who comes back is not let in; the word that stands behind the `#`, for the page to say more.
enum Fault {
    /// The provider let nobody in.
    Refused,
    /// It took too long, or began elsewhere.
    Ended,
    /// The provider is of no use now.
    Failed,
    /// Too much went wrong from there.
    Busy,
    /// The provider does not say that they proved just now who they are.
    Stale,
    /// Nobody is known by it here.
    Unknown,
    /// Somebody else is known by it here.
    Taken,
    /// The provider knows no address of theirs, or another one than the invitation.
    Address,
    /// There is an account with that address.
    There,
    /// The invitation is none.
    Invitation,
    /// The session has ended, or is somebody else's.
    Session,
}

impl Fault {
    const fn word(&self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Ended => "ended",
            Self::Failed => "failed",
            Self::Busy => "busy",
            Self::Stale => "stale",
            Self::Unknown => "unknown",
            Self::Taken => "taken",
            Self::Address => "address",
            Self::There => "there",
            Self::Invitation => "invitation",
            Self::Session => "session",
        }
    }

    fn failed(cause: &(dyn std::error::Error + 'static)) -> Self {
        tracing::warn!(cause = causes(cause), "somebody came back from the identity provider, and it was of no use");
        Self::Failed
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::failed(&error)
    }
}

impl From<NotMade> for Fault {
    fn from(why: NotMade) -> Self {
        match why {
            NotMade::Refused(ApplyError::NotFound("proof")) => Self::Ended,
            NotMade::Refused(ApplyError::NotFound(_)) => Self::Invitation,
            NotMade::Refused(ApplyError::Conflict(_)) => Self::Address,
            NotMade::Refused(ApplyError::Exists(_)) => Self::There,
            why => Self::failed(&LoginError::NotMade(why)),
        }
    }
}

impl From<LoginError> for Fault {
    fn from(error: LoginError) -> Self {
        match error {
            LoginError::UnknownIdentity => Self::Unknown,
            LoginError::NotMade(why) => why.into(),
            error => Self::failed(&error),
        }
    }
}

/// A browser that comes back from the provider. It changes what it went for, which the cookie under our seal says and nobody else's
/// page can: an answer without it, or with another's, is none.
pub(in crate::manage) async fn come_back(
    newcomer: Newcomer,
    State(app): State<App>,
    Query(answer): Query<Answer>,
) -> Response {
    let finished = finish(&app, &newcomer, &answer).await;
    // What is no answer to this browser's question takes nothing from it.
    let mut headers = if matches!(finished, Err(Fault::Ended)) { HeaderMap::new() } else { no_journey() };
    let (to, cookie) = match finished {
        Ok((to, cookie)) => (to, cookie),
        Err(fault) => (format!("/account#{}", fault.word()), HeaderMap::new()),
    };
    app.webhooks.wake();
    for (name, value) in &cookie {
        headers.append(name, value.clone());
    }
    (StatusCode::SEE_OTHER, [(LOCATION, to)], headers).into_response()
}

async fn finish(app: &App, newcomer: &Newcomer, answer: &Answer) -> Result<(String, HeaderMap), Fault> {
    let journey = newcomer.journey().ok_or(Fault::Ended)?;
    let back = Return {
        state: &answer.state,
        code: &answer.code,
        is_refused: answer.error.is_some(),
        issuer: answer.iss.as_deref(),
        journey,
    };
    let vouched = match app.identity.vouched(&newcomer.visitor(None), &back).await {
        Ok(vouched) => vouched,
        Err(ProviderError::Refused) => return Err(Fault::Refused),
        Err(ProviderError::TooMany) => return Err(Fault::Busy),
        Err(ProviderError::Ended) => return Err(Fault::Ended),
        Err(error) => return Err(Fault::failed(&error)),
    };
    let cookie = match &vouched.errand {
        Errand::LogIn => {
            let former = session_of(app, newcomer).await.ok().map(|session| session.id);
            let visitor = newcomer.visitor(former);
            let opened = app.identity.log_in_by_identity(&app.feed, &visitor, &vouched).await?;
            cookie_of(&opened.token.text)
        }
        Errand::Prove { session } => {
            let held = session_of(app, newcomer).await?;
            if held.id != *session {
                return Err(Fault::Session);
            }
            let is_just_proven = |at: Timestamp| app.now() < at.plus_secs(app.identity.limits.proven_secs);
            if !vouched.proven_at.is_some_and(is_just_proven) {
                return Err(Fault::Stale);
            }
            let of = (held.id, held.account.id, held.organization);
            let visitor = newcomer.visitor(None);
            let token = app.identity.prove_again_by_identity(&app.feed, &visitor, of, &vouched).await?;
            cookie_of(&token.text)
        }
        Errand::Connect { account } => {
            let held = session_of(app, newcomer).await?;
            if held.account.id != *account || !held.times.is_just_proven(&app.identity.limits, app.now()) {
                return Err(Fault::Session);
            }
            let identity = app.identity.new_identity(*account, &vouched).map_err(|error| Fault::failed(&error))?;
            let author = (held.organization, Who::Account(*account));
            make(app, newcomer, author, Change::AddIdentity(identity)).await.map_err(|why| match why {
                NotMade::Refused(ApplyError::Exists(_) | ApplyError::Conflict(_)) => Fault::Taken,
                why => why.into(),
            })?;
            HeaderMap::new()
        }
        Errand::Join { lookup } => {
            join(app, newcomer, &vouched, *lookup).await?;
            return Ok((format!("{}#joined", vouched.to), HeaderMap::new()));
        }
    };
    Ok((vouched.to, cookie))
}

/// The session of a browser that comes back.
async fn session_of(app: &App, newcomer: &Newcomer) -> Result<Session, Fault> {
    let text = newcomer.former_session().ok_or(Fault::Session)?;
    app.identity.session(text).await?.map(|(session, _)| session).ok_or(Fault::Session)
}

/// Makes whoever the provider vouched for a member: with an account that is connected already, else with a new one, for the address that the
/// provider knows.
async fn join(app: &App, newcomer: &Newcomer, vouched: &Vouched, lookup: [u8; 32]) -> Result<(), Fault> {
    let invitation = app.catalog.open_invitation(lookup, app.now()).await?.ok_or(Fault::Invitation)?;
    let member = MemberId::from_entropy(app.id().map_err(|_| Fault::Failed)?);
    let known = app.catalog.identity_of(&vouched.named).await?;
    if known.is_some() {
        let visitor = newcomer.visitor(None);
        let (proven, _) = app.identity.prove_by_identity(&app.feed, &visitor, vouched).await?;
        let account = proven.account.id;
        let joining = Joining::Known(account, Some(proven.shown));
        let author = (invitation.organization, Who::Account(account));
        return Ok(make(app, newcomer, author, Change::AcceptInvitation { lookup, member, joining }).await?);
    }
    // Whoever could not prove anything later would be stuck without a password.
    if vouched.proven_at.is_none() {
        return Err(Fault::Stale);
    }
    // Whoever holds an invitation is taken at its word, as everybody who accepts one is.
    let email = vouched.email.clone().or(invitation.email).ok_or(Fault::Address)?;
    let account = AccountId::from_entropy(app.id().map_err(|_| Fault::Failed)?);
    let identity = app.identity.new_identity(account, vouched).map_err(|error| Fault::failed(&error))?;
    let new = NewAccount { id: account, email, name: String::new(), entry: Entry::Identity(identity) };
    let change = Change::AcceptInvitation { lookup, member, joining: Joining::New(new) };
    Ok(make(app, newcomer, (invitation.organization, Who::Account(account)), change).await?)
}

async fn make(
    app: &App,
    newcomer: &Newcomer,
    (organization, who): (OrganizationId, Who),
    change: Change,
) -> Result<(), NotMade> {
    let author = app.identity.author(&newcomer.visitor(None), organization, who);
    app.feed.make(author, change, app.clock.ticks()).await.map(drop)
}
