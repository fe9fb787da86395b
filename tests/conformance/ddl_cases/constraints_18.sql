-- Keys WITHOUT OVERLAPS, foreign keys with PERIOD, constraints that are NOT ENFORCED, of tables, partitions and heirs, with rows between them
--- needs: server 18
--- change
CREATE TABLE room (id int4range, valid daterange, name text, CONSTRAINT room_key PRIMARY KEY (id, valid WITHOUT OVERLAPS));
CREATE TABLE booking (id int PRIMARY KEY, room int4range, during daterange,
  CONSTRAINT in_time FOREIGN KEY (room, PERIOD during) REFERENCES room (id, PERIOD valid));
INSERT INTO room VALUES ('[1,2)', '[2026-01-01,2026-06-01)', 'a'), ('[1,2)', '[2026-06-01,2027-01-01)', 'b');
INSERT INTO booking VALUES (1, '[1,2)', '[2026-05-01,2026-07-01)');
--- change
UPDATE room SET name = 'c' WHERE name = 'a';
INSERT INTO room VALUES ('[2,3)', '[2026-01-01,2026-06-01)', 'd'), ('[3,4)', '[2026-01-01,2026-02-01)', 'e');
DELETE FROM room WHERE name = 'd';
UPDATE room SET valid = '[2026-03-01,2026-04-01)' WHERE name = 'e';
--- change
ALTER TABLE booking DROP CONSTRAINT in_time;
ALTER TABLE room DROP CONSTRAINT room_key;
ALTER TABLE room REPLICA IDENTITY FULL;
UPDATE room SET name = 'f' WHERE name = 'c';
--- change
ALTER TABLE room ADD CONSTRAINT room_unique UNIQUE (id, valid WITHOUT OVERLAPS);
ALTER TABLE room ALTER id SET NOT NULL, ALTER valid SET NOT NULL;
ALTER TABLE room REPLICA IDENTITY USING INDEX room_unique;
ALTER TABLE booking ADD CONSTRAINT later FOREIGN KEY (room, PERIOD during) REFERENCES room (id, PERIOD valid) NOT VALID;
UPDATE room SET name = 'g' WHERE name = 'f';
--- change
ALTER TABLE booking VALIDATE CONSTRAINT later;
ALTER TABLE booking RENAME CONSTRAINT later TO "la ter";
--- change
CREATE TABLE tree (id int4range, valid daterange, v text, PRIMARY KEY (id, valid WITHOUT OVERLAPS)) PARTITION BY LIST (id);
CREATE TABLE tree_1 PARTITION OF tree FOR VALUES IN ('[1,2)', '[2,3)');
CREATE TABLE tree_2 PARTITION OF tree FOR VALUES IN ('[3,4)');
INSERT INTO tree VALUES ('[1,2)', '[2026-01-01,2026-06-01)', 'a'), ('[3,4)', '[2026-01-01,2026-06-01)', 'a');
UPDATE tree SET v = 'b';
UPDATE tree SET id = '[3,4)', valid = '[2027-01-01,2027-02-01)' WHERE id = '[1,2)';
--- change
CREATE TABLE a (id int PRIMARY KEY, n int, CONSTRAINT pos CHECK (n > 0) NOT ENFORCED);
CREATE TABLE b (id int PRIMARY KEY, a int CONSTRAINT ref REFERENCES a NOT ENFORCED);
INSERT INTO a VALUES (1, -1);
INSERT INTO b VALUES (1, 77);
--- change
UPDATE b SET a = 1;
ALTER TABLE b ALTER CONSTRAINT ref ENFORCED;
ALTER TABLE a ADD CONSTRAINT neg CHECK (n < 0) NOT ENFORCED;
--- change
ALTER TABLE b ALTER CONSTRAINT ref NOT ENFORCED;
ALTER TABLE a RENAME CONSTRAINT neg TO "ne g";
COMMENT ON CONSTRAINT "ne g" ON a IS 'below';
INSERT INTO b VALUES (2, 78);
--- change
CREATE TABLE c (x int) INHERITS (a);
CREATE TABLE parted (id int PRIMARY KEY, a int CONSTRAINT ref REFERENCES a NOT ENFORCED, CHECK (a > 0) NOT ENFORCED) PARTITION BY RANGE (id);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (100);
INSERT INTO parted VALUES (1, 1), (2, 1);
--- change
ALTER TABLE parted ALTER CONSTRAINT ref ENFORCED;
ALTER TABLE parted ADD CONSTRAINT again FOREIGN KEY (a) REFERENCES a NOT VALID;
--- change
ALTER TABLE parted VALIDATE CONSTRAINT again;
ALTER TABLE a DROP CONSTRAINT pos, DROP CONSTRAINT "ne g";
