-- Owners, privileges and comments; roles are the cluster's own.
--- needs: alone
--- change
CREATE TABLE guarded (id int PRIMARY KEY, secret text);
CREATE SEQUENCE numbers;
CREATE FUNCTION answer() RETURNS int LANGUAGE sql AS 'SELECT 42';
CREATE SCHEMA private;
CREATE TYPE shade AS ENUM ('dark');
--- change
GRANT SELECT, UPDATE ON guarded TO PUBLIC;
GRANT ALL ON SCHEMA private TO pg_monitor WITH GRANT OPTION;
GRANT INSERT (id), SELECT (secret) ON guarded TO pg_monitor;
REVOKE EXECUTE ON FUNCTION answer() FROM PUBLIC;
GRANT USAGE ON SEQUENCE numbers TO pg_monitor;
GRANT USAGE ON TYPE shade TO pg_monitor;
--- change
REVOKE UPDATE ON guarded FROM PUBLIC;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO pg_read_all_stats;
--- change
COMMENT ON TABLE guarded IS 'it''s "guarded"';
COMMENT ON COLUMN guarded.secret IS 'sh';
COMMENT ON CONSTRAINT guarded_pkey ON guarded IS 'key';
COMMENT ON SCHEMA private IS 'p';
COMMENT ON TYPE shade IS 's';
COMMENT ON SEQUENCE numbers IS 'n';
--- change
COMMENT ON TABLE guarded IS NULL;
ALTER TABLE guarded OWNER TO pg_monitor;
--- change
INSERT INTO guarded VALUES (1, 'x');
--- change
-- Commands that stand alone: which tables they are about is read off their text, or looked for.
CREATE TABLE "Spoken" (id int PRIMARY KEY, told text);
CREATE TABLE plain (id int PRIMARY KEY, told text);
CREATE SCHEMA other;
CREATE TABLE other.plain (id int PRIMARY KEY);
--- change
GRANT SELECT ON plain, other.plain TO pg_monitor
--- change
grant update on table public . plain to pg_monitor with grant option
--- change
GRANT INSERT ON "Spoken" TO pg_monitor
--- change
GRANT SELECT (told), UPDATE (id, told) ON PLAIN TO pg_read_all_stats;
--- change
-- Takes what was granted on columns, too, and changes nothing of the table's own rights.
REVOKE SELECT ON plain FROM pg_read_all_stats
--- change
GRANT USAGE ON SEQUENCE numbers TO pg_read_all_stats
--- change
DO $$ BEGIN EXECUTE 'GRANT DELETE ON plain TO pg_monitor'; END $$
--- change
REVOKE UPDATE ON ALL TABLES IN SCHEMA public FROM pg_read_all_stats
--- change
REVOKE ALL ON plain, "Spoken" FROM pg_monitor CASCADE
