-- Enums, domains, composite and range types: made, changed, used at once, dropped; extensions.
--- change
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TYPE pair AS (x int, y text);
CREATE TYPE span AS RANGE (SUBTYPE = float8, SUBTYPE_DIFF = float8mi);
CREATE TABLE uses (id int PRIMARY KEY, m mood, d positive, p pair, s span, ms mood[]);
INSERT INTO uses VALUES (1, 'sad', 5, (1, 'one'), '[1,2)', '{ok,sad}');
--- change
ALTER TYPE mood ADD VALUE 'happy';
--- change
INSERT INTO uses VALUES (2, 'happy', 6, NULL, 'empty', '{happy}');
--- change
ALTER TYPE mood ADD VALUE 'worst' BEFORE 'sad';
--- change
ALTER TYPE mood ADD VALUE 'so so' AFTER 'sad';
--- change
UPDATE uses SET m = 'so so' WHERE id = 1;
INSERT INTO uses (id, m) VALUES (3, 'worst');
--- change
ALTER TYPE mood RENAME VALUE 'ok' TO 'fine';
INSERT INTO uses (id, m) VALUES (4, 'fine');
--- change
ALTER TYPE mood RENAME TO feeling;
INSERT INTO uses (id, m) VALUES (5, 'fine');
--- change
ALTER DOMAIN positive DROP CONSTRAINT positive_check;
ALTER DOMAIN positive ADD CONSTRAINT "not ten" CHECK (VALUE <> 10);
ALTER DOMAIN positive SET DEFAULT 3;
INSERT INTO uses (id, d) VALUES (6, -1);
--- change
ALTER DOMAIN positive SET SCHEMA public;
COMMENT ON DOMAIN positive IS 'it''s not any more';
CREATE SCHEMA kinds;
ALTER TYPE feeling SET SCHEMA kinds;
INSERT INTO uses (id, m) VALUES (7, 'happy');
--- change
CREATE TYPE alone AS (a int, b text);
ALTER TYPE alone ADD ATTRIBUTE c date, DROP ATTRIBUTE a;
ALTER TYPE alone RENAME ATTRIBUTE b TO bb;
--- change
DROP TYPE alone;
ALTER TABLE uses DROP COLUMN s;
DROP TYPE span;
--- change
CREATE EXTENSION citext;
CREATE TABLE mails (address citext PRIMARY KEY, at timestamptz);
INSERT INTO mails VALUES ('A@b.c', now());
--- change
CREATE EXTENSION hstore SCHEMA kinds;
ALTER TABLE mails ADD COLUMN tags kinds.hstore DEFAULT 'a=>1';
UPDATE mails SET address = 'a@B.c';
--- change
CREATE TYPE twin AS (a int);
CREATE TYPE _twin AS ENUM ('x');
CREATE TABLE of_twins (id int PRIMARY KEY, t twin[], e _twin);
INSERT INTO of_twins VALUES (1, '{(1)}', 'x');
--- change
DROP TABLE of_twins;
DROP TYPE _twin;
DROP TYPE twin;
--- change
CREATE DOMAIN low AS int;
CREATE TABLE lows (v low, t text);
INSERT INTO lows VALUES (55, 'a'), (4, 'b');
--- change
ALTER DOMAIN low ADD CONSTRAINT under CHECK (VALUE < 11) NOT VALID;
--- change
UPDATE lows SET v = 10 WHERE v = 55;
DELETE FROM lows WHERE v = 4;
