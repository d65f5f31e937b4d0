CREATE TABLE queues (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;

-- Narrow, because every receipt writes it; AUTOINCREMENT, because a receipt must never name a
-- later message.
CREATE TABLE messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    queue INTEGER NOT NULL REFERENCES queues (id),
    visible_at INTEGER NOT NULL,
    receive_count INTEGER NOT NULL
) STRICT;

CREATE INDEX messages_by_visibility ON messages (queue, visible_at, receive_count);

CREATE TABLE bodies (
    message INTEGER PRIMARY KEY,
    sent_at INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;
