-- Subtransactions: thousands in one transaction, a third of them rolled back; nested a hundred deep;
-- the same where the source streams large transactions before they end, and where those end in an abort.
--- schema
CREATE TABLE s (id int PRIMARY KEY, v int, note text);
CREATE TABLE big (id int PRIMARY KEY, v int, filler text);
ALTER TABLE big REPLICA IDENTITY FULL;
CREATE FUNCTION many(first int, last int, what text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN
  FOR i IN first..last LOOP
    BEGIN
      UPDATE s SET v = v + i, note = what WHERE id = i % 500 + 1;
      INSERT INTO s VALUES (i + 1000, i, what) ON CONFLICT (id) DO UPDATE SET v = excluded.v, note = 'again';
      IF i % 3 = 0 THEN RAISE division_by_zero; END IF;
      IF i % 100 = 1 THEN INSERT INTO s VALUES (i + 1000); END IF;
    EXCEPTION WHEN division_by_zero THEN UPDATE s SET v = v - 1 WHERE id = i % 7 + 1;
      WHEN unique_violation THEN DELETE FROM s WHERE id = i + 1000;
    END;
  END LOOP; END $$;
CREATE FUNCTION deep(depth int) RETURNS void LANGUAGE plpgsql AS $$ BEGIN
  UPDATE s SET v = depth WHERE id = depth;
  IF depth > 1 THEN
    BEGIN
      PERFORM deep(depth - 1);
      INSERT INTO s VALUES (-depth, depth, 'deep');
      IF depth % 4 = 0 THEN RAISE division_by_zero; END IF;
    EXCEPTION WHEN division_by_zero THEN UPDATE s SET note = 'back' WHERE id = depth;
    END;
  END IF; END $$;
DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET logical_decoding_work_mem = ''64kB''', current_database()); END $$;
--- rows
INSERT INTO s SELECT i, 0, 'n' FROM generate_series(1, 500) i;
INSERT INTO big SELECT i, 0, repeat('f', 300) FROM generate_series(1, 1000) i;
--- change
SELECT many(1, 3000, 'many');
--- change
SELECT deep(100);
--- change
BEGIN; SELECT many(3001, 4000, 'never'); UPDATE big SET v = -1; ROLLBACK;
--- change
BEGIN; UPDATE big SET v = 1; SAVEPOINT a; UPDATE big SET v = 2, id = id + 5000; DELETE FROM big WHERE id % 2 = 0; ROLLBACK TO a;
UPDATE big SET v = v + 10 WHERE id % 3 = 0; SAVEPOINT b; DELETE FROM big WHERE id % 5 = 0;
INSERT INTO big SELECT i, 5, 'back' FROM generate_series(5, 1000, 10) i; RELEASE b;
SAVEPOINT c; TRUNCATE big; INSERT INTO big VALUES (1, 1, 'never'); ROLLBACK TO c;
SELECT many(4001, 4500, 'last'); UPDATE s SET note = 'end' WHERE id BETWEEN 100 AND 110; COMMIT;
