-- The latest time that this file was used at, so that a clock that was put back is noticed.
CREATE TABLE clock (latest INTEGER NOT NULL) STRICT;

INSERT INTO clock (latest) VALUES (0);
