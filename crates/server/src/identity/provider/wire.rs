//! What is asked of the identity provider: what it says of itself, what a code stands for, and whose address it knows.

use std::sync::Arc;
use std::time::Duration;

use keystile_core::time::Ticks;
use openidconnect::core::{
    CoreClientAuthMethod, CoreIdTokenClaims, CoreProviderMetadata, CoreTokenResponse, CoreUserInfoClaims,
};
use openidconnect::{
    AuthType, ClientId, ClientSecret, HttpRequest, HttpResponse, IssuerUrl, OAuth2TokenResponse as _, RedirectUrl, core,
};
use tokio::sync::Semaphore;
use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use super::{CALLBACK, ProviderError, ProviderSettings};
use crate::identity::seal::Seal;
use crate::problem::causes;

/// How long an answer of the provider may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Questions at once.
const AT_ONCE: usize = 8;
/// For how long it is not asked again after it could not be.
const AWAY_NANOS: u64 = 5 * 1_000_000_000;
/// Longest answer of the provider.
const MAX_ANSWER: u64 = 1 << 20;

pub(super) type Client = core::CoreClient<
    openidconnect::EndpointSet,
    openidconnect::EndpointNotSet,
    openidconnect::EndpointNotSet,
    openidconnect::EndpointNotSet,
    openidconnect::EndpointSet,
    openidconnect::EndpointMaybeSet,
>;

/// The way to the provider.
pub(in crate::identity) struct Provider {
    pub(super) settings: ProviderSettings,
    pub(super) seal: Seal,
    agent: Agent,
    known: tokio::sync::Mutex<Option<Known>>,
    /// Places for questions: each holds a thread for as long as the provider takes.
    places: Arc<Semaphore>,
}

#[derive(Clone)]
struct Known {
    /// What it said; why it could not be asked.
    said: Result<CoreProviderMetadata, String>,
    at: Ticks,
}

impl Provider {
    pub(in crate::identity) fn new(settings: ProviderSettings, seal: Seal) -> Self {
        let system = rustls_native_certs::load_native_certs().certs;
        let roots: Vec<_> = system.iter().map(|one| Certificate::from_der(one).to_owned()).collect();
        let tls = TlsConfig::builder().root_certs(RootCerts::Specific(Arc::new(roots))).build();
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .timeout_global(Some(PATIENCE))
            .tls_config(tls)
            .build();
        Self {
            settings,
            seal,
            agent: agent.into(),
            known: tokio::sync::Mutex::default(),
            places: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// What the provider says of itself, as long as that is fresh. Whoever waits for the same question waits for its answer.
    pub(super) async fn metadata(&self, now: Ticks, fresh_nanos: u64) -> Result<CoreProviderMetadata, ProviderError> {
        let mut known = self.known.lock().await;
        if let Some(Known { said, at }) = known.as_ref() {
            let age = now.nanos_since(*at);
            match said {
                Ok(said) if age < fresh_nanos => return Ok(said.clone()),
                Err(why) if age < AWAY_NANOS => return Err(ProviderError::Unreachable(why.clone())),
                Ok(_) | Err(_) => {}
            }
        }
        let issuer = IssuerUrl::new(self.settings.issuer.clone()).map_err(|error| unreachable(&error))?;
        let fetch = |request| self.fetch(request);
        let said = CoreProviderMetadata::discover_async(issuer, &fetch).await.map_err(|error| causes(&error));
        *known = Some(Known { said: said.clone(), at: now });
        said.map_err(ProviderError::Unreachable)
    }

    /// Asks the provider, over TLS unless it is on this machine.
    pub(super) fn fetch(
        &self,
        request: HttpRequest,
    ) -> impl Future<Output = Result<HttpResponse, std::io::Error>> + use<> {
        let (agent, place) = (self.agent.clone(), self.places.clone().try_acquire_owned());
        let may_be_clear = self.settings.issuer.starts_with("http://");
        async move {
            if request.uri().scheme_str() != Some("https") && !may_be_clear {
                return Err(std::io::Error::other("the provider names an address without TLS"));
            }
            let place = place.map_err(|_| std::io::Error::other("too many wait for the provider already"))?;
            let asked = move || {
                let _place = place;
                let response = agent.run(request).map_err(std::io::Error::other)?;
                let (head, mut body) = response.into_parts();
                let body = body.with_config().limit(MAX_ANSWER).read_to_vec().map_err(std::io::Error::other)?;
                Ok(HttpResponse::from_parts(head, body))
            };
            tokio::task::spawn_blocking(asked).await.map_err(std::io::Error::other)?
        }
    }

    pub(super) fn client(&self, metadata: CoreProviderMetadata) -> Result<Client, ProviderError> {
        let methods = metadata.token_endpoint_auth_methods_supported();
        let takes_basic = methods.is_none_or(|all| all.contains(&CoreClientAuthMethod::ClientSecretBasic));
        let secret = self.settings.client_secret.as_ref().map(|text| ClientSecret::new(text.to_string()));
        let back = format!("{}{CALLBACK}", self.settings.origin);
        let back = RedirectUrl::new(back).map_err(|error| unreachable(&error))?;
        let endpoint = metadata.token_endpoint().cloned();
        let endpoint = endpoint.ok_or_else(|| ProviderError::Unsound("it has no token endpoint".to_owned()))?;
        let client =
            core::CoreClient::from_provider_metadata(metadata, ClientId::new(self.settings.client_id.clone()), secret);
        let kind = if takes_basic { AuthType::BasicAuth } else { AuthType::RequestBody };
        Ok(client.set_auth_type(kind).set_token_uri(endpoint).set_redirect_uri(back))
    }
}

fn unreachable(error: &(dyn std::error::Error + 'static)) -> ProviderError {
    ProviderError::Unreachable(causes(error))
}

/// The address that the provider knows to be theirs, asked for with the access token; none if it does not say.
pub(super) async fn userinfo<F>(
    client: &Client,
    answer: &CoreTokenResponse,
    claims: &CoreIdTokenClaims,
    fetch: &F,
) -> Option<String>
where
    F: for<'c> openidconnect::AsyncHttpClient<'c>,
{
    let request = client.user_info(answer.access_token().clone(), Some(claims.subject().clone())).ok()?;
    let said: CoreUserInfoClaims = request.request_async(fetch).await.ok()?;
    let email = said.email().filter(|_| said.email_verified() == Some(true))?;
    Some(email.to_string())
}
