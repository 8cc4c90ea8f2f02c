//! Everything that answering a call needs, in memory: keys, their projects and policies, the APIs and the routes
//! to them. Readers take no lock; the [feed](super::feed) is the only writer.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::{HeaderName, HeaderValue};
use keystile_core::api::{
    Access, ClientAddresses, Costs, Environments, KeyLocation, PublishableOperation, UnknownOperations,
    UpgradeProtocol, open_table,
};
use keystile_core::decide::Activation;
use keystile_core::id::{ApiId, OrganizationId, ProjectId};
use keystile_core::key::Environment;
use keystile_core::limit::Scope;
use keystile_core::media::MediaTypes;
use keystile_core::operation::OperationTable;
use keystile_core::permission::Permission;
use keystile_core::policy::Policy;
use keystile_core::role::{RoleName, effective};
use keystile_store::records::Api;
use parking_lot::RwLock;

use super::arena::Views;
use super::header_limits::HeaderLimits;
use super::in_flight::InFlight;
use super::keys::Keys;
use super::limits::Limits;
use super::operations::{Labels, Operations};
use super::patterns::Cell;
use super::plans::{Link, Plans};
use super::written::Written;
use crate::gateway::cors::CorsView;
use crate::upstream::Upstream;

/// A project as a call needs it.
pub struct ProjectView {
    /// Its number.
    pub number: u32,
    /// The number of its organization.
    pub owner: u32,
    /// Its id.
    pub id: ProjectId,
    /// Whose it is.
    pub organization: OrganizationId,
    /// Where it and its keys live.
    pub environment: Environment,
    /// Whether its keys are refused for now.
    pub suspended: bool,
    /// Its id as the upstream gets it.
    pub id_header: HeaderValue,
    /// Its name as the upstream gets it.
    pub name_header: HeaderValue,
    /// The patterns that all its calls must pass.
    pub patterns: Box<[Cell]>,
    /// The APIs it has to do with.
    pub links: Vec<Link>,
}

impl ProjectView {
    /// The project's link to an API.
    pub fn link(&self, api: u32) -> Option<&Link> {
        self.links.iter().find(|link| link.api == api)
    }

    /// The same as a decision asks it.
    pub fn activation(&self, api: u32) -> Option<Activation<'_>> {
        self.link(api).map(Link::as_activation)
    }
}

/// A policy as a call needs it.
pub struct PolicyView {
    /// The rules; among its permissions is what its roles grant.
    pub policy: Policy,
    /// The patterns that calls of its keys must pass.
    pub patterns: Box<[Cell]>,
    /// The names of its roles.
    pub roles: Box<[RoleName]>,
    /// Its rate limits, ready for being asked.
    pub limits: Limits,
}

impl PolicyView {
    /// Prepares a policy.
    pub fn new(policy: Policy) -> Self {
        let limits = Limits::new(policy.rate_limits.clone(), Scope::Key, 0);
        Self { limits, policy, patterns: Box::default(), roles: Box::default() }
    }

    /// Prepares a policy that has what these roles grant as well.
    pub fn with_roles<'a>(
        mut policy: Policy,
        roles: impl IntoIterator<Item = (&'a RoleName, &'a [Permission])> + Clone,
    ) -> Self {
        let granted = roles.clone().into_iter().map(|(_, permissions)| permissions);
        match effective(&policy.permissions, granted) {
            Ok(permissions) => policy.permissions = permissions,
            // Whoever changes keys and roles sees to it that they fit; the key's own are never in question.
            Err(error) => tracing::error!(%error, "what roles grant is left out of a policy"),
        }
        let mut names: Vec<RoleName> = roles.into_iter().map(|(name, _)| name.clone()).collect();
        names.sort();
        Self { roles: names.into(), ..Self::new(policy) }
    }
}

/// What is known of an API's calls, whatever its settings become.
#[derive(Clone, Default)]
pub struct Alive {
    /// Those that are being answered.
    pub in_flight: InFlight,
}

/// `Vary` of answers that were made for the holder of a key.
fn vary(places: &[KeyLocation]) -> HeaderValue {
    let names = places.iter().filter_map(|place| match place {
        KeyLocation::Bearer => Some("authorization"),
        KeyLocation::Header(name) => Some(name),
        // It is part of the address.
        KeyLocation::Query(_) => None,
    });
    HeaderValue::try_from(names.collect::<Vec<_>>().join(", ")).expect("names of fields are visible ASCII")
}

/// An API as a call needs it.
pub struct ApiView {
    /// Its number.
    pub number: u32,
    /// Its id.
    pub id: ApiId,
    /// Its name.
    pub name: Box<str>,
    /// Who publishes it.
    pub organization: OrganizationId,
    /// The number of that organization.
    pub owner: u32,
    /// Whether it is switched on.
    pub active: bool,
    /// Whether calls need a key.
    pub access: Access,
    /// The environments whose keys it takes.
    pub environments: Environments,
    /// Operations that need none all the same.
    pub open: OperationTable,
    /// Operations that publishable keys may call.
    pub publishable_operations: Vec<PublishableOperation>,
    /// What its calls cost.
    pub costs: Costs,
    /// Where its upstream says what they cost.
    pub cost_header: Option<HeaderName>,
    /// Whether it was written down that its upstream says that wrongly.
    pub cost_noted: AtomicBool,
    /// How often it may be called.
    pub limits: Limits,
    /// How often those without a key may call.
    pub anonymous: Limits,
    /// What projects can have of it.
    pub plans: Plans,
    /// What becomes of calls that the document does not have.
    pub unknown_operations: UnknownOperations,
    /// What is kept of the addresses that calls come from.
    pub client_addresses: ClientAddresses,
    /// What caches are told that answers depend on, where they may not keep them for others.
    pub vary: Option<HeaderValue>,
    /// Whether they must be encrypted.
    pub require_tls: bool,
    /// Whether they must come with a client certificate.
    pub require_client_certificate: bool,
    /// What it says to pages in browsers, if its owner says so.
    pub cors: Option<CorsView>,
    /// Where its calls go.
    pub upstream: Arc<Upstream>,
    /// What its calls may switch to.
    pub upgrades: Vec<UpgradeProtocol>,
    /// Fields of its own that every call gets: what the upstream wants to see of the gateway.
    pub upstream_fields: Vec<(HeaderName, HeaderValue)>,
    /// Hosts it answers to; any, when empty.
    pub hosts: Vec<Box<str>>,
    /// What its paths begin with; without a slash at its end, so the root is empty.
    pub path_prefix: Box<str>,
    /// Whether the prefix is taken off before the call goes on.
    pub strip_prefix: bool,
    /// Where it looks for the key.
    pub key_places: Vec<KeyPlace>,
    /// Longest request body.
    pub body_limit_bytes: u64,
    /// Header fields that it takes, if fewer than the server does.
    pub header_limits: Option<HeaderLimits>,
    /// Types of bodies that it takes, if not all.
    pub request_types: Option<MediaTypes>,
    /// The same as a client is told of it.
    pub accept: Option<HeaderValue>,
    /// Types of answers that it gives, if not all.
    pub response_types: Option<MediaTypes>,
    /// Calls that are being answered.
    pub in_flight: InFlight,
    /// How many there may be.
    pub max_concurrent_calls: Option<u32>,
    /// How long the upstream has to begin its answer.
    pub upstream_timeout: Duration,
    /// How long it may pause within it.
    pub idle_timeout: Duration,
    /// How long all of a call may take.
    pub total_timeout: Option<Duration>,
    /// How its calls are told apart.
    pub operations: Operations,
}

impl ApiView {
    /// Prepares an API as it is kept.
    pub fn new(
        api: &Api,
        operations: Operations,
        alive: Alive,
        upstream: Arc<Upstream>,
        upstream_fields: Vec<(HeaderName, HeaderValue)>,
    ) -> Self {
        let settings = &api.settings;
        Self {
            number: api.number,
            id: api.id,
            name: api.name.as_str().into(),
            organization: api.organization,
            owner: api.organization_number,
            active: api.active,
            access: settings.access,
            environments: settings.environments,
            open: open_table(&settings.open_operations).expect("checked when it was read"),
            publishable_operations: settings.publishable_operations.clone(),
            costs: Costs::new(&settings.operation_costs).expect("checked when it was read"),
            cost_header: settings
                .cost_header
                .as_ref()
                .map(|name| HeaderName::try_from(name.as_str()).expect("checked when it was read")),
            cost_noted: AtomicBool::new(false),
            limits: Limits::new(settings.rate_limits.clone(), Scope::Api, api.number),
            anonymous: Limits::new(settings.anonymous_rate_limits.clone(), Scope::Anonymous, api.number),
            plans: Plans::default(),
            unknown_operations: settings.unknown_operations,
            client_addresses: settings.client_addresses,
            vary: (!settings.shared_caching && settings.access == Access::Key).then(|| vary(&settings.key_locations)),
            require_tls: settings.require_tls,
            cors: settings.cors.clone().map(CorsView::new),
            require_client_certificate: settings.require_client_certificate,
            upstream,
            upgrades: settings.upgrades.clone(),
            upstream_fields,
            hosts: settings.hosts.iter().map(|host| host.as_str().into()).collect(),
            path_prefix: settings.path_prefix.as_str().into(),
            strip_prefix: settings.strip_prefix,
            key_places: settings.key_locations.iter().map(KeyPlace::new).collect(),
            body_limit_bytes: settings.body_limit_bytes,
            header_limits: HeaderLimits::of(settings),
            accept: settings
                .request_types
                .as_ref()
                .map(|types| HeaderValue::try_from(types.to_string()).expect("names of media types are visible ASCII")),
            request_types: settings.request_types.clone(),
            response_types: settings.response_types.clone(),
            in_flight: alive.in_flight,
            max_concurrent_calls: settings.max_concurrent_calls,
            upstream_timeout: Duration::from_secs(settings.upstream_timeout_seconds.into()),
            idle_timeout: Duration::from_secs(settings.idle_timeout_seconds.into()),
            total_timeout: settings.total_timeout_seconds.map(|seconds| Duration::from_secs(seconds.into())),
            operations,
        }
    }
}

/// Where a key stands, ready for looking there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyPlace {
    /// `Authorization: Bearer KEY`.
    Bearer,
    /// A header field that holds the key alone.
    Header(HeaderName),
    /// A parameter of the query string.
    Query(Box<str>),
}

impl KeyPlace {
    /// Prepares a location.
    pub fn new(location: &KeyLocation) -> Self {
        match location {
            KeyLocation::Bearer => Self::Bearer,
            KeyLocation::Header(name) => {
                Self::Header(HeaderName::try_from(name.as_str()).expect("checked when it was read"))
            }
            KeyLocation::Query(name) => Self::Query(name.as_str().into()),
        }
    }
}

/// Which API answers to a host and a path.
#[derive(Default)]
pub struct Router {
    /// Longest prefix first; an API with hosts before one for any host.
    apis: Vec<Arc<ApiView>>,
}

impl Router {
    /// Routes to these APIs. Of two with the same host and prefix the older one (lower number) answers.
    pub fn new(mut apis: Vec<Arc<ApiView>>) -> Self {
        apis.sort_by_key(|api| (api.hosts.is_empty(), std::cmp::Reverse(api.path_prefix.len()), api.number));
        Self { apis }
    }

    /// All of them.
    pub fn apis(&self) -> impl Iterator<Item = &Arc<ApiView>> {
        self.apis.iter()
    }

    /// Finds the API for a host (lower case, without port) and a canonical path.
    pub fn find(&self, host: &str, path: &str) -> Option<&Arc<ApiView>> {
        self.apis.iter().find(|api| {
            let below =
                path.strip_prefix(&*api.path_prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
            below && (api.hosts.is_empty() || api.hosts.iter().any(|own| &**own == host))
        })
    }
}

/// Everything in memory.
pub struct Snapshot {
    /// Keys by digest.
    pub keys: Keys,
    /// What owners wrote on keys.
    pub written: Written,
    /// Projects by number.
    pub projects: Views<ProjectView>,
    /// The numbers of projects by their ids.
    pub(super) by_id: RwLock<HashMap<ProjectId, u32>>,
    /// Policies by number.
    pub policies: Views<PolicyView>,
    /// APIs by number.
    pub apis: Views<ApiView>,
    /// The routes to them.
    pub router: ArcSwap<Router>,
    /// The labels of all operations.
    pub labels: Arc<Labels>,
}

impl Snapshot {
    /// Puts a project in place, or takes it away.
    pub fn put_project(&self, number: u32, view: Option<Arc<ProjectView>>) {
        if let Some(view) = &view {
            self.by_id.write().insert(view.id, number);
        }
        self.projects.set(number, view);
    }

    /// The project of an id.
    pub fn project(&self, id: ProjectId) -> Option<Arc<ProjectView>> {
        let number = self.by_id.read().get(&id).copied()?;
        self.projects.get(number).clone()
    }

    /// An empty one with room for so many keys.
    pub fn with_capacity(keys: usize) -> Self {
        Self {
            keys: Keys::with_capacity(keys),
            written: Written::default(),
            projects: Views::new(),
            by_id: RwLock::default(),
            policies: Views::new(),
            apis: Views::new(),
            router: ArcSwap::default(),
            labels: Arc::new(Labels::new()),
        }
    }
}

/// A value for a header field out of text that people chose: what can't stand there is percent-encoded, so a
/// name with a line break or an umlaut neither breaks the message nor is lost (G-13).
pub fn header_text(text: &str) -> HeaderValue {
    let mut safe = String::with_capacity(text.len());
    for (index, character) in text.char_indices() {
        let edge = index == 0 || index + character.len_utf8() == text.len();
        if character.is_ascii_graphic() && character != '%' || character == ' ' && !edge {
            safe.push(character);
        } else {
            let mut bytes = [0; 4];
            for byte in character.encode_utf8(&mut bytes).bytes() {
                use std::fmt::Write;
                let _ = write!(safe, "%{byte:02X}");
            }
        }
    }
    HeaderValue::try_from(safe).expect("visible ASCII stands in any header")
}

#[cfg(test)]
mod tests {
    use super::*;

    // G-13
    #[test]
    fn g13_no_name_breaks_a_header() {
        for (name, header) in [
            ("Weather app", "Weather app"),
            ("a\r\nX-Consumer-Id: other", "a%0D%0AX-Consumer-Id: other"),
            ("café", "caf%C3%A9"),
            (" edge ", "%20edge%20"),
            ("100%", "100%25"),
            ("\u{0}\u{7f}\t", "%00%7F%09"),
        ] {
            assert_eq!(header_text(name), header, "{name:?}");
        }
    }
}
