-- The request log: calls as they were answered, one a row, for a while. A row's sequence is given in the transaction that writes
-- it, and those wait for each other: whoever has read up to a sequence has missed none below it. Numbers are those of the
-- catalogue, 0 where there is none; calls that found neither an API nor a key are the first organization's.
CREATE TABLE requests (
    sequence     BIGINT PRIMARY KEY,
    id           BYTEA NOT NULL,
    at           BIGINT NOT NULL,
    organization BIGINT NOT NULL,
    api          BIGINT NOT NULL,
    project      BIGINT NOT NULL,
    key          BIGINT NOT NULL,
    label        BIGINT NOT NULL,
    code         BIGINT NOT NULL,
    status       BIGINT NOT NULL,
    door         TEXT COLLATE "C" NOT NULL,
    method       TEXT COLLATE "C",
    host         TEXT COLLATE "C",
    path         TEXT COLLATE "C",
    client       BYTEA NOT NULL,                              -- 16 bytes, IPv4 as IPv6 has it; empty: it is not kept
    user_agent   TEXT COLLATE "C",
    shadow       TEXT COLLATE "C",
    latency_us   BIGINT NOT NULL,
    upstream_us  BIGINT,
    bytes_in     BIGINT NOT NULL,
    bytes_out    BIGINT NOT NULL,
    trace        TEXT COLLATE "C",
    size         BIGINT NOT NULL                            -- bytes that the row takes with its indexes, about
);

CREATE UNIQUE INDEX requests_by_id ON requests (id);
CREATE INDEX requests_of_organization ON requests (organization, at, sequence);
CREATE INDEX requests_of_project ON requests (project, at, sequence) WHERE project <> 0;
CREATE INDEX requests_of_key ON requests (key, at, sequence) WHERE key <> 0;

-- What is forgotten together: some thousand rows that follow each other, of an hour at most.
CREATE TABLE request_parts (
    first    BIGINT PRIMARY KEY,                            -- its first sequence; it goes on to the next part
    began_at BIGINT NOT NULL,
    last_at  BIGINT NOT NULL,
    calls    BIGINT NOT NULL,
    size     BIGINT NOT NULL
);

-- The last sequence that was given, in one row: none is given twice, even if all rows are forgotten.
CREATE TABLE request_sequence (
    one  BIGINT PRIMARY KEY CHECK (one = 1),
    last BIGINT NOT NULL
);
