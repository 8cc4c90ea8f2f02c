//! The person of an installation that somebody tries out: its first member, who comes in by a link that is printed.

use keystile_core::account::EmailAddress;
use keystile_core::id::{AccountId, MemberId, OrganizationId};
use keystile_core::key::{KeyText, PoorEntropy, TokenKind};
use keystile_store::records::{Entry, Joining, NewAccount};
use keystile_store::{Actor, Author, Change, Who};

use super::{Owner, SetupError};
use crate::manage::App;
use crate::world::random;

/// What it logs in with. Nobody gets mail there (RFC 2606).
const EMAIL: &str = "developer@example.com";
/// What it is called.
const NAME: &str = "Developer";
/// For how long the link is good: whoever tries something out does it on the day.
const LINK_SECS: i64 = 86_400;

/// Who tries the installation out, and the ways in.
pub struct Developer {
    /// What it logs in with.
    pub email: EmailAddress,
    /// Its password, if the account was made just now.
    pub password: Option<String>,
    /// The token of a link that signs it in, once.
    pub link: KeyText,
}

/// Makes the first member of an installation that nobody has claimed, and a link that lets it in. `None` if a person claimed it.
///
/// # Errors
/// If the catalogue or the randomness fails.
pub async fn developer(app: &App, owner: &Owner) -> Result<Option<Developer>, SetupError> {
    let email: EmailAddress = EMAIL.parse().expect("an address");
    let mut password = None;
    if let Some(claim) = &owner.claim {
        let text = TokenKind::Reset.issue(&random(&*app.entropy)?)?.expose().to_owned();
        let entry = Entry::Password(app.identity.new_password(&text, false, &[]).await?);
        let id = AccountId::from_entropy(random(&*app.entropy)?);
        let joining = Joining::New(NewAccount { id, email: email.clone(), name: NAME.to_owned(), entry });
        let lookup = TokenKind::Invitation.lookup(claim.expose()).ok_or(PoorEntropy)?;
        let member = MemberId::from_entropy(random(&*app.entropy)?);
        make(app, owner.organization, Change::AcceptInvitation { lookup, member, joining }).await?;
        password = Some(text);
    }
    let Some(known) = app.catalog.account_of(&email).await? else { return Ok(None) };
    let link = TokenKind::SignIn.issue(&random(&*app.entropy)?)?;
    let lookup = TokenKind::SignIn.lookup(link.expose()).ok_or(PoorEntropy)?;
    let ends_at = app.clock.now().wall.plus_secs(LINK_SECS);
    make(app, owner.organization, Change::OfferSignIn { account: known.account.id, lookup, ends_at }).await?;
    Ok(Some(Developer { email, password, link }))
}

async fn make(app: &App, organization: OrganizationId, change: Change) -> Result<(), SetupError> {
    let actor = Actor { organization, who: Who::System("setup"), address: None, request: None };
    let author = Author { actor, at: app.clock.now().wall, idempotency: None };
    let made = app.feed.make(author, change, app.clock.ticks()).await;
    made.map(drop).map_err(SetupError::NotMade)
}
