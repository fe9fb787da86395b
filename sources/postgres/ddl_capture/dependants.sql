-- Stores the present state of what changes together with an object, without a message: the same
-- command changes it in a target as well.
CREATE OR REPLACE FUNCTION pgflow.refresh_dependants(in_class oid, in_object oid) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  stored record;
  now jsonb;
BEGIN
  -- One by one: to look at an object takes a lock on it, so nothing else may be looked at.
  FOR stored IN
    SELECT s.class, s.object, s.state, s.xmin || ' ' || s.ctid::text AS version
    FROM pgflow.object_state s JOIN (
      SELECT 'pg_class'::regclass::oid AS class, d.objid AS object FROM pg_depend d
      WHERE in_class = 'pg_class'::regclass AND d.classid = 'pg_class'::regclass
      AND d.refclassid = 'pg_class'::regclass AND d.refobjid = in_object AND d.deptype = 'a'
      UNION ALL SELECT 'pg_class'::regclass, heir.oid FROM (
        WITH RECURSIVE heir(oid) AS (
          SELECT inhrelid FROM pg_inherits
          WHERE in_class = 'pg_class'::regclass AND inhparent = in_object
          UNION SELECT i.inhrelid FROM pg_inherits i JOIN heir h ON i.inhparent = h.oid)
        SELECT oid FROM heir) heir
      UNION ALL SELECT 'pg_class'::regclass, c.oid FROM pg_depend d
      JOIN pg_class c ON c.oid = d.objid AND c.reloftype = in_object
      WHERE in_class = 'pg_type'::regclass AND d.classid = 'pg_class'::regclass
      AND d.refclassid = 'pg_type'::regclass AND d.refobjid = in_object
      UNION ALL SELECT 'pg_class'::regclass, oid FROM pg_class
      WHERE in_class = 'pg_namespace'::regclass AND relnamespace = in_object
      UNION ALL SELECT 'pg_type'::regclass, oid FROM pg_type
      WHERE in_class = 'pg_namespace'::regclass AND typnamespace = in_object
      UNION ALL SELECT 'pg_proc'::regclass, oid FROM pg_proc
      WHERE in_class = 'pg_namespace'::regclass AND pronamespace = in_object
      UNION ALL SELECT d.of_class, d.of_object FROM pgflow.definitions() d
      WHERE in_class = 'pg_namespace'::regclass AND d.of_namespace = in_object
      AND d.of_class NOT IN ('pg_type'::regclass, 'pg_proc'::regclass)
    ) o ON o.class = s.class AND o.object = s.object ORDER BY 1, 2
  LOOP
    now := pgflow.state(stored.class, stored.object);
    IF pgflow.await_others(stored.class, stored.object, now, stored.version) THEN
      now := pgflow.state(stored.class, stored.object);
    END IF;
    -- Whose a sequence is, is told by a message of its own, behind the table.
    IF NOT stored.state ? 'owned_by' THEN now := now - 'owned_by'; END IF;
    UPDATE pgflow.object_state s SET state = now
    WHERE s.class = stored.class AND s.object = stored.object AND now <> s.state;
  END LOOP;
END $$;

-- Tables that the command under way has rewritten.
CREATE OR REPLACE FUNCTION pgflow.rewritten() RETURNS oid[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN (SELECT coalesce(array_agg(relation), '{}') FROM pgflow.command_note
    WHERE transaction = pg_current_xact_id_if_assigned() AND kind = 'rewritten');
END $$;

CREATE OR REPLACE FUNCTION pgflow.store(in_class oid, in_object oid, in_state jsonb, tag text)
RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  INSERT INTO pgflow.object_state VALUES (in_class, in_object, in_state)
  ON CONFLICT (class, object) DO UPDATE SET state = excluded.state;
  -- Commands that cannot change anything else.
  IF tag NOT IN ('COMMENT', 'GRANT', 'REVOKE', 'CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO') THEN
    PERFORM pgflow.refresh_dependants(in_class, in_object);
  END IF;
END $$;

-- Of the state that is stored; NULL: none is.
CREATE OR REPLACE FUNCTION pgflow.stored_version(in_class oid, in_object oid) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN (SELECT s.xmin || ' ' || s.ctid::text FROM pgflow.object_state s
    WHERE s.class = in_class AND s.object = in_object);
END $$;

-- Some commands on one object do not wait for each other (two CREATE INDEX, a GRANT): neither sees
-- what the other one did until it is over. Unless `seen` is what is stored, waits for those that
-- have stored a state. True: one of them has, after `version` was stored; so `seen`, which was
-- looked at later than that, may be without what it did, and has to be looked at again.
CREATE OR REPLACE FUNCTION pgflow.await_others(
  in_class oid, in_object oid, seen jsonb, version text)
RETURNS boolean LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  latest text;
BEGIN
  IF EXISTS (SELECT FROM pgflow.object_state s WHERE s.class = in_class AND s.object = in_object
      AND s.state = seen) THEN
    RETURN false;
  END IF;
  SELECT s.xmin || ' ' || s.ctid::text INTO latest FROM pgflow.object_state s
  WHERE s.class = in_class AND s.object = in_object FOR UPDATE;
  RETURN latest IS DISTINCT FROM version;
END $$;
