//! What is kept for a while: details of the audit, from where keys were used (K43), each call as it was counted, and the request
//! log.

use keystile_core::time::Timestamp;
use keystile_store::{Catalog, Ledger, StoreError};

use super::DAY_SECS;

/// Entries of the audit in one transaction; changes wait for it.
const ENTRIES: u32 = 500;
/// Such transactions in one round: what was kept for years goes over some rounds.
const TURNS: u32 = 20;

/// For how many days details are kept; for ever where nothing is said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retention {
    /// Of entries of the audit.
    pub audit_days: Option<u32>,
    /// From where keys were used.
    pub address_days: Option<u32>,
    /// By which countries, end users and tags calls were counted.
    pub facet_days: Option<u32>,
    /// Of events that were counted.
    pub event_days: Option<u32>,
    /// Of how many bytes of those there are at most.
    pub event_bytes: Option<u64>,
    /// Of calls in the request log.
    pub request_days: Option<u32>,
    /// Of how many bytes of those there are at most.
    pub request_bytes: Option<u64>,
}

impl Retention {
    /// Takes out what is older.
    pub(super) async fn keep(&self, catalog: &Catalog, ledger: &Ledger, now: Timestamp) -> Result<(), StoreError> {
        let before = |days: u32| now.plus_secs(-i64::from(days) * DAY_SECS);
        // One that fails keeps no other one from being done.
        let done = [
            match self.address_days {
                Some(days) => ledger.forget_addresses_before(before(days)).await.map(drop),
                None => Ok(()),
            },
            match self.facet_days {
                Some(days) => ledger.forget_facets_before(before(days)).await,
                None => Ok(()),
            },
            ledger.forget_events(self.event_days.map(before), self.event_bytes).await.map(drop),
            ledger.forget_requests(self.request_days.map(before), self.request_bytes).await.map(drop),
            match self.audit_days {
                Some(days) => erase_audit(catalog, before(days)).await,
                None => Ok(()),
            },
        ];
        done.into_iter().collect()
    }
}

/// Takes the details out of entries of the audit of before this moment.
async fn erase_audit(catalog: &Catalog, before: Timestamp) -> Result<(), StoreError> {
    for _ in 0..TURNS {
        if catalog.erase_audit_before(before, ENTRIES).await? < ENTRIES {
            break;
        }
    }
    Ok(())
}
