-- Tables without a column, without one left, and with generated columns only.
--- schema
CREATE TABLE nothing ();
CREATE TABLE nothing_left (a int, b text); INSERT INTO nothing_left VALUES (1, 'a'), (2, 'b');
ALTER TABLE nothing_left DROP COLUMN a, DROP COLUMN b;
CREATE TABLE only_generated (g int GENERATED ALWAYS AS (42) STORED);
CREATE TABLE emptied ();
CREATE TABLE beside (id int PRIMARY KEY);
--- rows
INSERT INTO nothing DEFAULT VALUES; INSERT INTO nothing DEFAULT VALUES; INSERT INTO nothing_left DEFAULT VALUES;
INSERT INTO only_generated DEFAULT VALUES; INSERT INTO emptied DEFAULT VALUES; INSERT INTO beside VALUES (1);
--- change
INSERT INTO nothing DEFAULT VALUES; INSERT INTO beside VALUES (2); INSERT INTO nothing_left SELECT FROM generate_series(1, 50);
INSERT INTO only_generated DEFAULT VALUES; TRUNCATE emptied; INSERT INTO beside VALUES (3);
