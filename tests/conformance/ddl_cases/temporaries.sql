-- Functions and domains over temporary tables, which go with the session, or earlier.
--- change
CREATE TEMP TABLE held (id int, v text);
CREATE FUNCTION of_held() RETURNS SETOF held LANGUAGE sql AS 'SELECT * FROM held';
CREATE DOMAIN some_held AS held[];
CREATE FUNCTION of_some(some_held) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE TABLE beside (id int PRIMARY KEY);
INSERT INTO beside VALUES (1);
DISCARD TEMP;
--- change
CREATE TEMP TABLE held (id int, v text);
CREATE FUNCTION of_held() RETURNS SETOF held LANGUAGE sql AS 'SELECT * FROM held';
ALTER TABLE beside ADD COLUMN v text;
COMMENT ON FUNCTION of_held() IS 'for a moment';
DROP TABLE held CASCADE;
