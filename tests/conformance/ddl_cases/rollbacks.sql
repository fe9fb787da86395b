-- DDL that is rolled back to a savepoint, or by an exception in a function, in transactions that the
-- source sends before their end: nested, released into one that is rolled back later, with captured
-- rows, followed by rows of the table as it was and by other DDL of it.
--- change
CREATE TABLE victim (id int PRIMARY KEY, v text);
INSERT INTO victim SELECT i, 'v' || i FROM generate_series(1, 50) i;
CREATE TABLE other (id int PRIMARY KEY, v text);
INSERT INTO other SELECT * FROM victim;
CREATE TABLE large (id serial PRIMARY KEY, filler text);
CREATE TABLE keyless (a int, b text);
CREATE PROCEDURE fill(n int) LANGUAGE sql AS
  $$ INSERT INTO large (filler) SELECT repeat(md5(i::text), 10) FROM generate_series(1, n) i $$;
-- Fills, and waits until whoever reads the log has read that: the server does not send what it knows
-- to be rolled back.
CREATE PROCEDURE send(n int) LANGUAGE plpgsql AS $$
DECLARE
  written pg_lsn;
  until timestamptz := clock_timestamp() + '20 s';
BEGIN
  CALL fill(n);
  written := pg_current_wal_insert_lsn();  -- Its last page is not flushed before the end.
  LOOP
    PERFORM pg_stat_clear_snapshot();
    EXIT WHEN clock_timestamp() > until OR NOT EXISTS (
      SELECT FROM pg_replication_slots s JOIN pg_stat_replication r ON r.pid = s.active_pid
      WHERE s.database = current_database() AND pg_wal_lsn_diff(written, r.sent_lsn) > 16384);
    PERFORM pg_sleep(0.01);
  END LOOP;
END $$;
--- change
BEGIN;
SAVEPOINT s;
DROP TABLE victim;
CALL send(400);
ROLLBACK TO s;
INSERT INTO victim VALUES (51, 'still there');
COMMIT;
--- change
BEGIN;
CALL fill(400);
SAVEPOINT outermost;
INSERT INTO victim VALUES (-1, 'gone');
SAVEPOINT middle;
ALTER TABLE victim DROP COLUMN v, ADD COLUMN v int DEFAULT 5;
INSERT INTO victim VALUES (-2, 2);
SAVEPOINT innermost;
ALTER TABLE victim RENAME TO renamed;
ALTER TABLE renamed ADD COLUMN r float8 DEFAULT random();
UPDATE renamed SET r = 1;
CALL send(400);
RELEASE innermost;
CALL send(400);
RELEASE middle;
CALL send(400);
ROLLBACK TO outermost;
UPDATE victim SET v = v || '!';
CALL fill(400);
ALTER TABLE other ADD COLUMN w int;
UPDATE other SET w = id;
CALL fill(400);
COMMIT;
--- change
DO $$ BEGIN
  CALL fill(400);
  BEGIN
    DROP TABLE victim;
    CREATE TABLE victim (id int PRIMARY KEY, another date DEFAULT '2026-01-01');
    INSERT INTO victim SELECT i FROM generate_series(1, 500) i;
    CREATE TYPE never AS ENUM ('a');
    CREATE TABLE never_table AS SELECT i AS id, 'a'::never AS e FROM generate_series(1, 100) i;
    CALL send(400);
    RAISE division_by_zero;
  EXCEPTION WHEN division_by_zero THEN
    UPDATE victim SET v = 'after' WHERE id = 1;
  END;
  BEGIN
    ALTER TABLE other ADD COLUMN kept text DEFAULT clock_timestamp()::text;
    UPDATE other SET kept = 'k' WHERE id % 2 = 0;
    CALL fill(400);
  EXCEPTION WHEN division_by_zero THEN NULL;
  END;
  BEGIN
    ALTER TABLE other DROP COLUMN kept;
    ALTER TABLE other ADD COLUMN kept text;
    UPDATE other SET kept = 'never';
    CALL send(400);
    RAISE division_by_zero;
  EXCEPTION WHEN division_by_zero THEN
    DELETE FROM other WHERE id = 3;
  END;
END $$;
--- change
BEGIN;
INSERT INTO keyless SELECT i, repeat('x', 100) FROM generate_series(1, 700) i;
SAVEPOINT s;
ALTER TABLE keyless ALTER COLUMN b TYPE int USING length(b);
CALL send(400);
ROLLBACK TO s;
UPDATE keyless SET b = 'y' WHERE a < 10;
SAVEPOINT t;
ALTER TABLE other ADD COLUMN d float8 DEFAULT random();
CALL fill(400);
RELEASE t;
INSERT INTO other (id, d) VALUES (0, 1);
COMMIT;
--- change
BEGIN;
SAVEPOINT a;
CREATE TABLE later (id int PRIMARY KEY, v text);
INSERT INTO later SELECT i, repeat('gone', 20) FROM generate_series(1, 700) i;
CALL send(400);
ROLLBACK TO a;
CREATE TABLE later (id int PRIMARY KEY, w int);
INSERT INTO later SELECT i, i FROM generate_series(1, 700) i;
COMMIT;
--- change
BEGIN;
TRUNCATE later;
SAVEPOINT a;
DROP TABLE later, keyless;
CALL send(400);
ROLLBACK;
--- change
INSERT INTO later VALUES (2001, 1);
DROP TABLE keyless;
