-- What calls cost that were let through. Until this step each of them cost 1.
ALTER TABLE usage_minute ADD COLUMN cost BIGINT NOT NULL DEFAULT 0;
ALTER TABLE usage_hour ADD COLUMN cost BIGINT NOT NULL DEFAULT 0;
ALTER TABLE usage_day ADD COLUMN cost BIGINT NOT NULL DEFAULT 0;
UPDATE usage_minute SET cost = calls WHERE code = 0;
UPDATE usage_hour SET cost = calls WHERE code = 0;
UPDATE usage_day SET cost = calls WHERE code = 0;
