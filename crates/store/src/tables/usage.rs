//! The ledger's tables.

use super::Kind::{Bytes, Number, Text};
use super::{META, Table};

/// The ledger's tables.
pub(crate) const USAGE: &[Table] = &[
    META,
    Table { name: "labels", keys: 1, numbered: false, columns: &[("number", Number), ("api", Number), ("text", Text)] },
    Table {
        name: "batches",
        keys: 2,
        numbered: false,
        columns: &[("node", Number), ("sequence", Number), ("recorded_at", Number), ("events", Bytes)],
    },
    Table {
        name: "kept_events",
        keys: 4,
        numbered: false,
        columns: &[
            ("hour", Number),
            ("node", Number),
            ("sequence", Number),
            ("place", Number),
            ("recorded_at", Number),
            ("bytes", Number),
            ("events", Bytes),
        ],
    },
    Table {
        name: "recorded_usage",
        keys: 2,
        numbered: false,
        columns: &[
            ("organization", Number),
            ("id", Text),
            ("api", Number),
            ("project", Number),
            ("at", Number),
            ("recorded_at", Number),
            ("calls", Number),
            ("cost", Number),
            ("corrects", Text),
            ("note", Text),
            ("recorded_by", Text),
        ],
    },
    Table {
        name: "late_usage",
        keys: 4,
        numbered: false,
        columns: &[
            ("project", Number),
            ("api", Number),
            ("recorded_at", Number),
            ("start", Number),
            ("organization", Number),
            ("calls", Number),
            ("cost", Number),
        ],
    },
    Table {
        name: "broken_batches",
        keys: 2,
        numbered: false,
        columns: &[("node", Number), ("sequence", Number), ("events", Bytes), ("cause", Text)],
    },
    Table { name: "nodes", keys: 1, numbered: false, columns: &[("node", Number), ("last_sequence", Number)] },
    Table {
        name: "balances",
        keys: 5,
        numbered: false,
        columns: &[
            ("project", Number),
            ("api", Number),
            ("period", Text),
            ("counts", Text),
            ("starts_at", Number),
            ("ends_at", Number),
            ("taken", Number),
        ],
    },
    Table { name: "credit_takings", keys: 1, numbered: false, columns: &[("credit_grant", Number), ("taken", Number)] },
    Table {
        name: "credit_entries",
        keys: 2,
        numbered: false,
        columns: &[
            ("owner", Bytes),
            ("id", Text),
            ("holder", Bytes),
            ("project", Bytes),
            ("held_by", Text),
            ("amount", Number),
            ("posted", Number),
            ("state", Text),
            ("made_at", Number),
            ("ends_at", Number),
            ("settled_at", Number),
        ],
    },
    Table {
        name: "credit_parts",
        keys: 3,
        numbered: false,
        columns: &[("owner", Bytes), ("id", Text), ("place", Number), ("credit_grant", Number), ("amount", Number)],
    },
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
    totals("total_minute"),
    totals("total_hour"),
    totals("total_day"),
    facets("facet_hour"),
    facets("facet_day"),
    Table {
        name: "facet_values",
        keys: 6,
        numbered: false,
        columns: &[
            ("start", Number),
            ("organization", Number),
            ("project", Number),
            ("key", Number),
            ("facet", Text),
            ("value", Text),
        ],
    },
    Table {
        name: "use_by_day",
        keys: 3,
        numbered: false,
        columns: &[("project", Number), ("api", Number), ("start", Number), ("calls", Number), ("last", Number)],
    },
    Table {
        name: "last_use",
        keys: 2,
        numbered: false,
        columns: &[("key", Number), ("api", Number), ("last", Number)],
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
            ("cost", Number),
            ("latencies", Text),
        ],
    }
}

const fn totals(name: &'static str) -> Table {
    Table {
        name,
        keys: 6,
        numbered: false,
        columns: &[
            ("start", Number),
            ("organization", Number),
            ("api", Number),
            ("label", Number),
            ("code", Number),
            ("status", Number),
            ("calls", Number),
            ("latency_us", Number),
            ("bytes_in", Number),
            ("bytes_out", Number),
            ("cost", Number),
            ("latencies", Text),
        ],
    }
}

const fn facets(name: &'static str) -> Table {
    Table {
        name,
        keys: 9,
        numbered: false,
        columns: &[
            ("facet", Text),
            ("start", Number),
            ("organization", Number),
            ("project", Number),
            ("key", Number),
            ("api", Number),
            ("code", Number),
            ("status", Number),
            ("value", Text),
            ("calls", Number),
            ("latency_us", Number),
            ("bytes_in", Number),
            ("bytes_out", Number),
            ("cost", Number),
            ("latencies", Text),
        ],
    }
}
