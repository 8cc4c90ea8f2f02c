-- What was taken of amounts for periods of the calendar, ahead of use: what a process took and did not use is given back when
-- it ends, and lost when it crashes.
CREATE TABLE balances (
    project    INTEGER NOT NULL,
    api        INTEGER NOT NULL,
    period     TEXT NOT NULL,
    counts     TEXT NOT NULL,
    starts_at  INTEGER NOT NULL,
    ends_at    INTEGER NOT NULL,
    taken      INTEGER NOT NULL,
    PRIMARY KEY (project, api, period, counts, starts_at)
) STRICT, WITHOUT ROWID;
