-- The request log: calls as they were answered, one a row, for a while. A row's sequence is given in the transaction that writes
-- it, and those wait for each other: whoever has read up to a sequence has missed none below it. Numbers are those of the
-- catalogue, 0 where there is none; calls that found neither an API nor a key are the first organization's.
CREATE TABLE requests (
    sequence     INTEGER PRIMARY KEY,
    id           BLOB NOT NULL,
    at           INTEGER NOT NULL,
    organization INTEGER NOT NULL,
    api          INTEGER NOT NULL,
    project      INTEGER NOT NULL,
    key          INTEGER NOT NULL,
    label        INTEGER NOT NULL,
    code         INTEGER NOT NULL,
    status       INTEGER NOT NULL,
    door         TEXT NOT NULL,
    method       TEXT,
    host         TEXT,
    path         TEXT,
    client       BLOB NOT NULL,                              -- 16 bytes, IPv4 as IPv6 has it; empty: it is not kept
    user_agent   TEXT,
    shadow       TEXT,
    latency_us   INTEGER NOT NULL,
    upstream_us  INTEGER,
    bytes_in     INTEGER NOT NULL,
    bytes_out    INTEGER NOT NULL,
    trace        TEXT,
    size         INTEGER NOT NULL                            -- bytes that the row takes with its indexes, about
) STRICT;

CREATE UNIQUE INDEX requests_by_id ON requests (id);
CREATE INDEX requests_of_organization ON requests (organization, at, sequence);
CREATE INDEX requests_of_project ON requests (project, at, sequence) WHERE project <> 0;
CREATE INDEX requests_of_key ON requests (key, at, sequence) WHERE key <> 0;

-- What is forgotten together: some thousand rows that follow each other, of an hour at most.
CREATE TABLE request_parts (
    first    INTEGER PRIMARY KEY,                            -- its first sequence; it goes on to the next part
    began_at INTEGER NOT NULL,
    last_at  INTEGER NOT NULL,
    calls    INTEGER NOT NULL,
    size     INTEGER NOT NULL
) STRICT;

-- The last sequence that was given, in one row: none is given twice, even if all rows are forgotten.
CREATE TABLE request_sequence (
    one  INTEGER PRIMARY KEY CHECK (one = 1),
    last INTEGER NOT NULL
) STRICT;
