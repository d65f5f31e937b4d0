-- How many tasks of each model a message carries, as JSON, and their sums, so that a backlog is known in
-- tasks without reading a million messages.
ALTER TABLE bodies ADD COLUMN tasks TEXT;

CREATE TABLE backlog (
    queue INTEGER NOT NULL REFERENCES queues (id),
    model TEXT NOT NULL,
    tasks INTEGER NOT NULL,
    PRIMARY KEY (queue, model)
) STRICT, WITHOUT ROWID;

-- The messages of before say it in their bodies.
UPDATE bodies SET tasks = (
    SELECT json_group_object(model, n) FROM (
        SELECT json_extract(value, '$.model') AS model, count(*) AS n
        FROM json_each(body, '$.tasks') GROUP BY 1
    ) WHERE model IS NOT NULL
) WHERE json_valid(body) AND json_type(body, '$.tasks') = 'array';

INSERT INTO backlog (queue, model, tasks)
SELECT queue, key, sum(value) FROM messages JOIN bodies ON message = messages.id, json_each(tasks)
WHERE tasks IS NOT NULL GROUP BY 1, 2;

-- By triggers, so that a process of the version before, which has the file open still, counts too.
CREATE TRIGGER backlog_grows AFTER INSERT ON bodies WHEN new.tasks IS NOT NULL BEGIN
    INSERT INTO backlog (queue, model, tasks)
    SELECT (SELECT queue FROM messages WHERE messages.id = new.message), key, value
    FROM json_each(new.tasks) WHERE true
    ON CONFLICT (queue, model) DO UPDATE SET tasks = tasks + excluded.tasks;
END;

CREATE TRIGGER backlog_shrinks BEFORE DELETE ON messages BEGIN
    UPDATE backlog SET tasks = backlog.tasks - (
        SELECT value FROM bodies, json_each(bodies.tasks)
        WHERE bodies.message = old.id AND key = backlog.model
    )
    WHERE queue = old.queue AND model IN (
        SELECT key FROM bodies, json_each(bodies.tasks) WHERE bodies.message = old.id
    );
END;
