-- Owners, privileges and comments; roles are the cluster's own.
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
