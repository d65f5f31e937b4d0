-- The process that leased a message last: whoever sees it end may end its leases.
ALTER TABLE messages ADD COLUMN holder INTEGER;
