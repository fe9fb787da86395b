-- Statements that change nothing: updates to the same value (of a key, of a large value, suppressed by
-- a trigger), row locks, rows inserted and deleted again, deletes of no row, a trigger that refuses.
--- schema
CREATE TABLE same (id int PRIMARY KEY, v int, large text);
ALTER TABLE same ALTER large SET STORAGE EXTERNAL;
CREATE TABLE same_by_row (v int, large text);
ALTER TABLE same_by_row REPLICA IDENTITY FULL; ALTER TABLE same_by_row ALTER large SET STORAGE EXTERNAL;
CREATE TABLE guarded (id int PRIMARY KEY, v int);
CREATE TRIGGER same BEFORE UPDATE ON guarded FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER refuse BEFORE DELETE ON guarded FOR EACH ROW EXECUTE FUNCTION refuse();
--- rows
INSERT INTO same SELECT i, i, repeat('large' || i, 3000) FROM generate_series(1, 30) i;
INSERT INTO same_by_row SELECT i % 3, repeat('large', 3000) FROM generate_series(1, 12) i;
INSERT INTO guarded SELECT i, i FROM generate_series(1, 30) i;
--- change
UPDATE same SET v = v; UPDATE same SET id = id; UPDATE same SET large = large; UPDATE same_by_row SET v = v; UPDATE same_by_row SET large = large;
UPDATE same SET large = large || ''; UPDATE same SET v = 0 WHERE id < 0; DELETE FROM same WHERE id < 0;
--- change
SELECT count(*) FROM (SELECT FROM same FOR UPDATE) x; SELECT count(*) FROM (SELECT FROM same_by_row FOR SHARE) x;
SELECT count(*) FROM (SELECT FROM same FOR KEY SHARE) x; UPDATE same SET v = v + 1 WHERE id = 3;
--- change
UPDATE guarded SET v = v; UPDATE guarded SET v = CASE id WHEN 5 THEN 0 ELSE v END; DELETE FROM guarded;
--- change
INSERT INTO same VALUES (100, 1, 'short'), (101, 1, repeat('gone', 5000)); DELETE FROM same WHERE id >= 100;
DELETE FROM same WHERE id = 7; INSERT INTO same SELECT 7, 7, repeat('large7', 3000); UPDATE same SET id = -id WHERE id = 8; UPDATE same SET id = -id WHERE id = -8;
