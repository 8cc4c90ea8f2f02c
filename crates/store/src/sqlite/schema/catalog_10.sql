-- The versions of the key that secrets are encrypted under, each wrapped under the root key.
CREATE TABLE encryption_keys (
    version    INTEGER PRIMARY KEY,
    algorithm  INTEGER NOT NULL,
    wrapped    BLOB NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

-- Of the one kind of secrets that there may be a million of: which are under an older version.
CREATE INDEX key_texts_by_encryption_key ON key_texts (substr(sealed, 1, 5));

-- Deleted keys of a text that another key got: they go along when it is hashed anew.
CREATE INDEX deleted_keys_by_digest ON keys (digest) WHERE deleted_at IS NOT NULL;

-- What texts of keys were hashed to under peppers of before: a text of them is known, and leads nodes to the key's record.
CREATE TABLE former_digests (
    key     INTEGER NOT NULL REFERENCES keys (number),
    version INTEGER NOT NULL,
    pepper  INTEGER NOT NULL,
    digest  BLOB NOT NULL,
    PRIMARY KEY (key, version, pepper)
) STRICT;

CREATE INDEX former_digests_by_digest ON former_digests (digest);
