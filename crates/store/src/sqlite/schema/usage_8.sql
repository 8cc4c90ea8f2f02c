-- How latencies were distributed, so that percentiles can be told of any sum. The form is in core/src/usage/latencies.rs: texts one
-- after the other are the text of their sum. Nothing is known of what was added up before this step.
ALTER TABLE usage_minute ADD COLUMN latencies TEXT NOT NULL DEFAULT '';
ALTER TABLE usage_hour ADD COLUMN latencies TEXT NOT NULL DEFAULT '';
ALTER TABLE usage_day ADD COLUMN latencies TEXT NOT NULL DEFAULT '';

-- The same counts with all projects and keys together: far fewer rows, for whoever asks about all of them. Of days before this step
-- there are none, and those with keys are read.
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

CREATE INDEX facet_hour_of_project ON facet_hour (project, start);
CREATE INDEX facet_day_of_project ON facet_day (project, start);

-- Which values of a key are told apart on a day.
CREATE TABLE facet_values (
    start        INTEGER NOT NULL,
    organization INTEGER NOT NULL,
    project      INTEGER NOT NULL,
    key          INTEGER NOT NULL,
    facet        TEXT NOT NULL,
    value        TEXT NOT NULL,
    PRIMARY KEY (start, organization, project, key, facet, value)
) STRICT, WITHOUT ROWID;

CREATE INDEX facet_values_of_project ON facet_values (project);
