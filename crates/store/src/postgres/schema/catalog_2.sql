-- When a key was first sent where others could read it; empty if it never was.
ALTER TABLE keys ADD COLUMN exposed_at BIGINT;
