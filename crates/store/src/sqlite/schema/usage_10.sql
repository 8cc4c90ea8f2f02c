-- Usage by when it was recorded: which rows of events have something of an hour is found without reading the others. Of those from
-- before this step it is not known since when they have; they are looked at.
ALTER TABLE kept_events ADD COLUMN first_recorded_at INTEGER NOT NULL DEFAULT 0;
CREATE INDEX kept_events_recorded ON kept_events (recorded_at, first_recorded_at, hour, node, sequence, place);
CREATE INDEX recorded_usage_recorded ON recorded_usage (recorded_at, organization, id);

-- How far usage was told to each webhook that names it: which hour is next, by when it was recorded, and which part of that.
CREATE TABLE usage_places (
    webhook      INTEGER PRIMARY KEY,                        -- its number in the catalogue
    hour         INTEGER NOT NULL,
    part         INTEGER NOT NULL CHECK (part >= 1),
    attempts     INTEGER NOT NULL,                           -- that failed since something arrived
    next_at      INTEGER NOT NULL,
    status       INTEGER,                                    -- of the last answer
    error        TEXT NOT NULL,                              -- empty: the last attempt did not fail
    last_at      INTEGER,
    delivered_at INTEGER,
    missed_from  INTEGER                                     -- from here on hours were forgotten; NULL: none since something arrived
) STRICT;
