-- Usage by when it was recorded: which rows of events have something of an hour is found without reading the others. Of those from
-- before this step it is not known since when they have; they are looked at.
ALTER TABLE kept_events ADD COLUMN first_recorded_at BIGINT NOT NULL DEFAULT 0;
CREATE INDEX kept_events_recorded ON kept_events (recorded_at, first_recorded_at, hour, node, sequence, place);
CREATE INDEX recorded_usage_recorded ON recorded_usage (recorded_at, organization, id);

-- How far usage was told to each webhook that names it: which hour is next, by when it was recorded, and which part of that.
CREATE TABLE usage_places (
    webhook      BIGINT PRIMARY KEY,                         -- its number in the catalogue
    hour         BIGINT NOT NULL,
    part         BIGINT NOT NULL CHECK (part >= 1),
    attempts     BIGINT NOT NULL,                            -- that failed since something arrived
    next_at      BIGINT NOT NULL,
    status       BIGINT,                                     -- of the last answer
    error        TEXT COLLATE "C" NOT NULL,                  -- empty: the last attempt did not fail
    last_at      BIGINT,
    delivered_at BIGINT,
    missed_from  BIGINT                                      -- from here on hours were forgotten; NULL: none since something arrived
);
