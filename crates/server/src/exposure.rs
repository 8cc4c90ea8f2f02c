//! Keys that were sent where others could read them (K-12, K20): in an address, or in clear where TLS is required; and
//! canaries, which somebody has found who should not have looked (K37). The call is refused at once; what happened is then
//! written down for the key's owner, once, by a task of the control plane, so that no call waits for the store.

use std::collections::HashSet;

use keystile_core::id::{KeyId, OrganizationId};
use keystile_core::key::KeyKind;
use keystile_store::{Actor, ApplyError, Author, Catalog, Change, Who};
use tokio::sync::mpsc;

use crate::enforce::engine::Recognised;
use crate::world::Clock;

/// Reports that may wait. A key that is sent so is sent so again; what finds no room is reported then.
const MAX_WAITING: usize = 1_024;
/// Keys that are known to be written down already, so that the store is not asked for each call.
const MAX_KNOWN: usize = 100_000;

/// Where keys are reported.
#[derive(Clone)]
pub struct Exposures(mpsc::Sender<Report>);

/// What was reported and is not written down yet.
pub struct Reports(mpsc::Receiver<Report>);

struct Report {
    organization: OrganizationId,
    key: KeyId,
    /// Which version of it; 0 if it was never rotated.
    version: u16,
    /// The word for the audit.
    action: &'static str,
}

/// Both ends.
pub fn exposures() -> (Exposures, Reports) {
    let (sender, receiver) = mpsc::channel(MAX_WAITING);
    (Exposures(sender), Reports(receiver))
}

impl Exposures {
    /// Reports a key that others could read. Never waits.
    pub fn report(&self, key: &Recognised) {
        // Whoever uses a canary, however, is what its owner waits for.
        let action = if key.entry.kind == KeyKind::Canary { "canary_used" } else { "expose" };
        let (organization, version) = (key.project.organization, key.version);
        let _ = self.0.try_send(Report { organization, key: key.entry.id, version, action });
    }

    /// Reports a key that was presented, if it is a canary. Never waits.
    pub fn heed(&self, presented: Option<&Recognised>) {
        if let Some(key) = presented.filter(|key| key.entry.kind == KeyKind::Canary) {
            self.report(key);
        }
    }
}

impl Reports {
    /// Writes down what is reported, until nobody reports any more.
    pub async fn write_down(mut self, catalog: Catalog, clock: std::sync::Arc<dyn Clock>) {
        let mut known = HashSet::new();
        while let Some(Report { organization, key, version, action }) = self.0.recv().await {
            if known.contains(&(key, version)) {
                continue;
            }
            let actor = Actor { organization, who: Who::System("gateway"), address: None, request: None };
            let author = Author { actor, at: clock.now().wall, idempotency: None };
            match catalog.apply(&author, Change::KeyExposed { id: key, version, action }).await {
                Ok(_) if action == "canary_used" => {
                    tracing::warn!(%key, "a canary was used: somebody looks for keys where it lies");
                }
                Ok(_) => tracing::warn!(%key, "a key was sent where others could read it; its owner should replace it"),
                // Written down before, deleted meanwhile, or a former version, which is on its way out.
                Err(ApplyError::Exists(_) | ApplyError::NotFound(_)) => {}
                Err(error) => {
                    let what = match action {
                        "canary_used" => "a canary was used: somebody looks for keys where it lies",
                        _ => "a key was sent where others could read it; its owner should replace it",
                    };
                    tracing::error!(%key, %error, "{what}. This could not be written down and is told to nobody else until it happens again");
                    continue;
                }
            }
            if known.len() >= MAX_KNOWN {
                known.clear();
            }
            known.insert((key, version));
        }
    }
}
