-- Whether it hangs on something temporary, and goes with the session, of which nobody tells.
CREATE OR REPLACE FUNCTION pgflow.is_temporary(in_class oid, in_object oid) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  place oid := pg_my_temp_schema();
BEGIN
  -- Of relations the catalog says so itself.
  IF place = 0 OR in_class IN ('pg_class'::regclass, 'pg_namespace'::regclass) THEN
    RETURN false;
  END IF;
  RETURN EXISTS (WITH RECURSIVE need(class, object) AS (
      SELECT in_class, in_object
      UNION SELECT d.refclassid, d.refobjid FROM need n
      JOIN pg_depend d ON d.classid = n.class AND d.objid = n.object
      WHERE d.refobjid >= 16384 AND d.refclassid IN ('pg_class'::regclass, 'pg_type'::regclass,
        'pg_proc'::regclass, 'pg_operator'::regclass))
    SELECT FROM need n WHERE CASE n.class
      WHEN 'pg_class'::regclass THEN (SELECT relnamespace FROM pg_class WHERE oid = n.object)
      WHEN 'pg_type'::regclass THEN (SELECT typnamespace FROM pg_type WHERE oid = n.object)
      WHEN 'pg_proc'::regclass THEN (SELECT pronamespace FROM pg_proc WHERE oid = n.object)
      ELSE NULL END = place);
END $$;

-- What a new object needs, and its command has not told of yet. Of a table: an event trigger of
-- somebody else, that runs before ours, may have changed it already. Of a function: types that are
-- nothing but names so far, which come with it in a target as well.
CREATE OR REPLACE FUNCTION pgflow.capture_needed(in_class oid, in_object oid, tag text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  needed record;
BEGIN
  IF in_class = 'pg_proc'::regclass THEN
    INSERT INTO pgflow.object_state (class, object, state)
    SELECT 'pg_type'::regclass, t.oid, pgflow.state('pg_type'::regclass, t.oid)
    FROM pg_proc p CROSS JOIN unnest(p.proargtypes::oid[] || p.prorettype) r(oid)
    JOIN pg_type t ON t.oid = r.oid WHERE p.oid = in_object AND NOT t.typisdefined
    ON CONFLICT DO NOTHING;
  END IF;
  IF in_class <> 'pg_class'::regclass THEN RETURN; END IF;
  FOR needed IN
    SELECT 'pg_namespace'::regclass::oid AS class, c.relnamespace AS object, '{}'::text[] AS without
    FROM pg_class c WHERE c.oid = in_object AND NOT EXISTS (SELECT FROM pgflow.object_state s
      WHERE s.class = 'pg_namespace'::regclass AND s.object = c.relnamespace)
    UNION ALL SELECT 'pg_class'::regclass, q.oid, '{owned_by}' FROM pg_attrdef f
    JOIN pg_depend d ON d.classid = 'pg_attrdef'::regclass AND d.objid = f.oid
      AND d.refclassid = 'pg_class'::regclass
    JOIN pg_class q ON q.oid = d.refobjid AND q.relkind = 'S'
    WHERE f.adrelid = in_object AND NOT EXISTS (SELECT FROM pgflow.object_state s
      WHERE s.class = 'pg_class'::regclass AND s.object = q.oid)
  LOOP
    PERFORM pgflow.capture_object(needed.class, needed.object, tag, false, needed.without);
  END LOOP;
END $$;

-- Emits the change of one object, when there is one; `without` those parts of its state, which stay
-- as they were.
CREATE OR REPLACE FUNCTION pgflow.capture_object(
  in_class oid, in_object oid, tag text, is_cascade boolean, without text[] DEFAULT '{}')
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  old jsonb;
  version text := pgflow.stored_version(in_class, in_object);  -- From before `new`.
  new jsonb := pgflow.state(in_class, in_object) - without;
  message jsonb;
  is_table boolean;
  admitted record;
  identity_by_us boolean;
  announced text[] := '{}';
  direct text[] := '{}';
  rewritten oid[] := pgflow.rewritten();
  leaf oid;
  leaves oid[];
  replaced boolean;
  changed text[];
  tree oid[];
  whole boolean := false;
  by_rows boolean := false;
BEGIN
  IF new IS NULL OR new ->> 'persistence' = 't' OR new ->> 'object' <> 'extension'
      AND coalesce(new ->> 'schema', new ->> 'name') ~ '^(pg_|information_schema$|pgflow$)' THEN
    RETURN;
  END IF;
  is_table := new ->> 'object' = 'table';
  IF pgflow.await_others(in_class, in_object, new, version) THEN
    new := pgflow.state(in_class, in_object) - without;
    IF new IS NULL THEN RETURN; END IF;
  END IF;
  IF is_table THEN
    SELECT * INTO admitted FROM pgflow.admit(in_object);
    announced := admitted.announced;
    direct := admitted.direct;
    IF tag IN ('CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO', 'CREATE SCHEMA', 'ALTER TABLE')
        AND (announced <> '{}' OR direct <> '{}' OR EXISTS (SELECT FROM pgflow.object_state s
          WHERE s.class = in_class AND s.object = in_object AND s.publications <> '{}')
          OR EXISTS (SELECT FROM pgflow.joining_table j WHERE j.relation = in_object)) THEN
      identity_by_us := pgflow.keep_updatable(in_object);
      FOR leaf IN SELECT * FROM pgflow.tree_of(in_object) m WHERE m <> in_object LOOP
        PERFORM pgflow.keep_updatable(leaf);
        -- A key that came with its root's. Behind the root nothing would tell of it.
        IF EXISTS (SELECT FROM pgflow.object_state s JOIN pg_class c ON c.oid = s.object
            WHERE s.class = in_class AND s.object = leaf
            AND s.state ->> 'identity' <> c.relreplident::text) THEN
          PERFORM pgflow.capture_object(in_class, leaf, tag, false);
        END IF;
      END LOOP;
      IF new ->> 'identity' <> (SELECT relreplident FROM pg_class WHERE oid = in_object)::text THEN
        new := pgflow.state(in_class, in_object) - without;
      END IF;
    END IF;
  END IF;
  SELECT state INTO old FROM pgflow.object_state WHERE class = in_class AND object = in_object;
  IF old IS NULL THEN
    IF pgflow.is_temporary(in_class, in_object) THEN RETURN; END IF;
    PERFORM pgflow.capture_needed(in_class, in_object, tag);
  END IF;
  new := new || coalesce((SELECT jsonb_object_agg(key, value) FROM jsonb_each(old)
    WHERE key = ANY (without)), '{}');
  IF old IS NOT DISTINCT FROM new AND (rewritten = '{}' OR NOT is_table) AND announced = '{}'
      AND direct = '{}' AND tag <> 'REFRESH MATERIALIZED VIEW' THEN
    RETURN;
  END IF;
  message := jsonb_build_object('tag', tag, 'before', old, 'after', new, 'cascade', is_cascade,
    'schemas', pgflow.session_schemas(), 'by_superuser', pgflow.is_superuser((
      SELECT oid FROM pg_roles WHERE rolname = pgflow.session_role())),
    'new_for', to_jsonb(announced), 'published_by', (SELECT to_jsonb(publications)
      FROM pgflow.object_state WHERE class = in_class AND object = in_object));

  IF is_table AND old IS NOT NULL AND tag = 'ALTER TABLE'
      AND NOT (new ->> 'partitioned')::boolean THEN
    -- Dropped with ONLY: heirs keep it, as a column of their own. Partitions must not.
    message := message || jsonb_build_object('kept_by_heirs', (
      SELECT jsonb_agg(o ->> 'name') FROM jsonb_array_elements(old -> 'columns') o
      WHERE NOT EXISTS (SELECT FROM jsonb_array_elements(new -> 'columns') n
        WHERE n -> 'number' = o -> 'number')
      AND EXISTS (SELECT FROM pg_inherits h WHERE h.inhparent = in_object)
      AND NOT EXISTS (SELECT FROM pg_inherits h WHERE h.inhparent = in_object AND NOT EXISTS (
        SELECT FROM pg_attribute a WHERE a.attrelid = h.inhrelid AND a.attname = o ->> 'name'
        AND NOT a.attisdropped AND a.attislocal))));
  END IF;
  IF is_table AND old IS NOT NULL AND tag = 'ALTER TABLE' THEN
    -- Lost with ONLY: heirs keep it, as their own.
    message := message || jsonb_build_object('not_null_kept_by_heirs', (
      SELECT jsonb_agg(n ->> 'name') FROM jsonb_array_elements(old -> 'columns') o
      JOIN jsonb_array_elements(new -> 'columns') n ON n -> 'number' = o -> 'number'
      WHERE (o ->> 'not_null')::boolean AND NOT (n ->> 'not_null')::boolean
      AND EXISTS (SELECT FROM pg_inherits h WHERE h.inhparent = in_object)
      AND NOT EXISTS (SELECT FROM pg_inherits h JOIN pg_attribute a ON a.attrelid = h.inhrelid
        WHERE h.inhparent = in_object AND a.attname = n ->> 'name' AND NOT a.attnotnull)));
  END IF;
  IF is_table AND old IS NOT NULL AND rewritten <> '{}' THEN
    tree := ARRAY(SELECT pgflow.tree_and_heirs(in_object));
  END IF;
  IF rewritten && tree THEN
    -- New columns whose values the log does not have.
    SELECT array_agg(n ->> 'name') INTO changed
    FROM jsonb_array_elements(new -> 'columns') n
    LEFT JOIN jsonb_array_elements(old -> 'columns') o ON o -> 'number' = n -> 'number'
    WHERE NOT n ? 'generated' AND o IS NULL AND NOT n ? 'missing';
    -- Columns of another type, unless everybody computes the same without USING: no settings of the
    -- session take part.
    SELECT coalesce(bool_or(NOT (o -> 'type_oid' = n -> 'type_oid'
      OR (o ->> 'type_oid')::oid IN (16, 20, 21, 23, 25, 1042, 1043, 1700)
      AND (n ->> 'type_oid')::oid IN (20, 21, 23, 25, 1042, 1043, 1700))), false) INTO whole
    FROM jsonb_array_elements(new -> 'columns') n
    JOIN jsonb_array_elements(old -> 'columns') o ON o -> 'number' = n -> 'number';
    whole := whole OR old ->> 'persistence' <> new ->> 'persistence'
      OR EXISTS (SELECT FROM pgflow.command_note n WHERE n.kind = 'rewritten' AND n.whole
        AND n.transaction = pg_current_xact_id() AND n.relation = ANY (tree));
    by_rows := changed IS NOT NULL OR whole;
  END IF;
  IF NOT by_rows THEN
    PERFORM pgflow.store(in_class, in_object, new, tag);
    IF identity_by_us THEN
      UPDATE pgflow.object_state s SET identity_by_pgflow = true
      WHERE s.class = in_class AND s.object = in_object;
    END IF;
    PERFORM pgflow.emit('ddl', message);
    IF direct <> '{}' THEN PERFORM pgflow.begin_rows(in_object, direct); END IF;
    RETURN;
  END IF;
  -- Without a key that stays as it was, all rows go again.
  SELECT array_agg(c.oid), coalesce(bool_or(whole
    OR NOT EXISTS (SELECT FROM pg_index i
      LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.contype IN ('p', 'u')
      WHERE i.indrelid = c.oid AND NOT EXISTS (SELECT FROM pg_attribute a
        WHERE a.attrelid = c.oid AND a.attname = ANY (changed) AND a.attnum = ANY (i.indkey))
      AND CASE c.relreplident WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident END
      -- It was there before this command.
      AND EXISTS (SELECT FROM pgflow.object_state s,
          jsonb_array_elements((s.state -> 'constraints') || (s.state -> 'indexes')) known
        WHERE s.class = 'pg_class'::regclass AND s.object = c.oid
        AND (known ->> 'oid')::oid IN (k.oid, i.indexrelid)))), false)
  INTO leaves, replaced
  FROM pg_class c JOIN pgflow.object_state p ON p.class = 'pg_class'::regclass AND p.object = c.oid
  WHERE c.oid = ANY (rewritten) AND c.relkind = 'r' AND p.publications <> '{}';
  PERFORM pgflow.store(in_class, in_object, new, tag);
  message := message || jsonb_build_object('replaced', CASE WHEN replaced THEN (
    SELECT jsonb_agg(jsonb_build_array(n.nspname, c.relname)) FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = ANY (leaves)) END);
  PERFORM pgflow.emit('ddl', message || '{"phase": "before_rows"}');
  FOREACH leaf IN ARRAY coalesce(leaves, '{}') LOOP
    PERFORM pgflow.emit_rows(leaf, changed, CASE WHEN replaced THEN 'replace' ELSE 'update' END,
      (SELECT publications FROM pgflow.object_state
        WHERE class = 'pg_class'::regclass AND object = leaf));
  END LOOP;
  PERFORM pgflow.emit('ddl', message || '{"phase": "after_rows"}');
END $$;

-- Emits what ALTER INDEX ... ATTACH PARTITION changes: the index that is attached, while the command
-- names the one above it.
CREATE OR REPLACE FUNCTION pgflow.capture_attached(index oid, tag text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  heir oid;
BEGIN
  IF tag <> 'ALTER INDEX' THEN RETURN; END IF;
  FOR heir IN SELECT DISTINCT i.indrelid FROM pg_inherits h
    JOIN pg_index i ON i.indexrelid = h.inhrelid WHERE h.inhparent = index LOOP
    PERFORM pgflow.capture_object('pg_class'::regclass, heir, tag, false);
  END LOOP;
END $$;

-- Emits what ATTACH and DETACH PARTITION change: the partition, while the command names its parent.
CREATE OR REPLACE FUNCTION pgflow.capture_heirs(relation oid, tag text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  heir oid;
  new jsonb;
BEGIN
  IF tag <> 'ALTER TABLE' THEN RETURN; END IF;
  FOR heir IN
    SELECT s.object FROM pgflow.object_state s
    WHERE s.class = 'pg_class'::regclass AND s.parent = relation::bigint
    AND s.state ? 'partition_bound'
    UNION SELECT i.inhrelid FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = relation AND c.relispartition
  LOOP
    new := pgflow.state('pg_class'::regclass, heir);
    CONTINUE WHEN new IS NULL OR EXISTS (SELECT FROM pgflow.object_state s
      WHERE s.class = 'pg_class'::regclass AND s.object = heir
      AND (s.state ? 'partition_bound') = (new ? 'partition_bound'));
    PERFORM pgflow.capture_object('pg_class'::regclass, heir, tag, false);
  END LOOP;
END $$;
