-- The ledger: what was counted. APIs, projects, keys and organizations are the catalogue's numbers, 0 for none.

CREATE TABLE meta (
    name  TEXT COLLATE "C" PRIMARY KEY,
    value BYTEA NOT NULL
);

-- What the labels of operations say.
CREATE TABLE labels (
    number BIGINT PRIMARY KEY,
    api    BIGINT NOT NULL,
    text   TEXT COLLATE "C" NOT NULL
);

-- Events as they came, until they are added up. The form of `events` is in ledger/codec.rs.
CREATE TABLE batches (
    node     BIGINT NOT NULL,
    sequence BIGINT NOT NULL,
    events   BYTEA NOT NULL,
    PRIMARY KEY (node, sequence)
);

-- Batches that could not be read, set aside for somebody to look at.
CREATE TABLE broken_batches (
    node     BIGINT NOT NULL,
    sequence BIGINT NOT NULL,
    events   BYTEA NOT NULL,
    cause    TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (node, sequence)
);

-- The last batch of each node: one that comes again is left out.
CREATE TABLE nodes (
    node          BIGINT PRIMARY KEY,
    last_sequence BIGINT NOT NULL
);

-- Counts by the start of their minute, hour and day. The period is first in the key, so that new counts go to the end
-- and old ones can be taken off the beginning.
CREATE TABLE usage_minute (
    start        BIGINT NOT NULL,
    organization BIGINT NOT NULL,
    project      BIGINT NOT NULL,
    key          BIGINT NOT NULL,
    api          BIGINT NOT NULL,
    label        BIGINT NOT NULL,
    code         BIGINT NOT NULL,
    status       BIGINT NOT NULL,
    calls        BIGINT NOT NULL,
    latency_us   BIGINT NOT NULL,
    bytes_in     BIGINT NOT NULL,
    bytes_out    BIGINT NOT NULL,
    PRIMARY KEY (start, organization, project, key, api, label, code, status)
);

CREATE TABLE usage_hour (
    start        BIGINT NOT NULL,
    organization BIGINT NOT NULL,
    project      BIGINT NOT NULL,
    key          BIGINT NOT NULL,
    api          BIGINT NOT NULL,
    label        BIGINT NOT NULL,
    code         BIGINT NOT NULL,
    status       BIGINT NOT NULL,
    calls        BIGINT NOT NULL,
    latency_us   BIGINT NOT NULL,
    bytes_in     BIGINT NOT NULL,
    bytes_out    BIGINT NOT NULL,
    PRIMARY KEY (start, organization, project, key, api, label, code, status)
);

CREATE TABLE usage_day (
    start        BIGINT NOT NULL,
    organization BIGINT NOT NULL,
    project      BIGINT NOT NULL,
    key          BIGINT NOT NULL,
    api          BIGINT NOT NULL,
    label        BIGINT NOT NULL,
    code         BIGINT NOT NULL,
    status       BIGINT NOT NULL,
    calls        BIGINT NOT NULL,
    latency_us   BIGINT NOT NULL,
    bytes_in     BIGINT NOT NULL,
    bytes_out    BIGINT NOT NULL,
    PRIMARY KEY (start, organization, project, key, api, label, code, status)
);

-- How many steps these tables have seen.
CREATE TABLE schema_version (
    one     BIGINT PRIMARY KEY CHECK (one = 1),
    version BIGINT NOT NULL
);

INSERT INTO schema_version (one, version) VALUES (1, 0);
