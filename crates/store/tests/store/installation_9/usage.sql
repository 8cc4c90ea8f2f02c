-- An installation of before there were encryption keys, dumped: its tables are of step 3.
BEGIN TRANSACTION;
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
CREATE TABLE batches (
    node     INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    events   BLOB NOT NULL,
    PRIMARY KEY (node, sequence)
) STRICT;
CREATE TABLE broken_batches (
    node     INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    events   BLOB NOT NULL,
    cause    TEXT NOT NULL,
    PRIMARY KEY (node, sequence)
) STRICT;
CREATE TABLE labels (
    number INTEGER PRIMARY KEY,
    api    INTEGER NOT NULL,
    text   TEXT NOT NULL
) STRICT;
CREATE TABLE last_use (
    key  INTEGER NOT NULL,
    api  INTEGER NOT NULL,
    last INTEGER NOT NULL,
    PRIMARY KEY (key, api)
) STRICT, WITHOUT ROWID;
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "meta" VALUES('installation',X'5A0D2B591C284BC9058046756A33A0FB');
CREATE TABLE nodes (
    node          INTEGER PRIMARY KEY,
    last_sequence INTEGER NOT NULL
) STRICT;
CREATE TABLE usage_day (
    start        INTEGER NOT NULL,
    organization INTEGER NOT NULL,
    project      INTEGER NOT NULL,
    key          INTEGER NOT NULL,
    api          INTEGER NOT NULL,
    label        INTEGER NOT NULL,
    code         INTEGER NOT NULL,
    status       INTEGER NOT NULL,
    calls        INTEGER NOT NULL,
    latency_us   INTEGER NOT NULL,
    bytes_in     INTEGER NOT NULL,
    bytes_out    INTEGER NOT NULL,
    PRIMARY KEY (start, organization, project, key, api, label, code, status)
) STRICT, WITHOUT ROWID;
CREATE TABLE usage_hour (
    start        INTEGER NOT NULL,
    organization INTEGER NOT NULL,
    project      INTEGER NOT NULL,
    key          INTEGER NOT NULL,
    api          INTEGER NOT NULL,
    label        INTEGER NOT NULL,
    code         INTEGER NOT NULL,
    status       INTEGER NOT NULL,
    calls        INTEGER NOT NULL,
    latency_us   INTEGER NOT NULL,
    bytes_in     INTEGER NOT NULL,
    bytes_out    INTEGER NOT NULL,
    PRIMARY KEY (start, organization, project, key, api, label, code, status)
) STRICT, WITHOUT ROWID;
CREATE TABLE usage_minute (
    start        INTEGER NOT NULL,
    organization INTEGER NOT NULL,
    project      INTEGER NOT NULL,
    key          INTEGER NOT NULL,
    api          INTEGER NOT NULL,
    label        INTEGER NOT NULL,
    code         INTEGER NOT NULL,
    status       INTEGER NOT NULL,
    calls        INTEGER NOT NULL,
    latency_us   INTEGER NOT NULL,
    bytes_in     INTEGER NOT NULL,
    bytes_out    INTEGER NOT NULL,
    PRIMARY KEY (start, organization, project, key, api, label, code, status)
) STRICT, WITHOUT ROWID;
CREATE TABLE use_by_day (
    project INTEGER NOT NULL,
    api     INTEGER NOT NULL,
    start   INTEGER NOT NULL,
    calls   INTEGER NOT NULL,
    last    INTEGER NOT NULL,
    PRIMARY KEY (project, api, start)
) STRICT, WITHOUT ROWID;
CREATE TABLE version_use (
    key     INTEGER NOT NULL,
    version INTEGER NOT NULL,
    calls   INTEGER NOT NULL,
    refused INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    PRIMARY KEY (key, version)
) STRICT, WITHOUT ROWID;
COMMIT;
PRAGMA user_version = 3;
