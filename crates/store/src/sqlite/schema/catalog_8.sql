-- Permissions under a name, which policies name.
CREATE TABLE roles (
    number       INTEGER PRIMARY KEY AUTOINCREMENT,
    id           BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    organization INTEGER NOT NULL REFERENCES organizations (number),
    name         TEXT NOT NULL,
    description  TEXT NOT NULL,
    permissions  TEXT NOT NULL,                              -- JSON
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL,
    revision     INTEGER NOT NULL,
    deleted_at   INTEGER
) STRICT;

CREATE UNIQUE INDEX roles_by_name ON roles (organization, name) WHERE deleted_at IS NULL;

-- Which policies name which roles, so that it is known which keys a change of a role concerns.
CREATE TABLE policy_roles (
    role   INTEGER NOT NULL REFERENCES roles (number),
    policy INTEGER NOT NULL REFERENCES policies (number),
    PRIMARY KEY (role, policy)
) STRICT;

CREATE INDEX keys_of_policy ON keys (policy) WHERE deleted_at IS NULL;

-- Nodes learn of roles too; the check of a column can't be changed where it stands.
CREATE TABLE revisions_anew (
    revision INTEGER PRIMARY KEY,
    subject  TEXT NOT NULL CHECK (subject IN ('organization', 'api', 'project', 'keys', 'role')),
    first    INTEGER NOT NULL,
    last     INTEGER NOT NULL
) STRICT;
INSERT INTO revisions_anew SELECT revision, subject, first, last FROM revisions;
DROP TABLE revisions;
ALTER TABLE revisions_anew RENAME TO revisions;
