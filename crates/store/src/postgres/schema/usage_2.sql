-- Calls with each version of the keys that were rotated, since their first rotation.
CREATE TABLE version_use (
    key     BIGINT NOT NULL,
    version BIGINT NOT NULL,
    calls   BIGINT NOT NULL,
    refused BIGINT NOT NULL,
    last_at BIGINT NOT NULL,
    PRIMARY KEY (key, version)
);

-- From where each key was used, by day. Beyond so many addresses of a day the rest is one row without an address.
CREATE TABLE address_use (
    start    BIGINT NOT NULL,
    key      BIGINT NOT NULL,
    address  TEXT COLLATE "C" NOT NULL,
    calls    BIGINT NOT NULL,
    refused  BIGINT NOT NULL,
    first_at BIGINT NOT NULL,
    last_at  BIGINT NOT NULL,
    PRIMARY KEY (start, key, address)
);
