-- Enums (also as a key), domains (nested, with checks), composites (nested, with a dropped attribute),
-- in another schema; they have other OIDs on the target.
--- needs: text
--- schema
CREATE SCHEMA "Other Types";
CREATE TYPE "Other Types"."Mood" AS ENUM ('sad', 'so-so', 'it''s ok');
CREATE DOMAIN percent AS numeric(5, 2) CHECK (VALUE BETWEEN 0 AND 100);
CREATE DOMAIN small_percent AS percent NOT NULL CHECK (VALUE < 10);
CREATE TYPE inner_type AS (x float8, gone int, y text);
ALTER TYPE inner_type DROP ATTRIBUTE gone;
CREATE TYPE outer_type AS (i inner_type, m "Other Types"."Mood", a int[]);
CREATE TABLE user_types (k "Other Types"."Mood" PRIMARY KEY, p percent, s small_percent, o outer_type);
--- rows
INSERT INTO user_types VALUES ('sad', 99.99, 9.5, ROW(ROW('NaN', 'a "b"'), 'so-so', '{1,NULL}')),
  ('so-so', NULL, 0, ROW(NULL, NULL, NULL));
--- change
UPDATE user_types SET p = 1, o = ROW(ROW(1.5, NULL), 'sad', '{}') WHERE k = 'so-so';
INSERT INTO user_types VALUES ('it''s ok', 0, 1, NULL);
--- change
UPDATE user_types SET k = 'it''s ok' WHERE false;
DELETE FROM user_types WHERE k = 'sad';
