-- The ledger: what was counted. APIs, projects, keys and organizations are the catalogue's numbers, 0 for none.

CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- What the labels of operations say.
CREATE TABLE labels (
    number INTEGER PRIMARY KEY,
    api    INTEGER NOT NULL,
    text   TEXT NOT NULL
) STRICT;

-- Events as they came, until they are added up. The form of `events` is in ledger/codec.rs.
CREATE TABLE batches (
    node     INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    events   BLOB NOT NULL,
    PRIMARY KEY (node, sequence)
) STRICT;

-- Batches that could not be read, set aside for somebody to look at.
CREATE TABLE broken_batches (
    node     INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    events   BLOB NOT NULL,
    cause    TEXT NOT NULL,
    PRIMARY KEY (node, sequence)
) STRICT;

-- The last batch of each node: one that comes again is left out.
CREATE TABLE nodes (
    node          INTEGER PRIMARY KEY,
    last_sequence INTEGER NOT NULL
) STRICT;

-- Counts by the start of their minute, hour and day. The period is first in the key, so that new counts go to the end
-- and old ones can be taken off the beginning.
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
