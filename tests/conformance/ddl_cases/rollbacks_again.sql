-- DDL of a table whose DDL was rolled back earlier in the same transaction, with rows between the two:
-- servers that send it before its end lose the table there, and have to send it whole.
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
CALL send(400);
SAVEPOINT s;
ALTER TABLE victim ADD COLUMN r float8 DEFAULT random();
CALL send(400);
ROLLBACK TO s;
UPDATE victim SET v = v || '!';
CALL fill(400);
ALTER TABLE victim ADD COLUMN w int;
UPDATE victim SET w = id;
CALL fill(400);
COMMIT;
--- change
INSERT INTO victim VALUES (52, 'x', 3);
