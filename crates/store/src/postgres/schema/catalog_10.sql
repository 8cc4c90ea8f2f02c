-- The versions of the key that secrets are encrypted under, each wrapped under the root key.
CREATE TABLE encryption_keys (
    version    BIGINT PRIMARY KEY,
    algorithm  BIGINT NOT NULL,
    wrapped    BYTEA NOT NULL,
    created_at BIGINT NOT NULL
);

-- Of the one kind of secrets that there may be a million of: which are under an older version.
CREATE INDEX key_texts_by_encryption_key ON key_texts (substr(sealed, 1, 5));

-- Deleted keys of a text that another key got: they go along when it is hashed anew.
CREATE INDEX deleted_keys_by_digest ON keys (digest) WHERE deleted_at IS NOT NULL;

-- What texts of keys were hashed to under peppers of before: a text of them is known, and leads nodes to the key's record.
CREATE TABLE former_digests (
    key     BIGINT NOT NULL REFERENCES keys (number),
    version BIGINT NOT NULL,
    pepper  BIGINT NOT NULL,
    digest  BYTEA NOT NULL,
    PRIMARY KEY (key, version, pepper)
);

CREATE INDEX former_digests_by_digest ON former_digests (digest);
