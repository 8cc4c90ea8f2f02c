-- What was taken of grants of credits: ahead of use by calls, and by the entries below.
CREATE TABLE credit_takings (
    credit_grant INTEGER PRIMARY KEY,
    taken        INTEGER NOT NULL CHECK (taken >= 0)
) STRICT;

-- Charges and reservations, each under the id of whoever asked for it: one that is asked for again is the same.
CREATE TABLE credit_entries (
    owner      BLOB NOT NULL,                                -- the organization of the API
    id         TEXT NOT NULL,
    holder     BLOB NOT NULL,                                -- whose credits
    project    BLOB NOT NULL,                                 -- that was charged
    held_by    TEXT NOT NULL CHECK (held_by IN ('project', 'organization')),
    amount     INTEGER NOT NULL,
    posted     INTEGER,                                      -- what was spent of it; NULL while it is reserved
    state      TEXT NOT NULL CHECK (state IN ('reserved', 'posted', 'voided', 'expired')),
    made_at    INTEGER NOT NULL,
    ends_at    INTEGER,                                      -- of a reservation; NULL: a charge
    settled_at INTEGER,
    PRIMARY KEY (owner, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX credit_entries_open ON credit_entries (ends_at) WHERE state = 'reserved';
CREATE INDEX credit_entries_made ON credit_entries (owner, made_at, id);
CREATE INDEX credit_entries_held ON credit_entries (owner, holder, made_at, id);
CREATE INDEX credit_entries_of_project ON credit_entries (project, made_at, id);
CREATE INDEX credit_entries_settled ON credit_entries (settled_at) WHERE settled_at IS NOT NULL;

-- Of which grants; what was given back is not among it.
CREATE TABLE credit_parts (
    owner        BLOB NOT NULL,
    id           TEXT NOT NULL,
    place        INTEGER NOT NULL,                           -- in the order in which they are spent
    credit_grant INTEGER NOT NULL,
    amount       INTEGER NOT NULL,
    PRIMARY KEY (owner, id, place)
) STRICT, WITHOUT ROWID;
