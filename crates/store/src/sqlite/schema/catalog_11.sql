-- People: who they are, what they may do where, how they come in, and that they are logged in.
ALTER TABLE organizations ADD COLUMN kind TEXT NOT NULL DEFAULT 'owner' CHECK (kind IN ('owner', 'consumer'));
ALTER TABLE organizations ADD COLUMN updated_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE organizations ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
UPDATE organizations SET updated_at = created_at;

CREATE TABLE accounts (
    number      INTEGER PRIMARY KEY AUTOINCREMENT,
    id          BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    email       TEXT NOT NULL UNIQUE,                        -- in small letters
    name        TEXT NOT NULL,
    password    TEXT,                                        -- a keyed Argon2id hash, as a PHC string
    password_at INTEGER,
    alone       INTEGER NOT NULL CHECK (alone IN (0, 1)),    -- whether the password may be all that is asked for
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    revision    INTEGER NOT NULL
) STRICT;

-- Roles that an organization made for its members.
CREATE TABLE member_roles (
    number       INTEGER PRIMARY KEY AUTOINCREMENT,
    id           BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    organization INTEGER NOT NULL REFERENCES organizations (number),
    name         TEXT NOT NULL,
    description  TEXT NOT NULL,
    permissions  TEXT NOT NULL,                              -- JSON
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL,
    revision     INTEGER NOT NULL,
    deleted_at   INTEGER
) STRICT;

CREATE UNIQUE INDEX member_roles_by_name ON member_roles (organization, name) WHERE deleted_at IS NULL;

CREATE TABLE members (
    number       INTEGER PRIMARY KEY AUTOINCREMENT,
    id           BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    organization INTEGER NOT NULL REFERENCES organizations (number),
    account      INTEGER NOT NULL REFERENCES accounts (number),
    role         TEXT NOT NULL,                              -- of those that are built in; empty for one of member_roles
    custom_role  INTEGER REFERENCES member_roles (number),
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL,
    revision     INTEGER NOT NULL,
    deleted_at   INTEGER
) STRICT;

CREATE UNIQUE INDEX members_of_account ON members (account, organization) WHERE deleted_at IS NULL;
CREATE INDEX members_of_organization ON members (organization) WHERE deleted_at IS NULL;

CREATE TABLE invitations (
    number       INTEGER PRIMARY KEY AUTOINCREMENT,
    id           BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    organization INTEGER NOT NULL REFERENCES organizations (number),
    email        TEXT,                                       -- NULL: whoever accepts it says
    role         TEXT NOT NULL,
    custom_role  INTEGER REFERENCES member_roles (number),
    lookup       BLOB NOT NULL UNIQUE CHECK (length(lookup) = 32), -- SHA-256 of the token
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL,
    ends_at      INTEGER NOT NULL,
    made_by      TEXT NOT NULL,
    state        TEXT NOT NULL CHECK (state IN ('open', 'accepted', 'withdrawn')),
    revision     INTEGER NOT NULL
) STRICT;

CREATE INDEX invitations_of_organization ON invitations (organization);

-- People who are logged in. One that is over goes.
CREATE TABLE sessions (
    number       INTEGER PRIMARY KEY AUTOINCREMENT,
    id           BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    account      INTEGER NOT NULL REFERENCES accounts (number),
    organization INTEGER NOT NULL REFERENCES organizations (number),
    lookup       BLOB NOT NULL UNIQUE CHECK (length(lookup) = 32), -- SHA-256 of the token
    created_at   INTEGER NOT NULL,
    seen_at      INTEGER NOT NULL,
    proven_at    INTEGER NOT NULL,
    address      TEXT NOT NULL,                              -- from which it began; empty if unknown
    agent        TEXT NOT NULL
) STRICT;

CREATE INDEX sessions_by_age ON sessions (seen_at);
CREATE INDEX sessions_of_account ON sessions (account);
CREATE INDEX sessions_of_organization ON sessions (organization);

-- Links to a new password.
CREATE TABLE password_resets (
    lookup     BLOB PRIMARY KEY CHECK (length(lookup) = 32), -- SHA-256 of the token
    account    INTEGER NOT NULL REFERENCES accounts (number),
    standing   BLOB NOT NULL CHECK (length(standing) = 32),  -- what the account was where, when it was made
    created_at INTEGER NOT NULL,
    ends_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Wrong passwords in a row, of e-mail addresses with an account and without.
CREATE TABLE login_failures (
    lookup  BLOB PRIMARY KEY CHECK (length(lookup) = 32),    -- HMAC of the address
    count   INTEGER NOT NULL,
    last_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Seeds of one-time codes (RFC 6238), sealed. One that was not confirmed asks nobody for anything.
CREATE TABLE totps (
    account      INTEGER PRIMARY KEY REFERENCES accounts (number),
    sealed       BLOB NOT NULL,
    created_at   INTEGER NOT NULL,
    confirmed_at INTEGER,
    last_step    INTEGER NOT NULL                            -- of the last code that was taken; none of before is
) STRICT;

-- Codes for whoever lost the other factor. One that was used goes.
CREATE TABLE recovery_codes (
    account INTEGER NOT NULL REFERENCES accounts (number),
    lookup  BLOB NOT NULL CHECK (length(lookup) = 32),       -- HMAC of the code
    PRIMARY KEY (account, lookup)
) STRICT, WITHOUT ROWID;

-- Logins of a device that has no browser (RFC 8628), which somebody who is logged in elsewhere lets in.
CREATE TABLE device_logins (
    lookup       BLOB PRIMARY KEY CHECK (length(lookup) = 32), -- SHA-256 of the device's code
    user_code    BLOB NOT NULL UNIQUE CHECK (length(user_code) = 32), -- HMAC of what people type
    agent        TEXT NOT NULL,
    address      TEXT NOT NULL,
    created_at   INTEGER NOT NULL,
    ends_at      INTEGER NOT NULL,
    state        TEXT NOT NULL CHECK (state IN ('waiting', 'approved', 'denied')),
    account      INTEGER REFERENCES accounts (number),
    organization INTEGER REFERENCES organizations (number)
) STRICT;

CREATE INDEX login_failures_by_age ON login_failures (last_at);
