//! Keys that were sent where others could read them (K-12, K20): in an address, or in clear where TLS is required. The
//! call is refused at once; that the key is exposed is then written down for its owner, once, by a task of the control
//! plane, so that no call waits for the store.

use std::collections::HashSet;

use keystile_core::id::{KeyId, OrganizationId};
use keystile_store::{Actor, ApplyError, Author, Catalog, Change, Who};
use tokio::sync::mpsc;

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

type Report = (OrganizationId, KeyId);

/// Both ends.
pub fn exposures() -> (Exposures, Reports) {
    let (sender, receiver) = mpsc::channel(MAX_WAITING);
    (Exposures(sender), Reports(receiver))
}

impl Exposures {
    /// Reports a key of an organization. Never waits.
    pub fn report(&self, organization: OrganizationId, key: KeyId) {
        let _ = self.0.try_send((organization, key));
    }
}

impl Reports {
    /// Writes down what is reported, until nobody reports any more.
    pub async fn write_down(mut self, catalog: Catalog, clock: std::sync::Arc<dyn Clock>) {
        let mut known = HashSet::new();
        while let Some((organization, key)) = self.0.recv().await {
            if known.contains(&key) {
                continue;
            }
            let actor = Actor { organization, who: Who::System("gateway"), address: None, request: None };
            let author = Author { actor, at: clock.now().wall, idempotency: None };
            match catalog.apply(&author, Change::KeyExposed { id: key }).await {
                Ok(_) => tracing::warn!(%key, "a key was sent where others could read it; its owner should replace it"),
                // Written down before, or deleted meanwhile.
                Err(ApplyError::Exists(_) | ApplyError::NotFound(_)) => {}
                Err(error) => {
                    tracing::error!(%key, %error, "that a key is exposed could not be written down");
                    continue;
                }
            }
            if known.len() >= MAX_KNOWN {
                known.clear();
            }
            known.insert(key);
        }
    }
}
