-- Savepoints and what was rolled back to them, exceptions in functions, INSERT ... ON CONFLICT, a
-- transaction that changes nothing, cascading foreign keys, rows changed many times in one
-- transaction, COPY, statements of many rows (which share one LSN).
--- schema
CREATE TABLE t (id int PRIMARY KEY, v int, note text);
CREATE TABLE p (id int PRIMARY KEY);
CREATE TABLE c (id int PRIMARY KEY, p int REFERENCES p ON DELETE CASCADE ON UPDATE CASCADE);
--- rows
INSERT INTO t SELECT i, 0, 'n' FROM generate_series(1, 500) i;
INSERT INTO p SELECT generate_series(1, 20); INSERT INTO c SELECT i, i % 20 + 1 FROM generate_series(1, 200) i;
--- change
DO $$ BEGIN
  FOR i IN 1..100 LOOP
    BEGIN
      UPDATE t SET v = i WHERE id = i;
      IF i % 3 = 0 THEN RAISE EXCEPTION 'back'; END IF;
    EXCEPTION WHEN raise_exception THEN NULL;
    END;
  END LOOP;
END $$;
--- change
INSERT INTO t SELECT i, 1, 'conflict' FROM generate_series(400, 600) i ON CONFLICT (id) DO UPDATE SET note = 'met', v = t.v + 1;
INSERT INTO t SELECT i, 1, 'never' FROM generate_series(1, 100) i ON CONFLICT DO NOTHING;
--- change
UPDATE p SET id = id + 100 WHERE id <= 5; DELETE FROM p WHERE id > 15 AND id < 100;
--- change
UPDATE t SET v = v WHERE id < 10; UPDATE t SET v = v + 1; UPDATE t SET v = v + 1; DELETE FROM t WHERE id % 5 = 0;
INSERT INTO t SELECT i, -1, 'back' FROM generate_series(5, 50, 5) i; UPDATE t SET note = 'last' WHERE v = -1;
