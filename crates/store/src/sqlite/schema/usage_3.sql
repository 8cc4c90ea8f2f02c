-- Which project used which API, by day: how often, and when last (to the minute; what was counted before this step, to the
-- hour). Sums of far more rows, kept because an overview asks for many pairs at once.
CREATE TABLE use_by_day (
    project INTEGER NOT NULL,
    api     INTEGER NOT NULL,
    start   INTEGER NOT NULL,
    calls   INTEGER NOT NULL,
    last    INTEGER NOT NULL,
    PRIMARY KEY (project, api, start)
) STRICT, WITHOUT ROWID;

INSERT INTO use_by_day (project, api, start, calls, last)
SELECT project, api, start - start % 86400000000, sum(calls), max(start)
FROM usage_hour WHERE project <> 0 AND api <> 0
GROUP BY project, api, start - start % 86400000000;

-- When each key was last used, and at which API.
CREATE TABLE last_use (
    key  INTEGER NOT NULL,
    api  INTEGER NOT NULL,
    last INTEGER NOT NULL,
    PRIMARY KEY (key, api)
) STRICT, WITHOUT ROWID;

INSERT INTO last_use (key, api, last)
SELECT key, api, max(start) FROM usage_hour WHERE key <> 0 AND api <> 0 GROUP BY key, api;
