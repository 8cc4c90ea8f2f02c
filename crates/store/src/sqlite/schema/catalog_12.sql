-- Details of an entry can be taken out: then this seals what is left of it, and the chain goes on over the hash that it had.
ALTER TABLE audit ADD COLUMN erased TEXT;                              -- in hexadecimal

-- Passkeys (WebAuthn): what is kept of them is public.
CREATE TABLE passkeys (
    number        INTEGER PRIMARY KEY AUTOINCREMENT,
    id            BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    account       INTEGER NOT NULL REFERENCES accounts (number),
    credential_id BLOB NOT NULL UNIQUE,
    credential    TEXT NOT NULL,                          -- JSON: the public key, the counter and what else it says of itself
    name          TEXT NOT NULL,
    created_at    INTEGER NOT NULL,
    used_at       INTEGER
) STRICT;

CREATE INDEX passkeys_of_account ON passkeys (account);

-- What people are known by at identity providers (OpenID Connect).
CREATE TABLE identities (
    number     INTEGER PRIMARY KEY AUTOINCREMENT,
    id         BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    account    INTEGER NOT NULL REFERENCES accounts (number),
    issuer     TEXT NOT NULL,
    subject    TEXT NOT NULL,                             -- as the issuer says it; addresses change, this does not
    created_at INTEGER NOT NULL,
    used_at    INTEGER,
    UNIQUE (issuer, subject)
) STRICT;

CREATE INDEX identities_of_account ON identities (account);

-- What was asked once and answered: no answer is taken twice. What has ended goes.
CREATE TABLE spent_challenges (
    lookup  BLOB PRIMARY KEY CHECK (length(lookup) = 32),
    ends_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
