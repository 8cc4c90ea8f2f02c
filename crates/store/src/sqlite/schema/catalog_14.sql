-- What an API's owner offers to those who call it. What a plan says changes from moments on; nothing of it is forgotten.
CREATE TABLE plans (
    number      INTEGER PRIMARY KEY AUTOINCREMENT,
    id          BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    api         INTEGER NOT NULL REFERENCES apis (number),
    name        TEXT NOT NULL,
    description TEXT NOT NULL,
    standard    INTEGER NOT NULL CHECK (standard IN (0, 1)),  -- whether projects get it unless something else is said
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    revision    INTEGER NOT NULL,
    deleted_at  INTEGER,
    seal        TEXT NOT NULL DEFAULT ''
) STRICT;

CREATE UNIQUE INDEX plans_by_name ON plans (api, name) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX plans_standard ON plans (api) WHERE standard = 1 AND deleted_at IS NULL;
CREATE INDEX plans_unsealed ON plans (number) WHERE seal = '';
CREATE TRIGGER plans_unseal AFTER UPDATE OF
    number, id, api, name, description, standard, created_at, updated_at, revision, deleted_at
ON plans WHEN NEW.seal <> '' BEGIN
    UPDATE plans SET seal = '' WHERE number = NEW.number;
END;

CREATE TABLE plan_versions (
    plan       INTEGER NOT NULL REFERENCES plans (number),
    version    INTEGER NOT NULL,
    terms      TEXT NOT NULL,                                -- JSON
    from_at    INTEGER NOT NULL,                             -- from when it is in force
    created_at INTEGER NOT NULL,
    seal       TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (plan, version)
) STRICT, WITHOUT ROWID;

CREATE INDEX plan_versions_unsealed ON plan_versions (plan, version) WHERE seal = '';
CREATE TRIGGER plan_versions_unseal AFTER UPDATE OF
    plan, version, terms, from_at, created_at
ON plan_versions WHEN NEW.seal <> '' BEGIN
    UPDATE plan_versions SET seal = '' WHERE plan = NEW.plan AND version = NEW.version;
END;

-- Which plan a project has at an API, which one it asks for, and what its people allow themselves at most.
ALTER TABLE activations ADD COLUMN plan INTEGER REFERENCES plans (number);
ALTER TABLE activations ADD COLUMN plan_since INTEGER;
ALTER TABLE activations ADD COLUMN wanted_plan INTEGER REFERENCES plans (number);
ALTER TABLE activations ADD COLUMN ceilings TEXT;            -- JSON
CREATE INDEX activations_of_plan ON activations (plan) WHERE plan IS NOT NULL AND deleted_at IS NULL;

DROP TRIGGER activations_unseal;
CREATE TRIGGER activations_unseal AFTER UPDATE OF
    number, id, project, api, state, reason, created_at, updated_at, revision, deleted_at, wanted,
    note, granted, judged_by, judged_at, plan, plan_since, wanted_plan, ceilings
ON activations WHEN NEW.seal <> '' BEGIN
    UPDATE activations SET seal = '' WHERE number = NEW.number;
END;

-- Which plans it had, from when: by these bills are written.
CREATE TABLE activation_plans (
    activation INTEGER NOT NULL REFERENCES activations (number),
    since_at   INTEGER NOT NULL,
    plan       INTEGER REFERENCES plans (number),          -- NULL: none
    anchor_at  INTEGER,                                    -- from which day its billing periods are counted
    seal       TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (activation, since_at)
) STRICT, WITHOUT ROWID;

CREATE INDEX activation_plans_unsealed ON activation_plans (activation, since_at) WHERE seal = '';
CREATE TRIGGER activation_plans_unseal AFTER UPDATE OF
    activation, since_at, plan, anchor_at
ON activation_plans WHEN NEW.seal <> '' BEGIN
    UPDATE activation_plans SET seal = '' WHERE activation = NEW.activation AND since_at = NEW.since_at;
END;

-- Shares of quotas that organizations were told of, so that each is told once.
CREATE TABLE quota_notices (
    activation   INTEGER NOT NULL REFERENCES activations (number),
    organization INTEGER NOT NULL REFERENCES organizations (number),
    quota        TEXT NOT NULL,                              -- whose it is and its name
    starts_at    INTEGER NOT NULL,                           -- of the period
    percent      INTEGER NOT NULL,
    at           INTEGER NOT NULL,
    PRIMARY KEY (activation, organization, quota, starts_at, percent)
) STRICT, WITHOUT ROWID;
