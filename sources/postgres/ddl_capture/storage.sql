-- What pgflow keeps in the source to capture DDL. Run as one script, by a superuser (event triggers
-- belong to one), with search_path = pg_catalog. May be run again: everything is replaced.
--
-- The event triggers look up which objects a command touched and emit, for each, its state before
-- and after as one logical message, transactional: in the log it stands between the row changes
-- before the command and those after it. The state "before" is what the last capture stored in
-- pgflow.object_state, so that a reader needs no memory of its own, and a rename is told from a
-- drop and an add by the attribute's number.
--
-- A capture that fails never breaks the application's command: it says so in a message of its own.

DROP EVENT TRIGGER IF EXISTS pgflow_capture_start;
DROP EVENT TRIGGER IF EXISTS pgflow_capture_rewrite;
DROP EVENT TRIGGER IF EXISTS pgflow_capture_drop;
DROP EVENT TRIGGER IF EXISTS pgflow_capture;

CREATE SCHEMA IF NOT EXISTS pgflow;
-- What is called from functions with a superuser's rights must be a superuser's.
DO $$
DECLARE
  foreign_object text;
BEGIN
  SELECT format('%s %s belongs to %s', o.kind, o.name, quote_ident(r.rolname)) INTO foreign_object
  FROM (
    SELECT 'schema' AS kind, nspname::text AS name, nspowner AS owner FROM pg_namespace
    WHERE nspname = 'pgflow'
    UNION ALL SELECT 'function', oid::regprocedure::text, proowner FROM pg_proc
    WHERE pronamespace = 'pgflow'::regnamespace
    UNION ALL SELECT 'relation', oid::regclass::text, relowner FROM pg_class
    WHERE relnamespace = 'pgflow'::regnamespace AND relname IN ('capture_pipeline',
      'capture_secret', 'object_state', 'joining_table', 'message', 'command_note', 'writer')
  ) o JOIN pg_roles r ON r.oid = o.owner WHERE NOT r.rolsuper LIMIT 1;
  IF foreign_object IS NOT NULL THEN
    RAISE EXCEPTION '%, which is no superuser: give it to one (ALTER ... OWNER TO), or drop it',
      foreign_object;
  END IF;
END $$;

CREATE TABLE IF NOT EXISTS pgflow.capture_pipeline (
  pipeline text PRIMARY KEY,
  publication text NOT NULL,
  includes text[] NOT NULL,  -- Regular expressions on schema || E'\x1f' || name.
  excludes text[] NOT NULL
);

-- Anybody may write logical messages. Ours begin with this, which only pgflow's role may read.
DO $$
DECLARE
  reader text;
BEGIN
  IF to_regclass('pgflow.capture_secret') IS NOT NULL THEN RETURN; END IF;
  CREATE TABLE pgflow.capture_secret (secret text NOT NULL);
  -- Default privileges may have let in somebody who was never meant.
  FOR reader IN SELECT CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee)::text END
      FROM pg_class c CROSS JOIN aclexplode(c.relacl) a
      WHERE c.oid = 'pgflow.capture_secret'::regclass AND a.grantee <> c.relowner LOOP
    EXECUTE format(CASE WHEN reader = 'PUBLIC' THEN 'REVOKE ALL ON pgflow.capture_secret FROM %s'
      ELSE 'REVOKE ALL ON pgflow.capture_secret FROM %I' END, reader);
  END LOOP;
END $$;
INSERT INTO pgflow.capture_secret
SELECT md5(gen_random_uuid()::text || clock_timestamp()) WHERE NOT EXISTS (
  SELECT FROM pgflow.capture_secret);

CREATE TABLE IF NOT EXISTS pgflow.object_state (
  class oid,
  object oid,
  state jsonb NOT NULL,
  publications text[] NOT NULL DEFAULT '{}',  -- That bring this table's rows.
  identity_by_pgflow boolean NOT NULL DEFAULT false,  -- REPLICA IDENTITY FULL is of our making.
  schema_name text GENERATED ALWAYS AS (state ->> 'schema') STORED,
  object_name text GENERATED ALWAYS AS (state ->> 'name') STORED,
  parent bigint GENERATED ALWAYS AS ((state #> '{parents,0,2}')::bigint) STORED,
  PRIMARY KEY (class, object)
);
CREATE INDEX IF NOT EXISTS object_state_by_name ON pgflow.object_state (schema_name, object_name);
CREATE INDEX IF NOT EXISTS object_state_by_parent ON pgflow.object_state (parent);

-- Tables that join a publication when their transaction commits. Not earlier: ALTER PUBLICATION
-- locks the publication to the transaction's end, and everybody else who makes a table would wait.
CREATE TABLE IF NOT EXISTS pgflow.joining_table (
  relation oid,
  publication text,
  with_root boolean NOT NULL,  -- A partition: it joins together with its root.
  PRIMARY KEY (relation, publication)
);

-- What one trigger of a command leaves for a later one. Not a setting: anybody may set those. Gone at
-- the end of the command; what a crash leaves is nobody's, because transactions have their numbers
-- once.
CREATE UNLOGGED TABLE IF NOT EXISTS pgflow.command_note (
  transaction xid8 NOT NULL DEFAULT pg_current_xact_id(),
  kind text NOT NULL,  -- 'rewritten', or 'cascade'.
  relation oid,        -- That was rewritten,
  whole boolean        -- perhaps with other values in any column.
);
CREATE INDEX IF NOT EXISTS command_note_by_transaction ON pgflow.command_note (transaction);

-- Whoever writes a row learns from its xmin which subtransaction it is in. Always empty.
CREATE UNLOGGED TABLE IF NOT EXISTS pgflow.writer ();

-- The way of the messages on servers whose pgoutput has no 'messages' option (13): rows that are
-- deleted at once. Always empty.
CREATE TABLE IF NOT EXISTS pgflow.message (prefix text NOT NULL, content bytea NOT NULL);
ALTER TABLE pgflow.message REPLICA IDENTITY FULL;
