-- The pack that a message is about, so that the sweeper sends again only what no queue holds. Messages
-- of before name none.
ALTER TABLE bodies ADD COLUMN request BLOB;
ALTER TABLE bodies ADD COLUMN round INTEGER;
ALTER TABLE bodies ADD COLUMN pack INTEGER;

CREATE INDEX bodies_by_pack ON bodies (request, round, pack) WHERE request IS NOT NULL;
