-- Keys that another system kept under a slow hash (bcrypt, Argon2). Until such a key is presented for the first time, `digest`,
-- made of the hash, stands in its row in place of the digest of its text; then lookup and hash go. The digest stays, so that
-- the same hash is not taken over twice.
CREATE TABLE slow_hashes (
    key     INTEGER NOT NULL REFERENCES keys (number),
    version INTEGER NOT NULL,
    digest  BLOB NOT NULL,
    lookup  INTEGER,
    hash    TEXT,
    PRIMARY KEY (key, version)
) STRICT;

CREATE INDEX slow_hashes_by_digest ON slow_hashes (digest);
CREATE INDEX slow_hashes_by_lookup ON slow_hashes (lookup) WHERE lookup IS NOT NULL;

-- Whether there is any key of the other kind that is not found by its whole text: one with a short token (algorithm 4).
CREATE INDEX keys_with_token ON keys (algorithm) WHERE algorithm = 4;
CREATE INDEX key_versions_with_token ON key_versions (algorithm) WHERE algorithm = 4;
