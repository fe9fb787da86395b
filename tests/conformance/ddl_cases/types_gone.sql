-- Rows in the log of tables and types that are gone by now, or that are not committed yet where the
-- source sends transactions before their end; CREATE TABLE AS with a type that has no binary form.
--- needs: alone
--- change
CREATE TYPE color AS ENUM ('red', 'green');
CREATE TYPE spot AS (c color, n int);
CREATE DOMAIN colors AS color[];
CREATE TABLE gone (id int PRIMARY KEY, c color[], s spot, d colors, a spot[]);
INSERT INTO gone VALUES (1, '{red}', ROW('green', 1), '{green}', ARRAY[ROW('red', 2)]::spot[]);
CREATE TABLE changed (id int PRIMARY KEY, s spot, n int);
INSERT INTO changed VALUES (1, ROW('green', 1), 1);
--- change
UPDATE gone SET c = '{green,red}';
INSERT INTO gone VALUES (2, '{}', NULL, '{red}', '{}');
UPDATE changed SET n = 2, s = ROW('red', 5);
ALTER TYPE spot DROP ATTRIBUTE c CASCADE;
UPDATE changed SET n = 3;
--- change
DROP TABLE gone;
DROP DOMAIN colors;
DROP TYPE color;
--- change
CREATE TABLE acl AS SELECT i AS id, 'postgres=r/postgres'::aclitem AS one,
  ARRAY['postgres=w/postgres'::aclitem] AS more FROM generate_series(1, 10) i;
INSERT INTO acl VALUES (11, 'postgres=r*/postgres', '{}');
--- change
DROP TABLE acl;
INSERT INTO changed VALUES (2, ROW(7), 7);
--- change
BEGIN;
CREATE TYPE fresh AS ENUM ('a', 'b');
CREATE TABLE of_fresh (id int PRIMARY KEY, f fresh, a fresh[], filler text);
INSERT INTO of_fresh SELECT i, 'a', '{b}', repeat('x', 100) FROM generate_series(1, 1500) i;
SELECT pg_sleep(0.3);
INSERT INTO of_fresh SELECT i, 'b', '{a,b}', repeat('x', 100) FROM generate_series(1501, 2000) i;
COMMIT;
