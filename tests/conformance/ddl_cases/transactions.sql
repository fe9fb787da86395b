-- DDL and rows in one transaction, in functions, in savepoints, rolled back, several at once.
--- change
BEGIN;
CREATE TABLE t (id int PRIMARY KEY, v text);
INSERT INTO t VALUES (1, 'one');
ALTER TABLE t ADD COLUMN w int;
INSERT INTO t VALUES (2, 'two', 2);
ALTER TABLE t DROP COLUMN v;
INSERT INTO t VALUES (3, 3);
ALTER TABLE t ADD COLUMN v date DEFAULT '2026-01-01';
UPDATE t SET w = 10 WHERE id = 1;
COMMIT;
--- change
BEGIN;
CREATE TABLE never (id int PRIMARY KEY);
INSERT INTO t VALUES (4, 4);
ALTER TABLE t ADD COLUMN gone int;
ROLLBACK;
--- change
BEGIN;
INSERT INTO t VALUES (5, 5);
SAVEPOINT s;
ALTER TABLE t ADD COLUMN gone int;
INSERT INTO t VALUES (6, 6, '2026-01-02', 6);
ROLLBACK TO SAVEPOINT s;
INSERT INTO t VALUES (7, 7);
SAVEPOINT s2;
ALTER TABLE t ADD COLUMN kept int DEFAULT 1;
RELEASE SAVEPOINT s2;
INSERT INTO t (id, kept) VALUES (8, 8);
COMMIT;
--- change
DO $$ BEGIN
  EXECUTE 'CREATE TABLE by_do (id int PRIMARY KEY, r float8)';
  INSERT INTO by_do SELECT i, random() FROM generate_series(1, 10) i;
  EXECUTE 'ALTER TABLE by_do ALTER COLUMN r TYPE text USING (random() * 1000)::text';
END $$;
--- change
CREATE FUNCTION make(name text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN
  EXECUTE format('CREATE TABLE %I (id serial PRIMARY KEY, at timestamptz DEFAULT clock_timestamp())', name);
  EXECUTE format('INSERT INTO %I DEFAULT VALUES', name);
END $$;
SELECT make('made ' || i) FROM generate_series(1, 3) i;
--- change
SELECT make('one more');
--- change
CREATE SCHEMA side CREATE TABLE x (id int PRIMARY KEY) CREATE VIEW y AS SELECT id FROM x;
INSERT INTO side.x VALUES (1);
--- change
SELECT id, w * 2 AS twice INTO chosen FROM t;
--- change
BEGIN;
TRUNCATE t;
ALTER TABLE t RENAME TO u;
INSERT INTO u (id, w) VALUES (1, 1);
CREATE TABLE t (id int PRIMARY KEY);
INSERT INTO t VALUES (99);
COMMIT;
--- change
BEGIN;
CREATE TABLE large (id int PRIMARY KEY, filler text);
INSERT INTO large SELECT i, repeat('x', 100) FROM generate_series(1, 20000) i;
ALTER TABLE large ADD COLUMN r float8 DEFAULT random();
UPDATE large SET r = 1 WHERE id % 100 = 0;
COMMIT;
--- change
BEGIN;
INSERT INTO large SELECT i, repeat('y', 100), i FROM generate_series(20001, 40000) i;
ALTER TABLE large ADD COLUMN gone int;
UPDATE large SET gone = 1;
ROLLBACK;
--- change
DROP SCHEMA side CASCADE;
DROP TABLE "made 1", "made 2";
