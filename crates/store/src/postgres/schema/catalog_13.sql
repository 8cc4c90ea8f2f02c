-- What an entry is hashed with, and goes with its details: without it nobody can try out what they were.
ALTER TABLE audit ADD COLUMN salt TEXT COLLATE "C" NOT NULL DEFAULT ''; -- in hexadecimal; empty in entries of before

-- Rows that something is decided by are sealed under the root key: what somebody else made of one is told and not served.
-- Whatever writes to a row takes its seal away; the transaction gives it another one before it ends (see `seal`).
CREATE FUNCTION unseal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.seal := '';
    RETURN NEW;
END
$$;

ALTER TABLE organizations ADD COLUMN seal TEXT COLLATE "C" NOT NULL DEFAULT '';
CREATE INDEX organizations_unsealed ON organizations (number) WHERE seal = '';
CREATE TRIGGER organizations_unseal BEFORE UPDATE OF
    number, id, name, created_at, kind, updated_at, revision
ON organizations FOR EACH ROW EXECUTE FUNCTION unseal();

ALTER TABLE accounts ADD COLUMN seal TEXT COLLATE "C" NOT NULL DEFAULT '';
CREATE INDEX accounts_unsealed ON accounts (number) WHERE seal = '';
CREATE TRIGGER accounts_unseal BEFORE UPDATE OF
    number, id, email, name, password, password_at, alone, created_at, updated_at, revision
ON accounts FOR EACH ROW EXECUTE FUNCTION unseal();

ALTER TABLE member_roles ADD COLUMN seal TEXT COLLATE "C" NOT NULL DEFAULT '';
CREATE INDEX member_roles_unsealed ON member_roles (number) WHERE seal = '';
CREATE TRIGGER member_roles_unseal BEFORE UPDATE OF
    number, id, organization, name, description, permissions, created_at, updated_at, revision,
    deleted_at
ON member_roles FOR EACH ROW EXECUTE FUNCTION unseal();

ALTER TABLE members ADD COLUMN seal TEXT COLLATE "C" NOT NULL DEFAULT '';
CREATE INDEX members_unsealed ON members (number) WHERE seal = '';
CREATE TRIGGER members_unseal BEFORE UPDATE OF
    number, id, organization, account, role, custom_role, created_at, updated_at, revision,
    deleted_at
ON members FOR EACH ROW EXECUTE FUNCTION unseal();

ALTER TABLE invitations ADD COLUMN seal TEXT COLLATE "C" NOT NULL DEFAULT '';
CREATE INDEX invitations_unsealed ON invitations (number) WHERE seal = '';
CREATE TRIGGER invitations_unseal BEFORE UPDATE OF
    number, id, organization, email, role, custom_role, lookup, created_at, updated_at, ends_at,
    made_by, state, revision
ON invitations FOR EACH ROW EXECUTE FUNCTION unseal();

ALTER TABLE sessions ADD COLUMN seal TEXT COLLATE "C" NOT NULL DEFAULT '';
CREATE INDEX sessions_unsealed ON sessions (number) WHERE seal = '';
CREATE TRIGGER sessions_unseal BEFORE UPDATE OF
    number, id, account, organization, lookup, created_at, proven_at, address, agent
ON sessions FOR EACH ROW EXECUTE FUNCTION unseal();

ALTER TABLE password_resets ADD COLUMN seal TEXT COLLATE "C" NOT NULL DEFAULT '';
CREATE INDEX password_resets_unsealed ON password_resets (lookup) WHERE seal = '';
CREATE TRIGGER password_resets_unseal BEFORE UPDATE OF
    lookup, account, standing, created_at, ends_at
ON password_resets FOR EACH ROW EXECUTE FUNCTION unseal();

ALTER TABLE totps ADD COLUMN seal TEXT COLLATE "C" NOT NULL DEFAULT '';
CREATE INDEX totps_unsealed ON totps (account) WHERE seal = '';
CREATE TRIGGER totps_unseal BEFORE UPDATE OF
    account, sealed, created_at, confirmed_at, last_step
ON totps FOR EACH ROW EXECUTE FUNCTION unseal();

ALTER TABLE device_logins ADD COLUMN seal TEXT COLLATE "C" NOT NULL DEFAULT '';
CREATE INDEX device_logins_unsealed ON device_logins (lookup) WHERE seal = '';
CREATE TRIGGER device_logins_unseal BEFORE UPDATE OF
    lookup, user_code, agent, address, created_at, ends_at, state, account, organization
ON device_logins FOR EACH ROW EXECUTE FUNCTION unseal();

ALTER TABLE passkeys ADD COLUMN seal TEXT COLLATE "C" NOT NULL DEFAULT '';
CREATE INDEX passkeys_unsealed ON passkeys (number) WHERE seal = '';
CREATE TRIGGER passkeys_unseal BEFORE UPDATE OF
    number, id, account, credential_id, credential, name, created_at, used_at
ON passkeys FOR EACH ROW EXECUTE FUNCTION unseal();

ALTER TABLE identities ADD COLUMN seal TEXT COLLATE "C" NOT NULL DEFAULT '';
CREATE INDEX identities_unsealed ON identities (number) WHERE seal = '';
CREATE TRIGGER identities_unseal BEFORE UPDATE OF
    number, id, account, issuer, subject, created_at, used_at
ON identities FOR EACH ROW EXECUTE FUNCTION unseal();

ALTER TABLE recovery_codes ADD COLUMN seal TEXT COLLATE "C" NOT NULL DEFAULT '';
CREATE INDEX recovery_codes_unsealed ON recovery_codes (account, lookup) WHERE seal = '';
CREATE TRIGGER recovery_codes_unseal BEFORE UPDATE OF
    account, lookup
ON recovery_codes FOR EACH ROW EXECUTE FUNCTION unseal();

ALTER TABLE apis ADD COLUMN seal TEXT COLLATE "C" NOT NULL DEFAULT '';
CREATE INDEX apis_unsealed ON apis (number) WHERE seal = '';
CREATE TRIGGER apis_unseal BEFORE UPDATE OF
    number, id, organization, name, active, settings, document, created_at, updated_at, revision,
    deleted_at, operations
ON apis FOR EACH ROW EXECUTE FUNCTION unseal();

ALTER TABLE projects ADD COLUMN seal TEXT COLLATE "C" NOT NULL DEFAULT '';
CREATE INDEX projects_unsealed ON projects (number) WHERE seal = '';
CREATE TRIGGER projects_unseal BEFORE UPDATE OF
    number, id, organization, name, description, contact, environment, created_at, updated_at,
    revision, deleted_at, suspended_at, suspended_reason, max_keys, labels, metadata, patterns
ON projects FOR EACH ROW EXECUTE FUNCTION unseal();

ALTER TABLE activations ADD COLUMN seal TEXT COLLATE "C" NOT NULL DEFAULT '';
CREATE INDEX activations_unsealed ON activations (number) WHERE seal = '';
CREATE TRIGGER activations_unseal BEFORE UPDATE OF
    number, id, project, api, state, reason, created_at, updated_at, revision, deleted_at, wanted,
    note, granted, judged_by, judged_at
ON activations FOR EACH ROW EXECUTE FUNCTION unseal();

ALTER TABLE policies ADD COLUMN seal TEXT COLLATE "C" NOT NULL DEFAULT '';
CREATE INDEX policies_unsealed ON policies (number) WHERE seal = '';
CREATE TRIGGER policies_unseal BEFORE UPDATE OF
    number, hash, document
ON policies FOR EACH ROW EXECUTE FUNCTION unseal();

ALTER TABLE roles ADD COLUMN seal TEXT COLLATE "C" NOT NULL DEFAULT '';
CREATE INDEX roles_unsealed ON roles (number) WHERE seal = '';
CREATE TRIGGER roles_unseal BEFORE UPDATE OF
    number, id, organization, name, description, permissions, created_at, updated_at, revision,
    deleted_at
ON roles FOR EACH ROW EXECUTE FUNCTION unseal();

ALTER TABLE patterns ADD COLUMN seal TEXT COLLATE "C" NOT NULL DEFAULT '';
CREATE INDEX patterns_unsealed ON patterns (number) WHERE seal = '';
CREATE TRIGGER patterns_unseal BEFORE UPDATE OF
    number, id, organization, name, description, filter, created_at, updated_at, revision,
    deleted_at
ON patterns FOR EACH ROW EXECUTE FUNCTION unseal();

ALTER TABLE policy_patterns ADD COLUMN seal TEXT COLLATE "C" NOT NULL DEFAULT '';
CREATE INDEX policy_patterns_unsealed ON policy_patterns (pattern, policy) WHERE seal = '';
CREATE TRIGGER policy_patterns_unseal BEFORE UPDATE OF
    pattern, policy
ON policy_patterns FOR EACH ROW EXECUTE FUNCTION unseal();

ALTER TABLE policy_roles ADD COLUMN seal TEXT COLLATE "C" NOT NULL DEFAULT '';
CREATE INDEX policy_roles_unsealed ON policy_roles (role, policy) WHERE seal = '';
CREATE TRIGGER policy_roles_unseal BEFORE UPDATE OF
    role, policy
ON policy_roles FOR EACH ROW EXECUTE FUNCTION unseal();

ALTER TABLE webhooks ADD COLUMN seal TEXT COLLATE "C" NOT NULL DEFAULT '';
CREATE INDEX webhooks_unsealed ON webhooks (number) WHERE seal = '';
CREATE TRIGGER webhooks_unseal BEFORE UPDATE OF
    number, id, organization, url, description, events, state, reason, secret, old_secret,
    old_secret_until, created_at, updated_at, revision, deleted_at
ON webhooks FOR EACH ROW EXECUTE FUNCTION unseal();

ALTER TABLE hand_overs ADD COLUMN seal TEXT COLLATE "C" NOT NULL DEFAULT '';
CREATE INDEX hand_overs_unsealed ON hand_overs (lookup) WHERE seal = '';
CREATE TRIGGER hand_overs_unseal BEFORE UPDATE OF
    lookup, key, sealed, created_at, ends_at, opened_at
ON hand_overs FOR EACH ROW EXECUTE FUNCTION unseal();

ALTER TABLE keys ADD COLUMN seal TEXT COLLATE "C" NOT NULL DEFAULT '';
CREATE INDEX keys_unsealed ON keys (number) WHERE seal = '';
CREATE TRIGGER keys_unseal BEFORE UPDATE OF
    number, id, project, organization, policy, digest, expires_at, state, kind, environment,
    version, deleted_at, metadata
ON keys FOR EACH ROW EXECUTE FUNCTION unseal();

ALTER TABLE key_versions ADD COLUMN seal TEXT COLLATE "C" NOT NULL DEFAULT '';
CREATE INDEX key_versions_unsealed ON key_versions (key, version) WHERE seal = '';
CREATE TRIGGER key_versions_unseal BEFORE UPDATE OF
    key, version, hint, digest, algorithm, pepper, created_at, superseded_at, ends_at
ON key_versions FOR EACH ROW EXECUTE FUNCTION unseal();

ALTER TABLE slow_hashes ADD COLUMN seal TEXT COLLATE "C" NOT NULL DEFAULT '';
CREATE INDEX slow_hashes_unsealed ON slow_hashes (key, version) WHERE seal = '';
CREATE TRIGGER slow_hashes_unseal BEFORE UPDATE OF
    key, version, digest, lookup, hash
ON slow_hashes FOR EACH ROW EXECUTE FUNCTION unseal();

ALTER TABLE former_digests ADD COLUMN seal TEXT COLLATE "C" NOT NULL DEFAULT '';
CREATE INDEX former_digests_unsealed ON former_digests (key, version, pepper) WHERE seal = '';
CREATE TRIGGER former_digests_unseal BEFORE UPDATE OF
    key, version, pepper, digest
ON former_digests FOR EACH ROW EXECUTE FUNCTION unseal();

ALTER TABLE revisions ADD COLUMN seal TEXT COLLATE "C" NOT NULL DEFAULT '';
CREATE INDEX revisions_unsealed ON revisions (revision) WHERE seal = '';
CREATE TRIGGER revisions_unseal BEFORE UPDATE OF
    revision, subject, first, last
ON revisions FOR EACH ROW EXECUTE FUNCTION unseal();
