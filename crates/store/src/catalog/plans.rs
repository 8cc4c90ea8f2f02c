//! Plans, with everything that they ever said.

use keystile_core::id::{ApiId, OrganizationId, PlanId};
use keystile_core::plan::MAX_PLANS;

use super::{push_name, push_page};
use crate::db::{Columns, Connection, Row, sql};
use crate::records::{Page, Plan, PlanVersion};
use crate::{Catalog, StoreError};

/// The columns that [`read`] takes.
pub(crate) const SELECT: &str = "SELECT l.id, l.number, a.id, a.number, o.id, l.name, l.description, l.standard, \
     l.created_at, l.updated_at, l.revision FROM plans l JOIN apis a ON a.number = l.api \
     JOIN organizations o ON o.number = a.organization WHERE l.deleted_at IS NULL AND a.deleted_at IS NULL";

/// The same of one that may be deleted.
const SELECT_EVER: &str = "SELECT l.id, l.number, a.id, a.number, o.id, l.name, l.description, l.standard, \
     l.created_at, l.updated_at, l.revision FROM plans l JOIN apis a ON a.number = l.api \
     JOIN organizations o ON o.number = a.organization WHERE l.number = ?";

pub(crate) fn read(row: &Row) -> Result<Plan, StoreError> {
    let mut row = Columns::of(row);
    Ok(Plan {
        id: row.id(PlanId::from_slice)?,
        number: row.number()?,
        api: row.id(ApiId::from_slice)?,
        api_number: row.number()?,
        organization: row.id(OrganizationId::from_slice)?,
        name: row.word()?,
        description: row.text()?,
        standard: row.flag()?,
        versions: Vec::new(),
        created_at: row.moment()?,
        updated_at: row.moment()?,
        revision: row.number()?,
    })
}

/// What these plans said, put into each of them in the order in which it is in force.
async fn with_versions(db: &mut Connection, mut plans: Vec<Plan>) -> Result<Vec<Plan>, StoreError> {
    if plans.is_empty() {
        return Ok(plans);
    }
    let mut query = sql("SELECT plan, version, terms, from_at, created_at FROM plan_versions WHERE plan IN ");
    query.push_list(plans.iter().map(|plan| plan.number));
    query.push(" ORDER BY plan, from_at, version");
    for row in query.fetch_all(db).await? {
        let mut row = Columns::of(&row);
        let number: u32 = row.number()?;
        let version =
            PlanVersion { version: row.number()?, terms: row.json()?, from: row.moment()?, created_at: row.moment()? };
        if let Some(plan) = plans.iter_mut().find(|plan| plan.number == number) {
            plan.versions.push(version);
        }
    }
    Ok(plans)
}

/// One plan of an organization's APIs.
pub(crate) async fn find(
    db: &mut Connection,
    organization: OrganizationId,
    id: PlanId,
) -> Result<Option<Plan>, StoreError> {
    let mut query = sql(SELECT);
    query.push(" AND l.id = ").push_bind(id.to_bytes());
    query.push(" AND o.id = ").push_bind(organization.to_bytes());
    let found = query.fetch_optional(&mut *db).await?.as_ref().map(read).transpose()?;
    Ok(with_versions(db, found.into_iter().collect()).await?.pop())
}

/// The plan of a number, though it be deleted.
pub(crate) async fn ever(db: &mut Connection, number: u32) -> Result<Option<Plan>, StoreError> {
    let query = sql(SELECT_EVER).bind(number);
    let found = query.fetch_optional(&mut *db).await?.as_ref().map(read).transpose()?;
    Ok(with_versions(db, found.into_iter().collect()).await?.pop())
}

/// Every plan of an API, by number.
pub(crate) async fn of_api(db: &mut Connection, api: u32) -> Result<Vec<Plan>, StoreError> {
    let mut query = sql(SELECT);
    query.push(" AND a.number = ").push_bind(api).push(" ORDER BY l.number LIMIT ").push_bind(MAX_PLANS);
    let plans = query.fetch_all(&mut *db).await?.iter().map(read).collect::<Result<_, StoreError>>()?;
    with_versions(db, plans).await
}

impl Catalog {
    /// The plans of an organization's APIs, newest first: of one API, or of a name, if such are asked for.
    pub async fn plans(
        &self,
        organization: OrganizationId,
        api: Option<ApiId>,
        name: Option<&str>,
        page: Page,
    ) -> Result<Vec<Plan>, StoreError> {
        let mut query = sql(SELECT);
        query.push(" AND o.id = ").push_bind(organization.to_bytes());
        if let Some(api) = api {
            query.push(" AND a.id = ").push_bind(api.to_bytes());
        }
        push_name(&mut query, "l.name", name);
        push_page(&mut query, "l.number", page);
        let mut db = self.0.base.read().await?;
        let plans = query.fetch_all(&mut db).await?.iter().map(read).collect::<Result<_, StoreError>>()?;
        with_versions(&mut db, plans).await
    }

    /// One plan of an organization's APIs.
    pub async fn plan(&self, organization: OrganizationId, id: PlanId) -> Result<Option<Plan>, StoreError> {
        find(&mut self.0.base.read().await?, organization, id).await
    }
}
