//! The tables that are copied, column by column. A test holds them against the schema.

/// A table: its columns and how many of the first of them tell its rows apart.
pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) keys: usize,
    pub(super) columns: &'static [(&'static str, Kind)],
    /// Whether the database gives out numbers for new rows, in its first column.
    pub(super) numbered: bool,
}

#[derive(Clone, Copy)]
pub(super) enum Kind {
    Number,
    Text,
    Bytes,
}

use Kind::{Bytes, Number, Text};

const META: Table = Table { name: "meta", keys: 1, numbered: false, columns: &[("name", Text), ("value", Bytes)] };

/// The catalogue's tables; what others refer to comes first.
pub(super) const CATALOG: &[Table] = &[
    META,
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
        columns: &[("number", Number), ("id", Bytes), ("name", Text), ("created_at", Number)],
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
        ],
    },
    Table {
        name: "policies",
        keys: 1,
        numbered: true,
        columns: &[("number", Number), ("hash", Bytes), ("document", Text)],
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
        ],
    },
    Table {
        name: "slow_hashes",
        keys: 2,
        numbered: false,
        columns: &[("key", Number), ("version", Number), ("digest", Bytes), ("lookup", Number), ("hash", Text)],
    },
    Table {
        name: "revisions",
        keys: 1,
        numbered: false,
        columns: &[("revision", Number), ("subject", Text), ("first", Number), ("last", Number)],
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
];

const fn counts(name: &'static str) -> Table {
    Table {
        name,
        keys: 8,
        numbered: false,
        columns: &[
            ("start", Number),
            ("organization", Number),
            ("project", Number),
            ("key", Number),
            ("api", Number),
            ("label", Number),
            ("code", Number),
            ("status", Number),
            ("calls", Number),
            ("latency_us", Number),
            ("bytes_in", Number),
            ("bytes_out", Number),
        ],
    }
}

/// The ledger's tables.
pub(super) const USAGE: &[Table] = &[
    META,
    Table { name: "labels", keys: 1, numbered: false, columns: &[("number", Number), ("api", Number), ("text", Text)] },
    Table {
        name: "batches",
        keys: 2,
        numbered: false,
        columns: &[("node", Number), ("sequence", Number), ("events", Bytes)],
    },
    Table {
        name: "broken_batches",
        keys: 2,
        numbered: false,
        columns: &[("node", Number), ("sequence", Number), ("events", Bytes), ("cause", Text)],
    },
    Table { name: "nodes", keys: 1, numbered: false, columns: &[("node", Number), ("last_sequence", Number)] },
    Table {
        name: "version_use",
        keys: 2,
        numbered: false,
        columns: &[("key", Number), ("version", Number), ("calls", Number), ("refused", Number), ("last_at", Number)],
    },
    Table {
        name: "address_use",
        keys: 3,
        numbered: false,
        columns: &[
            ("start", Number),
            ("key", Number),
            ("address", Text),
            ("calls", Number),
            ("refused", Number),
            ("first_at", Number),
            ("last_at", Number),
        ],
    },
    counts("usage_minute"),
    counts("usage_hour"),
    counts("usage_day"),
];
