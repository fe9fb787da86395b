-- Large values out of line, left alone by an update: of text, jsonb, bytea and arrays; with the key
-- changed, with a full before image, twice in one transaction, and a key that is large itself.
--- schema
CREATE TABLE large (id int PRIMARY KEY, v int, t text, j jsonb, y bytea, a text[]);
ALTER TABLE large ALTER t SET STORAGE EXTERNAL, ALTER y SET STORAGE EXTERNAL, ALTER a SET STORAGE EXTERNAL;
CREATE TABLE large_full (id int PRIMARY KEY, v int, t text);
ALTER TABLE large_full REPLICA IDENTITY FULL;
ALTER TABLE large_full ALTER t SET STORAGE EXTERNAL;
CREATE TABLE no_key (v int, t text);
ALTER TABLE no_key REPLICA IDENTITY FULL;
ALTER TABLE no_key ALTER t SET STORAGE EXTERNAL;
--- rows
INSERT INTO large SELECT i, 0, repeat('t' || i, 5000), jsonb_build_object('k', (SELECT array_agg(md5(n::text)) FROM generate_series(1, 300) n)),
  decode(repeat(md5(i::text), 500), 'hex'), ARRAY[repeat('a', 9000), NULL] FROM generate_series(1, 20) i;
INSERT INTO large_full SELECT i, 0, repeat('f' || i, 5000) FROM generate_series(1, 20) i;
INSERT INTO no_key SELECT i, repeat('n' || i, 5000) FROM generate_series(1, 20) i;
--- change
UPDATE large SET v = 1 WHERE id <= 15;
UPDATE large SET v = v + 1, j = '{}' WHERE id <= 10;
UPDATE large SET v = v + 1 WHERE id <= 5;
--- change
UPDATE large SET id = id + 100 WHERE id BETWEEN 3 AND 7;
UPDATE large SET id = id + 100, t = 'short' WHERE id BETWEEN 8 AND 9;
UPDATE large_full SET v = v + 1 WHERE id <= 10; UPDATE large_full SET id = -id WHERE id = 11;
UPDATE no_key SET v = v + 100 WHERE v <= 10; DELETE FROM no_key WHERE v = 12;
--- change
DELETE FROM large WHERE id = 20; DELETE FROM large_full WHERE id > 15;
UPDATE large SET a = NULL, y = '' WHERE id = 1;
