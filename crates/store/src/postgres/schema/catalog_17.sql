-- Links that let somebody in who gets them by e-mail.
CREATE TABLE sign_in_links (
    lookup     BYTEA PRIMARY KEY CHECK (length(lookup) = 32), -- SHA-256 of the token
    account    BIGINT NOT NULL REFERENCES accounts (number),
    created_at BIGINT NOT NULL,
    ends_at    BIGINT NOT NULL,
    seal       TEXT COLLATE "C" NOT NULL DEFAULT ''
);

CREATE INDEX sign_in_links_of_account ON sign_in_links (account, created_at);
CREATE INDEX sign_in_links_unsealed ON sign_in_links (lookup) WHERE seal = '';
CREATE TRIGGER sign_in_links_unseal BEFORE UPDATE OF
    lookup, account, created_at, ends_at
ON sign_in_links FOR EACH ROW EXECUTE FUNCTION unseal();
