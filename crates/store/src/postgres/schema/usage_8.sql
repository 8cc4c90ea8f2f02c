-- How latencies were distributed, so that percentiles can be told of any sum. The form is in core/src/usage/latencies.rs: texts one
-- after the other are the text of their sum. Nothing is known of what was added up before this step.
ALTER TABLE usage_minute ADD COLUMN latencies TEXT NOT NULL DEFAULT '';
ALTER TABLE usage_hour ADD COLUMN latencies TEXT NOT NULL DEFAULT '';
ALTER TABLE usage_day ADD COLUMN latencies TEXT NOT NULL DEFAULT '';

-- The same counts with all projects and keys together: far fewer rows, for whoever asks about all of them. Of days before this step
-- there are none, and those with keys are read.
CREATE TABLE total_minute (
    start        BIGINT NOT NULL,
    organization BIGINT NOT NULL,
    api          BIGINT NOT NULL,
    label        BIGINT NOT NULL,
    code         BIGINT NOT NULL,
    status       BIGINT NOT NULL,
    calls        BIGINT NOT NULL,
    latency_us   BIGINT NOT NULL,
    bytes_in     BIGINT NOT NULL,
    bytes_out    BIGINT NOT NULL,
    cost         BIGINT NOT NULL,
    latencies    TEXT NOT NULL,
    PRIMARY KEY (start, organization, api, label, code, status)
);

CREATE TABLE total_hour (
    start        BIGINT NOT NULL,
    organization BIGINT NOT NULL,
    api          BIGINT NOT NULL,
    label        BIGINT NOT NULL,
    code         BIGINT NOT NULL,
    status       BIGINT NOT NULL,
    calls        BIGINT NOT NULL,
    latency_us   BIGINT NOT NULL,
    bytes_in     BIGINT NOT NULL,
    bytes_out    BIGINT NOT NULL,
    cost         BIGINT NOT NULL,
    latencies    TEXT NOT NULL,
    PRIMARY KEY (start, organization, api, label, code, status)
);

CREATE TABLE total_day (
    start        BIGINT NOT NULL,
    organization BIGINT NOT NULL,
    api          BIGINT NOT NULL,
    label        BIGINT NOT NULL,
    code         BIGINT NOT NULL,
    status       BIGINT NOT NULL,
    calls        BIGINT NOT NULL,
    latency_us   BIGINT NOT NULL,
    bytes_in     BIGINT NOT NULL,
    bytes_out    BIGINT NOT NULL,
    cost         BIGINT NOT NULL,
    latencies    TEXT NOT NULL,
    PRIMARY KEY (start, organization, api, label, code, status)
);

-- What calls are counted by besides: countries, end users, tags. Calls that have none are in no row, nor are those of values beyond
-- so many a day.
CREATE TABLE facet_hour (
    facet        TEXT COLLATE "C" NOT NULL,
    start        BIGINT NOT NULL,
    organization BIGINT NOT NULL,
    project      BIGINT NOT NULL,
    key          BIGINT NOT NULL,
    api          BIGINT NOT NULL,
    code         BIGINT NOT NULL,
    status       BIGINT NOT NULL,
    value        TEXT COLLATE "C" NOT NULL,
    calls        BIGINT NOT NULL,
    latency_us   BIGINT NOT NULL,
    bytes_in     BIGINT NOT NULL,
    bytes_out    BIGINT NOT NULL,
    cost         BIGINT NOT NULL,
    latencies    TEXT NOT NULL,
    PRIMARY KEY (facet, start, organization, project, key, api, code, status, value)
);

CREATE TABLE facet_day (
    facet        TEXT COLLATE "C" NOT NULL,
    start        BIGINT NOT NULL,
    organization BIGINT NOT NULL,
    project      BIGINT NOT NULL,
    key          BIGINT NOT NULL,
    api          BIGINT NOT NULL,
    code         BIGINT NOT NULL,
    status       BIGINT NOT NULL,
    value        TEXT COLLATE "C" NOT NULL,
    calls        BIGINT NOT NULL,
    latency_us   BIGINT NOT NULL,
    bytes_in     BIGINT NOT NULL,
    bytes_out    BIGINT NOT NULL,
    cost         BIGINT NOT NULL,
    latencies    TEXT NOT NULL,
    PRIMARY KEY (facet, start, organization, project, key, api, code, status, value)
);

CREATE INDEX facet_hour_of_project ON facet_hour (project, start);
CREATE INDEX facet_day_of_project ON facet_day (project, start);

-- Which values of a key are told apart on a day.
CREATE TABLE facet_values (
    start        BIGINT NOT NULL,
    organization BIGINT NOT NULL,
    project      BIGINT NOT NULL,
    key          BIGINT NOT NULL,
    facet        TEXT COLLATE "C" NOT NULL,
    value        TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (start, organization, project, key, facet, value)
);

CREATE INDEX facet_values_of_project ON facet_values (project);
