//! Projects.

use keystile_core::id::{OrganizationId, ProjectId};

use super::{push_label, push_name, push_page};
use crate::db::{Columns, Connection, Row, sql};
use crate::records::{Page, Project, ProjectFilter, Suspension};
use crate::{Catalog, StoreError};

/// The columns that [`read`] takes.
pub(crate) const SELECT: &str = "SELECT p.id, p.number, o.id, o.number, p.name, p.description, p.contact, p.environment, \
     p.suspended_at, p.suspended_reason, p.max_keys, p.patterns, p.labels, p.metadata, p.created_at, p.updated_at, p.revision FROM projects p JOIN organizations o ON o.number = p.organization \
     WHERE p.deleted_at IS NULL";

pub(crate) fn read(row: &Row) -> Result<Project, StoreError> {
    let mut row = Columns::of(row);
    Ok(Project {
        id: row.id(ProjectId::from_slice)?,
        number: row.number()?,
        organization: row.id(OrganizationId::from_slice)?,
        organization_number: row.number()?,
        name: row.text()?,
        description: row.text()?,
        contact: row.text()?,
        environment: row.word()?,
        suspension: {
            let (since, reason) = (row.moment_if_any()?, row.text()?);
            since.map(|since| Suspension { since, reason })
        },
        max_keys: row.number_if_any()?,
        patterns: row.json()?,
        labels: row.json()?,
        metadata: row.json()?,
        created_at: row.moment()?,
        updated_at: row.moment()?,
        revision: row.number()?,
    })
}

/// One project of an organization.
pub(crate) async fn find(
    db: &mut Connection,
    organization: OrganizationId,
    id: ProjectId,
) -> Result<Option<Project>, StoreError> {
    let mut query = sql(SELECT);
    query.push(" AND p.id = ").push_bind(id.to_bytes());
    query.push(" AND o.id = ").push_bind(organization.to_bytes());
    query.fetch_optional(db).await?.as_ref().map(read).transpose()
}

impl Catalog {
    /// The numbers of all keys of a project, also of one that was deleted and of those that were.
    pub async fn key_numbers_of(&self, organization: OrganizationId, id: ProjectId) -> Result<Vec<u32>, StoreError> {
        let query = sql("SELECT k.number FROM keys k JOIN projects p ON p.number = k.project \
             JOIN organizations o ON o.number = p.organization WHERE p.id = ? AND o.id = ?");
        let query = query.bind(id.to_bytes()).bind(organization.to_bytes());
        query.fetch_numbers(&mut self.0.base.read().await?).await
    }

    /// The projects of an organization, newest first.
    pub async fn projects(
        &self,
        organization: OrganizationId,
        filter: &ProjectFilter,
        page: Page,
    ) -> Result<Vec<Project>, StoreError> {
        let mut query = sql(SELECT);
        query.push(" AND o.id = ").push_bind(organization.to_bytes());
        push_name(&mut query, "p.name", filter.name.as_deref());
        for label in &filter.labels {
            push_label(&mut query, "p.labels", label);
        }
        push_page(&mut query, "p.number", page);
        query.fetch_all(&mut self.0.base.read().await?).await?.iter().map(read).collect()
    }

    /// One project of an organization.
    pub async fn project(&self, organization: OrganizationId, id: ProjectId) -> Result<Option<Project>, StoreError> {
        find(&mut self.0.base.read().await?, organization, id).await
    }
}
