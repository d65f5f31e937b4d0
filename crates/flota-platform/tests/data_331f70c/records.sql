PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE aliases (
    object TEXT PRIMARY KEY,
    sha256 TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE attempts (
    request BLOB NOT NULL,
    n INTEGER NOT NULL,
    round INTEGER NOT NULL,
    attempt_count INTEGER NOT NULL,
    PRIMARY KEY (request, n, round)
) STRICT, WITHOUT ROWID;
CREATE TABLE callback_attempts (
    id INTEGER PRIMARY KEY,
    request BLOB NOT NULL,
    round INTEGER NOT NULL,
    record TEXT NOT NULL
) STRICT;
INSERT INTO "callback_attempts" VALUES(1,X'01A22EFF174A7DBE9C1C53A437826545',1,'{"at":"2026-12-01T00:26:42.236191058Z","status":200,"duration_ms":7}');
INSERT INTO "callback_attempts" VALUES(2,X'01A22EFF234778A3996BE6C335E24D8C',1,'{"at":"2026-12-01T00:26:45.121083252Z","error":"error sending request: client error (Connect): tcp connect error: Connection refused (os error 111)","duration_ms":5}');
INSERT INTO "callback_attempts" VALUES(3,X'01A22EFF234778A3996BE6C335E24D8C',1,'{"at":"2026-12-01T00:27:09.852352893Z","error":"error sending request: client error (Connect): tcp connect error: Connection refused (os error 111)","duration_ms":0}');
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
INSERT INTO "callbacks" VALUES(X'01A22EFF174A7DBE9C1C53A437826545',1,'http://127.0.0.1:18432/cb','"request.finished"','delivered',NULL,1796084802227802148);
INSERT INTO "callbacks" VALUES(X'01A22EFF234778A3996BE6C335E24D8C',1,'http://127.0.0.1:18439/cb','"request.finished"','pending',1796084862513259513,1796084805111219957);
CREATE TABLE complete_packs (
    request BLOB NOT NULL,
    round INTEGER NOT NULL,
    pack INTEGER NOT NULL,
    PRIMARY KEY (request, round, pack)
) STRICT, WITHOUT ROWID;
INSERT INTO "complete_packs" VALUES(X'01A22EFF174A7DBE9C1C53A437826545',1,0);
INSERT INTO "complete_packs" VALUES(X'01A22EFF234778A3996BE6C335E24D8C',1,0);
CREATE TABLE dead_letters (
    id TEXT PRIMARY KEY,
    created_at INTEGER NOT NULL,
    model TEXT,
    reason TEXT NOT NULL,
    is_open INTEGER NOT NULL,
    record TEXT NOT NULL
) STRICT;
CREATE TABLE idempotency_keys (
    client TEXT NOT NULL,
    key TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    request BLOB NOT NULL,
    PRIMARY KEY (client, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE models (
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    digest TEXT NOT NULL,
    is_current INTEGER NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (name, version)
) STRICT;
INSERT INTO "models" VALUES('image-quality','2.1.0','69c755e2453caa1c7cc572cf6b25cfa6e8a56a421dca701d5d97e8eb0686bbd2',1,'{"manifest":{"name":"image-quality","version":"2.1.0","description":"Says what is wrong with a photo (blurred, noisy, too dark, ...) and how good it is.","code":false,"weights":{"file":"image-quality.onnx"},"labels":["blurred","noisy","too_dark","overexposed","low_contrast","blocky","low_resolution","quality"],"input":{"name":"photo","layout":"nchw","width":640,"height":640,"resize":{"mode":"letterbox","fill":[0,255,0]},"filter":"bilinear_antialias","color":"rgb","dtype":"f32","scale":0.003921569},"output":{"name":"scores","kind":"regression","apply":false,"thresholds":{"blocky":{"at_least":0.5},"blurred":{"at_least":0.5},"low_contrast":{"at_least":0.5},"low_resolution":{"at_least":0.5},"noisy":{"at_least":0.5},"overexposed":{"at_least":0.5},"quality":{"below":0.5},"too_dark":{"at_least":0.5}}},"batch":{"max_size":8,"max_wait_ms":10},"limits":{"max_bytes":20971520,"max_pixels":40000000,"max_dimension":20000,"max_memory_bytes":268435456,"max_seconds":60},"attempts":5},"digest":"69c755e2453caa1c7cc572cf6b25cfa6e8a56a421dca701d5d97e8eb0686bbd2","worker":"image-quality","at":"2026-12-01T00:26:14.984613557Z"}');
CREATE TABLE outcomes (
    request BLOB NOT NULL,
    round INTEGER NOT NULL,
    pack INTEGER NOT NULL,
    n INTEGER NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (request, round, pack, n)
) STRICT, WITHOUT ROWID;
INSERT INTO "outcomes" VALUES(X'01A22EFF174A7DBE9C1C53A437826545',1,0,0,'{"outcome":"succeeded","prediction":{"sha256":"0dcfddab66415110e85f8bbbc1e2f660d1a05e32e71a2121e6ed14da6efceb39","model":"image-quality","version":"2.1.0"},"cached":false,"attempts":1,"timings":{"queued_ms":4.566713,"fetch_ms":3.842,"decode_ms":325.378,"infer_ms":2541.065,"batch_size":1},"ended_at":"2026-12-01T00:26:42.195496801Z"}');
INSERT INTO "outcomes" VALUES(X'01A22EFF174A7DBE9C1C53A437826545',1,0,1,'{"outcome":"failed","code":"DECODE_UNSUPPORTED","message":"this is not an image of a known format","attempts":1,"timings":{"queued_ms":4.566713,"fetch_ms":4.036},"ended_at":"2026-12-01T00:26:39.330037426Z"}');
INSERT INTO "outcomes" VALUES(X'01A22EFF234778A3996BE6C335E24D8C',1,0,0,'{"outcome":"succeeded","prediction":{"sha256":"b97d9e2e19ca4e956c9f4f5dce48487fa3804706d2cab66e9779ae0e82a92fff","model":"image-quality","version":"2.1.0"},"cached":false,"attempts":1,"timings":{"queued_ms":8.28718,"fetch_ms":0.198,"decode_ms":274.586,"infer_ms":2426.981,"batch_size":1},"ended_at":"2026-12-01T00:26:45.089377079Z"}');
CREATE TABLE predictions (
    sha256 TEXT NOT NULL,
    model TEXT NOT NULL,
    version TEXT NOT NULL,
    computed_at INTEGER NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (sha256, model, version)
) STRICT;
INSERT INTO "predictions" VALUES('0dcfddab66415110e85f8bbbc1e2f660d1a05e32e71a2121e6ed14da6efceb39','image-quality','2.1.0',1796084802195468408,'{"sha256":"0dcfddab66415110e85f8bbbc1e2f660d1a05e32e71a2121e6ed14da6efceb39","model":"image-quality","version":"2.1.0","output":{"kind":"regression","scores":[{"label":"blurred","index":0,"score":0.18668792,"flagged":false},{"label":"noisy","index":1,"score":4.7683716e-7,"flagged":false},{"label":"too_dark","index":2,"score":4.7683716e-7,"flagged":false},{"label":"overexposed","index":3,"score":0.0015799701,"flagged":false},{"label":"low_contrast","index":4,"score":0.00007233024,"flagged":false},{"label":"blocky","index":5,"score":0.000097095966,"flagged":false},{"label":"low_resolution","index":6,"score":0.0041559935,"flagged":false},{"label":"quality","index":7,"score":0.99724776,"flagged":false}]},"image":{"width":720,"height":540,"format":"jpeg","size_bytes":63045},"computed_at":"2026-12-01T00:26:42.195468408Z"}');
INSERT INTO "predictions" VALUES('b97d9e2e19ca4e956c9f4f5dce48487fa3804706d2cab66e9779ae0e82a92fff','image-quality','2.1.0',1796084805089335060,'{"sha256":"b97d9e2e19ca4e956c9f4f5dce48487fa3804706d2cab66e9779ae0e82a92fff","model":"image-quality","version":"2.1.0","output":{"kind":"regression","scores":[{"label":"blurred","index":0,"score":0.959776,"flagged":true},{"label":"noisy","index":1,"score":4.7683716e-7,"flagged":false},{"label":"too_dark","index":2,"score":0.000013202429,"flagged":false},{"label":"overexposed","index":3,"score":0.027558327,"flagged":false},{"label":"low_contrast","index":4,"score":0.03104043,"flagged":false},{"label":"blocky","index":5,"score":0.0004518628,"flagged":false},{"label":"low_resolution","index":6,"score":0.834926,"flagged":true},{"label":"quality","index":7,"score":0.0011973977,"flagged":true}]},"image":{"width":720,"height":540,"format":"jpeg","size_bytes":36754},"computed_at":"2026-12-01T00:26:45.08933506Z"}');
CREATE TABLE replays (
    id TEXT PRIMARY KEY,
    model TEXT NOT NULL,
    is_running INTEGER NOT NULL,
    claimed_until INTEGER NOT NULL,
    record TEXT NOT NULL
) STRICT;
CREATE TABLE requests (
    id BLOB PRIMARY KEY,
    record TEXT NOT NULL
) STRICT;
INSERT INTO "requests" VALUES(X'01A22EFF174A7DBE9C1C53A437826545','{"id":"req_01a22eff174a7dbe9c1c53a437826545","client":"default","images":[{"url":"flota://sha256/0dcfddab66415110e85f8bbbc1e2f660d1a05e32e71a2121e6ed14da6efceb39","id":"harbour.jpg"},{"url":"flota://sha256/5464533c9647b67eb320c40ccc5959537c09102ae75388f6a7675b433e745c9d","id":"broken.jpg"}],"routes":[{"model":"image-quality","worker":"image-quality"}],"callback":{"url":"http://127.0.0.1:18432/cb","events":["request.finished"]},"lane":"normal","created_at":"2026-12-01T00:26:39.30597762Z"}');
INSERT INTO "requests" VALUES(X'01A22EFF234778A3996BE6C335E24D8C','{"id":"req_01a22eff234778a3996be6c335e24d8c","client":"default","images":[{"url":"flota://sha256/b97d9e2e19ca4e956c9f4f5dce48487fa3804706d2cab66e9779ae0e82a92fff","id":"street-blurred.jpg"}],"routes":[{"model":"image-quality","worker":"image-quality"}],"callback":{"url":"http://127.0.0.1:18439/cb","events":["request.finished"]},"lane":"normal","created_at":"2026-12-01T00:26:42.374029453Z"}');
INSERT INTO "requests" VALUES(X'01A22EFF9E95713AA8834C93890E871B','{"id":"req_01a22eff9e95713aa8834c93890e871b","client":"default","images":[{"url":"flota://sha256/ddbbf125ea23d1dd12c0e5a2fd9013cdfd8bec1aec7588eb6cf64ebb33b01546","id":"tiny.png"}],"routes":[{"model":"image-quality","worker":"image-quality"}],"lane":"normal","created_at":"2026-12-01T00:27:13.940821472Z"}');
CREATE TABLE rounds (
    request BLOB NOT NULL,
    round INTEGER NOT NULL,
    replayed TEXT,
    due_at INTEGER,
    opened_at INTEGER NOT NULL,
    finished_at INTEGER,
    PRIMARY KEY (request, round)
) STRICT, WITHOUT ROWID;
INSERT INTO "rounds" VALUES(X'01A22EFF174A7DBE9C1C53A437826545',1,NULL,NULL,1796084799305977620,1796084802227802148);
INSERT INTO "rounds" VALUES(X'01A22EFF234778A3996BE6C335E24D8C',1,NULL,NULL,1796084802374029453,1796084805111219957);
INSERT INTO "rounds" VALUES(X'01A22EFF9E95713AA8834C93890E871B',1,NULL,1796085133944724120,1796084833940821472,NULL);
CREATE TABLE worker_models (
    instance TEXT NOT NULL REFERENCES workers (instance) ON DELETE CASCADE,
    model TEXT NOT NULL,
    version TEXT NOT NULL,
    PRIMARY KEY (instance, model, version)
) STRICT, WITHOUT ROWID;
CREATE TABLE workers (
    instance TEXT PRIMARY KEY,
    worker TEXT NOT NULL,
    until INTEGER NOT NULL
) STRICT;
CREATE INDEX rounds_due ON rounds (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX callbacks_due ON callbacks (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX callback_attempts_by_callback ON callback_attempts (request, round);
CREATE INDEX dead_letters_by_age ON dead_letters (created_at, id);
CREATE INDEX dead_letters_open ON dead_letters (created_at, id) WHERE is_open;
CREATE UNIQUE INDEX models_current ON models (name) WHERE is_current;
CREATE INDEX worker_models_by_model ON worker_models (model, version);
CREATE UNIQUE INDEX replays_running ON replays (model) WHERE is_running;
CREATE INDEX replays_by_model ON replays (model, id);
COMMIT;
PRAGMA user_version = 3;
