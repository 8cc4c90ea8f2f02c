//! The first things of an installation: an owner, and a management key without which nobody could begin. For trying
//! things out, also an API, a project and a key. All of it goes through the catalogue's one door, and what is there
//! already is left alone.

mod developer;

use keystile_core::api::{ApiSettings, UpstreamUrl};
use keystile_core::id::{ActivationId, ApiId, InvitationId, KeyId, OrganizationId, ProjectId};
use keystile_core::key::{Environment, KeyKind, KeyState, KeyText, PoorEntropy, Prefix, Standing, TokenKind};
use keystile_core::limit::{Algorithm, LimitRule};
use keystile_core::member::{BuiltInRole, MemberRole, OrganizationKind};
use keystile_core::policy::Policy;
use keystile_core::time::Timestamp;
use keystile_store::records::{ActivationFilter, Invite, KeyFilter, NewKey, Page, ProjectAbout, ProjectFilter, Wish};
use keystile_store::{Actor, ApplyError, Author, Catalog, Change, StoreError, Who};

pub use developer::{Developer, developer};

use crate::enforce::change::NotMade;
use crate::identity::NotAPassword;
use crate::openapi::ApiDocument;
use crate::world::{Entropy, NoEntropy, random};

/// What the API of a trial is called while it goes to the built-in upstream.
const ECHO_NAME: &str = "Echo";
/// Days until the key of a trial ends.
const TRIAL_KEY_DAYS: i64 = 90;

/// Why nothing was set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The catalogue refused or failed.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// The catalogue can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no randomness to make a key of.
    #[error(transparent)]
    Entropy(#[from] NoEntropy),
    /// The randomness is none.
    #[error(transparent)]
    Poor(#[from] PoorEntropy),
    /// A change was not made.
    #[error("the account of whoever tries it out could not be made: {0:?}")]
    NotMade(NotMade),
    /// Its password could not be hashed.
    #[error(transparent)]
    Password(#[from] NotAPassword),
    /// The document can't be kept.
    #[error("the OpenAPI document can't be kept: {0}")]
    Document(#[from] serde_json::Error),
}

/// Sets things up.
pub struct Setup<'a> {
    /// Where.
    pub catalog: &'a Catalog,
    /// With which randomness.
    pub entropy: &'a dyn Entropy,
    /// When.
    pub at: Timestamp,
}

/// Who owns the installation.
pub struct Owner {
    /// The first organization.
    pub organization: OrganizationId,
    /// A management key, if there was none in use: at the first start, or when all were revoked or have expired.
    pub management_key: Option<(KeyId, KeyText)>,
    /// What lets whoever started it be its first member, if nobody can log in yet.
    pub claim: Option<KeyText>,
}

/// What a trial works with.
pub struct Trial {
    /// The API.
    pub api: ApiId,
    /// The project.
    pub project: ProjectId,
    /// The key.
    pub key: KeyId,
    /// Its text, if it was made just now.
    pub text: Option<KeyText>,
}

/// For how long an installation can be claimed after a start.
const CLAIM_HOURS: i64 = 24;

const FIRST: Page = Page { before: None, limit: 1 };
const ALL: Page = Page { before: None, limit: u32::MAX };

impl Setup<'_> {
    fn author(&self, organization: OrganizationId) -> Author {
        let actor = Actor { organization, who: Who::System("setup"), address: None, request: None };
        Author { actor, at: self.at, idempotency: None }
    }

    fn id(&self) -> Result<[u8; 16], NoEntropy> {
        random(self.entropy)
    }

    /// The owner, made if there is none; and a management key if none is in use.
    ///
    /// # Errors
    /// If the catalogue or the randomness fails. What was done until then is found by the next try.
    pub async fn owner(&self) -> Result<Owner, SetupError> {
        let first = self.catalog.organizations().await?.into_iter().min_by_key(|organization| organization.number);
        let organization = match first {
            Some(organization) => organization.id,
            None => {
                let id = OrganizationId::from_entropy(self.id()?);
                let name = "Owner".to_owned();
                self.catalog
                    .apply(&self.author(id), Change::CreateOrganization { id, name, kind: OrganizationKind::Owner })
                    .await?;
                id
            }
        };
        if self.catalog.root_has_changed() {
            self.catalog.apply(&self.author(organization), Change::NoteRootChange).await?;
        }
        if self.catalog.was_sealed_anew() {
            self.catalog.apply(&self.author(organization), Change::NoteSeal).await?;
        }
        let in_use =
            KeyFilter { kind: Some(KeyKind::Management), standing: Some(Standing::Active), ..KeyFilter::default() };
        let active = self.catalog.keys(organization, in_use, ALL).await?;
        let management_key = match active.iter().any(|key| key.expires_at.is_none_or(|end| end > self.at)) {
            true => None,
            false => {
                let project =
                    self.project(organization, "Management", "Holds the keys of this installation's owner.").await?;
                let everything = Policy { permissions: vec!["*".parse().expect("a permission")], ..Policy::default() };
                Some(self.key(organization, project, "first", KeyKind::Management, everything, None).await?)
            }
        };
        let claim = self.claim(organization).await?;
        Ok(Owner { organization, management_key, claim })
    }

    /// What lets whoever started the installation be its first member, if nobody can log in yet: the token of an invitation, in the
    /// place of the one of the start before.
    async fn claim(&self, organization: OrganizationId) -> Result<Option<KeyText>, SetupError> {
        if self.catalog.has_owner().await? {
            return Ok(None);
        }
        let token = TokenKind::Invitation.issue(&random(self.entropy)?)?;
        let lookup = TokenKind::Invitation.lookup(token.expose()).ok_or(PoorEntropy)?;
        let id = InvitationId::from_entropy(self.id()?);
        let (role, ends_at) = (MemberRole::BuiltIn(BuiltInRole::Owner), self.at.plus_secs(CLAIM_HOURS * 3_600));
        let invite = Invite { id, organization, email: None, role, lookup, ends_at };
        self.catalog.apply(&self.author(organization), Change::OfferClaim(invite)).await?;
        Ok(Some(token))
    }

    /// Revokes a key that was made and could not be shown: the next start makes another.
    ///
    /// # Errors
    /// If the catalogue fails.
    pub async fn take_back(&self, organization: OrganizationId, id: KeyId) -> Result<(), SetupError> {
        let Some(key) = self.catalog.key(organization, id).await? else { return Ok(()) };
        let state = KeyState::Revoked { at: self.at };
        let change = Change::KeyState { id, was: key.revision, state, action: "revoke", reason: String::new() };
        self.catalog.apply(&self.author(organization), change).await?;
        Ok(())
    }

    /// An API, a project and a key to try things out with, made if they are not there. `upstream` is where calls go;
    /// `echo` is the built-in upstream, for when nobody says.
    ///
    /// # Errors
    /// If the catalogue or the randomness fails.
    pub async fn trial(
        &self,
        organization: OrganizationId,
        upstream: Option<UpstreamUrl>,
        echo: &UpstreamUrl,
        document: Option<&ApiDocument>,
    ) -> Result<Trial, SetupError> {
        let document = document.map(ApiDocument::kept).transpose()?;
        let oldest = self.catalog.apis(organization, None, ALL).await?.into_iter().min_by_key(|api| api.number);
        let api = match oldest {
            None => {
                let id = ApiId::from_entropy(self.id()?);
                let name = if upstream.is_some() { "API" } else { ECHO_NAME }.to_owned();
                let settings = ApiSettings::new(upstream.unwrap_or_else(|| echo.clone()));
                self.catalog
                    .apply(&self.author(organization), Change::CreateApi { id, name, settings, document })
                    .await?;
                id
            }
            Some(api) => {
                let wanted = upstream.or_else(|| (api.name == ECHO_NAME).then(|| echo.clone()));
                let moves = wanted.as_ref().is_some_and(|wanted| *wanted != api.settings.upstream);
                if moves || document.is_some() {
                    let mut settings = api.settings;
                    settings.upstream = wanted.unwrap_or(settings.upstream);
                    let (id, was, name, active) = (api.id, api.revision, api.name, api.active);
                    let change = Change::UpdateApi { id, was, name, active, settings, document: document.map(Some) };
                    self.catalog.apply(&self.author(organization), change).await?;
                }
                api.id
            }
        };
        let project = self.project(organization, "Trial", "Made by `keystile dev`.").await?;
        let link = ActivationFilter { project: Some(project), api: Some(api), state: None, ever: false };
        if self.catalog.activations(organization, link, FIRST).await?.is_empty() {
            let id = ActivationId::from_entropy(self.id()?);
            let change = Change::CreateActivation { id, project, api, wish: Wish::default() };
            self.catalog.apply(&self.author(organization), change).await?;
        }
        let keys = KeyFilter { project: Some(project), ..KeyFilter::default() };
        let oldest = self.catalog.keys(organization, keys, ALL).await?.into_iter().min_by_key(|key| key.number);
        let (key, text) = match oldest {
            Some(key) => (key.id, None),
            None => {
                let limit = LimitRule::new("per-minute", 6_000, 60, Algorithm::SlidingWindow, None).expect("a limit");
                let policy = Policy { rate_limits: vec![limit], ..Policy::default() };
                let end = Some(self.at.plus_secs(TRIAL_KEY_DAYS * 86_400));
                let (id, text) = self.key(organization, project, "trial", KeyKind::Secret, policy, end).await?;
                (id, Some(text))
            }
        };
        Ok(Trial { api, project, key, text })
    }

    /// The oldest project of this name, made if there is none.
    async fn project(
        &self,
        organization: OrganizationId,
        name: &str,
        description: &str,
    ) -> Result<ProjectId, SetupError> {
        let filter = ProjectFilter { name: Some(name.to_owned()), labels: Vec::new() };
        let named = self.catalog.projects(organization, &filter, ALL).await?;
        if let Some(project) = named.into_iter().min_by_key(|project| project.number) {
            return Ok(project.id);
        }
        let id = ProjectId::from_entropy(self.id()?);
        let (name, description) = (name.to_owned(), description.to_owned());
        let about = ProjectAbout { name, description, ..ProjectAbout::default() };
        let change = Change::CreateProject { id, about, environment: Environment::Live };
        self.catalog.apply(&self.author(organization), change).await?;
        Ok(id)
    }

    async fn key(
        &self,
        organization: OrganizationId,
        project: ProjectId,
        name: &str,
        kind: KeyKind,
        policy: Policy,
        expires_at: Option<Timestamp>,
    ) -> Result<(KeyId, KeyText), SetupError> {
        let text = KeyText::issue(&Prefix::default(), Environment::Live, &random(self.entropy)?)?;
        let pepper = self.catalog.pepper();
        let key = NewKey {
            id: KeyId::from_entropy(self.id()?),
            name: name.to_owned(),
            kind,
            hint: text.hint(),
            digest: pepper.digest(text.expose()),
            pepper_version: pepper.version(),
            text: None,
            expires_at,
            tags: keystile_core::metadata::Tags::default(),
        };
        let id = key.id;
        self.catalog.apply(&self.author(organization), Change::CreateKey { project, key, policy }).await?;
        Ok((id, text))
    }
}
