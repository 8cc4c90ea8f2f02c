-- The versions of the key that secrets are encrypted under, each wrapped under the root key.
CREATE TABLE encryption_keys (
    version    INTEGER PRIMARY KEY,
    algorithm  INTEGER NOT NULL,
    wrapped    BLOB NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

-- Of the one kind of secrets that there may be a million of: which are under an older version.
CREATE INDEX key_texts_by_encryption_key ON key_texts (substr(sealed, 1, 5));
