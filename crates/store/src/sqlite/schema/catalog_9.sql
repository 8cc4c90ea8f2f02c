-- Filters under a name, which policies and projects name.
CREATE TABLE patterns (
    number       INTEGER PRIMARY KEY AUTOINCREMENT,
    id           BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    organization INTEGER NOT NULL REFERENCES organizations (number),
    name         TEXT NOT NULL,
    description  TEXT NOT NULL,
    filter       TEXT NOT NULL,                              -- JSON
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL,
    revision     INTEGER NOT NULL,
    deleted_at   INTEGER
) STRICT;

CREATE UNIQUE INDEX patterns_by_name ON patterns (organization, name) WHERE deleted_at IS NULL;

-- Which policies name which patterns, so that it is known which keys a pattern concerns.
CREATE TABLE policy_patterns (
    pattern INTEGER NOT NULL REFERENCES patterns (number),
    policy  INTEGER NOT NULL REFERENCES policies (number),
    PRIMARY KEY (pattern, policy)
) STRICT;

-- Those of projects.
ALTER TABLE projects ADD COLUMN patterns TEXT NOT NULL DEFAULT '[]';                  -- JSON, ids

-- Texts of keys that can be had back, sealed; of each key that of its latest version.
CREATE TABLE key_texts (
    key     INTEGER PRIMARY KEY REFERENCES keys (number),
    version INTEGER NOT NULL,
    sealed  BLOB NOT NULL
) STRICT;

-- What was done to one thing.
CREATE INDEX audit_of_subject ON audit (subject, sequence);

-- Nodes learn of patterns too; the check of a column can't be changed where it stands.
CREATE TABLE revisions_anew (
    revision INTEGER PRIMARY KEY,
    subject  TEXT NOT NULL CHECK (subject IN ('organization', 'api', 'project', 'keys', 'role', 'pattern')),
    first    INTEGER NOT NULL,
    last     INTEGER NOT NULL
) STRICT;
INSERT INTO revisions_anew SELECT revision, subject, first, last FROM revisions;
DROP TABLE revisions;
ALTER TABLE revisions_anew RENAME TO revisions;
