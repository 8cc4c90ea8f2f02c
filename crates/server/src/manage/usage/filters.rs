//! Which API, project and key are asked about.

use keystile_core::id::{ApiId, KeyId, ProjectId};
use keystile_core::usage::Dimensions;

use crate::manage::app::{App, found};
use crate::manage::caller::Asker;
use crate::problem::Problem;

/// Of which API, project and key, by their numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::manage) struct Filters {
    pub(in crate::manage) api: Option<u32>,
    pub(in crate::manage) project: Option<u32>,
    pub(in crate::manage) key: Option<u32>,
}

impl Filters {
    /// Whether something is asked for that is counted under these.
    pub(super) fn let_through(&self, of: &Dimensions) -> bool {
        let is = |asked: Option<u32>, number: u32| asked.is_none_or(|asked| asked == number);
        is(self.api, of.api) && is(self.project, of.project) && is(self.key, of.key)
    }
}

/// The numbers of what is asked about, all of it the asker's.
pub(in crate::manage) async fn filters(
    app: &App,
    asker: &Asker,
    (api, project, key): (Option<ApiId>, Option<ProjectId>, Option<KeyId>),
) -> Result<Filters, Problem> {
    let (organization, catalog) = (asker.organization, &app.catalog);
    let api = match api {
        None => None,
        Some(id) => Some(found(catalog.api_number(organization, id).await, "API")?),
    };
    let project = match project {
        None => None,
        Some(id) => Some(found(catalog.project_number(organization, id).await, "project")?),
    };
    let key = match key {
        None => None,
        Some(id) => Some(found(catalog.key_number(organization, id).await, "key")?),
    };
    Ok(Filters { api, project, key })
}
