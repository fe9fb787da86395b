-- Partitioned tables: made, grown, attached, detached, changed through their root.
--- change
CREATE TABLE log (id int, day date, what text, PRIMARY KEY (id, day, what)) PARTITION BY RANGE (day);
CREATE TABLE log_1 PARTITION OF log FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE log_2 PARTITION OF log FOR VALUES FROM ('2026-02-01') TO ('2026-03-01') PARTITION BY LIST (what);
CREATE TABLE log_2_a PARTITION OF log_2 FOR VALUES IN ('a');
CREATE TABLE log_2_rest PARTITION OF log_2 DEFAULT;
INSERT INTO log SELECT i, date '2026-01-01' + i % 59, (ARRAY['a', 'b'])[i % 2 + 1] FROM generate_series(0, 200) i;
--- change
ALTER TABLE log ADD COLUMN size int NOT NULL DEFAULT 3;
UPDATE log SET size = id WHERE id < 50;
--- change
ALTER TABLE log ADD COLUMN since timestamptz DEFAULT now(), ADD COLUMN r float8 DEFAULT random();
INSERT INTO log (id, day, what) VALUES (500, '2026-02-10', 'z');
--- change
CREATE TABLE log_3 PARTITION OF log FOR VALUES FROM ('2026-03-01') TO ('2026-04-01');
INSERT INTO log (id, day, what) VALUES (501, '2026-03-10', 'z');
UPDATE log SET day = '2026-03-20' WHERE id = 7;
--- change
CREATE TABLE old (LIKE log INCLUDING ALL);
INSERT INTO old (id, day, what) VALUES (900, '2025-12-24', 'x');
--- change
ALTER TABLE log ATTACH PARTITION old FOR VALUES FROM ('2025-12-01') TO ('2026-01-01');
UPDATE log SET what = 'attached' WHERE id = 900;
--- change
ALTER TABLE log DETACH PARTITION log_1;
UPDATE log_1 SET what = 'detached' WHERE id % 10 = 0;
--- change
CREATE INDEX log_what ON log (what);
CREATE INDEX ON log_3 (size);
--- change
ALTER TABLE log ALTER COLUMN size TYPE bigint;
INSERT INTO log (id, day, what, size) VALUES (502, '2026-03-11', 'z', 5000000000);
--- change
DROP TABLE log_3;
ALTER TABLE log RENAME COLUMN what TO kind;
UPDATE log SET kind = 'a' WHERE id = 500;
--- change
DROP TABLE log_1;
DROP TABLE log;
--- change
CREATE TABLE tree (a int, b int) PARTITION BY RANGE (a);
CREATE TABLE tree_1 PARTITION OF tree FOR VALUES FROM (0) TO (10);
CREATE TABLE tree_2 PARTITION OF tree FOR VALUES FROM (10) TO (20) PARTITION BY RANGE (a);
CREATE TABLE tree_21 PARTITION OF tree_2 FOR VALUES FROM (10) TO (15);
CREATE INDEX ON tree_21 (a);
CREATE INDEX ON ONLY tree_2 (a);
ALTER INDEX tree_2_a_idx ATTACH PARTITION tree_21_a_idx;
CREATE INDEX ON tree (a);
INSERT INTO tree VALUES (1, 1), (11, 2);
--- change
CREATE TABLE apart (a int NOT NULL) PARTITION BY RANGE (a);
CREATE TABLE apart_1 PARTITION OF apart FOR VALUES FROM (0) TO (10);
ALTER TABLE ONLY apart ADD CONSTRAINT apart_key UNIQUE (a);
--- change
ALTER TABLE apart_1 ADD CONSTRAINT own_key UNIQUE (a);
ALTER INDEX apart_key ATTACH PARTITION own_key;
INSERT INTO apart VALUES (1);
ALTER TABLE apart ADD COLUMN b int, ADD COLUMN c int;
ALTER TABLE apart DROP COLUMN b, ADD COLUMN b text, DROP COLUMN c;
--- change
-- One of its partitions has no such index, so that of the whole is not whole.
CREATE TABLE tree_22 PARTITION OF tree_2 FOR VALUES FROM (15) TO (20);
CREATE INDEX tree_21_b ON tree_21 (b);
CREATE INDEX tree_2_b ON ONLY tree_2 (b);
ALTER INDEX tree_2_b ATTACH PARTITION tree_21_b;
CREATE INDEX tree_b ON tree (b);
--- change
CREATE FUNCTION noticed() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE FUNCTION noticed_too() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER "not$do$'ice" AFTER INSERT ON tree_2 FOR EACH ROW EXECUTE FUNCTION noticed();
--- change
DO $$ BEGIN
  IF current_setting('server_version_num')::int >= 140000 THEN
    EXECUTE 'CREATE OR REPLACE TRIGGER "not$do$''ice" AFTER INSERT ON tree FOR EACH ROW EXECUTE FUNCTION noticed_too()';
  END IF;
END $$;
INSERT INTO tree VALUES (16, 6);
--- change
ALTER TABLE ONLY tree_2 DISABLE TRIGGER "not$do$'ice";
ALTER TABLE tree_21 ENABLE ALWAYS TRIGGER "not$do$'ice";
--- change
ALTER TABLE tree ADD PRIMARY KEY (a);
UPDATE tree SET b = 5;
--- change
CREATE TABLE refers_to (id int PRIMARY KEY);
CREATE TABLE spread (id int REFERENCES refers_to) PARTITION BY LIST (id);
CREATE TABLE spread_1 PARTITION OF spread FOR VALUES IN (1);
INSERT INTO refers_to VALUES (1);
INSERT INTO spread VALUES (1);
--- change
TRUNCATE refers_to, spread;
INSERT INTO refers_to VALUES (1), (2);
--- change
CREATE TABLE strict (id int PRIMARY KEY, m int, k int) PARTITION BY RANGE (id);
CREATE TABLE strict_1 PARTITION OF strict (m NOT NULL) FOR VALUES FROM (0) TO (100);
CREATE TABLE strict_2 PARTITION OF strict FOR VALUES FROM (100) TO (200);
INSERT INTO strict VALUES (1, 1), (101, NULL);
--- change
UPDATE strict SET m = 0 WHERE m IS NULL;
ALTER TABLE strict ALTER m SET NOT NULL;
--- change
ALTER TABLE strict ALTER m DROP NOT NULL;
INSERT INTO strict VALUES (102, NULL);
