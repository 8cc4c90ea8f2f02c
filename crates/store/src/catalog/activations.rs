//! Activations: seen by both sides, the project's organization and the API's.

use keystile_core::id::{ActivationId, ApiId, OrganizationId, PlanId, ProjectId};

use super::push_page;
use crate::db::{Columns, Connection, Row, Sql, sql};
use crate::records::{Activation, ActivationFilter, Judgement, Page, Subscription, Wish};
use crate::{Catalog, StoreError};

macro_rules! select {
    ($condition:literal) => {
        concat!(
            "SELECT v.id, v.number, p.id, po.id, a.id, ao.id, v.state, v.reason, v.wanted, v.note, v.granted, \
             v.judged_by, v.judged_at, v.created_at, v.updated_at, v.revision, pl.id, pl.name, v.plan_since, wl.id, v.ceilings, \
             v.project, v.api \
             FROM activations v LEFT JOIN plans pl ON pl.number = v.plan LEFT JOIN plans wl ON wl.number = v.wanted_plan \
             JOIN projects p ON p.number = v.project JOIN organizations po ON po.number = p.organization \
             JOIN apis a ON a.number = v.api JOIN organizations ao ON ao.number = a.organization WHERE ",
            $condition
        )
    };
}

/// The columns that [`read`] takes.
pub(crate) const SELECT: &str = select!("v.deleted_at IS NULL");
/// The same of those that were taken away, too.
const SELECT_EVER: &str = select!("v.number > 0");

pub(crate) fn read(row: &Row) -> Result<Activation, StoreError> {
    let mut row = Columns::of(row);
    let mut activation = Activation {
        id: row.id(ActivationId::from_slice)?,
        number: row.number()?,
        project: row.id(ProjectId::from_slice)?,
        project_number: 0,
        project_organization: row.id(OrganizationId::from_slice)?,
        api: row.id(ApiId::from_slice)?,
        api_number: 0,
        api_organization: row.id(OrganizationId::from_slice)?,
        state: row.word()?,
        reason: row.text()?,
        wish: Wish { permissions: row.json_if_any()?, note: row.text()?, plan: None },
        granted: row.json_if_any()?,
        judged: match (row.text_if_any()?, row.moment_if_any()?) {
            (Some(by), Some(at)) => Some(Judgement { by, at }),
            (Some(_) | None, _) => None,
        },
        plan: None,
        ceilings: Vec::new(),
        created_at: row.moment()?,
        updated_at: row.moment()?,
        revision: row.number()?,
    };
    let plan = (row.id_if_any(PlanId::from_slice)?, row.word_if_any()?, row.moment_if_any()?);
    if let (Some(plan), Some(name), Some(since)) = plan {
        activation.plan = Some(Subscription { plan, name, since });
    }
    activation.wish.plan = row.id_if_any(PlanId::from_slice)?;
    activation.ceilings = row.json_if_any()?.unwrap_or_default();
    (activation.project_number, activation.api_number) = (row.number()?, row.number()?);
    Ok(activation)
}

/// Only those of which one side is this organization's.
fn push_sides(query: &mut Sql<'_>, organization: OrganizationId) {
    query.push(" AND (po.id = ").push_bind(organization.to_bytes());
    query.push(" OR ao.id = ").push_bind(organization.to_bytes());
    query.push(")");
}

/// One activation that an organization may see.
pub(crate) async fn find(
    db: &mut Connection,
    organization: OrganizationId,
    id: ActivationId,
) -> Result<Option<Activation>, StoreError> {
    let mut query = sql(SELECT);
    query.push(" AND v.id = ").push_bind(id.to_bytes());
    push_sides(&mut query, organization);
    query.fetch_optional(db).await?.as_ref().map(read).transpose()
}

impl Catalog {
    /// Activations of the organization's projects and of its APIs, newest first.
    pub async fn activations(
        &self,
        organization: OrganizationId,
        filter: ActivationFilter,
        page: Page,
    ) -> Result<Vec<Activation>, StoreError> {
        let mut query = sql(if filter.ever { SELECT_EVER } else { SELECT });
        push_sides(&mut query, organization);
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
        query.fetch_all(&mut self.0.base.read().await?).await?.iter().map(read).collect()
    }

    /// One activation that an organization may see.
    pub async fn activation(
        &self,
        organization: OrganizationId,
        id: ActivationId,
    ) -> Result<Option<Activation>, StoreError> {
        find(&mut self.0.base.read().await?, organization, id).await
    }

    /// One activation that an organization may see, or could until it was taken away.
    pub async fn activation_ever(
        &self,
        organization: OrganizationId,
        id: ActivationId,
    ) -> Result<Option<Activation>, StoreError> {
        let mut query = sql(SELECT_EVER);
        query.push(" AND v.id = ").push_bind(id.to_bytes());
        push_sides(&mut query, organization);
        query.fetch_optional(&mut self.0.base.read().await?).await?.as_ref().map(read).transpose()
    }
}
