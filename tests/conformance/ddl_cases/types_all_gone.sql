-- Rows in the log of types that are all gone by now, so that no table of today asks for the text
-- format: a dropped enum's array, and a table of privileges that came with its rows.
--- needs: alone
--- change
CREATE TYPE color AS ENUM ('red', 'green');
CREATE TABLE gone (id int PRIMARY KEY, c color[]);
INSERT INTO gone VALUES (1, '{red}');
CREATE TABLE plain (id int PRIMARY KEY, n int);
INSERT INTO plain VALUES (1, 1);
--- change
UPDATE gone SET c = '{green,red}';
UPDATE plain SET n = 2;
--- change
DROP TABLE gone;
DROP TYPE color;
INSERT INTO plain VALUES (2, 2);
--- change
CREATE TABLE acl AS SELECT i AS id, 'postgres=r/postgres'::aclitem AS one
  FROM generate_series(1, 10) i;
UPDATE plain SET n = 3 WHERE id = 1;
--- change
DROP TABLE acl;
INSERT INTO plain VALUES (3, 3);
