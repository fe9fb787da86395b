-- Tables made, renamed, moved and dropped while the pipeline runs; their rows before and after.
--- change
CREATE TABLE plain (id int PRIMARY KEY, name text NOT NULL DEFAULT 'nobody', at timestamptz);
INSERT INTO plain SELECT i, 'n' || i, now() FROM generate_series(1, 300) i;
--- change
CREATE TABLE "Odd ""name""" ("Select" int PRIMARY KEY, "a.b" text, "%" text);
INSERT INTO "Odd ""name""" VALUES (1, 'x', 'y');
--- change
CREATE TABLE like_plain (LIKE plain INCLUDING ALL);
INSERT INTO like_plain SELECT * FROM plain WHERE id < 10;
--- change
CREATE TABLE copied AS SELECT id, name || '!' AS name FROM plain WHERE id <= 100;
--- change
UPDATE copied SET name = 'changed' WHERE id = 1;
DELETE FROM copied WHERE id = 2;
INSERT INTO copied VALUES (1000, NULL), (1000, NULL);
--- change
ALTER TABLE plain RENAME TO renamed;
INSERT INTO renamed VALUES (301, 'after', NULL);
--- change
CREATE SCHEMA elsewhere;
ALTER TABLE renamed SET SCHEMA elsewhere;
UPDATE elsewhere.renamed SET name = 'moved' WHERE id = 5;
--- change
ALTER SCHEMA elsewhere RENAME TO "Else Where";
DELETE FROM "Else Where".renamed WHERE id = 6;
--- change
CREATE TABLE a (id int PRIMARY KEY, v text);
CREATE TABLE b (id int PRIMARY KEY, n int);
INSERT INTO a VALUES (1, 'a');
INSERT INTO b VALUES (1, 10);
--- change
BEGIN;
ALTER TABLE a RENAME TO swap;
ALTER TABLE b RENAME TO a;
ALTER TABLE swap RENAME TO b;
INSERT INTO a VALUES (2, 20);
INSERT INTO b VALUES (2, 'b');
COMMIT;
--- change
UPDATE a SET n = n + 1;
UPDATE b SET v = v || v;
--- change
CREATE TABLE short_lived (id int PRIMARY KEY);
INSERT INTO short_lived VALUES (1);
DROP TABLE short_lived;
--- change
CREATE TABLE short_lived (id text PRIMARY KEY, other int);
INSERT INTO short_lived VALUES ('again', 1);
--- change
DROP TABLE "Odd ""name""", like_plain;
--- change
CREATE TABLE parent (id int PRIMARY KEY, kind text);
CREATE TABLE child (extra text) INHERITS (parent);
ALTER TABLE child ADD PRIMARY KEY (id);
INSERT INTO parent VALUES (1, 'p');
INSERT INTO child VALUES (2, 'c', 'e');
--- change
ALTER TABLE parent ADD COLUMN more int DEFAULT 7;
UPDATE parent SET kind = kind || '2';
--- change
ALTER TABLE ONLY parent DROP COLUMN more;
COMMENT ON INDEX parent_pkey IS 'of the key';
--- change
ALTER TABLE child NO INHERIT parent;
ALTER TABLE parent DROP COLUMN kind;
--- change
CREATE UNLOGGED TABLE not_logged (id int PRIMARY KEY);
DROP TABLE not_logged;
CREATE TEMPORARY TABLE for_me (id int);
INSERT INTO for_me VALUES (1);
--- change
CREATE TABLE base (id int PRIMARY KEY, kind text);
CREATE TABLE heir (extra text) INHERITS (base);
ALTER TABLE heir ADD PRIMARY KEY (id);
INSERT INTO base VALUES (1, 'b');
INSERT INTO heir VALUES (2, 'h', 'E');
--- change
ALTER TABLE base ADD COLUMN r float8 DEFAULT random();
--- change
ALTER TABLE base ALTER COLUMN kind TYPE text USING kind || '!';
--- change
CREATE TABLE above (id int PRIMARY KEY);
CREATE TABLE below (v text) INHERITS (above);
CREATE VIEW both_of_them AS SELECT a.id, b.v FROM above a JOIN below b USING (id);
CREATE MATERIALIZED VIEW kept AS SELECT id FROM both_of_them;
CREATE TABLE refers (id int PRIMARY KEY, r int REFERENCES above);
CREATE TABLE holds (id int PRIMARY KEY, what refers);
--- change
DROP TABLE refers, holds;
CREATE TABLE old_system_table (id int PRIMARY KEY);
DROP MATERIALIZED VIEW kept;
DROP VIEW both_of_them;
DROP TABLE above, below;
--- change
CREATE TABLE above (id int PRIMARY KEY);
CREATE TABLE below (v text) INHERITS (above);
CREATE VIEW both_of_them AS SELECT a.id, b.v FROM above a JOIN below b USING (id);
CREATE MATERIALIZED VIEW kept AS SELECT id FROM both_of_them;
--- change
SET allow_system_table_mods = on;
ALTER TABLE old_system_table SET SCHEMA pg_catalog;
INSERT INTO pg_catalog.old_system_table VALUES (1);
DROP TABLE pg_catalog.old_system_table;
--- change
DROP TABLE above CASCADE;
