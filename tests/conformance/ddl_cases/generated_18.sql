-- Virtual generated columns: made with their table and added to it, in partitions and heirs, beside those that are stored; never sent, computed on each side
--- needs: server 18
--- change
CREATE TABLE a (v int GENERATED ALWAYS AS (n * 2) VIRTUAL, id int PRIMARY KEY, n int, s int GENERATED ALWAYS AS (n * 3) STORED);
INSERT INTO a (id, n) VALUES (1, 1), (2, 2);
--- change
ALTER TABLE a ADD COLUMN w text GENERATED ALWAYS AS (n || '!') VIRTUAL CHECK (w <> '9!');
UPDATE a SET n = 7 WHERE id = 1;
DELETE FROM a WHERE id = 2;
--- change
ALTER TABLE a RENAME COLUMN v TO "V";
ALTER TABLE a RENAME COLUMN n TO nn;
ALTER TABLE a ALTER "V" SET NOT NULL;
COMMENT ON COLUMN a."V" IS 'twice';
INSERT INTO a (id, nn) VALUES (3, 3);
--- change
ALTER TABLE a ADD COLUMN r double precision DEFAULT random(), ADD COLUMN u int GENERATED ALWAYS AS (nn + 1);
--- change
ALTER TABLE a DROP COLUMN w, DROP COLUMN s;
INSERT INTO a (id, nn) VALUES (4, 3);
--- change
CREATE TABLE p (id int PRIMARY KEY, n int, v int GENERATED ALWAYS AS (n * 2)) PARTITION BY RANGE (id);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (100);
CREATE TABLE p2 PARTITION OF p (v GENERATED ALWAYS AS (n * 3)) FOR VALUES FROM (100) TO (200);
INSERT INTO p (id, n) VALUES (1, 1), (101, 1);
UPDATE p SET id = 150 WHERE id = 1;
--- change
ALTER TABLE p ADD COLUMN w int GENERATED ALWAYS AS (n + 1) VIRTUAL;
ALTER TABLE p DROP COLUMN v;
INSERT INTO p (id, n) VALUES (3, 3);
--- change
CREATE TABLE heir (x int) INHERITS (a);
CREATE TABLE other ("V" int GENERATED ALWAYS AS (nn * 5)) INHERITS (a);
INSERT INTO heir (id, nn, x) VALUES (1, 2, 3);
INSERT INTO other (id, nn) VALUES (1, 2);
--- change
CREATE TABLE copied AS SELECT * FROM a;
CREATE TABLE alike (LIKE a INCLUDING ALL);
INSERT INTO alike (id, nn) VALUES (1, 2);
