//! Reading the catalogue, one room a noun. Deleted rows are hidden, and every read says for which organization it is:
//! rows of another one are answered like rows that do not exist.

pub(super) mod activations;
pub(super) mod apis;
mod audit;
pub(super) mod keys;
mod numbers;
pub(super) mod organizations;
pub(super) mod projects;
mod secrets;

use sqlx::{QueryBuilder, Sqlite};

use super::Catalog;
use crate::StoreError;
use crate::records::Page;

impl Catalog {
    /// The newest revision; 0 for a new catalogue.
    pub async fn revision(&self) -> Result<u64, StoreError> {
        let revision: Option<i64> = sqlx::query_scalar("SELECT max(revision) FROM revisions")
            .fetch_one(&mut *self.0.file.read().await?)
            .await?;
        Ok(revision.unwrap_or(0).cast_unsigned())
    }
}

/// Keeps only rows of exactly this name, if one is asked for. `column` is the name's, with its table.
fn push_name(query: &mut QueryBuilder<Sqlite>, column: &'static str, name: Option<&str>) {
    if let Some(name) = name {
        query.push(" AND ").push(column).push(" = ").push_bind(name.to_owned());
    }
}

/// Ends a list: newest first, the part that was asked for. `number` is the column, with its table.
fn push_page(query: &mut QueryBuilder<Sqlite>, number: &'static str, page: Page) {
    if let Some(before) = page.before {
        query.push(" AND ").push(number).push(" < ").push_bind(i64::from(before));
    }
    query.push(" ORDER BY ").push(number).push(" DESC LIMIT ").push_bind(i64::from(page.limit));
}
