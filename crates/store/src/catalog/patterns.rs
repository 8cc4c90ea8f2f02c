//! Patterns.

use keystile_core::id::{OrganizationId, PatternId};
use keystile_core::pattern::PatternName;

use super::{push_name, push_page};
use crate::db::{Columns, Connection, Row, sql};
use crate::records::{Page, Pattern};
use crate::{Catalog, StoreError};

/// The columns that [`read`] takes.
pub(crate) const SELECT: &str = "SELECT t.id, t.number, o.id, t.name, t.description, t.filter, t.created_at, \
     t.updated_at, t.revision FROM patterns t JOIN organizations o ON o.number = t.organization WHERE t.deleted_at IS NULL";

pub(crate) fn read(row: &Row) -> Result<Pattern, StoreError> {
    let mut row = Columns::of(row);
    Ok(Pattern {
        id: row.id(PatternId::from_slice)?,
        number: row.number()?,
        organization: row.id(OrganizationId::from_slice)?,
        name: row.word()?,
        description: row.text()?,
        filter: row.json()?,
        created_at: row.moment()?,
        updated_at: row.moment()?,
        revision: row.number()?,
    })
}

/// One pattern of an organization.
pub(crate) async fn find(
    db: &mut Connection,
    organization: OrganizationId,
    id: PatternId,
) -> Result<Option<Pattern>, StoreError> {
    let mut query = sql(SELECT);
    query.push(" AND t.id = ").push_bind(id.to_bytes());
    query.push(" AND o.id = ").push_bind(organization.to_bytes());
    query.fetch_optional(db).await?.as_ref().map(read).transpose()
}

impl Catalog {
    /// The patterns of an organization, newest first; only the one of a name, if one is asked for.
    pub async fn patterns(
        &self,
        organization: OrganizationId,
        name: Option<&str>,
        page: Page,
    ) -> Result<Vec<Pattern>, StoreError> {
        let mut query = sql(SELECT);
        query.push(" AND o.id = ").push_bind(organization.to_bytes());
        push_name(&mut query, "t.name", name);
        push_page(&mut query, "t.number", page);
        query.fetch_all(&mut self.0.base.read().await?).await?.iter().map(read).collect()
    }

    /// One pattern of an organization.
    pub async fn pattern(&self, organization: OrganizationId, id: PatternId) -> Result<Option<Pattern>, StoreError> {
        find(&mut self.0.base.read().await?, organization, id).await
    }

    /// The pattern of an organization that has this name.
    pub async fn pattern_named(
        &self,
        organization: OrganizationId,
        name: &PatternName,
    ) -> Result<Option<Pattern>, StoreError> {
        let one = Page { before: None, limit: 1 };
        Ok(self.patterns(organization, Some(name.as_str()), one).await?.pop())
    }
}
