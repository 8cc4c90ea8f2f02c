-- Links that let somebody in who gets them by e-mail.
CREATE TABLE sign_in_links (
    lookup     BLOB PRIMARY KEY CHECK (length(lookup) = 32), -- SHA-256 of the token
    account    INTEGER NOT NULL REFERENCES accounts (number),
    created_at INTEGER NOT NULL,
    ends_at    INTEGER NOT NULL,
    seal       TEXT NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;

CREATE INDEX sign_in_links_of_account ON sign_in_links (account, created_at);
CREATE INDEX sign_in_links_unsealed ON sign_in_links (lookup) WHERE seal = '';
CREATE TRIGGER sign_in_links_unseal AFTER UPDATE OF
    lookup, account, created_at, ends_at
ON sign_in_links WHEN NEW.seal <> '' BEGIN
    UPDATE sign_in_links SET seal = '' WHERE lookup = NEW.lookup;
END;
