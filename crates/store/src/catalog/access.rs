//! The overview of access: which project may call which API, in one statement however many there are.

use keystile_core::id::{ActivationId, ApiId, OrganizationId, ProjectId};
use keystile_core::time::Timestamp;

use super::push_page;
use crate::db::{Columns, Row, sql};
use crate::records::{Access, AccessSide, ActivationFilter, Page};
use crate::{Catalog, StoreError};

impl Catalog {
    /// The lines of the overview that an organization may see: its projects, and its APIs. Newest first. Keys that have
    /// ended at `at` don't count.
    pub async fn access(
        &self,
        organization: OrganizationId,
        filter: ActivationFilter,
        at: Timestamp,
        page: Page,
    ) -> Result<Vec<Access>, StoreError> {
        // The page is made first, so that keys are counted once a project, and of its projects alone.
        let mut query = sql(
            "WITH page AS (SELECT v.id AS id, v.number AS number, p.id AS project_id, p.number AS project, \
             p.name AS project_name, p.environment AS environment, p.suspended_at AS suspended_at, \
             po.id AS project_owner, po.name AS project_owner_name, a.id AS api_id, a.number AS api, a.name AS api_name, \
             ao.id AS api_owner, ao.name AS api_owner_name, v.state AS state, v.granted AS granted, \
             v.judged_by AS judged_by, CASE WHEN v.judged_at IS NULL OR v.state = 'requested' THEN v.updated_at \
             ELSE v.judged_at END AS since FROM activations v \
             JOIN projects p ON p.number = v.project JOIN organizations po ON po.number = p.organization \
             JOIN apis a ON a.number = v.api JOIN organizations ao ON ao.number = a.organization \
             WHERE v.deleted_at IS NULL AND (po.id = ",
        );
        query.push_bind(organization.to_bytes()).push(" OR ao.id = ").push_bind(organization.to_bytes()).push(")");
        if let Some(project) = filter.project {
            query.push(" AND p.id = ").push_bind(project.to_bytes());
        }
        if let Some(api) = filter.api {
            query.push(" AND a.id = ").push_bind(api.to_bytes());
        }
        if let Some(state) = filter.state {
            query.push(" AND v.state = ").push_bind(state.as_str());
        }
        push_page(&mut query, "v.number", page);
        query.push(
            "), counted AS (SELECT k.project AS project, count(*) AS active FROM keys k \
             WHERE k.project IN (SELECT page.project FROM page) AND k.deleted_at IS NULL AND k.state = 'active' \
             AND k.kind = 'secret' AND (k.expires_at IS NULL OR k.expires_at > ",
        );
        query.push_bind(at.as_micros());
        query.push(
            ") GROUP BY k.project) \
             SELECT page.id, page.number, page.project_id, page.project, page.project_name, page.project_owner, \
             page.project_owner_name, page.environment, page.suspended_at, page.api_id, page.api, page.api_name, \
             page.api_owner, page.api_owner_name, page.state, page.since, page.judged_by, page.granted, \
             coalesce(counted.active, 0) FROM page LEFT JOIN counted ON counted.project = page.project \
             ORDER BY page.number DESC",
        );
        query.fetch_all(&mut self.0.base.read().await?).await?.iter().map(read).collect()
    }
}

fn read(row: &Row) -> Result<Access, StoreError> {
    let mut row = Columns::of(row);
    Ok(Access {
        activation: row.id(ActivationId::from_slice)?,
        number: row.number()?,
        project: side(&mut row, ProjectId::from_slice)?,
        environment: row.word()?,
        is_suspended: row.moment_if_any()?.is_some(),
        api: side(&mut row, ApiId::from_slice)?,
        state: row.word()?,
        since: row.moment()?,
        judged_by: row.text_if_any()?,
        granted: row.json_if_any()?,
        active_keys: row.number()?,
    })
}

fn side<I>(
    row: &mut Columns<'_>,
    id: fn(&[u8]) -> Result<I, keystile_core::id::NotAnId>,
) -> Result<AccessSide<I>, StoreError> {
    Ok(AccessSide {
        id: row.id(id)?,
        number: row.number()?,
        name: row.text()?,
        organization: row.id(OrganizationId::from_slice)?,
        organization_name: row.text()?,
    })
}
