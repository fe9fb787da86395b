-- Foreign data wrappers, servers and foreign tables; user mappings stay where they are.
--- change
CREATE FOREIGN DATA WRAPPER nowhere OPTIONS (a '1', "B" 'it''s');
CREATE SERVER "far away" TYPE 't' VERSION '1' FOREIGN DATA WRAPPER nowhere OPTIONS (host 'a');
CREATE USER MAPPING FOR PUBLIC SERVER "far away" OPTIONS (password 'secret');
CREATE FOREIGN TABLE distant (id int OPTIONS (name 'ID') NOT NULL, v text DEFAULT 'x')
  SERVER "far away" OPTIONS (tab 'le');
--- change
ALTER SERVER "far away" VERSION '2' OPTIONS (SET host 'b', ADD port '5');
ALTER FOREIGN DATA WRAPPER nowhere OPTIONS (DROP a);
ALTER FOREIGN TABLE distant ADD COLUMN w int OPTIONS (name 'W'), ALTER COLUMN id OPTIONS (DROP name),
  OPTIONS (SET tab 'other');
COMMENT ON FOREIGN TABLE distant IS 'elsewhere';
COMMENT ON SERVER "far away" IS 'server';
GRANT USAGE ON FOREIGN SERVER "far away" TO pg_monitor;
GRANT SELECT ON distant TO pg_monitor;
CREATE FUNCTION of_distant(distant) RETURNS int LANGUAGE sql AS 'SELECT 1';
--- change
ALTER FOREIGN TABLE distant RENAME TO afar;
ALTER FOREIGN TABLE afar DROP COLUMN w;
ALTER SERVER "far away" RENAME TO away;
CREATE TABLE parts (id int, v text) PARTITION BY LIST (id);
CREATE FOREIGN TABLE parts_1 PARTITION OF parts FOR VALUES IN (1) SERVER away;
--- change
DROP FUNCTION of_distant(afar);
DROP FOREIGN TABLE afar;
DROP SERVER away CASCADE;
DROP FOREIGN DATA WRAPPER nowhere;
