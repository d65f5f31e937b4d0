CREATE TABLE requests (
    id BLOB PRIMARY KEY,
    record TEXT NOT NULL
) STRICT;

CREATE TABLE idempotency_keys (
    client TEXT NOT NULL,
    key TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    request BLOB NOT NULL,
    PRIMARY KEY (client, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE rounds (
    request BLOB NOT NULL,
    round INTEGER NOT NULL,
    replayed TEXT,
    due_at INTEGER,
    opened_at INTEGER NOT NULL,
    finished_at INTEGER,
    PRIMARY KEY (request, round)
) STRICT, WITHOUT ROWID;

CREATE INDEX rounds_due ON rounds (due_at) WHERE due_at IS NOT NULL;

CREATE TABLE complete_packs (
    request BLOB NOT NULL,
    round INTEGER NOT NULL,
    pack INTEGER NOT NULL,
    PRIMARY KEY (request, round, pack)
) STRICT, WITHOUT ROWID;

CREATE TABLE outcomes (
    request BLOB NOT NULL,
    round INTEGER NOT NULL,
    pack INTEGER NOT NULL,
    n INTEGER NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (request, round, pack, n)
) STRICT, WITHOUT ROWID;

CREATE TABLE attempts (
    request BLOB NOT NULL,
    n INTEGER NOT NULL,
    round INTEGER NOT NULL,
    attempt_count INTEGER NOT NULL,
    PRIMARY KEY (request, n, round)
) STRICT, WITHOUT ROWID;

CREATE TABLE predictions (
    sha256 TEXT NOT NULL,
    model TEXT NOT NULL,
    version TEXT NOT NULL,
    computed_at INTEGER NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (sha256, model, version)
) STRICT;

CREATE TABLE callbacks (
    request BLOB NOT NULL,
    round INTEGER NOT NULL,
    url TEXT NOT NULL,
    event TEXT NOT NULL,
    state TEXT NOT NULL,
    due_at INTEGER,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (request, round)
) STRICT, WITHOUT ROWID;

CREATE INDEX callbacks_due ON callbacks (due_at) WHERE due_at IS NOT NULL;

CREATE TABLE callback_attempts (
    id INTEGER PRIMARY KEY,
    request BLOB NOT NULL,
    round INTEGER NOT NULL,
    record TEXT NOT NULL
) STRICT;

CREATE INDEX callback_attempts_by_callback ON callback_attempts (request, round);

CREATE TABLE dead_letters (
    id TEXT PRIMARY KEY,
    created_at INTEGER NOT NULL,
    model TEXT,
    reason TEXT NOT NULL,
    is_open INTEGER NOT NULL,
    record TEXT NOT NULL
) STRICT;

CREATE INDEX dead_letters_by_age ON dead_letters (created_at, id);

CREATE INDEX dead_letters_open ON dead_letters (created_at, id) WHERE is_open;

CREATE TABLE models (
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    digest TEXT NOT NULL,
    is_current INTEGER NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (name, version)
) STRICT;

CREATE UNIQUE INDEX models_current ON models (name) WHERE is_current;

CREATE TABLE workers (
    instance TEXT PRIMARY KEY,
    worker TEXT NOT NULL,
    until INTEGER NOT NULL
) STRICT;

CREATE TABLE worker_models (
    instance TEXT NOT NULL REFERENCES workers (instance) ON DELETE CASCADE,
    model TEXT NOT NULL,
    version TEXT NOT NULL,
    PRIMARY KEY (instance, model, version)
) STRICT, WITHOUT ROWID;

CREATE INDEX worker_models_by_model ON worker_models (model, version);
