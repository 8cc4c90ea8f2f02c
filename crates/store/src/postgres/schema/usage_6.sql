-- What was taken of grants of credits: ahead of use by calls, and by the entries below.
CREATE TABLE credit_takings (
    credit_grant BIGINT PRIMARY KEY,
    taken        BIGINT NOT NULL CHECK (taken >= 0)
);

-- Charges and reservations, each under the id of whoever asked for it: one that is asked for again is the same.
CREATE TABLE credit_entries (
    owner      BYTEA NOT NULL,                               -- the organization of the API
    id         TEXT COLLATE "C" NOT NULL,
    holder     BYTEA NOT NULL,                               -- whose credits
    project    BYTEA NOT NULL,                                -- that was charged
    held_by    TEXT COLLATE "C" NOT NULL CHECK (held_by IN ('project', 'organization')),
    amount     BIGINT NOT NULL,
    posted     BIGINT,                                       -- what was spent of it; NULL while it is reserved
    state      TEXT COLLATE "C" NOT NULL CHECK (state IN ('reserved', 'posted', 'voided', 'expired')),
    made_at    BIGINT NOT NULL,
    ends_at    BIGINT,                                       -- of a reservation; NULL: a charge
    settled_at BIGINT,
    PRIMARY KEY (owner, id)
);

CREATE INDEX credit_entries_open ON credit_entries (ends_at) WHERE state = 'reserved';
CREATE INDEX credit_entries_made ON credit_entries (owner, made_at, id);
CREATE INDEX credit_entries_held ON credit_entries (owner, holder, made_at, id);
CREATE INDEX credit_entries_of_project ON credit_entries (project, made_at, id);
CREATE INDEX credit_entries_settled ON credit_entries (settled_at) WHERE settled_at IS NOT NULL;

-- Of which grants; what was given back is not among it.
CREATE TABLE credit_parts (
    owner        BYTEA NOT NULL,
    id           TEXT COLLATE "C" NOT NULL,
    place        BIGINT NOT NULL,                            -- in the order in which they are spent
    credit_grant BIGINT NOT NULL,
    amount       BIGINT NOT NULL,
    PRIMARY KEY (owner, id, place)
);
