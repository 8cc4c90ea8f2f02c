//! The tables, as plain SQL in files of each engine's folder, and how a database of an older version is brought up to
//! date.
//!
//! Each engine counts the steps that a database has seen; the same number means the same tables. A step is never edited
//! once it was released: a change of the tables is a new file for each engine and a new line here.

use sqlx::AssertSqlSafe;

use crate::StoreError;
use crate::db::{Columns, Connection, sql};

/// The steps of a database, for each engine.
pub(crate) struct Steps {
    sqlite: &'static [&'static str],
    postgres: &'static [&'static str],
}

/// Those of the catalogue.
pub(crate) const CATALOG: Steps = Steps {
    sqlite: &[
        include_str!("sqlite/schema/catalog_1.sql"),
        include_str!("sqlite/schema/catalog_2.sql"),
        include_str!("sqlite/schema/catalog_3.sql"),
        include_str!("sqlite/schema/catalog_4.sql"),
        include_str!("sqlite/schema/catalog_5.sql"),
        include_str!("sqlite/schema/catalog_6.sql"),
        include_str!("sqlite/schema/catalog_7.sql"),
        include_str!("sqlite/schema/catalog_8.sql"),
        include_str!("sqlite/schema/catalog_9.sql"),
        include_str!("sqlite/schema/catalog_10.sql"),
        include_str!("sqlite/schema/catalog_11.sql"),
        include_str!("sqlite/schema/catalog_12.sql"),
        include_str!("sqlite/schema/catalog_13.sql"),
        include_str!("sqlite/schema/catalog_14.sql"),
        include_str!("sqlite/schema/catalog_15.sql"),
        include_str!("sqlite/schema/catalog_16.sql"),
        include_str!("sqlite/schema/catalog_17.sql"),
    ],
    postgres: &[
        include_str!("postgres/schema/catalog_1.sql"),
        include_str!("postgres/schema/catalog_2.sql"),
        include_str!("postgres/schema/catalog_3.sql"),
        include_str!("postgres/schema/catalog_4.sql"),
        include_str!("postgres/schema/catalog_5.sql"),
        include_str!("postgres/schema/catalog_6.sql"),
        include_str!("postgres/schema/catalog_7.sql"),
        include_str!("postgres/schema/catalog_8.sql"),
        include_str!("postgres/schema/catalog_9.sql"),
        include_str!("postgres/schema/catalog_10.sql"),
        include_str!("postgres/schema/catalog_11.sql"),
        include_str!("postgres/schema/catalog_12.sql"),
        include_str!("postgres/schema/catalog_13.sql"),
        include_str!("postgres/schema/catalog_14.sql"),
        include_str!("postgres/schema/catalog_15.sql"),
        include_str!("postgres/schema/catalog_16.sql"),
        include_str!("postgres/schema/catalog_17.sql"),
    ],
};
/// Those of the ledger.
pub(crate) const USAGE: Steps = Steps {
    sqlite: &[
        include_str!("sqlite/schema/usage_1.sql"),
        include_str!("sqlite/schema/usage_2.sql"),
        include_str!("sqlite/schema/usage_3.sql"),
        include_str!("sqlite/schema/usage_4.sql"),
        include_str!("sqlite/schema/usage_5.sql"),
        include_str!("sqlite/schema/usage_6.sql"),
        include_str!("sqlite/schema/usage_7.sql"),
        include_str!("sqlite/schema/usage_8.sql"),
        include_str!("sqlite/schema/usage_9.sql"),
        include_str!("sqlite/schema/usage_10.sql"),
    ],
    postgres: &[
        include_str!("postgres/schema/usage_1.sql"),
        include_str!("postgres/schema/usage_2.sql"),
        include_str!("postgres/schema/usage_3.sql"),
        include_str!("postgres/schema/usage_4.sql"),
        include_str!("postgres/schema/usage_5.sql"),
        include_str!("postgres/schema/usage_6.sql"),
        include_str!("postgres/schema/usage_7.sql"),
        include_str!("postgres/schema/usage_8.sql"),
        include_str!("postgres/schema/usage_9.sql"),
        include_str!("postgres/schema/usage_10.sql"),
    ],
};

impl Steps {
    /// The newest version of the tables that is known here.
    pub(crate) const fn known(&self) -> u32 {
        self.sqlite.len() as u32
    }

    /// Takes the steps that are missing. The caller has a transaction open, so a crash leaves the database as it was.
    pub(crate) async fn migrate(&self, db: &mut Connection) -> Result<(), StoreError> {
        let seen = version(db).await? as usize;
        let steps = match db {
            Connection::Sqlite(_) => self.sqlite,
            Connection::Postgres { .. } => self.postgres,
        };
        for (place, step) in steps.iter().enumerate().skip(seen) {
            carry_out(db, step).await?;
            keep_version(db, place + 1).await?;
        }
        Ok(())
    }
}

impl Steps {
    /// A trigger or a view (of PostgreSQL a rule or a function too) that no step has made, or has made otherwise.
    pub(crate) async fn strange(&self, db: &mut Connection) -> Result<Option<String>, StoreError> {
        let (steps, kept) = match db {
            Connection::Sqlite(_) => {
                (self.sqlite, "SELECT name, sql FROM sqlite_schema WHERE type IN ('trigger', 'view') ORDER BY name")
            }
            Connection::Postgres { .. } => (
                self.postgres,
                "SELECT t.tgname::text, concat('CREATE TRIGGER ', t.tgname, ' BEFORE UPDATE OF') FROM pg_trigger t \
                 JOIN pg_class c ON c.oid = t.tgrelid WHERE NOT t.tgisinternal AND c.relnamespace = current_schema()::regnamespace \
                 UNION ALL SELECT p.proname::text, trim(p.prosrc) FROM pg_proc p WHERE p.pronamespace = current_schema()::regnamespace \
                 UNION ALL SELECT r.rulename::text, '' FROM pg_rules r WHERE r.schemaname = current_schema() \
                 UNION ALL SELECT v.viewname::text, '' FROM pg_views v WHERE v.schemaname = current_schema() ORDER BY 1",
            ),
        };
        let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let made: Vec<String> = steps.iter().map(|step| plain(step)).collect();
        for row in &sql(kept).seldom().fetch_all(db).await? {
            let mut row = Columns::of(row);
            let (name, text) = (row.text()?, plain(&row.text_if_any()?.unwrap_or_default()));
            if text.is_empty() || !made.iter().any(|step| step.contains(&text)) {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }
}

/// However long it takes: a step may write a large table anew.
async fn carry_out(db: &mut Connection, step: &'static str) -> Result<(), sqlx::Error> {
    match db {
        Connection::Sqlite(db) => sqlx::raw_sql(step).execute(&mut **db).await.map(drop),
        Connection::Postgres { db, .. } => {
            sqlx::raw_sql("SET LOCAL statement_timeout = 0").execute(&mut **db).await?;
            sqlx::raw_sql(step).execute(&mut **db).await.map(drop)
        }
    }
}

/// How many steps a database has seen; 0 for one that was never filled.
pub(crate) async fn version(db: &mut Connection) -> Result<u32, StoreError> {
    match db {
        Connection::Sqlite(_) => sql("PRAGMA user_version").fetch_number(db).await,
        Connection::Postgres { .. } => {
            let is_there = sql(
                "SELECT count(*) FROM pg_tables WHERE schemaname = current_schema() AND tablename = 'schema_version'",
            );
            if is_there.fetch_number::<u32>(db).await? == 0 {
                return Ok(0);
            }
            Ok(sql("SELECT version FROM schema_version").fetch_number_if_any(db).await?.unwrap_or(0))
        }
    }
}

async fn keep_version(db: &mut Connection, version: usize) -> Result<(), StoreError> {
    match db {
        Connection::Sqlite(db) => {
            sqlx::raw_sql(AssertSqlSafe(format!("PRAGMA user_version = {version}"))).execute(&mut **db).await?;
        }
        Connection::Postgres { .. } => {
            sql("UPDATE schema_version SET version = ?").bind(version as i64).execute(db).await?;
        }
    }
    Ok(())
}
