CREATE TABLE replays (
    id TEXT PRIMARY KEY,
    model TEXT NOT NULL,
    is_running INTEGER NOT NULL,
    claimed_until INTEGER NOT NULL,
    record TEXT NOT NULL
) STRICT;

CREATE UNIQUE INDEX replays_running ON replays (model) WHERE is_running;

CREATE INDEX replays_by_model ON replays (model, id);
