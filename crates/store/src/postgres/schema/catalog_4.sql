-- Versions of a key: its row has the latest one, the ones before are here. Each is good until its own end, and its digest is
-- kept after that, so that whoever still presents it is told what became of it and no import gives it to another key.
ALTER TABLE keys ADD COLUMN version BIGINT NOT NULL DEFAULT 1;
-- When the latest version was made; empty for the first one, which was made with the key.
ALTER TABLE keys ADD COLUMN versioned_at BIGINT;

CREATE TABLE key_versions (
    key           BIGINT NOT NULL REFERENCES keys (number),
    version       BIGINT NOT NULL,
    hint          TEXT COLLATE "C" NOT NULL,
    digest        BYTEA NOT NULL,
    algorithm     BIGINT NOT NULL,
    pepper        BIGINT NOT NULL REFERENCES peppers (version),
    created_at    BIGINT NOT NULL,
    superseded_at BIGINT NOT NULL,
    ends_at       BIGINT NOT NULL,
    PRIMARY KEY (key, version)
);

CREATE INDEX key_versions_by_digest ON key_versions (digest);

-- What was told of keys, so that it is told once: that they are about to end, that nobody uses them. `about` tells one
-- notice of a kind from the next: a moment, or a version.
CREATE TABLE key_notices (
    key   BIGINT NOT NULL,
    kind  TEXT COLLATE "C" NOT NULL,
    about BIGINT NOT NULL,
    at    BIGINT NOT NULL,
    PRIMARY KEY (key, kind, about)
);

CREATE INDEX keys_by_end ON keys (expires_at) WHERE deleted_at IS NULL AND expires_at IS NOT NULL;
CREATE INDEX key_versions_by_end ON key_versions (ends_at);

-- What an owner wrote on a key (JSON); few have any.
ALTER TABLE keys ADD COLUMN labels TEXT COLLATE "C" NOT NULL DEFAULT '[]';
ALTER TABLE keys ADD COLUMN metadata TEXT COLLATE "C" NOT NULL DEFAULT '{}';
CREATE INDEX keys_with_metadata ON keys (number) WHERE metadata <> '{}';

-- Texts of keys that wait for whoever holds a link, encrypted under the link's token as well; empty once opened.
CREATE TABLE hand_overs (
    lookup     BYTEA PRIMARY KEY,                     -- SHA-256 over the token
    key        BIGINT NOT NULL REFERENCES keys (number),
    sealed     BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    ends_at    BIGINT NOT NULL,
    opened_at  BIGINT
);
