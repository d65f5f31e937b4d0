PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE bodies (
    message INTEGER PRIMARY KEY,
    sent_at INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;
INSERT INTO "bodies" VALUES(5,1796084833943667339,'{"v":1,"request":"req_01a22eff9e95713aa8834c93890e871b","round":1,"pack":0,"client":"default","lane":"normal","tasks":[{"n":0,"image":"flota://sha256/ddbbf125ea23d1dd12c0e5a2fd9013cdfd8bec1aec7588eb6cf64ebb33b01546","model":"image-quality","tries":0}]}');
CREATE TABLE messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    queue INTEGER NOT NULL REFERENCES queues (id),
    visible_at INTEGER NOT NULL,
    receive_count INTEGER NOT NULL
) STRICT;
INSERT INTO "messages" VALUES(5,1,1796084833943667339,0);
CREATE TABLE queues (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;
INSERT INTO "queues" VALUES(1,'flota-tasks-image-quality-normal');
INSERT INTO "queues" VALUES(2,'flota-outcomes');
CREATE INDEX messages_by_visibility ON messages (queue, visible_at, receive_count);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('messages',5);
COMMIT;
PRAGMA user_version = 1;
