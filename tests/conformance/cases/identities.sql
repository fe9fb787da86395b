-- Replica identity by primary key, by another index, full, and changed between transactions; no key
-- at all with duplicate rows; whole rows that differ only where = sees no difference (NaN, both zeros,
-- 1.0 and 1.00, case), or whose types have no =; keys of several columns in another order than the
-- table's, and one whose index includes another column.
--- schema
CREATE TABLE by_key (b text, a int, v int, PRIMARY KEY (a, b));
CREATE TABLE including (id int, v text, w int, PRIMARY KEY (id) INCLUDE (v));
CREATE TABLE by_index (id int NOT NULL, code text NOT NULL, v int);
CREATE UNIQUE INDEX by_index_code ON by_index (code);
ALTER TABLE by_index REPLICA IDENTITY USING INDEX by_index_code;
CREATE TABLE by_row (id int, f float8, t text);
ALTER TABLE by_row REPLICA IDENTITY FULL;
CREATE TABLE alike (n numeric, f float8, i interval, b bpchar, j jsonb); ALTER TABLE alike REPLICA IDENTITY FULL;
CREATE TABLE no_equality (j json, x xml, p point, o polygon, a json[]); ALTER TABLE no_equality REPLICA IDENTITY FULL;
CREATE TABLE switching (id int PRIMARY KEY, v text);
CREATE TABLE only_inserts (v text);
--- rows
INSERT INTO by_key SELECT 'k' || i % 10, i / 10, i FROM generate_series(0, 99) i;
INSERT INTO including SELECT i, 'v', i FROM generate_series(1, 20) i;
INSERT INTO by_index SELECT i, 'code ' || i, i FROM generate_series(1, 50) i;
INSERT INTO by_row SELECT i % 5, CASE WHEN i % 3 = 0 THEN 'NaN' ELSE (i % 2)::float8 END, NULLIF(i % 4, 0)::text FROM generate_series(1, 60) i;
INSERT INTO alike VALUES (1.0, '0', '24:00', 'a', '1.0'), (1.00, '-0', '1 day', 'a ', '1.00'), (1, 'NaN', '1 day', NULL, '1'),
  ('NaN', '0', NULL, 'a', NULL), ('NaN', '-0', NULL, 'a', NULL), (NULL, NULL, NULL, NULL, NULL), (NULL, NULL, NULL, NULL, NULL);
INSERT INTO no_equality SELECT '{"a": 1}', '<a/>', '(1,2)', '((0,0),(1,1),(0,1))', ARRAY['{}'::json] FROM generate_series(1, 5);
INSERT INTO no_equality VALUES ('{"a":1}', '<a></a>', '(NaN,-0)', NULL, NULL), (NULL, NULL, NULL, NULL, NULL);
INSERT INTO switching SELECT i, 'v' FROM generate_series(1, 30) i;
INSERT INTO only_inserts VALUES ('same'), ('same'), (NULL);
--- change
UPDATE by_key SET v = -v WHERE a < 5;
UPDATE by_key SET a = a + 100 WHERE b = 'k3';
DELETE FROM by_key WHERE b = 'k4';
UPDATE including SET v = 'changed' WHERE id < 10; UPDATE including SET id = -id, v = NULL WHERE id > 15; DELETE FROM including WHERE id = 5;
UPDATE by_index SET v = 0, id = -id WHERE id < 10;
UPDATE by_index SET code = 'new ' || code WHERE id > 40;
DELETE FROM by_index WHERE id = 20;
INSERT INTO only_inserts VALUES ('same');
--- change
UPDATE by_row SET t = 'changed' WHERE ctid IN (SELECT ctid FROM by_row WHERE id = 1 LIMIT 2);
DELETE FROM by_row WHERE ctid IN (SELECT ctid FROM by_row WHERE f = 'NaN' LIMIT 3);
UPDATE by_row SET f = NULL WHERE t IS NULL AND id = 4;
--- change
UPDATE alike SET b = 'second' WHERE n::text = '1.00'; DELETE FROM alike WHERE n::text = '1.0'; DELETE FROM alike WHERE f::text = '-0' AND n = 'NaN';
UPDATE alike SET i = '1 mon' WHERE f = 'NaN'; DELETE FROM alike WHERE ctid = (SELECT ctid FROM alike WHERE b IS NULL AND n IS NULL LIMIT 1);
UPDATE no_equality SET p = '(3,4)' WHERE ctid IN (SELECT ctid FROM no_equality WHERE j::text = '{"a": 1}' LIMIT 2);
DELETE FROM no_equality WHERE ctid IN (SELECT ctid FROM no_equality WHERE j::text = '{"a": 1}' AND p[0] = 1 LIMIT 2);
UPDATE no_equality SET j = 'null' WHERE o IS NULL AND p IS NOT NULL; DELETE FROM no_equality WHERE j IS NULL;
--- change
UPDATE switching SET v = 'by key' WHERE id <= 10;
ALTER TABLE switching REPLICA IDENTITY FULL;
--- change
UPDATE switching SET v = 'full' WHERE id BETWEEN 5 AND 15;
DELETE FROM switching WHERE id = 16;
ALTER TABLE switching REPLICA IDENTITY DEFAULT;
--- change
UPDATE switching SET id = -id WHERE id > 25;
