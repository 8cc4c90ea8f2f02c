-- How latencies were distributed, so that percentiles can be told of any sum. The form is in core/src/usage/latencies.rs: texts one
-- after the other are the text of their sum. Nothing is known of what was added up before this step.
ALTER TABLE usage_minute ADD COLUMN latencies TEXT NOT NULL DEFAULT '';
ALTER TABLE usage_hour ADD COLUMN latencies TEXT NOT NULL DEFAULT '';
ALTER TABLE usage_day ADD COLUMN latencies TEXT NOT NULL DEFAULT '';

-- The same counts with all projects and keys together: far fewer rows, for whoever asks about all of them.
CREATE TABLE total_minute (
    start        INTEGER NOT NULL,
    organization INTEGER NOT NULL,
    api          INTEGER NOT NULL,
    label        INTEGER NOT NULL,
    code         INTEGER NOT NULL,
    status       INTEGER NOT NULL,
    calls        INTEGER NOT NULL,
    latency_us   INTEGER NOT NULL,
    bytes_in     INTEGER NOT NULL,
    bytes_out    INTEGER NOT NULL,
    cost         INTEGER NOT NULL,
    latencies    TEXT NOT NULL,
    PRIMARY KEY (start, organization, api, label, code, status)
) STRICT, WITHOUT ROWID;

CREATE TABLE total_hour (
    start        INTEGER NOT NULL,
    organization INTEGER NOT NULL,
    api          INTEGER NOT NULL,
    label        INTEGER NOT NULL,
    code         INTEGER NOT NULL,
    status       INTEGER NOT NULL,
    calls        INTEGER NOT NULL,
    latency_us   INTEGER NOT NULL,
    bytes_in     INTEGER NOT NULL,
    bytes_out    INTEGER NOT NULL,
    cost         INTEGER NOT NULL,
    latencies    TEXT NOT NULL,
    PRIMARY KEY (start, organization, api, label, code, status)
) STRICT, WITHOUT ROWID;

CREATE TABLE total_day (
    start        INTEGER NOT NULL,
    organization INTEGER NOT NULL,
    api          INTEGER NOT NULL,
    label        INTEGER NOT NULL,
    code         INTEGER NOT NULL,
    status       INTEGER NOT NULL,
    calls        INTEGER NOT NULL,
    latency_us   INTEGER NOT NULL,
    bytes_in     INTEGER NOT NULL,
    bytes_out    INTEGER NOT NULL,
    cost         INTEGER NOT NULL,
    latencies    TEXT NOT NULL,
    PRIMARY KEY (start, organization, api, label, code, status)
) STRICT, WITHOUT ROWID;

INSERT INTO total_minute (start, organization, api, label, code, status, calls, latency_us, bytes_in, bytes_out, cost, latencies)
SELECT start, organization, api, label, code, status, sum(calls), sum(latency_us), sum(bytes_in), sum(bytes_out), sum(cost), ''
FROM usage_minute GROUP BY start, organization, api, label, code, status;

INSERT INTO total_hour (start, organization, api, label, code, status, calls, latency_us, bytes_in, bytes_out, cost, latencies)
SELECT start, organization, api, label, code, status, sum(calls), sum(latency_us), sum(bytes_in), sum(bytes_out), sum(cost), ''
FROM usage_hour GROUP BY start, organization, api, label, code, status;

INSERT INTO total_day (start, organization, api, label, code, status, calls, latency_us, bytes_in, bytes_out, cost, latencies)
SELECT start, organization, api, label, code, status, sum(calls), sum(latency_us), sum(bytes_in), sum(bytes_out), sum(cost), ''
FROM usage_day GROUP BY start, organization, api, label, code, status;

-- What calls are counted by besides: countries, end users, tags. Calls that have none are in no row, nor are those of values beyond
-- so many a day.
CREATE TABLE facet_hour (
    facet        TEXT NOT NULL,
    start        INTEGER NOT NULL,
    organization INTEGER NOT NULL,
    project      INTEGER NOT NULL,
    key          INTEGER NOT NULL,
    api          INTEGER NOT NULL,
    code         INTEGER NOT NULL,
    status       INTEGER NOT NULL,
    value        TEXT NOT NULL,
    calls        INTEGER NOT NULL,
    latency_us   INTEGER NOT NULL,
    bytes_in     INTEGER NOT NULL,
    bytes_out    INTEGER NOT NULL,
    cost         INTEGER NOT NULL,
    latencies    TEXT NOT NULL,
    PRIMARY KEY (facet, start, organization, project, key, api, code, status, value)
) STRICT, WITHOUT ROWID;

CREATE TABLE facet_day (
    facet        TEXT NOT NULL,
    start        INTEGER NOT NULL,
    organization INTEGER NOT NULL,
    project      INTEGER NOT NULL,
    key          INTEGER NOT NULL,
    api          INTEGER NOT NULL,
    code         INTEGER NOT NULL,
    status       INTEGER NOT NULL,
    value        TEXT NOT NULL,
    calls        INTEGER NOT NULL,
    latency_us   INTEGER NOT NULL,
    bytes_in     INTEGER NOT NULL,
    bytes_out    INTEGER NOT NULL,
    cost         INTEGER NOT NULL,
    latencies    TEXT NOT NULL,
    PRIMARY KEY (facet, start, organization, project, key, api, code, status, value)
) STRICT, WITHOUT ROWID;
