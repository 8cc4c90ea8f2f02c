//! The tables, column by column, for what is done to rows whatever they mean: copying and sealing them. A test holds this
//! against the schema.

mod usage;

use crate::StoreError;
use crate::db::{Columns, Connection, Row, Value, damaged, sql};

pub(crate) use usage::USAGE;

/// Rows in one read and one write.
pub(crate) const ROWS: usize = 500;

/// A table: its columns and how many of the first of them tell its rows apart.
pub(crate) struct Table {
    pub(crate) name: &'static str,
    pub(crate) keys: usize,
    pub(crate) columns: &'static [(&'static str, Kind)],
    /// Whether the database gives out numbers for new rows, in its first column.
    pub(crate) numbered: bool,
}

/// A row of a table, as it is.
pub(crate) type Values = Vec<Value<'static>>;

impl Table {
    /// Its columns, as a SELECT has them.
    pub(crate) fn names(&self) -> String {
        names(self.columns)
    }

    /// The columns that tell its rows apart.
    pub(crate) fn key_names(&self) -> String {
        names(&self.columns[..self.keys])
    }

    /// The next rows after this one, by their keys.
    pub(crate) async fn read(
        &self,
        db: &mut Connection,
        after: Option<&[Value<'static>]>,
    ) -> Result<Vec<Values>, StoreError> {
        let keys = self.key_names();
        let mut query = sql(format!("SELECT {} FROM {}", self.names(), self.name));
        if let Some(after) = after {
            query.push(&format!(" WHERE ({keys}) > ")).push_list(after.iter().cloned());
        }
        query.push(&format!(" ORDER BY {keys} LIMIT {ROWS}"));
        let rows: Vec<Values> =
            query.fetch_all(db).await?.iter().map(|row| self.values(row)).collect::<Result<_, StoreError>>()?;
        // In a file that is damaged they may come in another order, and whoever asks for the next ones would never end.
        let mut last = after;
        for row in &rows {
            let key = &row[..self.keys];
            if last.is_some_and(|last| key <= last) {
                return Err(damaged(format_args!("rows of {} in another order", self.name)));
            }
            last = Some(key);
        }
        Ok(rows)
    }

    /// Reads a row of [`Self::names`].
    pub(crate) fn values(&self, row: &Row) -> Result<Values, StoreError> {
        let mut row = Columns::of(row);
        let value = |(_, kind): &(_, Kind)| match kind {
            Kind::Number => Ok(Value::Number(row.number_if_any()?)),
            Kind::Text => Ok(Value::Text(row.text_if_any()?.map(Into::into))),
            Kind::Bytes => Ok(Value::Bytes(row.blob()?.to_vec().into())),
        };
        self.columns.iter().map(value).collect()
    }
}

fn names(columns: &[(&'static str, Kind)]) -> String {
    columns.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

/// What a column holds.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Number,
    Text,
    Bytes,
}

use Kind::{Bytes, Number, Text};

const META: Table = Table { name: "meta", keys: 1, numbered: false, columns: &[("name", Text), ("value", Bytes)] };

/// The catalogue's tables; what others refer to comes first.
pub(crate) const CATALOG: &[Table] = &[
    META,
    Table {
        name: "encryption_keys",
        keys: 1,
        numbered: false,
        columns: &[("version", Number), ("algorithm", Number), ("wrapped", Bytes), ("created_at", Number)],
    },
    Table {
        name: "peppers",
        keys: 1,
        numbered: false,
        columns: &[("version", Number), ("wrapped", Bytes), ("created_at", Number)],
    },
    Table {
        name: "organizations",
        keys: 1,
        numbered: true,
        columns: &[
            ("number", Number),
            ("id", Bytes),
            ("name", Text),
            ("created_at", Number),
            ("kind", Text),
            ("updated_at", Number),
            ("revision", Number),
            ("seal", Text),
        ],
    },
    Table {
        name: "accounts",
        keys: 1,
        numbered: true,
        columns: &[
            ("number", Number),
            ("id", Bytes),
            ("email", Text),
            ("name", Text),
            ("password", Text),
            ("password_at", Number),
            ("alone", Number),
            ("created_at", Number),
            ("updated_at", Number),
            ("revision", Number),
            ("seal", Text),
        ],
    },
    Table {
        name: "member_roles",
        keys: 1,
        numbered: true,
        columns: &[
            ("number", Number),
            ("id", Bytes),
            ("organization", Number),
            ("name", Text),
            ("description", Text),
            ("permissions", Text),
            ("created_at", Number),
            ("updated_at", Number),
            ("revision", Number),
            ("deleted_at", Number),
            ("seal", Text),
        ],
    },
    Table {
        name: "members",
        keys: 1,
        numbered: true,
        columns: &[
            ("number", Number),
            ("id", Bytes),
            ("organization", Number),
            ("account", Number),
            ("role", Text),
            ("custom_role", Number),
            ("created_at", Number),
            ("updated_at", Number),
            ("revision", Number),
            ("deleted_at", Number),
            ("seal", Text),
        ],
    },
    Table {
        name: "invitations",
        keys: 1,
        numbered: true,
        columns: &[
            ("number", Number),
            ("id", Bytes),
            ("organization", Number),
            ("email", Text),
            ("role", Text),
            ("custom_role", Number),
            ("lookup", Bytes),
            ("created_at", Number),
            ("updated_at", Number),
            ("ends_at", Number),
            ("made_by", Text),
            ("state", Text),
            ("revision", Number),
            ("seal", Text),
        ],
    },
    Table {
        name: "sessions",
        keys: 1,
        numbered: true,
        columns: &[
            ("number", Number),
            ("id", Bytes),
            ("account", Number),
            ("organization", Number),
            ("lookup", Bytes),
            ("created_at", Number),
            ("seen_at", Number),
            ("proven_at", Number),
            ("address", Text),
            ("agent", Text),
            ("seal", Text),
        ],
    },
    Table {
        name: "password_resets",
        keys: 1,
        numbered: false,
        columns: &[
            ("lookup", Bytes),
            ("account", Number),
            ("standing", Bytes),
            ("created_at", Number),
            ("ends_at", Number),
            ("seal", Text),
        ],
    },
    Table {
        name: "totps",
        keys: 1,
        numbered: false,
        columns: &[
            ("account", Number),
            ("sealed", Bytes),
            ("created_at", Number),
            ("confirmed_at", Number),
            ("last_step", Number),
            ("seal", Text),
        ],
    },
    Table {
        name: "device_logins",
        keys: 1,
        numbered: false,
        columns: &[
            ("lookup", Bytes),
            ("user_code", Bytes),
            ("agent", Text),
            ("address", Text),
            ("created_at", Number),
            ("ends_at", Number),
            ("state", Text),
            ("account", Number),
            ("organization", Number),
            ("seal", Text),
        ],
    },
    Table {
        name: "passkeys",
        keys: 1,
        numbered: true,
        columns: &[
            ("number", Number),
            ("id", Bytes),
            ("account", Number),
            ("credential_id", Bytes),
            ("credential", Text),
            ("name", Text),
            ("created_at", Number),
            ("used_at", Number),
            ("seal", Text),
        ],
    },
    Table {
        name: "identities",
        keys: 1,
        numbered: true,
        columns: &[
            ("number", Number),
            ("id", Bytes),
            ("account", Number),
            ("issuer", Text),
            ("subject", Text),
            ("created_at", Number),
            ("used_at", Number),
            ("seal", Text),
        ],
    },
    Table { name: "spent_challenges", keys: 1, numbered: false, columns: &[("lookup", Bytes), ("ends_at", Number)] },
    Table {
        name: "recovery_codes",
        keys: 2,
        numbered: false,
        columns: &[("account", Number), ("lookup", Bytes), ("seal", Text)],
    },
    Table {
        name: "login_failures",
        keys: 1,
        numbered: false,
        columns: &[("lookup", Bytes), ("count", Number), ("last_at", Number)],
    },
    Table {
        name: "apis",
        keys: 1,
        numbered: true,
        columns: &[
            ("number", Number),
            ("id", Bytes),
            ("organization", Number),
            ("name", Text),
            ("active", Number),
            ("settings", Text),
            ("document", Text),
            ("created_at", Number),
            ("updated_at", Number),
            ("revision", Number),
            ("deleted_at", Number),
            ("operations", Text),
            ("seal", Text),
        ],
    },
    Table {
        name: "projects",
        keys: 1,
        numbered: true,
        columns: &[
            ("number", Number),
            ("id", Bytes),
            ("organization", Number),
            ("name", Text),
            ("description", Text),
            ("contact", Text),
            ("environment", Text),
            ("created_at", Number),
            ("updated_at", Number),
            ("revision", Number),
            ("deleted_at", Number),
            ("suspended_at", Number),
            ("suspended_reason", Text),
            ("max_keys", Number),
            ("labels", Text),
            ("metadata", Text),
            ("patterns", Text),
            ("seal", Text),
        ],
    },
    Table {
        name: "plans",
        keys: 1,
        numbered: true,
        columns: &[
            ("number", Number),
            ("id", Bytes),
            ("api", Number),
            ("name", Text),
            ("description", Text),
            ("standard", Number),
            ("created_at", Number),
            ("updated_at", Number),
            ("revision", Number),
            ("deleted_at", Number),
            ("seal", Text),
        ],
    },
    Table {
        name: "plan_versions",
        keys: 2,
        numbered: false,
        columns: &[
            ("plan", Number),
            ("version", Number),
            ("terms", Text),
            ("from_at", Number),
            ("created_at", Number),
            ("seal", Text),
        ],
    },
    Table {
        name: "activations",
        keys: 1,
        numbered: true,
        columns: &[
            ("number", Number),
            ("id", Bytes),
            ("project", Number),
            ("api", Number),
            ("state", Text),
            ("reason", Text),
            ("created_at", Number),
            ("updated_at", Number),
            ("revision", Number),
            ("deleted_at", Number),
            ("wanted", Text),
            ("note", Text),
            ("granted", Text),
            ("judged_by", Text),
            ("judged_at", Number),
            ("seal", Text),
            ("plan", Number),
            ("plan_since", Number),
            ("wanted_plan", Number),
            ("ceilings", Text),
        ],
    },
    Table {
        name: "activation_plans",
        keys: 2,
        numbered: false,
        columns: &[
            ("activation", Number),
            ("since_at", Number),
            ("plan", Number),
            ("anchor_at", Number),
            ("seal", Text),
        ],
    },
    Table {
        name: "credit_grants",
        keys: 1,
        numbered: true,
        columns: &[
            ("number", Number),
            ("id", Bytes),
            ("organization", Number),
            ("holder", Number),
            ("project", Number),
            ("kind", Text),
            ("amount", Number),
            ("note", Text),
            ("plan", Number),
            ("starts_at", Number),
            ("ends_at", Number),
            ("revoked_at", Number),
            ("created_at", Number),
            ("updated_at", Number),
            ("revision", Number),
            ("seal", Text),
        ],
    },
    Table {
        name: "quota_notices",
        keys: 5,
        numbered: false,
        columns: &[
            ("activation", Number),
            ("organization", Number),
            ("quota", Text),
            ("starts_at", Number),
            ("percent", Number),
            ("at", Number),
        ],
    },
    Table {
        name: "policies",
        keys: 1,
        numbered: true,
        columns: &[("number", Number), ("hash", Bytes), ("document", Text), ("seal", Text)],
    },
    Table {
        name: "roles",
        keys: 1,
        numbered: true,
        columns: &[
            ("number", Number),
            ("id", Bytes),
            ("organization", Number),
            ("name", Text),
            ("description", Text),
            ("permissions", Text),
            ("created_at", Number),
            ("updated_at", Number),
            ("revision", Number),
            ("deleted_at", Number),
            ("seal", Text),
        ],
    },
    Table {
        name: "patterns",
        keys: 1,
        numbered: true,
        columns: &[
            ("number", Number),
            ("id", Bytes),
            ("organization", Number),
            ("name", Text),
            ("description", Text),
            ("filter", Text),
            ("created_at", Number),
            ("updated_at", Number),
            ("revision", Number),
            ("deleted_at", Number),
            ("seal", Text),
        ],
    },
    Table {
        name: "policy_patterns",
        keys: 2,
        numbered: false,
        columns: &[("pattern", Number), ("policy", Number), ("seal", Text)],
    },
    Table {
        name: "policy_roles",
        keys: 2,
        numbered: false,
        columns: &[("role", Number), ("policy", Number), ("seal", Text)],
    },
    Table {
        name: "keys",
        keys: 1,
        numbered: true,
        columns: &[
            ("number", Number),
            ("id", Bytes),
            ("project", Number),
            ("organization", Number),
            ("environment", Text),
            ("kind", Text),
            ("name", Text),
            ("hint", Text),
            ("policy", Number),
            ("digest", Bytes),
            ("algorithm", Number),
            ("pepper", Number),
            ("expires_at", Number),
            ("state", Text),
            ("state_at", Number),
            ("created_at", Number),
            ("updated_at", Number),
            ("revision", Number),
            ("deleted_at", Number),
            ("exposed_at", Number),
            ("version", Number),
            ("versioned_at", Number),
            ("labels", Text),
            ("metadata", Text),
            ("seal", Text),
        ],
    },
    Table {
        name: "key_versions",
        keys: 2,
        numbered: false,
        columns: &[
            ("key", Number),
            ("version", Number),
            ("hint", Text),
            ("digest", Bytes),
            ("algorithm", Number),
            ("pepper", Number),
            ("created_at", Number),
            ("superseded_at", Number),
            ("ends_at", Number),
            ("seal", Text),
        ],
    },
    Table {
        name: "key_texts",
        keys: 1,
        numbered: false,
        columns: &[("key", Number), ("version", Number), ("sealed", Bytes)],
    },
    Table {
        name: "hand_overs",
        keys: 1,
        numbered: false,
        columns: &[
            ("lookup", Bytes),
            ("key", Number),
            ("sealed", Bytes),
            ("created_at", Number),
            ("ends_at", Number),
            ("opened_at", Number),
            ("seal", Text),
        ],
    },
    Table {
        name: "key_notices",
        keys: 3,
        numbered: false,
        columns: &[("key", Number), ("kind", Text), ("about", Number), ("at", Number)],
    },
    Table {
        name: "slow_hashes",
        keys: 2,
        numbered: false,
        columns: &[
            ("key", Number),
            ("version", Number),
            ("digest", Bytes),
            ("lookup", Number),
            ("hash", Text),
            ("seal", Text),
        ],
    },
    Table {
        name: "former_digests",
        keys: 3,
        numbered: false,
        columns: &[("key", Number), ("version", Number), ("pepper", Number), ("digest", Bytes), ("seal", Text)],
    },
    Table {
        name: "revisions",
        keys: 1,
        numbered: false,
        columns: &[("revision", Number), ("subject", Text), ("first", Number), ("last", Number), ("seal", Text)],
    },
    Table {
        name: "audit",
        keys: 1,
        numbered: false,
        columns: &[
            ("sequence", Number),
            ("at", Number),
            ("organization", Bytes),
            ("actor", Text),
            ("address", Text),
            ("request", Text),
            ("action", Text),
            ("subject", Text),
            ("before", Text),
            ("after", Text),
            ("hash", Bytes),
            ("erased", Text),
            ("salt", Text),
        ],
    },
    Table {
        name: "audit_end",
        keys: 1,
        numbered: false,
        columns: &[("one", Number), ("sequence", Number), ("seal", Bytes)],
    },
    Table {
        name: "idempotency",
        keys: 2,
        numbered: false,
        columns: &[("organization", Bytes), ("key", Bytes), ("request", Bytes), ("subject", Text), ("at", Number)],
    },
    Table {
        name: "api_secrets",
        keys: 2,
        numbered: false,
        columns: &[("api", Number), ("name", Text), ("sealed", Bytes), ("set_at", Number)],
    },
    Table {
        name: "webhooks",
        keys: 1,
        numbered: true,
        columns: &[
            ("number", Number),
            ("id", Bytes),
            ("organization", Number),
            ("url", Text),
            ("description", Text),
            ("events", Text),
            ("state", Text),
            ("reason", Text),
            ("secret", Bytes),
            ("old_secret", Bytes),
            ("old_secret_until", Number),
            ("handed_to", Number),
            ("failing_since", Number),
            ("created_at", Number),
            ("updated_at", Number),
            ("revision", Number),
            ("deleted_at", Number),
            ("seal", Text),
        ],
    },
    Table {
        name: "webhook_deliveries",
        keys: 1,
        numbered: true,
        columns: &[
            ("number", Number),
            ("webhook", Number),
            ("sequence", Number),
            ("state", Text),
            ("attempts", Number),
            ("next_at", Number),
            ("status", Number),
            ("error", Text),
            ("last_at", Number),
            ("delivered_at", Number),
            ("created_at", Number),
        ],
    },
];
