-- What a worker process did in the last minute, as JSON; a worker of before does not say.
ALTER TABLE workers ADD COLUMN throughput TEXT;

-- When deletion by age last saw a clock that it believed.
CREATE TABLE retention (believed_at INTEGER NOT NULL) STRICT;
