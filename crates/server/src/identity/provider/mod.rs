//! Logging in at an identity provider (OpenID Connect Core 1.0, with PKCE, RFC 7636, and RFC 9207).
//!
//! The provider is the one of the settings. Who somebody is there is its issuer and its subject, never an e-mail address. What
//! a browser needs between leaving and coming back is in a cookie under our seal: an answer is good in the browser that asked, once.

mod wire;

use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use keystile_core::account::EmailAddress;
use keystile_core::id::{AccountId, IdentityId, OrganizationId, SessionId};
use keystile_core::time::Timestamp;
use keystile_store::records::{Challenge, Failure, Membership, Named, NewIdentity, Shown, UsedIdentity, Ways};
use openidconnect::core::{
    CoreAuthPrompt, CoreIdTokenClaims, CoreIdTokenVerifier, CoreJwsSigningAlgorithm, CoreResponseType,
    CoreTokenResponse,
};
use openidconnect::{
    AuthenticationFlow, AuthorizationCode, ClaimsVerificationError, CsrfToken, Nonce, PkceCodeChallenge,
    PkceCodeVerifier, Scope, TokenResponse as _,
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

pub(super) use wire::Provider;

use super::Identity;
use super::login::{LoginError, Opened, Proven, Tried, Visitor, Wrong};
use crate::enforce::change::NotMade;
use crate::enforce::feed::Feed;
use crate::problem::causes;
use crate::world::{NoEntropy, random};
use wire::{Client, userinfo};

/// Seconds for which somebody may take at the provider.
const LIFE_SECS: i64 = 600;
/// The oldest login at the provider that is taken.
const MAX_AGE: Duration = Duration::from_secs(30 * 86_400);
/// How long what the provider says of itself, and its keys, are taken as they are.
const FRESH_NANOS: u64 = 3_600 * 1_000_000_000;
/// How long they are taken even if a signature does not fit: whoever sends nonsense does not make us ask all the time.
const PAUSE_NANOS: u64 = 60 * 1_000_000_000;
/// Signatures that are taken: by keys that the provider alone has.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// The identity provider of the settings.
#[derive(Clone, PartialEq, Eq)]
pub struct ProviderSettings {
    /// Its issuer: an `https://` URL, or one of this machine.
    pub issuer: String,
    /// What this server is called there.
    pub client_id: String,
    /// What it proves that with, if it was given anything.
    pub client_secret: Option<Zeroizing<String>>,
    /// What people call the provider.
    pub name: String,
    /// Where browsers reach this server.
    pub origin: String,
}

impl std::fmt::Debug for ProviderSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProviderSettings").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

/// Where browsers come back from the provider.
pub const CALLBACK: &str = "/login/oidc/callback";

/// What somebody goes to the provider for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Errand {
    /// To log in.
    LogIn,
    /// To prove once more who they are, for this session.
    Prove {
        /// Which.
        session: SessionId,
    },
    /// To be known by what they are there from now on.
    Connect {
        /// As whom here.
        account: AccountId,
    },
    /// To join by an invitation.
    Join {
        /// What the invitation is found by.
        lookup: [u8; 32],
    },
}

/// What a browser keeps while it is away.
#[derive(Serialize, Deserialize)]
struct Journey {
    errand: Errand,
    to: String,
    issuer: String,
    state: String,
    nonce: String,
    verifier: String,
}

/// A browser that is to be sent to the provider.
pub struct Departure {
    /// Where to.
    pub url: String,
    /// What it keeps meanwhile, in a cookie.
    pub journey: String,
    /// Seconds for which it may be away.
    pub life_secs: i64,
}

/// What a browser came back with.
pub struct Return<'a> {
    /// `state` of the address.
    pub state: &'a str,
    /// `code` of the address.
    pub code: &'a str,
    /// Whether `error` stands there instead.
    pub is_refused: bool,
    /// `iss` of the address (RFC 9207).
    pub issuer: Option<&'a str>,
    /// What it kept.
    pub journey: &'a str,
}

/// Who the provider says it is.
pub struct Vouched {
    /// Who.
    pub named: Named,
    /// An e-mail address that the provider knows to be theirs.
    pub email: Option<EmailAddress>,
    /// When they proved it there, if the provider says.
    pub proven_at: Option<Timestamp>,
    /// What is remembered of it.
    pub challenge: Challenge,
    /// What for.
    pub errand: Errand,
    /// Where they want to go on.
    pub to: String,
}

/// Why nobody was vouched for.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// The settings name no provider.
    #[error("there is no identity provider; whoever runs this server names one in the section oidc of the settings")]
    Unavailable,
    /// The provider can't be asked.
    #[error("the identity provider can't be asked: {0}")]
    Unreachable(String),
    /// It was too long ago, or in another browser.
    #[error("it took too long, or began in another browser; begin again")]
    Ended,
    /// The provider let nobody in.
    #[error("the identity provider let nobody in")]
    Refused,
    /// Too many ways back led nowhere, from this network.
    #[error("too many ways back from the identity provider led nowhere, from this network")]
    TooMany,
    /// What the provider said is not sound.
    #[error("what the identity provider said is not sound: {0}")]
    Unsound(String),
    /// There is no randomness.
    #[error(transparent)]
    Entropy(#[from] NoEntropy),
}

impl Identity {
    /// What people call the provider, if there is one.
    pub fn provider_name(&self) -> Option<&str> {
        self.provider.as_ref().map(|provider| provider.settings.name.as_str())
    }

    /// Which ways in lead somewhere, besides a password.
    pub fn ways(&self) -> Ways {
        let issuer = self.provider.as_ref().map(|provider| provider.settings.issuer.clone());
        Ways { passkeys: self.has_passkeys(), issuer }
    }

    fn provider(&self) -> Result<&Provider, ProviderError> {
        self.provider.as_ref().ok_or(ProviderError::Unavailable)
    }

    /// Sends a browser to the provider. `to` is where it goes on afterwards.
    ///
    /// # Errors
    /// If there is none, or it can't be asked.
    pub async fn depart(&self, errand: Errand, to: &str) -> Result<Departure, ProviderError> {
        let (provider, now) = (self.provider()?, self.now());
        let client = provider.client(provider.metadata(now.ticks, FRESH_NANOS).await?)?;
        let text = || Ok::<_, NoEntropy>(BASE64URL_NOPAD.encode(&random::<32>(&*self.entropy)?));
        let (state, nonce, verifier) = (text()?, text()?, text()?);
        let secret = PkceCodeVerifier::new(verifier.clone());
        let (of_state, of_nonce) = (CsrfToken::new(state.clone()), Nonce::new(nonce.clone()));
        let flow = AuthenticationFlow::<CoreResponseType>::AuthorizationCode;
        let mut request = client
            .authorize_url(flow, move || of_state, move || of_nonce)
            .add_scope(Scope::new("email".to_owned()))
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&secret));
        request = match errand {
            // Whoever asks for the age of a login is told it (§2, auth_time).
            Errand::LogIn | Errand::Join { .. } => request.set_max_age(MAX_AGE),
            // Whoever is asked for proof gives it now.
            Errand::Prove { .. } | Errand::Connect { .. } => {
                request.add_prompt(CoreAuthPrompt::Login).set_max_age(Duration::ZERO)
            }
        };
        let (url, ..) = request.url();
        let (to, issuer) = (to.to_owned(), provider.settings.issuer.clone());
        let journey = Journey { errand, to, issuer, state, nonce, verifier };
        let journey = provider.seal.seal(journey, now.wall.plus_secs(LIFE_SECS));
        Ok(Departure { url: url.into(), journey, life_secs: LIFE_SECS })
    }

    /// Whom the provider vouches for, now that a browser came back.
    ///
    /// # Errors
    /// If it does for nobody.
    pub async fn vouched(&self, visitor: &Visitor<'_>, back: &Return<'_>) -> Result<Vouched, ProviderError> {
        let (provider, now) = (self.provider()?, self.now());
        let (journey, challenge) = provider.seal.open::<Journey>(back.journey, now.wall).ok_or(ProviderError::Ended)?;
        // The journey is the browser's own secret, so nothing is to be learnt from how long this takes.
        if journey.state != back.state || journey.issuer != provider.settings.issuer {
            return Err(ProviderError::Ended);
        }
        if back.is_refused {
            return Err(ProviderError::Refused);
        }
        // Each way back asks the provider something.
        if !self.returns.lock().may_try(visitor.address, now.ticks) {
            return Err(ProviderError::TooMany);
        }
        let vouched = self.redeemed(provider, back, journey, challenge).await;
        if matches!(vouched, Err(ProviderError::Unsound(_))) {
            self.returns.lock().note(visitor.address, now.ticks);
        }
        vouched
    }

    /// What the provider says of whom its code stands for.
    async fn redeemed(
        &self,
        provider: &Provider,
        back: &Return<'_>,
        journey: Journey,
        challenge: Challenge,
    ) -> Result<Vouched, ProviderError> {
        let now = self.now();
        if back.issuer.is_some_and(|issuer| issuer != provider.settings.issuer) {
            return Err(ProviderError::Unsound("the answer is another provider's".to_owned()));
        }
        let metadata = provider.metadata(now.ticks, FRESH_NANOS).await?;
        let client = provider.client(metadata)?;
        let fetch = |request| provider.fetch(request);
        let answer: CoreTokenResponse = client
            .exchange_code(AuthorizationCode::new(back.code.to_owned()))
            .set_pkce_verifier(PkceCodeVerifier::new(journey.verifier.clone()))
            .request_async(&fetch)
            .await
            .map_err(|error| ProviderError::Unsound(causes(&error)))?;
        let nonce = Nonce::new(journey.nonce.clone());
        let claims = match Self::claims(&client, &answer, &nonce) {
            // It may have another key by now.
            Err(ClaimsVerificationError::SignatureVerification(_)) => {
                let client = provider.client(provider.metadata(now.ticks, PAUSE_NANOS).await?)?;
                Self::claims(&client, &answer, &nonce)
            }
            claims => claims,
        };
        let claims = claims.map_err(|error| ProviderError::Unsound(causes(&error)))?;
        let of_token = claims.email().filter(|_| claims.email_verified() == Some(true)).map(|email| email.to_string());
        let email = match (of_token, &journey.errand) {
            // Most providers say it only where they are asked for it (§5.4).
            (None, Errand::Join { .. }) => userinfo(&client, &answer, &claims, &fetch).await,
            (email, _) => email,
        };
        let proven_at = claims.auth_time().map(|at| Timestamp::from_secs(at.timestamp()));
        // Whoever took `max_age` out of the address gets no more by that (§3.1.3.7).
        if proven_at.is_some_and(|at| at.plus_secs(MAX_AGE.as_secs() as i64) < now.wall) {
            return Err(ProviderError::Unsound("the login there is too long ago".to_owned()));
        }
        Ok(Vouched {
            named: Named { issuer: provider.settings.issuer.clone(), subject: claims.subject().to_string() },
            email: email.and_then(|email| email.parse().ok()),
            proven_at,
            challenge,
            errand: journey.errand,
            to: journey.to,
        })
    }

    /// What an ID token claims, if it is sound: of this issuer, for this server, in its time, for this question, under a signature of the
    /// provider. Keys that the token brings itself (`jwk`, `jku`, `x5u`) are nothing to us.
    fn claims(
        client: &Client,
        answer: &CoreTokenResponse,
        nonce: &Nonce,
    ) -> Result<CoreIdTokenClaims, ClaimsVerificationError> {
        let token =
            answer.id_token().ok_or_else(|| ClaimsVerificationError::Other("there is no ID token".to_owned()))?;
        let verifier: CoreIdTokenVerifier<'_> = client.id_token_verifier().set_allowed_algs(ALGORITHMS);
        token.claims(&verifier, nonce).cloned()
    }

    /// Lets in whom the provider vouched for, into the organization that the account joined first.
    ///
    /// # Errors
    /// [`LoginError`] says why not.
    pub async fn log_in_by_identity(
        &self,
        feed: &Arc<Feed>,
        visitor: &Visitor<'_>,
        vouched: &Vouched,
    ) -> Result<Opened, LoginError> {
        let (proven, memberships) = self.prove_by_identity(feed, visitor, vouched).await?;
        self.open(feed, visitor, (&proven, memberships), None).await
    }

    /// Proves once more who holds a session: its new token.
    ///
    /// # Errors
    /// [`LoginError`] says why not.
    pub async fn prove_again_by_identity(
        &self,
        feed: &Arc<Feed>,
        visitor: &Visitor<'_>,
        of: (SessionId, AccountId, OrganizationId),
        vouched: &Vouched,
    ) -> Result<super::Token, LoginError> {
        let (proven, _) = self.prove_by_identity(feed, visitor, vouched).await?;
        if proven.account.id != of.1 {
            return self.failed(feed, visitor, &proven).await;
        }
        self.renew(feed, visitor, of, &proven).await
    }

    /// Who is known here by what the provider vouched for.
    ///
    /// # Errors
    /// [`LoginError`] says why nobody is. That is noted before it is answered.
    pub async fn prove_by_identity(
        &self,
        feed: &Arc<Feed>,
        visitor: &Visitor<'_>,
        vouched: &Vouched,
    ) -> Result<(Proven, Vec<Membership>), LoginError> {
        if !feed.makers.are_here().await {
            return Err(NotMade::Elsewhere.into());
        }
        let home = self.first_organization().await?;
        let mut wrong = Wrong { home, account: None, tried: Tried::Other(Failure::Identity) };
        let found = self.catalog.identity_of(&vouched.named).await?;
        let Some(found) = found else { return self.note(feed, visitor, wrong).await };
        let memberships = self.catalog.memberships(found.account).await?;
        wrong.home = memberships.first().map_or(home, |first| first.organization);
        wrong.account = Some(found.account);
        let Some(known) = self.catalog.account(found.account).await? else {
            return self.note(feed, visitor, wrong).await;
        };
        let (named, proven_at, challenge) = (vouched.named.clone(), vouched.proven_at, vouched.challenge);
        let shown = Shown::Identity(UsedIdentity { named, proven_at, challenge });
        Ok((Proven { account: known.account, shown, wrong }, memberships))
    }

    /// What this account is known by from now on.
    ///
    /// # Errors
    /// If there is no randomness.
    pub fn new_identity(&self, account: AccountId, vouched: &Vouched) -> Result<NewIdentity, NoEntropy> {
        let id = IdentityId::from_entropy(random(&*self.entropy)?);
        Ok(NewIdentity { id, account, named: vouched.named.clone(), challenge: vouched.challenge })
    }
}
