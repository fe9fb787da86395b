-- Virtual generated columns, beside stored ones, in front, in the middle and alone.
--- needs: server 18
--- schema
CREATE TABLE virtual (v int GENERATED ALWAYS AS (n * 2) VIRTUAL, id int PRIMARY KEY, s text GENERATED ALWAYS AS (n || '!') STORED,
  w text GENERATED ALWAYS AS (upper(t)), n int, t text);
CREATE TABLE generated_by_index (v int GENERATED ALWAYS AS (n + 1) VIRTUAL, n int NOT NULL UNIQUE, t text);
ALTER TABLE generated_by_index REPLICA IDENTITY USING INDEX generated_by_index_n_key;
CREATE TABLE virtual_only (v int GENERATED ALWAYS AS (42) VIRTUAL);
--- rows
INSERT INTO virtual (id, n, t) SELECT i, i, 't' || i FROM generate_series(1, 40) i; INSERT INTO virtual (id) VALUES (100);
INSERT INTO generated_by_index (n, t) SELECT i, 't' FROM generate_series(1, 20) i; INSERT INTO virtual_only DEFAULT VALUES;
--- change
UPDATE virtual SET n = n + 1 WHERE id % 2 = 0; DELETE FROM virtual WHERE id = 3; UPDATE virtual SET id = -id WHERE id = 5;
UPDATE generated_by_index SET n = 70 WHERE n = 2; DELETE FROM generated_by_index WHERE n = 4; UPDATE generated_by_index SET t = NULL WHERE n = 6; INSERT INTO virtual_only DEFAULT VALUES;
