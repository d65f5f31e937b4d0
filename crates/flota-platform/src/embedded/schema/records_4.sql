-- The last copy of a pack's open tasks that the sweeper sent.
CREATE TABLE resends (
    request BLOB NOT NULL,
    round INTEGER NOT NULL,
    pack INTEGER NOT NULL,
    copy INTEGER NOT NULL,
    sent_at INTEGER NOT NULL,
    PRIMARY KEY (request, round, pack)
) STRICT, WITHOUT ROWID;

-- Before when all that was sent to the worker's queue was received, as far as it can tell.
ALTER TABLE workers ADD COLUMN drained_to INTEGER;
