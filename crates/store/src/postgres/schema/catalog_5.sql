-- What a project asks for at an API and what it was granted (JSON lists of permissions; empty for no bound), why it asks,
-- and who judged that when.
ALTER TABLE activations ADD COLUMN wanted TEXT;
ALTER TABLE activations ADD COLUMN note TEXT NOT NULL DEFAULT '';
ALTER TABLE activations ADD COLUMN granted TEXT;
ALTER TABLE activations ADD COLUMN judged_by TEXT;
ALTER TABLE activations ADD COLUMN judged_at BIGINT;

-- Whether a pair was judged before, deleted links among them.
CREATE INDEX activations_ever ON activations (project, api);

-- Since when a project is suspended and why, how many keys it may have, and what its owner wrote on it (JSON).
ALTER TABLE projects ADD COLUMN suspended_at BIGINT;
ALTER TABLE projects ADD COLUMN suspended_reason TEXT NOT NULL DEFAULT '';
ALTER TABLE projects ADD COLUMN max_keys BIGINT;
ALTER TABLE projects ADD COLUMN labels TEXT NOT NULL DEFAULT '[]';
ALTER TABLE projects ADD COLUMN metadata TEXT NOT NULL DEFAULT '{}';
