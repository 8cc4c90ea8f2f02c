-- Credits that were granted, by the organization of the APIs at which they are spent. Whose they are: a project's, or all of an
-- organization's. What is spent of them stands in the ledger.
CREATE TABLE credit_grants (
    number       INTEGER PRIMARY KEY AUTOINCREMENT,
    id           BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    organization INTEGER NOT NULL REFERENCES organizations (number),
    holder       INTEGER NOT NULL REFERENCES organizations (number),
    project      INTEGER REFERENCES projects (number),       -- NULL: the organization's
    kind         TEXT NOT NULL CHECK (kind IN ('paid', 'bonus', 'trial', 'refill')),
    amount       INTEGER NOT NULL CHECK (amount > 0),
    note         TEXT NOT NULL,
    plan         INTEGER REFERENCES plans (number),          -- that they came with
    starts_at    INTEGER NOT NULL,
    ends_at      INTEGER,                                    -- NULL: never
    revoked_at   INTEGER,
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL,
    revision     INTEGER NOT NULL,
    seal         TEXT NOT NULL DEFAULT ''
) STRICT;

CREATE INDEX credit_grants_given ON credit_grants (organization, number);
CREATE INDEX credit_grants_held ON credit_grants (holder, organization, project);
CREATE INDEX credit_grants_of_plan ON credit_grants (plan, holder, project, kind) WHERE plan IS NOT NULL;
CREATE INDEX credit_grants_unsealed ON credit_grants (number) WHERE seal = '';
CREATE TRIGGER credit_grants_unseal AFTER UPDATE OF
    number, id, organization, holder, project, kind, amount, note, plan, starts_at, ends_at, revoked_at,
    created_at, updated_at, revision
ON credit_grants WHEN NEW.seal <> '' BEGIN
    UPDATE credit_grants SET seal = '' WHERE number = NEW.number;
END;

-- Nodes learn of them too; the check of a column can't be changed where it stands.
CREATE TABLE revisions_anew (
    revision INTEGER PRIMARY KEY,
    subject  TEXT NOT NULL CHECK (subject IN ('organization', 'api', 'project', 'keys', 'role', 'pattern', 'credits')),
    first    INTEGER NOT NULL,
    last     INTEGER NOT NULL,
    seal     TEXT NOT NULL DEFAULT ''
) STRICT;
INSERT INTO revisions_anew SELECT revision, subject, first, last, seal FROM revisions;
DROP TABLE revisions;
ALTER TABLE revisions_anew RENAME TO revisions;
CREATE INDEX revisions_unsealed ON revisions (revision) WHERE seal = '';
CREATE TRIGGER revisions_unseal AFTER UPDATE OF
    revision, subject, first, last
ON revisions WHEN NEW.seal <> '' BEGIN
    UPDATE revisions SET seal = '' WHERE revision = NEW.revision;
END;
