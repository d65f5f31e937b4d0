-- What deletion by age asks for: when predictions were last used, and what names predictions and uploads.
ALTER TABLE predictions ADD COLUMN used_at INTEGER;

CREATE INDEX predictions_by_use ON predictions (coalesce(used_at, computed_at));

-- The beginning of the image's hash: enough to find the few outcomes that are then read.
CREATE INDEX outcomes_by_image ON outcomes (substr(json_extract(record, '$.prediction.sha256'), 1, 16));

CREATE INDEX rounds_finished ON rounds (finished_at, request) WHERE finished_at IS NOT NULL;

CREATE INDEX idempotency_keys_by_request ON idempotency_keys (request);

CREATE INDEX dead_letters_resolved ON dead_letters (created_at, id) WHERE NOT is_open;

CREATE TABLE image_uses (
    sha256 BLOB NOT NULL,
    request BLOB NOT NULL,
    PRIMARY KEY (sha256, request)
) STRICT, WITHOUT ROWID;

INSERT OR IGNORE INTO image_uses (sha256, request)
SELECT unhex(substr(image.value ->> '$.url', 16)), requests.id
FROM requests, json_each(requests.record, '$.images') AS image
WHERE image.value ->> '$.url' LIKE 'flota://sha256/%'
  AND unhex(substr(image.value ->> '$.url', 16)) IS NOT NULL;

-- By triggers, so that what a process of the version before accepts, which has the file open still, counts too.
CREATE TRIGGER images_are_used AFTER INSERT ON requests BEGIN
    INSERT OR IGNORE INTO image_uses (sha256, request)
    SELECT unhex(substr(image.value ->> '$.url', 16)), new.id
    FROM json_each(new.record, '$.images') AS image
    WHERE image.value ->> '$.url' LIKE 'flota://sha256/%'
      AND unhex(substr(image.value ->> '$.url', 16)) IS NOT NULL;
END;

CREATE TRIGGER images_are_unused BEFORE DELETE ON requests BEGIN
    DELETE FROM image_uses WHERE request = old.id AND sha256 IN (
        SELECT unhex(substr(image.value ->> '$.url', 16))
        FROM json_each(old.record, '$.images') AS image
        WHERE image.value ->> '$.url' LIKE 'flota://sha256/%'
    );
END;
