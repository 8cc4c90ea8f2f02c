//! Who asks: the holder of a management key, with the right that the handler's type names.

use std::marker::PhantomData;
use std::net::IpAddr;

use axum::extract::FromRequestParts;
use http::request::Parts;
use keystile_core::Code;
use keystile_core::facts::Facts;
use keystile_core::id::{KeyId, OrganizationId, RequestId};
use keystile_core::permission::{Permission, PermissionQuery};
use keystile_core::policy::Policy;
use keystile_core::time::Timestamp;
use keystile_store::{Actor, Conditions, Who};
use sha2::{Digest, Sha256};

use super::app::App;
use super::condition::{Seen, conditions};
use super::problem::invalid;
use crate::enforce::engine::Door;
use crate::gateway::credential::one_bearer;
use crate::gateway::source::RequestSource;
use crate::problem::Problem;

/// The address of the other end, put into a request's extensions by whoever accepted the connection.
#[derive(Debug, Clone, Copy)]
pub struct PeerAddress(pub IpAddr);

/// Longest `Idempotency-Key`.
const MAX_IDEMPOTENCY_KEY: usize = 255;

/// The number of the organization that runs the installation: it was made at the first start.
const FIRST_ORGANIZATION: u32 = 1;

/// A right that a handler can ask for.
pub(super) trait Right: Send + Sync + 'static {
    /// The permission of the management key.
    const NAME: &'static str;
}

macro_rules! rights {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {$(
        $(#[$doc])*
        pub(super) struct $name;
        impl Right for $name {
            const NAME: &'static str = $text;
        }
    )*};
}

rights! {
    /// See APIs.
    ReadApis = "apis.read";
    /// Publish, change and withdraw APIs.
    WriteApis = "apis.write";
    /// See projects.
    ReadProjects = "projects.read";
    /// Make, change and delete projects.
    WriteProjects = "projects.write";
    /// See activations.
    ReadActivations = "activations.read";
    /// Ask for, grant and take back activations.
    WriteActivations = "activations.write";
    /// See which project may call which API, and when it last did.
    ReadAccess = "access.read";
    /// See keys.
    ReadKeys = "keys.read";
    /// Issue, change, revoke and delete keys.
    WriteKeys = "keys.write";
    /// Have the texts of keys back that can be: whoever may can make calls as all of them.
    RevealKeys = "keys.reveal";
    /// See roles.
    ReadRoles = "roles.read";
    /// Make, change and delete roles: whoever may decides what the keys that have them may do.
    WriteRoles = "roles.write";
    /// See patterns.
    ReadPatterns = "patterns.read";
    /// Make, change and delete patterns: whoever may decides what the keys and projects that have them may do.
    WritePatterns = "patterns.write";
    /// See usage.
    ReadUsage = "usage.read";
    /// See webhooks and their deliveries.
    ReadWebhooks = "webhooks.read";
    /// Make, change, try and delete webhooks: whoever may learns, at an address of their own, of every event.
    WriteWebhooks = "webhooks.write";
    /// See what was changed, and by whom.
    ReadEvents = "events.read";
    /// See that with all that is known of it, addresses and requests too, and whether anything of it was altered.
    ReadAudit = "audit.read";
    /// See what secrets are encrypted under and texts of keys are hashed with.
    ReadEncryption = "encryption.read";
    /// Change that for the whole installation.
    WriteEncryption = "encryption.write";
}

/// Who asks, for whom, from where.
pub(super) struct Asker {
    /// The tenant.
    pub(super) organization: OrganizationId,
    /// The number of the tenant.
    pub(super) owner: u32,
    /// The management key.
    pub(super) key: KeyId,
    /// What it may do, and from where.
    pub(super) policy: Policy,
    /// When it ends, if it does.
    pub(super) expires_at: Option<Timestamp>,
    /// The address.
    pub(super) address: Option<IpAddr>,
    /// The request.
    pub(super) request: RequestId,
    /// SHA-256 of `Idempotency-Key`, if one was sent.
    pub(super) idempotency_key: Option<[u8; 32]>,
    /// On which conditions it is carried out.
    pub(super) conditions: Conditions,
    /// What it found, for whoever finishes the answer.
    pub(super) seen: Seen,
}

impl Asker {
    pub(super) fn actor(&self) -> Actor {
        Actor {
            organization: self.organization,
            who: Who::ManagementKey(self.key),
            address: self.address,
            request: Some(self.request),
        }
    }

    /// Refuses to try what can only be done: what leaves this process can't be taken back.
    pub(super) fn refuse_dry_run(&self) -> Result<(), Problem> {
        if self.conditions.dry_run {
            return Err(invalid(
                "This can't be tried with dry_run: what leaves the server can't be taken back. Leave it out.",
            ));
        }
        Ok(())
    }

    /// Refuses what is the whole installation's business to all but the organization that runs it, its first one.
    pub(super) fn runs_the_installation(&self) -> Result<(), Problem> {
        if self.owner == FIRST_ORGANIZATION {
            return Ok(());
        }
        Err(Problem::of(Code::PermissionMissing)
            .because("This concerns the whole installation; use a management key of the organization that runs it."))
    }

    /// Refuses what needs this right besides the one of its route.
    pub(super) fn needs<R: Right>(&self) -> Result<(), Problem> {
        if self.policy.permissions.iter().any(|own| own.covers(R::NAME)) { Ok(()) } else { Err(lacks::<R>()) }
    }

    /// Whether another management key may have this policy and this end: no more than the asker's own, in rights, in
    /// places and in time. Rights over this API are handed down, never made (K-14).
    pub(super) fn may_hand_down(&self, policy: &Policy, expires_at: Option<Timestamp>) -> Result<(), String> {
        let covered = |wanted: &Permission| self.policy.permissions.iter().any(|own| own.contains(wanted));
        if let Some(beyond) = policy.permissions.iter().find(|wanted| !covered(wanted)) {
            return Err(format!("yours lacks {}", beyond.as_str()));
        }
        if let Some(rule) = policy.restrictions.beyond(&self.policy.restrictions) {
            return Err(format!("yours is restricted in {rule}; the other must be so too, in the same way or more"));
        }
        match (self.expires_at, expires_at) {
            (Some(own), Some(wanted)) if wanted.as_secs() > own.as_secs() => Err(format!("yours ends at {own}")),
            (Some(own), None) => Err(format!("yours ends at {own}")),
            (Some(_) | None, _) => Ok(()),
        }
    }
}

/// An asker with the right `R`.
pub(super) struct Caller<R> {
    asker: Asker,
    right: PhantomData<R>,
}

impl<R> std::ops::Deref for Caller<R> {
    type Target = Asker;

    fn deref(&self) -> &Asker {
        &self.asker
    }
}

impl<R: Right> FromRequestParts<App> for Caller<R> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let address = parts.extensions.get::<PeerAddress>().map(|peer| peer.0);
        let request = parts.extensions.get::<RequestId>().copied().unwrap_or_else(|| app.request_id());
        let text = bearer(parts)?;
        let needs = PermissionQuery::Has(R::NAME.to_owned());
        let engine = app.feed.engine();
        let source =
            RequestSource { headers: &parts.headers, client: address, countries: &engine.countries, key_places: &[] };
        let facts = Facts { client: address, source: Some(&source), needs: Some(&needs), ..Facts::at(app.clock.now()) };
        let verdict = engine.check(text, Door::Management, &facts);
        app.exposures.heed(verdict.key.as_ref());
        let key = match (verdict.code, verdict.key) {
            (Code::Allowed, Some(key)) => key,
            (Code::PermissionMissing, _) => {
                return Err(lacks::<R>());
            }
            (Code::KeyKindForbidden, _) => {
                return Err(Problem::of(Code::KeyKindForbidden)
                    .because("The management API takes management keys; this key calls APIs."));
            }
            (code, _) => return Err(Problem::of(code)),
        };
        let asker = Asker {
            organization: key.project.organization,
            owner: key.project.owner,
            key: key.entry.id,
            policy: key.policy.policy.clone(),
            expires_at: key.entry.expires_at,
            address,
            request,
            idempotency_key: idempotency_key(parts)?,
            conditions: conditions(parts)?,
            seen: parts.extensions.get::<Seen>().cloned().unwrap_or_default(),
        };
        if asker.conditions.dry_run {
            asker.seen.is_dry_run();
        }
        Ok(Self { asker, right: PhantomData })
    }
}

fn lacks<R: Right>() -> Problem {
    Problem::of(Code::PermissionMissing)
        .because(format!("This needs the permission {}; use a management key that has it.", R::NAME))
}

fn bearer(parts: &Parts) -> Result<&str, Problem> {
    one_bearer(&parts.headers).map_err(|code| match code {
        Code::KeyMissing => {
            Problem::of(code).because("Send a management key in the Authorization header as `Bearer KEY`.")
        }
        code => Problem::of(code),
    })
}

fn idempotency_key(parts: &Parts) -> Result<Option<[u8; 32]>, Problem> {
    let mut values = parts.headers.get_all("idempotency-key").iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None)
            if (1..=MAX_IDEMPOTENCY_KEY).contains(&value.len())
                && value.as_bytes().iter().all(|byte| (b' '..=b'~').contains(byte)) =>
        {
            Ok(Some(Sha256::digest(value.as_bytes()).into()))
        }
        _ => Err(invalid(format!("Idempotency-Key is one text of 1 to {MAX_IDEMPOTENCY_KEY} ASCII characters."))),
    }
}
