-- Calls with each version of the keys that were rotated, since their first rotation.
CREATE TABLE version_use (
    key     INTEGER NOT NULL,
    version INTEGER NOT NULL,
    calls   INTEGER NOT NULL,
    refused INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    PRIMARY KEY (key, version)
) STRICT, WITHOUT ROWID;

-- From where each key was used, by day. Beyond so many addresses of a day the rest is one row without an address.
CREATE TABLE address_use (
    start    INTEGER NOT NULL,
    key      INTEGER NOT NULL,
    address  TEXT NOT NULL,
    calls    INTEGER NOT NULL,
    refused  INTEGER NOT NULL,
    first_at INTEGER NOT NULL,
    last_at  INTEGER NOT NULL,
    PRIMARY KEY (start, key, address)
) STRICT, WITHOUT ROWID;
