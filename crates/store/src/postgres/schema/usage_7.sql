-- When a batch was recorded; unknown of those from before this step. What is recorded more than an hour after it happened may
-- be about a time whose statement is closed.
ALTER TABLE batches ADD COLUMN recorded_at BIGINT;

-- Events as they were counted, by the hour in which they happened, for recounting and for whoever bills: rows of some thousands,
-- known by their node, its first batch among them, and a place among those that were added up together. The form of `events` is in ledger/codec.rs. There are none of
-- what was added up before this step.
CREATE TABLE kept_events (
    hour        BIGINT NOT NULL,
    node        BIGINT NOT NULL,
    sequence    BIGINT NOT NULL,
    place       BIGINT NOT NULL,
    recorded_at BIGINT NOT NULL,                          -- of the last of them
    bytes       BIGINT NOT NULL,
    events      BYTEA NOT NULL,
    PRIMARY KEY (hour, node, sequence, place)
);

CREATE INDEX kept_events_bytes ON kept_events (hour, bytes);

-- What was used and is no call that was answered here, and corrections: each under the id of whoever records it. Never altered.
CREATE TABLE recorded_usage (
    organization BIGINT NOT NULL,                           -- of the API
    id           TEXT COLLATE "C" NOT NULL,
    api          BIGINT NOT NULL,
    project      BIGINT NOT NULL,
    at           BIGINT NOT NULL,
    recorded_at  BIGINT NOT NULL,
    calls        BIGINT NOT NULL,
    cost         BIGINT NOT NULL,
    corrects     TEXT COLLATE "C",                                       -- the id of another one
    note         TEXT COLLATE "C",                                       -- NULL: it was erased
    recorded_by  TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (organization, id)
);

CREATE INDEX recorded_usage_at ON recorded_usage (at, organization, id);
CREATE INDEX recorded_usage_of_project ON recorded_usage (project);

-- What was recorded more than an hour after it happened, by the minutes of both: what statements add as adjustments.
CREATE TABLE late_usage (
    project     BIGINT NOT NULL,
    api         BIGINT NOT NULL,
    recorded_at BIGINT NOT NULL,
    start       BIGINT NOT NULL,
    organization BIGINT NOT NULL,
    calls       BIGINT NOT NULL,
    cost        BIGINT NOT NULL,
    PRIMARY KEY (project, api, recorded_at, start)
);

-- What one project used is asked for far more often than rows are made: a statement reads a month of it.
CREATE INDEX usage_hour_of_project ON usage_hour (project, start);
CREATE INDEX usage_day_of_project ON usage_day (project, start);
