-- Secrets that an API has for its upstream, each sealed under the root key and bound to its place.
CREATE TABLE api_secrets (
    api BIGINT NOT NULL REFERENCES apis (number),
    name TEXT COLLATE "C" NOT NULL,
    sealed BYTEA NOT NULL,
    set_at BIGINT NOT NULL,
    PRIMARY KEY (api, name)
);
