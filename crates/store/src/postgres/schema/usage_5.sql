-- What was taken of amounts for periods of the calendar, ahead of use: what a process took and did not use is given back when
-- it ends, and lost when it crashes.
CREATE TABLE balances (
    project    BIGINT NOT NULL,
    api        BIGINT NOT NULL,
    period     TEXT COLLATE "C" NOT NULL,
    counts     TEXT COLLATE "C" NOT NULL,
    starts_at  BIGINT NOT NULL,
    ends_at    BIGINT NOT NULL,
    taken      BIGINT NOT NULL,
    PRIMARY KEY (project, api, period, counts, starts_at)
);
