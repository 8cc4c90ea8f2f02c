-- Secrets that an API has for its upstream, each sealed under the root key and bound to its place.
CREATE TABLE api_secrets (
    api INTEGER NOT NULL REFERENCES apis (number),
    name TEXT NOT NULL,
    sealed BLOB NOT NULL,
    set_at INTEGER NOT NULL,
    PRIMARY KEY (api, name)
) STRICT, WITHOUT ROWID;
