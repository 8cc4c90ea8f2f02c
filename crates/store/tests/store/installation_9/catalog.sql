-- An installation of before there were encryption keys, dumped: its tables are of step 9.
BEGIN TRANSACTION;
CREATE TABLE activations (
    number     INTEGER PRIMARY KEY AUTOINCREMENT,
    id         BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    project    INTEGER NOT NULL REFERENCES projects (number),
    api        INTEGER NOT NULL REFERENCES apis (number),
    state      TEXT NOT NULL CHECK (state IN ('requested', 'approved', 'suspended', 'refused')),
    reason     TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    revision   INTEGER NOT NULL,
    deleted_at INTEGER
, wanted TEXT, note TEXT NOT NULL DEFAULT '', granted TEXT, judged_by TEXT, judged_at INTEGER) STRICT;
INSERT INTO "activations" VALUES(1,X'22D058FCA26D133E4DA36BC6EDB202A6',2,1,'approved','',1795689931358960,1795689931358960,8,NULL,NULL,'',NULL,'key_0Ys5UR1dt7CJZyGq9zMdJP',1795689931358960);
CREATE TABLE api_secrets (
    api INTEGER NOT NULL REFERENCES apis (number),
    name TEXT NOT NULL,
    sealed BLOB NOT NULL,
    set_at INTEGER NOT NULL,
    PRIMARY KEY (api, name)
) STRICT, WITHOUT ROWID;
INSERT INTO "api_secrets" VALUES(1,'header:authorization',X'01DCEECD999644BD50FC040A6793546488BE3EA5141342A41A379EBF7FB80A5918F87AFE6927D3CA9ED968B2F8C043EAC0211E',1795689912517213);
CREATE TABLE apis (
    number       INTEGER PRIMARY KEY AUTOINCREMENT,
    id           BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    organization INTEGER NOT NULL REFERENCES organizations (number),
    name         TEXT NOT NULL,
    active       INTEGER NOT NULL CHECK (active IN (0, 1)),
    settings     TEXT NOT NULL,                              -- JSON
    document     TEXT,                                       -- JSON: what is shown of the OpenAPI document
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL,
    revision     INTEGER NOT NULL,
    deleted_at   INTEGER,
    operations   TEXT                                        -- JSON; long, therefore last
) STRICT;
INSERT INTO "apis" VALUES(1,X'A9556AEC0CB6804B05320776EA08BC6A',1,'pets',1,'{"upstream":"http://127.0.0.1:9","upstream_protocol":"http1","breaker_failures":5,"path_prefix":"/","strip_prefix":false,"access":"key","approval":"manual","unknown_operations":"pass","operation_permissions":"off","shared_caching":false,"client_addresses":"whole","require_tls":false,"require_client_certificate":false,"key_locations":["bearer","header:x-api-key"],"key_prefix":"ks","key_days":90,"unused_keys":"report","recoverable_keys":true,"body_limit_bytes":10485760,"upstream_timeout_seconds":60,"idle_timeout_seconds":300}',NULL,1795689912484906,1795689912484906,4,NULL,NULL);
CREATE TABLE audit (
    sequence     INTEGER PRIMARY KEY,
    at           INTEGER NOT NULL,
    organization BLOB NOT NULL,
    actor        TEXT NOT NULL,
    address      TEXT NOT NULL,                              -- of the request; empty if there was none
    request      TEXT NOT NULL,                              -- its id; empty if there was none
    action       TEXT NOT NULL,
    subject      TEXT NOT NULL,
    before       TEXT NOT NULL,                              -- JSON; empty if it was not there
    after        TEXT NOT NULL,                              -- JSON; empty if it is gone
    hash         BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;
INSERT INTO "audit" VALUES(1,1795689898817345,X'406782AA75AEB958EF4AAA9B07C463D8','system:setup','','','organization.create','org_1xWoQOWy0NQJ7oXKFjQ1we','','{"name":"Owner"}',X'16DE30BE8A14FEA1606B02890DB2D2B99801341523FC40217822788873C3B27E');
INSERT INTO "audit" VALUES(2,1795689898817345,X'406782AA75AEB958EF4AAA9B07C463D8','system:setup','','','project.create','prj_0fMFDzJTc5P2VeUCW0eWdk','','{"contact":"","description":"Holds the keys of this installation''s owner.","environment":"live","labels":[],"max_keys":null,"metadata":{},"name":"Management","patterns":[],"suspended":null}',X'C14999E66350C2CAA9791763DE4AA36CC5534B5096D99BE7A07E702A124FE88B');
INSERT INTO "audit" VALUES(3,1795689898817345,X'406782AA75AEB958EF4AAA9B07C463D8','system:setup','','','key.create','key_0Ys5UR1dt7CJZyGq9zMdJP','','{"environment":"live","expires_at":null,"exposed_at":null,"hint":"ks_live_VSKs••••Gy5B","kind":"management","labels":[],"metadata":{},"name":"first","policy":{"permissions":["*"]},"project":"prj_0fMFDzJTc5P2VeUCW0eWdk","recoverable":false,"state":"active","state_since":null,"version":1}',X'A2AD04E98CBF3C7EBF4EE92ACFABA08E5108D0A88B971303810491D2698F8A1C');
INSERT INTO "audit" VALUES(4,1795689912484906,X'406782AA75AEB958EF4AAA9B07C463D8','key_0Ys5UR1dt7CJZyGq9zMdJP','127.0.0.1','req_6K1u1DsQLiNeRdmCgTEHZK','api.create','api_59WjpeApUPNHhZEeKWDRKE','','{"active":true,"document":null,"name":"pets","settings":{"access":"key","approval":"manual","body_limit_bytes":10485760,"breaker_failures":5,"client_addresses":"whole","idle_timeout_seconds":300,"key_days":90,"key_locations":["bearer","header:x-api-key"],"key_prefix":"ks","operation_permissions":"off","path_prefix":"/","recoverable_keys":true,"require_client_certificate":false,"require_tls":false,"shared_caching":false,"strip_prefix":false,"unknown_operations":"pass","unused_keys":"report","upstream":"http://127.0.0.1:9","upstream_protocol":"http1","upstream_timeout_seconds":60}}',X'B65418B35D3AA001F0C02059D7CAA81756572BB12E907FAA0B776190D3013B54');
INSERT INTO "audit" VALUES(5,1795689912500018,X'406782AA75AEB958EF4AAA9B07C463D8','key_0Ys5UR1dt7CJZyGq9zMdJP','127.0.0.1','req_4kOHWpXVPpeGL4aw7Xanw5','project.create','prj_5uib4GgfXOfxSeKm5cGwfF','','{"contact":"","description":"","environment":"live","labels":[],"max_keys":null,"metadata":{},"name":"shop","patterns":[],"suspended":null}',X'01858C25E757D9A3C900ADD7D58074E4CF266D1AFF70E2A20F6CAC18545D71EE');
INSERT INTO "audit" VALUES(6,1795689912517213,X'406782AA75AEB958EF4AAA9B07C463D8','key_0Ys5UR1dt7CJZyGq9zMdJP','127.0.0.1','req_3Hld7NmBUYYLeZQWHuDwmW','api.secret.set','api_59WjpeApUPNHhZEeKWDRKE','','{"secret":"header:authorization"}',X'A80FE3C5986CC324BA22F5546CED3E7972DD2F43C4C6635E18CAAA70DBE0CCA0');
INSERT INTO "audit" VALUES(7,1795689912532922,X'406782AA75AEB958EF4AAA9B07C463D8','key_0Ys5UR1dt7CJZyGq9zMdJP','127.0.0.1','req_5gfDmqMbhfDu54DT4yysLg','webhook.create','whk_0t7bk6LaFtbzn6wFcNbLxZ','','{"description":"","events":["key.*"],"reason":null,"state":"active","url":"https://93.184.216.34/…"}',X'EF69B393AB295D13AC6B09611AD465021161A42159220E06339618CE39065C73');
INSERT INTO "audit" VALUES(8,1795689931358960,X'406782AA75AEB958EF4AAA9B07C463D8','key_0Ys5UR1dt7CJZyGq9zMdJP','127.0.0.1','req_4sdhDknKm5qAnyEglD4aM1','activation.create','act_13gxA5tdg9GxOOocWnsA2Y','','{"api":"api_59WjpeApUPNHhZEeKWDRKE","granted":null,"note":"","project":"prj_5uib4GgfXOfxSeKm5cGwfF","reason":"","state":"approved","wanted":null}',X'E116B8E2D18D0AD3BCCFD54B9DAAB6F07879F426801CC9AB03ECF99E64D03F83');
INSERT INTO "audit" VALUES(9,1795689931373729,X'406782AA75AEB958EF4AAA9B07C463D8','key_0Ys5UR1dt7CJZyGq9zMdJP','127.0.0.1','req_1YFephFDESoJ0OdCiXviCM','key.create','key_78IIa7kSrnyPFfAAFd1sr6','','{"environment":"live","expires_at":"2027-02-24T10:45:31.37355Z","exposed_at":null,"hint":"ks_live_BHLz••••d3DB","kind":"secret","labels":[],"metadata":{},"name":"one","policy":{},"project":"prj_5uib4GgfXOfxSeKm5cGwfF","recoverable":true,"state":"active","state_since":null,"version":1}',X'449A41E13B1A03BD67426DB60863F60AD5AD993E39BECEE0DF7E4BB7CF28D2A0');
CREATE TABLE audit_end (
    one      INTEGER PRIMARY KEY CHECK (one = 1),
    sequence INTEGER NOT NULL,
    seal     BLOB NOT NULL
) STRICT;
INSERT INTO "audit_end" VALUES(1,9,X'A821EA26FB0F3CE4F8F768E7DAFB6FED09E6810156C8E34166BB3C1BF92252F7');
CREATE TABLE hand_overs (
    lookup     BLOB PRIMARY KEY,                     -- SHA-256 over the token
    key        INTEGER NOT NULL REFERENCES keys (number),
    sealed     BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    ends_at    INTEGER NOT NULL,
    opened_at  INTEGER
) STRICT;
CREATE TABLE idempotency (
    organization BLOB NOT NULL,
    key          BLOB NOT NULL,                              -- SHA-256 of the client's key
    request      BLOB NOT NULL,                              -- SHA-256 of the request
    subject      TEXT NOT NULL,
    at           INTEGER NOT NULL,
    PRIMARY KEY (organization, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE key_notices (
    key   INTEGER NOT NULL,
    kind  TEXT NOT NULL,
    about INTEGER NOT NULL,
    at    INTEGER NOT NULL,
    PRIMARY KEY (key, kind, about)
) STRICT, WITHOUT ROWID;
CREATE TABLE key_texts (
    key     INTEGER PRIMARY KEY REFERENCES keys (number),
    version INTEGER NOT NULL,
    sealed  BLOB NOT NULL
) STRICT;
INSERT INTO "key_texts" VALUES(2,1,X'0193E5A8391237B91D5DB1D2EA10B221E563B308D49C8C34544F6F880029E4C0B55671AC0AF0D816AA81D1BB091C9E1413E00EB59CE85A3F754E96DB2891F7FC8688E14F83CC7B8444DD1AEB96E219');
CREATE TABLE key_versions (
    key           INTEGER NOT NULL REFERENCES keys (number),
    version       INTEGER NOT NULL,
    hint          TEXT NOT NULL,
    digest        BLOB NOT NULL,
    algorithm     INTEGER NOT NULL,
    pepper        INTEGER NOT NULL REFERENCES peppers (version),
    created_at    INTEGER NOT NULL,
    superseded_at INTEGER NOT NULL,
    ends_at       INTEGER NOT NULL,
    PRIMARY KEY (key, version)
) STRICT;
CREATE TABLE keys (
    number       INTEGER PRIMARY KEY AUTOINCREMENT,
    id           BLOB NOT NULL UNIQUE,
    project      INTEGER NOT NULL REFERENCES projects (number),
    organization INTEGER NOT NULL,                           -- the project's; it never changes
    environment  TEXT NOT NULL,                              -- the project's; it never changes
    kind         TEXT NOT NULL,
    name         TEXT NOT NULL,
    hint         TEXT NOT NULL,
    policy       INTEGER NOT NULL REFERENCES policies (number),
    digest       BLOB NOT NULL,                              -- keyed: the text can't be had from it
    algorithm    INTEGER NOT NULL,                           -- of the digest
    pepper       INTEGER NOT NULL REFERENCES peppers (version),
    expires_at   INTEGER,
    state        TEXT NOT NULL,
    state_at     INTEGER,
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL,
    revision     INTEGER NOT NULL,
    deleted_at   INTEGER
, exposed_at INTEGER, version INTEGER NOT NULL DEFAULT 1, versioned_at INTEGER, labels TEXT NOT NULL DEFAULT '[]', metadata TEXT NOT NULL DEFAULT '{}') STRICT;
INSERT INTO "keys" VALUES(1,X'127B08B1A55685BB7AD0EE3454BA554F',1,1,'live','management','first','ks_live_VSKs••••Gy5B',1,X'E512616E412113DDB9D9C2EF3E4BF5B71A058DDED07939B51CBDD4F4EC91C031',1,1,NULL,'active',NULL,1795689898817345,1795689898817345,3,NULL,NULL,1,NULL,'[]','{}');
INSERT INTO "keys" VALUES(2,X'EA64DD4FE3E35EDF634CB38D34688BBC',2,1,'live','secret','one','ks_live_BHLz••••d3DB',2,X'96D2C606AE02ADD550B1C83748FF5C59D4D5BE40A843AA21120E9708FEFBBE32',1,1,1803465931373550,'active',NULL,1795689931373729,1795689931373729,9,NULL,NULL,1,NULL,'[]','{}');
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "meta" VALUES('installation',X'5A0D2B591C284BC9058046756A33A0FB');
INSERT INTO "meta" VALUES('root_check',X'3376AADB8C8515A18D46CC5FBBD0D825686CEA774C6BF12F2F77BBF845DEBA53');
CREATE TABLE organizations (
    number     INTEGER PRIMARY KEY AUTOINCREMENT,
    id         BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    name       TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
INSERT INTO "organizations" VALUES(1,X'406782AA75AEB958EF4AAA9B07C463D8','Owner',1795689898817345);
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
CREATE TABLE peppers (
    version    INTEGER PRIMARY KEY,
    wrapped    BLOB NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
INSERT INTO "peppers" VALUES(1,X'0164E1A7FD821BCB35F8D2B41A27E73A293A3D1305A1DEA50DCB75C4CCAB7825CBC03D865E37265D90ACC3AAE753CC53C77E39011CB46F71586BAB9FC9',1795689898799563);
CREATE TABLE policies (
    number   INTEGER PRIMARY KEY AUTOINCREMENT,
    hash     BLOB NOT NULL UNIQUE,                           -- SHA-256 of the document
    document TEXT NOT NULL                                   -- JSON
) STRICT;
INSERT INTO "policies" VALUES(1,X'2E5B9504E438F8D78BF0D8DAF72C84B43DF28BC3F386DE213BDE32BFB436F120','{"permissions":["*"]}');
INSERT INTO "policies" VALUES(2,X'44136FA355B3678A1146AD16F7E8649E94FB4FC21FE77E8310C060F61CAAFF8A','{}');
CREATE TABLE policy_patterns (
    pattern INTEGER NOT NULL REFERENCES patterns (number),
    policy  INTEGER NOT NULL REFERENCES policies (number),
    PRIMARY KEY (pattern, policy)
) STRICT;
CREATE TABLE policy_roles (
    role   INTEGER NOT NULL REFERENCES roles (number),
    policy INTEGER NOT NULL REFERENCES policies (number),
    PRIMARY KEY (role, policy)
) STRICT;
CREATE TABLE projects (
    number       INTEGER PRIMARY KEY AUTOINCREMENT,
    id           BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    organization INTEGER NOT NULL REFERENCES organizations (number),
    name         TEXT NOT NULL,
    description  TEXT NOT NULL,
    contact      TEXT NOT NULL,
    environment  TEXT NOT NULL CHECK (environment IN ('live', 'test')),
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL,
    revision     INTEGER NOT NULL,
    deleted_at   INTEGER
, suspended_at INTEGER, suspended_reason TEXT NOT NULL DEFAULT '', max_keys INTEGER, labels TEXT NOT NULL DEFAULT '[]', metadata TEXT NOT NULL DEFAULT '{}', patterns TEXT NOT NULL DEFAULT '[]') STRICT;
INSERT INTO "projects" VALUES(1,X'15EB0663EC658360E4E577F35226EAE0',1,'Management','Holds the keys of this installation''s owner.','','live',1795689898817345,1795689898817345,2,NULL,NULL,'',NULL,'[]','{}','[]');
INSERT INTO "projects" VALUES(2,X'C257B75DC04727BE87B6B4DFB7F9CC25',1,'shop','','','live',1795689912500018,1795689912500018,5,NULL,NULL,'',NULL,'[]','{}','[]');
CREATE TABLE "revisions" (
    revision INTEGER PRIMARY KEY,
    subject  TEXT NOT NULL CHECK (subject IN ('organization', 'api', 'project', 'keys', 'role', 'pattern')),
    first    INTEGER NOT NULL,
    last     INTEGER NOT NULL
) STRICT;
INSERT INTO "revisions" VALUES(1,'organization',0,0);
INSERT INTO "revisions" VALUES(2,'project',1,1);
INSERT INTO "revisions" VALUES(3,'keys',1,1);
INSERT INTO "revisions" VALUES(4,'api',1,1);
INSERT INTO "revisions" VALUES(5,'project',2,2);
INSERT INTO "revisions" VALUES(6,'api',1,1);
INSERT INTO "revisions" VALUES(7,'organization',0,0);
INSERT INTO "revisions" VALUES(8,'project',2,2);
INSERT INTO "revisions" VALUES(9,'keys',2,2);
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
CREATE TABLE slow_hashes (
    key     INTEGER NOT NULL REFERENCES keys (number),
    version INTEGER NOT NULL,
    digest  BLOB NOT NULL,
    lookup  INTEGER,
    hash    TEXT,
    PRIMARY KEY (key, version)
) STRICT;
CREATE TABLE webhook_deliveries (
    number       INTEGER PRIMARY KEY AUTOINCREMENT,
    webhook      INTEGER NOT NULL REFERENCES webhooks (number),
    sequence     INTEGER NOT NULL,                           -- of the event's entry in the audit
    state        TEXT NOT NULL CHECK (state IN ('pending', 'delivered', 'failed')),
    attempts     INTEGER NOT NULL,
    next_at      INTEGER,                                    -- while it is pending
    status       INTEGER,                                    -- of the last answer
    error        TEXT NOT NULL,                              -- why the last attempt failed; empty if it did not
    last_at      INTEGER,
    delivered_at INTEGER,
    created_at   INTEGER NOT NULL
) STRICT;
INSERT INTO "webhook_deliveries" VALUES(1,1,9,'pending',1,1795689936110379,NULL,'TLS with it fails: invalid peer certificate: certificate not valid for name "93.184.216.34"; certificate is only valid for DnsName("archive.ubuntu.com"), DnsName("deb.debian.org"), DnsName("files.pythonhosted.org"), DnsName("index.crates.io"), DnsName("pypi.org"), DnsName("registry.npmjs.org"), DnsN',1795689931416188,NULL,1795689931378572);
CREATE TABLE webhooks (
    number           INTEGER PRIMARY KEY AUTOINCREMENT,
    id               BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    organization     INTEGER NOT NULL REFERENCES organizations (number),
    url              TEXT NOT NULL,
    description      TEXT NOT NULL,
    events           TEXT NOT NULL,                          -- JSON
    state            TEXT NOT NULL CHECK (state IN ('active', 'disabled')),
    reason           TEXT NOT NULL,                          -- why it is disabled; empty if its owner did it
    secret           BLOB NOT NULL,
    old_secret       BLOB NOT NULL,                          -- empty if there is none
    old_secret_until INTEGER,
    handed_to        INTEGER NOT NULL,
    failing_since    INTEGER,
    created_at       INTEGER NOT NULL,
    updated_at       INTEGER NOT NULL,
    revision         INTEGER NOT NULL,
    deleted_at       INTEGER
) STRICT;
INSERT INTO "webhooks" VALUES(1,X'1D3655D3D7AF90223291E1108C09CB09',1,'https://93.184.216.34/hook','','["key.*"]','active','',X'0143E9B9DCFED4C3A86B771AC85A88A41148EACC8AD6D079301D191EA7DE5B2E71F8F6E55D2DFAE4C9BD5E9C96EECA520A6911CE082042F006F8DEC197',X'',NULL,9,1795689931416188,1795689912532922,1795689912532922,7,NULL);
CREATE INDEX apis_of_organization ON apis (organization) WHERE deleted_at IS NULL;
CREATE INDEX projects_of_organization ON projects (organization) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX activations_of_project ON activations (project, api) WHERE deleted_at IS NULL;
CREATE INDEX activations_of_api ON activations (api) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX keys_by_digest ON keys (digest) WHERE deleted_at IS NULL;
CREATE INDEX keys_of_project ON keys (project) WHERE deleted_at IS NULL;
CREATE INDEX keys_of_organization ON keys (organization) WHERE deleted_at IS NULL;
CREATE INDEX audit_of_organization ON audit (organization, sequence);
CREATE INDEX idempotency_by_age ON idempotency (at);
CREATE INDEX key_versions_by_digest ON key_versions (digest);
CREATE INDEX keys_by_end ON keys (expires_at) WHERE deleted_at IS NULL AND expires_at IS NOT NULL;
CREATE INDEX key_versions_by_end ON key_versions (ends_at);
CREATE INDEX keys_with_metadata ON keys (number) WHERE metadata <> '{}';
CREATE INDEX activations_ever ON activations (project, api);
CREATE INDEX webhooks_of_organization ON webhooks (organization) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX webhook_deliveries_of_event ON webhook_deliveries (webhook, sequence);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (webhook, next_at) WHERE state = 'pending';
CREATE INDEX webhook_deliveries_by_age ON webhook_deliveries (created_at) WHERE state != 'pending';
CREATE INDEX slow_hashes_by_digest ON slow_hashes (digest);
CREATE INDEX slow_hashes_by_lookup ON slow_hashes (lookup) WHERE lookup IS NOT NULL;
CREATE INDEX keys_with_token ON keys (algorithm) WHERE algorithm = 4;
CREATE INDEX key_versions_with_token ON key_versions (algorithm) WHERE algorithm = 4;
CREATE UNIQUE INDEX roles_by_name ON roles (organization, name) WHERE deleted_at IS NULL;
CREATE INDEX keys_of_policy ON keys (policy) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX patterns_by_name ON patterns (organization, name) WHERE deleted_at IS NULL;
CREATE INDEX audit_of_subject ON audit (subject, sequence);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('organizations',1);
INSERT INTO "sqlite_sequence" VALUES('projects',2);
INSERT INTO "sqlite_sequence" VALUES('policies',2);
INSERT INTO "sqlite_sequence" VALUES('keys',2);
INSERT INTO "sqlite_sequence" VALUES('apis',1);
INSERT INTO "sqlite_sequence" VALUES('webhooks',1);
INSERT INTO "sqlite_sequence" VALUES('activations',1);
INSERT INTO "sqlite_sequence" VALUES('webhook_deliveries',1);
COMMIT;
PRAGMA user_version = 9;
