-- Versions of a key: its row has the latest one, the ones before are here. Each is good until its own end, and its digest is
-- kept after that, so that whoever still presents it is told what became of it and no import gives it to another key.
ALTER TABLE keys ADD COLUMN version INTEGER NOT NULL DEFAULT 1;
-- When the latest version was made; empty for the first one, which was made with the key.
ALTER TABLE keys ADD COLUMN versioned_at INTEGER;

CREATE TABLE key_versions (
    key           INTEGER NOT NULL REFERENCES keys (number),
    version       INTEGER NOT NULL,
    hint          TEXT NOT NULL,
    digest        BLOB NOT NULL,
    algorithm     INTEGER NOT NULL,
    pepper        INTEGER NOT NULL REFERENCES peppers (version),
    created_at    INTEGER NOT NULL,
    superseded_at INTEGER NOT NULL,
    ends_at       INTEGER NOT NULL,
    PRIMARY KEY (key, version)
) STRICT;

CREATE INDEX key_versions_by_digest ON key_versions (digest);

-- What was told of keys, so that it is told once: that they are about to end, that nobody uses them. `about` tells one
-- notice of a kind from the next: a moment, or a version.
CREATE TABLE key_notices (
    key   INTEGER NOT NULL,
    kind  TEXT NOT NULL,
    about INTEGER NOT NULL,
    at    INTEGER NOT NULL,
    PRIMARY KEY (key, kind, about)
) STRICT, WITHOUT ROWID;

CREATE INDEX keys_by_end ON keys (expires_at) WHERE deleted_at IS NULL AND expires_at IS NOT NULL;
CREATE INDEX key_versions_by_end ON key_versions (ends_at);

-- What an owner wrote on a key (JSON); few have any.
ALTER TABLE keys ADD COLUMN labels TEXT NOT NULL DEFAULT '[]';
ALTER TABLE keys ADD COLUMN metadata TEXT NOT NULL DEFAULT '{}';
CREATE INDEX keys_with_metadata ON keys (number) WHERE metadata <> '{}';

-- Texts of keys that wait for whoever holds a link, encrypted under the link's token as well; empty once opened.
CREATE TABLE hand_overs (
    lookup     BLOB PRIMARY KEY,                     -- SHA-256 over the token
    key        INTEGER NOT NULL REFERENCES keys (number),
    sealed     BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    ends_at    INTEGER NOT NULL,
    opened_at  INTEGER
) STRICT;
