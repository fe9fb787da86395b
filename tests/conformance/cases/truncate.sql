-- TRUNCATE of one table, of several, with CASCADE and RESTART IDENTITY, and rows inserted behind it in
-- the same transaction.
--- schema
CREATE TABLE one (id int PRIMARY KEY); CREATE TABLE two (id serial PRIMARY KEY);
CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child (id int PRIMARY KEY, p int REFERENCES parent);
--- rows
INSERT INTO one SELECT generate_series(1, 100); INSERT INTO two SELECT generate_series(1, 100);
INSERT INTO parent SELECT generate_series(1, 10); INSERT INTO child SELECT i, i FROM generate_series(1, 10) i;
--- change
INSERT INTO one VALUES (1000); TRUNCATE one; INSERT INTO one VALUES (1), (2);
--- change
TRUNCATE one, two RESTART IDENTITY; INSERT INTO two VALUES (DEFAULT), (DEFAULT);
--- change
TRUNCATE parent CASCADE; INSERT INTO parent VALUES (7); INSERT INTO child VALUES (1, 7);
