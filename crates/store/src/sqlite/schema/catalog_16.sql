-- What organizations were told of credits, so that each is told once of a grant.
CREATE TABLE credit_notices (
    credit_grant INTEGER NOT NULL REFERENCES credit_grants (number),
    organization INTEGER NOT NULL REFERENCES organizations (number),
    kind         TEXT NOT NULL CHECK (kind IN ('low', 'exhausted', 'ending')),
    at           INTEGER NOT NULL,
    PRIMARY KEY (credit_grant, organization, kind)
) STRICT;
