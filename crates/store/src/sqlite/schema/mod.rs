//! The tables, as plain SQL in files beside this one, and how a file of an older version is brought up to date.
//!
//! `PRAGMA user_version` counts the steps that a file has seen. A step is never edited once it was released: a change
//! of the tables is a new file and a new line here.

use sqlx::{AssertSqlSafe, SqliteConnection};

/// The steps of `catalog.db`.
pub(super) const CATALOG: &[&str] =
    &[include_str!("catalog_1.sql"), include_str!("catalog_2.sql"), include_str!("catalog_3.sql")];
/// The steps of `usage.db`.
pub(super) const USAGE: &[&str] = &[include_str!("usage_1.sql")];

/// How many steps the file has seen; 0 for one that was never filled.
pub(super) async fn version(db: &mut SqliteConnection) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("PRAGMA user_version").fetch_one(db).await
}

/// Takes the steps that are missing. The caller has a transaction open, so a crash leaves the file as it was.
pub(super) async fn migrate(db: &mut SqliteConnection, steps: &'static [&'static str]) -> Result<(), sqlx::Error> {
    let seen = usize::try_from(version(db).await?).unwrap_or(0);
    for (place, step) in steps.iter().enumerate().skip(seen) {
        sqlx::raw_sql(*step).execute(&mut *db).await?;
        sqlx::raw_sql(AssertSqlSafe(format!("PRAGMA user_version = {}", place + 1))).execute(&mut *db).await?;
    }
    Ok(())
}
