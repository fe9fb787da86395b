-- Keys that change places and unique values that do, in one transaction; a row deleted and inserted
-- again; chains of key changes; deferrable constraints.
--- schema
CREATE TABLE keys (id int PRIMARY KEY, v text, u int UNIQUE DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE chain (id int PRIMARY KEY, v text);
--- rows
INSERT INTO keys SELECT i, 'v' || i, i FROM generate_series(1, 200) i;
INSERT INTO chain SELECT i, 'c' || i FROM generate_series(1, 100) i;
--- change
UPDATE keys SET id = -1 WHERE id = 1; UPDATE keys SET id = 1 WHERE id = 2; UPDATE keys SET id = 2 WHERE id = -1;
UPDATE keys SET u = CASE u WHEN 10 THEN 11 ELSE 10 END WHERE u IN (10, 11);
DELETE FROM keys WHERE id = 50; INSERT INTO keys VALUES (50, 'again', 50);
--- change
UPDATE keys SET id = id + 1000; UPDATE keys SET id = id - 1000, u = 201 - u;
--- change
UPDATE chain SET id = id + 1000 WHERE id <= 50; UPDATE chain SET id = id - 50 WHERE id BETWEEN 51 AND 100;
DELETE FROM chain WHERE id = 1001; INSERT INTO chain VALUES (1001, 'back'); UPDATE chain SET v = 'twice' WHERE id = 1001;
