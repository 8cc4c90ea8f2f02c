-- What an entry is hashed with, and goes with its details: without it nobody can try out what they were.
ALTER TABLE audit ADD COLUMN salt TEXT NOT NULL DEFAULT ''; -- in hexadecimal; empty in entries of before

-- Rows that something is decided by are sealed under the root key: what somebody else made of one is told and not served.
-- Whatever writes to a row takes its seal away; the transaction gives it another one before it ends (see `seal`).

ALTER TABLE organizations ADD COLUMN seal TEXT NOT NULL DEFAULT '';
CREATE INDEX organizations_unsealed ON organizations (number) WHERE seal = '';
CREATE TRIGGER organizations_unseal AFTER UPDATE OF
    number, id, name, created_at, kind, updated_at, revision
ON organizations WHEN NEW.seal <> '' BEGIN
    UPDATE organizations SET seal = '' WHERE number = NEW.number;
END;

ALTER TABLE accounts ADD COLUMN seal TEXT NOT NULL DEFAULT '';
CREATE INDEX accounts_unsealed ON accounts (number) WHERE seal = '';
CREATE TRIGGER accounts_unseal AFTER UPDATE OF
    number, id, email, name, password, password_at, alone, created_at, updated_at, revision
ON accounts WHEN NEW.seal <> '' BEGIN
    UPDATE accounts SET seal = '' WHERE number = NEW.number;
END;

ALTER TABLE member_roles ADD COLUMN seal TEXT NOT NULL DEFAULT '';
CREATE INDEX member_roles_unsealed ON member_roles (number) WHERE seal = '';
CREATE TRIGGER member_roles_unseal AFTER UPDATE OF
    number, id, organization, name, description, permissions, created_at, updated_at, revision,
    deleted_at
ON member_roles WHEN NEW.seal <> '' BEGIN
    UPDATE member_roles SET seal = '' WHERE number = NEW.number;
END;

ALTER TABLE members ADD COLUMN seal TEXT NOT NULL DEFAULT '';
CREATE INDEX members_unsealed ON members (number) WHERE seal = '';
CREATE TRIGGER members_unseal AFTER UPDATE OF
    number, id, organization, account, role, custom_role, created_at, updated_at, revision,
    deleted_at
ON members WHEN NEW.seal <> '' BEGIN
    UPDATE members SET seal = '' WHERE number = NEW.number;
END;

ALTER TABLE invitations ADD COLUMN seal TEXT NOT NULL DEFAULT '';
CREATE INDEX invitations_unsealed ON invitations (number) WHERE seal = '';
CREATE TRIGGER invitations_unseal AFTER UPDATE OF
    number, id, organization, email, role, custom_role, lookup, created_at, updated_at, ends_at,
    made_by, state, revision
ON invitations WHEN NEW.seal <> '' BEGIN
    UPDATE invitations SET seal = '' WHERE number = NEW.number;
END;

ALTER TABLE sessions ADD COLUMN seal TEXT NOT NULL DEFAULT '';
CREATE INDEX sessions_unsealed ON sessions (number) WHERE seal = '';
CREATE TRIGGER sessions_unseal AFTER UPDATE OF
    number, id, account, organization, lookup, created_at, proven_at, address, agent
ON sessions WHEN NEW.seal <> '' BEGIN
    UPDATE sessions SET seal = '' WHERE number = NEW.number;
END;

ALTER TABLE password_resets ADD COLUMN seal TEXT NOT NULL DEFAULT '';
CREATE INDEX password_resets_unsealed ON password_resets (lookup) WHERE seal = '';
CREATE TRIGGER password_resets_unseal AFTER UPDATE OF
    lookup, account, standing, created_at, ends_at
ON password_resets WHEN NEW.seal <> '' BEGIN
    UPDATE password_resets SET seal = '' WHERE lookup = NEW.lookup;
END;

ALTER TABLE totps ADD COLUMN seal TEXT NOT NULL DEFAULT '';
CREATE INDEX totps_unsealed ON totps (account) WHERE seal = '';
CREATE TRIGGER totps_unseal AFTER UPDATE OF
    account, sealed, created_at, confirmed_at, last_step
ON totps WHEN NEW.seal <> '' BEGIN
    UPDATE totps SET seal = '' WHERE account = NEW.account;
END;

ALTER TABLE device_logins ADD COLUMN seal TEXT NOT NULL DEFAULT '';
CREATE INDEX device_logins_unsealed ON device_logins (lookup) WHERE seal = '';
CREATE TRIGGER device_logins_unseal AFTER UPDATE OF
    lookup, user_code, agent, address, created_at, ends_at, state, account, organization
ON device_logins WHEN NEW.seal <> '' BEGIN
    UPDATE device_logins SET seal = '' WHERE lookup = NEW.lookup;
END;

ALTER TABLE passkeys ADD COLUMN seal TEXT NOT NULL DEFAULT '';
CREATE INDEX passkeys_unsealed ON passkeys (number) WHERE seal = '';
CREATE TRIGGER passkeys_unseal AFTER UPDATE OF
    number, id, account, credential_id, credential, name, created_at, used_at
ON passkeys WHEN NEW.seal <> '' BEGIN
    UPDATE passkeys SET seal = '' WHERE number = NEW.number;
END;

ALTER TABLE identities ADD COLUMN seal TEXT NOT NULL DEFAULT '';
CREATE INDEX identities_unsealed ON identities (number) WHERE seal = '';
CREATE TRIGGER identities_unseal AFTER UPDATE OF
    number, id, account, issuer, subject, created_at, used_at
ON identities WHEN NEW.seal <> '' BEGIN
    UPDATE identities SET seal = '' WHERE number = NEW.number;
END;

ALTER TABLE recovery_codes ADD COLUMN seal TEXT NOT NULL DEFAULT '';
CREATE INDEX recovery_codes_unsealed ON recovery_codes (account, lookup) WHERE seal = '';
CREATE TRIGGER recovery_codes_unseal AFTER UPDATE OF
    account, lookup
ON recovery_codes WHEN NEW.seal <> '' BEGIN
    UPDATE recovery_codes SET seal = '' WHERE account = NEW.account AND lookup = NEW.lookup;
END;

ALTER TABLE apis ADD COLUMN seal TEXT NOT NULL DEFAULT '';
CREATE INDEX apis_unsealed ON apis (number) WHERE seal = '';
CREATE TRIGGER apis_unseal AFTER UPDATE OF
    number, id, organization, name, active, settings, document, created_at, updated_at, revision,
    deleted_at, operations
ON apis WHEN NEW.seal <> '' BEGIN
    UPDATE apis SET seal = '' WHERE number = NEW.number;
END;

ALTER TABLE projects ADD COLUMN seal TEXT NOT NULL DEFAULT '';
CREATE INDEX projects_unsealed ON projects (number) WHERE seal = '';
CREATE TRIGGER projects_unseal AFTER UPDATE OF
    number, id, organization, name, description, contact, environment, created_at, updated_at,
    revision, deleted_at, suspended_at, suspended_reason, max_keys, labels, metadata, patterns
ON projects WHEN NEW.seal <> '' BEGIN
    UPDATE projects SET seal = '' WHERE number = NEW.number;
END;

ALTER TABLE activations ADD COLUMN seal TEXT NOT NULL DEFAULT '';
CREATE INDEX activations_unsealed ON activations (number) WHERE seal = '';
CREATE TRIGGER activations_unseal AFTER UPDATE OF
    number, id, project, api, state, reason, created_at, updated_at, revision, deleted_at, wanted,
    note, granted, judged_by, judged_at
ON activations WHEN NEW.seal <> '' BEGIN
    UPDATE activations SET seal = '' WHERE number = NEW.number;
END;

ALTER TABLE policies ADD COLUMN seal TEXT NOT NULL DEFAULT '';
CREATE INDEX policies_unsealed ON policies (number) WHERE seal = '';
CREATE TRIGGER policies_unseal AFTER UPDATE OF
    number, hash, document
ON policies WHEN NEW.seal <> '' BEGIN
    UPDATE policies SET seal = '' WHERE number = NEW.number;
END;

ALTER TABLE roles ADD COLUMN seal TEXT NOT NULL DEFAULT '';
CREATE INDEX roles_unsealed ON roles (number) WHERE seal = '';
CREATE TRIGGER roles_unseal AFTER UPDATE OF
    number, id, organization, name, description, permissions, created_at, updated_at, revision,
    deleted_at
ON roles WHEN NEW.seal <> '' BEGIN
    UPDATE roles SET seal = '' WHERE number = NEW.number;
END;

ALTER TABLE patterns ADD COLUMN seal TEXT NOT NULL DEFAULT '';
CREATE INDEX patterns_unsealed ON patterns (number) WHERE seal = '';
CREATE TRIGGER patterns_unseal AFTER UPDATE OF
    number, id, organization, name, description, filter, created_at, updated_at, revision,
    deleted_at
ON patterns WHEN NEW.seal <> '' BEGIN
    UPDATE patterns SET seal = '' WHERE number = NEW.number;
END;

ALTER TABLE policy_patterns ADD COLUMN seal TEXT NOT NULL DEFAULT '';
CREATE INDEX policy_patterns_unsealed ON policy_patterns (pattern, policy) WHERE seal = '';
CREATE TRIGGER policy_patterns_unseal AFTER UPDATE OF
    pattern, policy
ON policy_patterns WHEN NEW.seal <> '' BEGIN
    UPDATE policy_patterns SET seal = '' WHERE pattern = NEW.pattern AND policy = NEW.policy;
END;

ALTER TABLE policy_roles ADD COLUMN seal TEXT NOT NULL DEFAULT '';
CREATE INDEX policy_roles_unsealed ON policy_roles (role, policy) WHERE seal = '';
CREATE TRIGGER policy_roles_unseal AFTER UPDATE OF
    role, policy
ON policy_roles WHEN NEW.seal <> '' BEGIN
    UPDATE policy_roles SET seal = '' WHERE role = NEW.role AND policy = NEW.policy;
END;

ALTER TABLE webhooks ADD COLUMN seal TEXT NOT NULL DEFAULT '';
CREATE INDEX webhooks_unsealed ON webhooks (number) WHERE seal = '';
CREATE TRIGGER webhooks_unseal AFTER UPDATE OF
    number, id, organization, url, description, events, state, reason, secret, old_secret,
    old_secret_until, created_at, updated_at, revision, deleted_at
ON webhooks WHEN NEW.seal <> '' BEGIN
    UPDATE webhooks SET seal = '' WHERE number = NEW.number;
END;

ALTER TABLE hand_overs ADD COLUMN seal TEXT NOT NULL DEFAULT '';
CREATE INDEX hand_overs_unsealed ON hand_overs (lookup) WHERE seal = '';
CREATE TRIGGER hand_overs_unseal AFTER UPDATE OF
    lookup, key, sealed, created_at, ends_at, opened_at
ON hand_overs WHEN NEW.seal <> '' BEGIN
    UPDATE hand_overs SET seal = '' WHERE lookup = NEW.lookup;
END;

ALTER TABLE keys ADD COLUMN seal TEXT NOT NULL DEFAULT '';
CREATE INDEX keys_unsealed ON keys (number) WHERE seal = '';
CREATE TRIGGER keys_unseal AFTER UPDATE OF
    number, id, project, organization, policy, digest, expires_at, state, kind, environment,
    version, deleted_at, metadata
ON keys WHEN NEW.seal <> '' BEGIN
    UPDATE keys SET seal = '' WHERE number = NEW.number;
END;

ALTER TABLE key_versions ADD COLUMN seal TEXT NOT NULL DEFAULT '';
CREATE INDEX key_versions_unsealed ON key_versions (key, version) WHERE seal = '';
CREATE TRIGGER key_versions_unseal AFTER UPDATE OF
    key, version, hint, digest, algorithm, pepper, created_at, superseded_at, ends_at
ON key_versions WHEN NEW.seal <> '' BEGIN
    UPDATE key_versions SET seal = '' WHERE key = NEW.key AND version = NEW.version;
END;

ALTER TABLE slow_hashes ADD COLUMN seal TEXT NOT NULL DEFAULT '';
CREATE INDEX slow_hashes_unsealed ON slow_hashes (key, version) WHERE seal = '';
CREATE TRIGGER slow_hashes_unseal AFTER UPDATE OF
    key, version, digest, lookup, hash
ON slow_hashes WHEN NEW.seal <> '' BEGIN
    UPDATE slow_hashes SET seal = '' WHERE key = NEW.key AND version = NEW.version;
END;

ALTER TABLE former_digests ADD COLUMN seal TEXT NOT NULL DEFAULT '';
CREATE INDEX former_digests_unsealed ON former_digests (key, version, pepper) WHERE seal = '';
CREATE TRIGGER former_digests_unseal AFTER UPDATE OF
    key, version, pepper, digest
ON former_digests WHEN NEW.seal <> '' BEGIN
    UPDATE former_digests SET seal = '' WHERE key = NEW.key AND version = NEW.version AND pepper = NEW.pepper;
END;

ALTER TABLE revisions ADD COLUMN seal TEXT NOT NULL DEFAULT '';
CREATE INDEX revisions_unsealed ON revisions (revision) WHERE seal = '';
CREATE TRIGGER revisions_unseal AFTER UPDATE OF
    revision, subject, first, last
ON revisions WHEN NEW.seal <> '' BEGIN
    UPDATE revisions SET seal = '' WHERE revision = NEW.revision;
END;
