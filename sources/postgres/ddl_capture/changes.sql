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
      END LOOP;
      IF new ->> 'identity' <> (SELECT relreplident FROM pg_class WHERE oid = in_object)::text THEN
        new := pgflow.state(in_class, in_object) - without;
      END IF;
    END IF;
  END IF;
  SELECT state INTO old FROM pgflow.object_state WHERE class = in_class AND object = in_object;
  new := new || coalesce((SELECT jsonb_object_agg(key, value) FROM jsonb_each(old)
    WHERE key = ANY (without)), '{}');
  IF old IS NOT DISTINCT FROM new AND (rewritten = '{}' OR NOT is_table) AND announced = '{}'
      AND direct = '{}' AND tag <> 'REFRESH MATERIALIZED VIEW' THEN
    RETURN;
  END IF;
  message := jsonb_build_object('tag', tag, 'before', old, 'after', new, 'cascade', is_cascade,
    'new_for', to_jsonb(announced), 'published_by', (SELECT to_jsonb(publications)
      FROM pgflow.object_state WHERE class = in_class AND object = in_object));

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
