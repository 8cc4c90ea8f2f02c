//! Ids where the ledger has numbers.

use std::collections::HashMap;

use keystile_core::id::{ApiId, KeyId, ProjectId};
use keystile_store::{Catalog, StoreError};

/// The ids of some APIs, projects and keys, by their numbers.
pub(crate) struct Names {
    apis: HashMap<u32, ApiId>,
    projects: HashMap<u32, ProjectId>,
    keys: HashMap<u32, KeyId>,
}

impl Names {
    /// Those of these rows, each said by its numbers: of the API, the project and the key; 0 is none.
    pub(crate) async fn of(
        catalog: &Catalog,
        rows: impl Iterator<Item = [Option<u32>; 3]> + Clone,
    ) -> Result<Self, StoreError> {
        let numbers = |place: usize| {
            let mut numbers: Vec<u32> =
                rows.clone().filter_map(|row| row[place]).filter(|number| *number != 0).collect();
            numbers.sort_unstable();
            numbers.dedup();
            numbers
        };
        Ok(Self {
            apis: catalog.api_ids(&numbers(0)).await?,
            projects: catalog.project_ids(&numbers(1)).await?,
            keys: catalog.key_ids(&numbers(2)).await?,
        })
    }

    /// An API's.
    pub(crate) fn api(&self, number: u32) -> Option<ApiId> {
        self.apis.get(&number).copied()
    }

    /// A project's.
    pub(crate) fn project(&self, number: u32) -> Option<ProjectId> {
        self.projects.get(&number).copied()
    }

    /// A key's.
    pub(crate) fn key(&self, number: u32) -> Option<KeyId> {
        self.keys.get(&number).copied()
    }
}

/// The numbers of the organizations whose counts are this one's, where it asks about no thing of its own. Calls that found neither
/// an API nor a key are the concern of whoever owns the installation.
pub(super) fn counted_for(owner: u32) -> Vec<u32> {
    match owner {
        1 => vec![0, 1],
        owner => vec![owner],
    }
}
