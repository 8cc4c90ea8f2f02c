-- Where organizations are told of events. `secret` is what deliveries are signed with, sealed under the root key and bound
-- to its place; `old_secret` the one before it, which signs too until `old_secret_until`.
-- `handed_to` is the place in the audit up to which events became deliveries, `failing_since` since when none arrived:
-- bookkeeping, no change of the catalogue.
CREATE TABLE webhooks (
    number           INTEGER PRIMARY KEY AUTOINCREMENT,
    id               BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    organization     INTEGER NOT NULL REFERENCES organizations (number),
    url              TEXT NOT NULL,
    description      TEXT NOT NULL,
    events           TEXT NOT NULL,                          -- JSON
    state            TEXT NOT NULL CHECK (state IN ('active', 'disabled')),
    reason           TEXT NOT NULL,                          -- why it is disabled; empty if its owner did it
    secret           BLOB NOT NULL,
    old_secret       BLOB NOT NULL,                          -- empty if there is none
    old_secret_until INTEGER,
    handed_to        INTEGER NOT NULL,
    failing_since    INTEGER,
    created_at       INTEGER NOT NULL,
    updated_at       INTEGER NOT NULL,
    revision         INTEGER NOT NULL,
    deleted_at       INTEGER
) STRICT;

CREATE INDEX webhooks_of_organization ON webhooks (organization) WHERE deleted_at IS NULL;

-- What is to be sent, and what became of it. An event goes to a webhook once, however often that is tried.
CREATE TABLE webhook_deliveries (
    number       INTEGER PRIMARY KEY AUTOINCREMENT,
    webhook      INTEGER NOT NULL REFERENCES webhooks (number),
    sequence     INTEGER NOT NULL,                           -- of the event's entry in the audit
    state        TEXT NOT NULL CHECK (state IN ('pending', 'delivered', 'failed')),
    attempts     INTEGER NOT NULL,
    next_at      INTEGER,                                    -- while it is pending
    status       INTEGER,                                    -- of the last answer
    error        TEXT NOT NULL,                              -- why the last attempt failed; empty if it did not
    last_at      INTEGER,
    delivered_at INTEGER,
    created_at   INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX webhook_deliveries_of_event ON webhook_deliveries (webhook, sequence);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (webhook, next_at) WHERE state = 'pending';
CREATE INDEX webhook_deliveries_by_age ON webhook_deliveries (created_at) WHERE state != 'pending';
