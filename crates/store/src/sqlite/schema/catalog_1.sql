-- The catalogue: what is known. Ids are 16 bytes, moments microseconds since 1970, enums their words.
-- A row is never removed: `deleted_at` hides it, because usage keeps pointing at its number.
-- `revision` is the revision of a row's last change.

CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- What keys the digests, each wrapped under the root key.
CREATE TABLE peppers (
    version    INTEGER PRIMARY KEY,
    wrapped    BLOB NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE organizations (
    number     INTEGER PRIMARY KEY AUTOINCREMENT,
    id         BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    name       TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE apis (
    number       INTEGER PRIMARY KEY AUTOINCREMENT,
    id           BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    organization INTEGER NOT NULL REFERENCES organizations (number),
    name         TEXT NOT NULL,
    active       INTEGER NOT NULL CHECK (active IN (0, 1)),
    settings     TEXT NOT NULL,                              -- JSON
    document     TEXT,                                       -- JSON: what is shown of the OpenAPI document
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL,
    revision     INTEGER NOT NULL,
    deleted_at   INTEGER,
    operations   TEXT                                        -- JSON; long, therefore last
) STRICT;

CREATE INDEX apis_of_organization ON apis (organization) WHERE deleted_at IS NULL;

CREATE TABLE projects (
    number       INTEGER PRIMARY KEY AUTOINCREMENT,
    id           BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    organization INTEGER NOT NULL REFERENCES organizations (number),
    name         TEXT NOT NULL,
    description  TEXT NOT NULL,
    contact      TEXT NOT NULL,
    environment  TEXT NOT NULL CHECK (environment IN ('live', 'test')),
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL,
    revision     INTEGER NOT NULL,
    deleted_at   INTEGER
) STRICT;

CREATE INDEX projects_of_organization ON projects (organization) WHERE deleted_at IS NULL;

CREATE TABLE activations (
    number     INTEGER PRIMARY KEY AUTOINCREMENT,
    id         BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    project    INTEGER NOT NULL REFERENCES projects (number),
    api        INTEGER NOT NULL REFERENCES apis (number),
    state      TEXT NOT NULL CHECK (state IN ('requested', 'approved', 'suspended', 'refused')),
    reason     TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    revision   INTEGER NOT NULL,
    deleted_at INTEGER
) STRICT;

-- Of a pair there is one link.
CREATE UNIQUE INDEX activations_of_project ON activations (project, api) WHERE deleted_at IS NULL;
CREATE INDEX activations_of_api ON activations (api) WHERE deleted_at IS NULL;

-- Policies are shared by the keys that have the same one, and never changed.
CREATE TABLE policies (
    number   INTEGER PRIMARY KEY AUTOINCREMENT,
    hash     BLOB NOT NULL UNIQUE,                           -- SHA-256 of the document
    document TEXT NOT NULL                                   -- JSON
) STRICT;

-- Imported by the hundred thousand, so nothing is checked here that costs time and that every read checks anyway.
CREATE TABLE keys (
    number       INTEGER PRIMARY KEY AUTOINCREMENT,
    id           BLOB NOT NULL UNIQUE,
    project      INTEGER NOT NULL REFERENCES projects (number),
    organization INTEGER NOT NULL,                           -- the project's; it never changes
    environment  TEXT NOT NULL,                              -- the project's; it never changes
    kind         TEXT NOT NULL,
    name         TEXT NOT NULL,
    hint         TEXT NOT NULL,
    policy       INTEGER NOT NULL REFERENCES policies (number),
    digest       BLOB NOT NULL,                              -- keyed: the text can't be had from it
    algorithm    INTEGER NOT NULL,                           -- of the digest
    pepper       INTEGER NOT NULL REFERENCES peppers (version),
    expires_at   INTEGER,
    state        TEXT NOT NULL,
    state_at     INTEGER,
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL,
    revision     INTEGER NOT NULL,
    deleted_at   INTEGER
) STRICT;

-- A text opens one key. A deleted key frees its text, so that it can be imported anew.
CREATE UNIQUE INDEX keys_by_digest ON keys (digest) WHERE deleted_at IS NULL;
CREATE INDEX keys_of_project ON keys (project) WHERE deleted_at IS NULL;
CREATE INDEX keys_of_organization ON keys (organization) WHERE deleted_at IS NULL;

-- What each revision touched, by number: what a node must read anew.
CREATE TABLE revisions (
    revision INTEGER PRIMARY KEY,
    subject  TEXT NOT NULL CHECK (subject IN ('organization', 'api', 'project', 'keys')),
    first    INTEGER NOT NULL,
    last     INTEGER NOT NULL
) STRICT;

-- Each entry's hash covers the entry and the hash before it.
CREATE TABLE audit (
    sequence     INTEGER PRIMARY KEY,
    at           INTEGER NOT NULL,
    organization BLOB NOT NULL,
    actor        TEXT NOT NULL,
    address      TEXT NOT NULL,                              -- of the request; empty if there was none
    request      TEXT NOT NULL,                              -- its id; empty if there was none
    action       TEXT NOT NULL,
    subject      TEXT NOT NULL,
    before       TEXT NOT NULL,                              -- JSON; empty if it was not there
    after        TEXT NOT NULL,                              -- JSON; empty if it is gone
    hash         BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;

CREATE INDEX audit_of_organization ON audit (organization, sequence);

-- The end of the chain, sealed under the root key: entries can't be cut off its end, nor the whole chain be made anew.
CREATE TABLE audit_end (
    one      INTEGER PRIMARY KEY CHECK (one = 1),
    sequence INTEGER NOT NULL,
    seal     BLOB NOT NULL
) STRICT;

-- Requests that may be sent again, kept for a day.
CREATE TABLE idempotency (
    organization BLOB NOT NULL,
    key          BLOB NOT NULL,                              -- SHA-256 of the client's key
    request      BLOB NOT NULL,                              -- SHA-256 of the request
    subject      TEXT NOT NULL,
    at           INTEGER NOT NULL,
    PRIMARY KEY (organization, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_by_age ON idempotency (at);
