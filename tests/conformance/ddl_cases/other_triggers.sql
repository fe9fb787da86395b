-- Event triggers of others, which run before the capture's and change what a command has just made.
--- change
CREATE FUNCTION set_identity() RETURNS event_trigger LANGUAGE plpgsql AS $$
DECLARE
  made record;
BEGIN
  FOR made IN SELECT * FROM pg_event_trigger_ddl_commands() WHERE object_type = 'table' LOOP
    EXECUTE format('ALTER TABLE %s REPLICA IDENTITY FULL', made.object_identity);
    EXECUTE format('GRANT SELECT ON %s TO pg_monitor', made.object_identity);
    EXECUTE format('COMMENT ON TABLE %s IS ''audited''', made.object_identity);
  END LOOP;
END $$;
CREATE EVENT TRIGGER a_first ON ddl_command_end WHEN TAG IN ('CREATE TABLE', 'CREATE SCHEMA',
  'CREATE TABLE AS') EXECUTE FUNCTION set_identity();
--- change
CREATE TABLE counted (id serial PRIMARY KEY, n bigserial);
INSERT INTO counted DEFAULT VALUES;
--- change
CREATE SCHEMA apart CREATE TABLE members (id serial PRIMARY KEY, name text);
INSERT INTO apart.members (name) VALUES ('a');
--- change
CREATE TABLE copied AS SELECT 1 AS id, 'x' AS name;
DELETE FROM copied;
--- change
DROP EVENT TRIGGER a_first;
DROP SCHEMA apart CASCADE;
