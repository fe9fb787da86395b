-- Types whose binary form is the OID of an object, which has another one on the target: regclass,
-- regtype, regproc and the like; in arrays and domains, as a key, and of objects that are gone.
--- needs: text
--- both
CREATE TABLE "Some Table" (id int PRIMARY KEY); CREATE TYPE "Some Type" AS ENUM ('a');
CREATE FUNCTION some_function(int, text) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE SCHEMA some_schema; CREATE TEXT SEARCH CONFIGURATION some_schema.words (COPY = simple);
CREATE OPERATOR some_schema.=== (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq);
--- schema
CREATE DOMAIN table_name AS regclass;
CREATE TABLE objects (c regclass PRIMARY KEY, t regtype, p regprocedure, f regproc, o regoperator, n regnamespace, r regrole,
  w regconfig, d regdictionary, a regclass[], dom table_name, doms table_name[], v int);
--- rows
INSERT INTO objects VALUES ('"Some Table"', '"Some Type"', 'some_function(int, text)', 'some_function', 'some_schema.===(int, int)',
  'some_schema', 'postgres', 'some_schema.words', 'simple', ARRAY['"Some Table"'::regclass, NULL, 'pg_class'], '"Some Table"', ARRAY['pg_type'::regclass]::table_name[], 1),
  ('pg_class', 'int', 'upper(text)', 'now', '=(int, int)', 'pg_catalog', NULL, 'english', 'simple', '{}', NULL, NULL, 2),
  ('99999999', '0', '0', '0', '0', '0', NULL, '0', '0', '{88888888}', '0', '{}', 3);
--- change
UPDATE objects SET v = v + 1, t = '"Some Type"[]' WHERE c = '"Some Table"'::regclass; DELETE FROM objects WHERE c = 'pg_class'::regclass;
UPDATE objects SET c = '"Some Type"'::regtype::oid::regclass WHERE false; UPDATE objects SET v = 0, a = NULL WHERE c = '99999999';
