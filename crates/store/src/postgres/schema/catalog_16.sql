-- What organizations were told of credits, so that each is told once of a grant.
CREATE TABLE credit_notices (
    credit_grant BIGINT NOT NULL REFERENCES credit_grants (number),
    organization BIGINT NOT NULL REFERENCES organizations (number),
    kind         TEXT COLLATE "C" NOT NULL CHECK (kind IN ('low', 'exhausted', 'ending')),
    at           BIGINT NOT NULL,
    PRIMARY KEY (credit_grant, organization, kind)
);
