-- Operators, aggregates, casts, collations, conversions, text search and operator classes: made alone, together with other commands and in functions; changed; dropped; default privileges.
--- change
CREATE TYPE pair AS (x int, y int);
CREATE FUNCTION pair_eq(pair, pair) RETURNS boolean LANGUAGE sql IMMUTABLE
  AS 'SELECT $1.x = $2.x AND $1.y = $2.y';
CREATE FUNCTION pair_ne(pair, pair) RETURNS boolean LANGUAGE sql IMMUTABLE
  AS 'SELECT NOT ($1.x = $2.x AND $1.y = $2.y)';
CREATE OPERATOR === (LEFTARG = pair, RIGHTARG = pair, FUNCTION = pair_eq, COMMUTATOR = ===,
  NEGATOR = !==, RESTRICT = eqsel);
CREATE OPERATOR !== (LEFTARG = pair, RIGHTARG = pair, FUNCTION = pair_ne, NEGATOR = ===);
CREATE OPERATOR @!@ (RIGHTARG = int, FUNCTION = int4abs);
--- change
ALTER OPERATOR === (pair, pair) SET (RESTRICT = neqsel, JOIN = eqjoinsel);
COMMENT ON OPERATOR === (pair, pair) IS 'a; b';
CREATE SCHEMA parts;
ALTER OPERATOR @!@ (NONE, int) SET SCHEMA parts;
--- change
CREATE FUNCTION pair_of(int) RETURNS pair LANGUAGE sql IMMUTABLE AS 'SELECT ROW($1, $1)::pair';
CREATE CAST (int AS pair) WITH FUNCTION pair_of(int) AS ASSIGNMENT;
CREATE CAST (pair AS text) WITH INOUT AS IMPLICIT;
COMMENT ON CAST (int AS pair) IS 'twice';
CREATE TABLE holds (id int PRIMARY KEY, p pair);
INSERT INTO holds VALUES (1, 7);
--- change
DROP CAST (pair AS text);
DROP OPERATOR parts.@!@ (NONE, int);
DO $$ BEGIN
  CREATE AGGREGATE total_of(int) (SFUNC = int4pl, STYPE = int, INITCOND = '0', PARALLEL = SAFE,
    COMBINEFUNC = int4pl, MSFUNC = int4pl, MINVFUNC = int4mi, MSTYPE = int);
  CREATE AGGREGATE how_many(*) (SFUNC = int8inc, STYPE = int8, INITCOND = '0');
  CREATE AGGREGATE middle(double precision ORDER BY anyelement) (SFUNC = ordered_set_transition,
    STYPE = internal, FINALFUNC = percentile_disc_final, FINALFUNC_EXTRA);
END $$;
--- change
CREATE OR REPLACE AGGREGATE total_of(int) (SFUNC = int4pl, STYPE = int, INITCOND = '5');
ALTER AGGREGATE total_of(int) RENAME TO sum_of;
ALTER AGGREGATE how_many(*) SET SCHEMA parts;
COMMENT ON AGGREGATE parts.how_many(*) IS 'all';
GRANT EXECUTE ON FUNCTION parts.how_many() TO pg_monitor;
--- change
DROP AGGREGATE sum_of(int), parts.how_many(*), middle(double precision ORDER BY anyelement);
--- change
CREATE COLLATION "by code" (LOCALE = 'C');
CREATE COLLATION loose (PROVIDER = icu, LOCALE = 'und-u-ks-level2', DETERMINISTIC = false);
CREATE TABLE words (id int PRIMARY KEY, w text COLLATE "by code");
CREATE TABLE loose_words (id int PRIMARY KEY, w text COLLATE loose);
INSERT INTO words VALUES (1, 'b'), (2, 'a');
INSERT INTO loose_words VALUES (1, 'X'), (2, 'x');
CREATE CONVERSION to_latin FOR 'UTF8' TO 'LATIN1' FROM utf8_to_iso8859_1;
--- change
ALTER COLLATION "by code" RENAME TO by_byte;
ALTER COLLATION by_byte SET SCHEMA parts;
COMMENT ON COLLATION parts.by_byte IS 'C';
ALTER CONVERSION to_latin RENAME TO latin;
--- change
DROP CONVERSION latin;
DROP TABLE words, loose_words;
DROP COLLATION parts.by_byte, loose;
--- change
CREATE TEXT SEARCH DICTIONARY plain (TEMPLATE = simple, STOPWORDS = english);
CREATE TEXT SEARCH CONFIGURATION shop (COPY = english);
ALTER TEXT SEARCH CONFIGURATION shop ALTER MAPPING FOR asciiword, word WITH plain, english_stem;
--- change
ALTER TEXT SEARCH CONFIGURATION shop DROP MAPPING FOR email, url;
ALTER TEXT SEARCH CONFIGURATION shop ALTER MAPPING REPLACE plain WITH simple;
ALTER TEXT SEARCH DICTIONARY plain (ACCEPT = false);
ALTER TEXT SEARCH DICTIONARY plain RENAME TO "plain one";
COMMENT ON TEXT SEARCH CONFIGURATION shop IS 'of the shop';
CREATE INDEX ON holds USING gin (to_tsvector('shop', id::text));
--- change
DROP TEXT SEARCH DICTIONARY "plain one";
--- change
CREATE FUNCTION pair_cmp(pair, pair) RETURNS int LANGUAGE sql IMMUTABLE
  AS 'SELECT CASE WHEN $1.x < $2.x THEN -1 WHEN $1.x > $2.x THEN 1 ELSE 0 END';
CREATE OPERATOR FAMILY pairs USING btree;
CREATE OPERATOR CLASS pair_ops FOR TYPE pair USING btree FAMILY pairs AS
  OPERATOR 3 ===(pair, pair), FUNCTION 1 pair_cmp(pair, pair);
CREATE OPERATOR CLASS alone FOR TYPE pair USING hash AS OPERATOR 1 ===(pair, pair);
--- change
CREATE FUNCTION pair_cmp(pair, int) RETURNS int LANGUAGE sql IMMUTABLE
  AS 'SELECT CASE WHEN $1.x < $2 THEN -1 WHEN $1.x > $2 THEN 1 ELSE 0 END';
ALTER OPERATOR FAMILY pairs USING btree ADD FUNCTION 1 (pair, int) pair_cmp(pair, int);
ALTER OPERATOR CLASS pair_ops USING btree RENAME TO "Pair";
--- change
ALTER OPERATOR FAMILY pairs USING btree DROP FUNCTION 1 (pair, int);
ALTER OPERATOR FAMILY pairs USING btree SET SCHEMA parts;
DROP OPERATOR FAMILY alone USING hash CASCADE;
--- change
CREATE FUNCTION make_all() RETURNS void LANGUAGE plpgsql AS $$ BEGIN
  CREATE OPERATOR <<>> (LEFTARG = int, RIGHTARG = int, FUNCTION = int4ne);
  CREATE TEXT SEARCH CONFIGURATION other (PARSER = "default");
END $$;
SELECT make_all();
--- change
ALTER DEFAULT PRIVILEGES IN SCHEMA parts GRANT SELECT ON TABLES TO pg_monitor;
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
CREATE TABLE parts.seen (id int PRIMARY KEY);
CREATE FUNCTION unseen() RETURNS int LANGUAGE sql AS 'SELECT 1';
--- change
ALTER DEFAULT PRIVILEGES IN SCHEMA parts GRANT SELECT, INSERT ON TABLES TO pg_monitor WITH GRANT OPTION;
--- change
ALTER DEFAULT PRIVILEGES IN SCHEMA parts REVOKE ALL ON TABLES FROM pg_monitor;
ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON FUNCTIONS TO PUBLIC;
--- change
DROP TYPE pair CASCADE;
DROP SCHEMA parts CASCADE;
