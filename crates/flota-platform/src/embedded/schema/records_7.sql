-- What a worker process did in the last minute, as JSON; a worker of before does not say.
ALTER TABLE workers ADD COLUMN throughput TEXT;
