CREATE OR REPLACE FUNCTION pgflow.capture() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET standard_conforming_strings = on SET timezone = 'UTC' SET lc_monetary = 'C'
SET datestyle = 'ISO, MDY' SET intervalstyle = 'postgres' SET extra_float_digits = 3
SET bytea_output = 'hex' SET quote_all_identifiers = off SET lock_timeout = 0 SET jit = off AS $$
DECLARE
  command record;
  whole record;
  pass int;
  first_pass boolean;
  of_command xid;
  handled oid[] := '{}';
  is_cascade boolean;
  is_noted boolean;
  failed boolean := false;
  detail text;
  place text;
  stack text;
  names name[];
BEGIN
  IF pgflow.is_busy() THEN RETURN; END IF;
  IF tg_tag IN ('GRANT', 'REVOKE', 'REASSIGN OWNED', 'DROP OWNED') THEN
    -- The command's own; the block below has another.
    of_command := pgflow.subtransaction();
  END IF;
  SELECT count(*) > 0, coalesce(bool_or(kind = 'cascade'), false) INTO is_noted, is_cascade
  FROM pgflow.command_note WHERE transaction = pg_current_xact_id_if_assigned();
  BEGIN
    PERFORM pgflow.set_busy(true);
    -- What others refer to first; then tables and the rest; then what refers to tables.
    FOR pass IN 1 .. 3 LOOP
      FOR command IN SELECT * FROM pg_event_trigger_ddl_commands() WHERE NOT in_extension LOOP
        CONTINUE WHEN command.objid IS NULL OR command.schema_name = 'pg_temp';
        -- Of this server alone, and some of them with passwords.
        CONTINUE WHEN command.object_type IN ('publication', 'publication relation',
          'publication namespace', 'subscription', 'event trigger', 'user mapping');
        first_pass := command.object_type IN ('schema', 'extension', 'type', 'domain', 'sequence');
        CONTINUE WHEN pass = 1 AND NOT first_pass OR pass = 2 AND first_pass
          OR pass = 3 AND command.object_type <> 'sequence';
        SELECT * INTO whole FROM pgflow.whole_of(command.classid, command.objid);
        -- The sequence of an identity column comes with its table.
        CONTINUE WHEN pass = 1 AND command.object_type = 'sequence'
          AND whole.of_object <> command.objid;
        IF pgflow.has_state(whole.of_class, whole.of_object) THEN
          IF is_noted THEN
            handled := handled || ARRAY(SELECT pgflow.tree_and_heirs(whole.of_object));
          END IF;
          PERFORM pgflow.capture_heirs(whole.of_object, tg_tag);
          PERFORM pgflow.capture_attached(command.objid, tg_tag);
          PERFORM pgflow.capture_object(whole.of_class, whole.of_object, tg_tag, is_cascade,
            -- The table that owns it may be part of the same command.
            CASE WHEN command.object_type = 'sequence' AND pass = 1 THEN '{owned_by}'::text[]
              ELSE '{}' END);
        ELSIF command.objid IS NOT NULL THEN
          GET DIAGNOSTICS stack = PG_CONTEXT;
          PERFORM pgflow.emit('ddl', jsonb_build_object('tag', command.command_tag,
            'statement', current_query(), 'object', command.object_type,
            'identity', command.object_identity, 'schema', command.schema_name,
            'top_level', stack !~ '\n', 'search_path', pgflow.session_search_path(),
            'role', pgflow.session_role()));
        END IF;
      END LOOP;
    END LOOP;
    IF of_command IS NOT NULL THEN
      GET DIAGNOSTICS stack = PG_CONTEXT;
      IF stack !~ '\n' AND tg_tag IN ('GRANT', 'REVOKE') THEN
        names := pgflow.granted_names(current_query());
      END IF;
      -- Rights on columns are granted with parentheses, and nobody else need look at all columns.
      FOR whole IN
        SELECT * FROM pgflow.changed_rights_of(names, of_command) WHERE names IS NOT NULL
        UNION ALL SELECT * FROM pgflow.changed_rights(
          (SELECT min(c.object_type) FROM pg_event_trigger_ddl_commands() c
            WHERE tg_tag IN ('GRANT', 'REVOKE')),
          tg_tag NOT IN ('GRANT', 'REVOKE') OR stack ~ '\n' OR current_query() ~ '[(]',
          of_command) WHERE names IS NULL
      LOOP
        PERFORM pgflow.capture_object(whole.of_class, whole.of_object, tg_tag, false);
      END LOOP;
      IF tg_tag IN ('REASSIGN OWNED', 'DROP OWNED') OR EXISTS (
          SELECT FROM pg_event_trigger_ddl_commands() c WHERE c.object_type IN ('LANGUAGE',
            'FOREIGN SERVER', 'FOREIGN DATA WRAPPER')) THEN
        FOR whole IN SELECT * FROM pgflow.definitions() LOOP
          PERFORM pgflow.capture_object(whole.of_class, whole.of_object, tg_tag, false);
        END LOOP;
      END IF;
    END IF;
    IF tg_tag IN ('ALTER DEFAULT PRIVILEGES', 'REASSIGN OWNED', 'DROP OWNED') THEN
      PERFORM pgflow.capture_default_privileges(tg_tag);
    END IF;
  EXCEPTION
  WHEN serialization_failure OR deadlock_detected THEN
    RAISE;  -- Whoever runs DDL beside others has to be ready for these, and the next try is captured.
  WHEN OTHERS THEN
    failed := true;
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, place = PG_EXCEPTION_CONTEXT;
    PERFORM pgflow.emit_failure(tg_tag, concat_ws('; ', sqlerrm, nullif(detail, ''), place));
  END;
  PERFORM pgflow.set_busy(false);
  -- A command inside another one leaves the notes of that one alone.
  IF is_noted THEN
    DELETE FROM pgflow.command_note WHERE transaction = pg_current_xact_id()
    AND (failed OR kind = 'cascade' OR relation = ANY (handled));
  END IF;
END $$;

-- The search_path of the session itself, which the functions here replace while they run.
CREATE OR REPLACE FUNCTION pgflow.session_search_path() RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN (SELECT current_setting('pgflow.search_path', true));
END $$;

-- The schemas in that path which are there. What a command runs (functions of an index or a default,
-- a materialized view's query) looks for names in them.
CREATE OR REPLACE FUNCTION pgflow.session_schemas() RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN nullif(current_setting('pgflow.schemas', true), '')::jsonb;
EXCEPTION WHEN invalid_text_representation THEN
  RETURN NULL;  -- Somebody's own setting.
END $$;

-- Whose rights a command at the top level has: not a function's here, which are its owner's.
CREATE OR REPLACE FUNCTION pgflow.session_role() RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN (SELECT coalesce(nullif(current_setting('role'), 'none'), session_user::text));
END $$;

CREATE OR REPLACE FUNCTION pgflow.capture_drop() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET standard_conforming_strings = on SET timezone = 'UTC' SET lc_monetary = 'C'
SET datestyle = 'ISO, MDY' SET intervalstyle = 'postgres' SET extra_float_digits = 3
SET bytea_output = 'hex' SET quote_all_identifiers = off SET lock_timeout = 0 SET jit = off AS $$
DECLARE
  gone record;
  owner record;
  old jsonb;
  brought_by jsonb;
  detail text;
  place text;
  is_cascade boolean;
BEGIN
  IF pgflow.is_busy() OR tg_tag IN ('CREATE EXTENSION', 'ALTER EXTENSION') THEN RETURN; END IF;
  BEGIN
    PERFORM pgflow.set_busy(true);
    -- The rule of a view and the default of a column count as dependants of their own relation.
    SELECT coalesce(bool_or(d.normal AND NOT d.original AND NOT EXISTS (
        SELECT FROM pg_event_trigger_dropped_objects() r WHERE r.classid = 'pg_class'::regclass
        AND r.objsubid = 0 AND r.schema_name = d.address_names[1]
        AND r.object_name = d.address_names[2] AND d.object_type IN ('rule', 'default value'))),
      false) INTO is_cascade
    FROM pg_event_trigger_dropped_objects() d;
    IF is_cascade THEN INSERT INTO pgflow.command_note (kind) VALUES ('cascade'); END IF;
    -- They are listed from the last that went to the first: what depended on others is at the end. A
    -- table of which a part did stands where that part does.
    FOR gone IN SELECT * FROM pg_event_trigger_dropped_objects() WITH ORDINALITY d
        WHERE NOT is_temporary ORDER BY max(ordinality) OVER (PARTITION BY CASE
          WHEN object_type = 'table'
            OR normal AND object_type IN ('table column', 'table constraint', 'default value')
          THEN address_names[1:2]::text ELSE classid || ' ' || objid || ' ' || objsubid END) DESC,
        ordinality DESC LOOP
      DELETE FROM pgflow.object_state WHERE class = gone.classid AND object = gone.objid
        AND gone.objsubid = 0 RETURNING state, to_jsonb(publications)
        INTO old, brought_by;
      IF FOUND THEN
        -- What it is of may have another name by now.
        IF old ? 'address' AND old ->> 'object' <> 'aggregate' THEN
          old := old || jsonb_build_object('identity', gone.object_identity);
        ELSIF old ? 'signature' THEN
          old := old || jsonb_build_object('whole_signature', gone.object_identity,
            'arguments', substring(gone.object_identity FROM '\((.*)\)$'));
        END IF;
        -- A sequence that goes together with the table it belongs to is gone with that.
        IF gone.original AND coalesce(old ->> 'schema', '') <> 'pgflow' AND NOT EXISTS (
            SELECT FROM pg_event_trigger_dropped_objects() t
            WHERE t.classid = 'pg_class'::regclass AND t.objsubid = 0
            AND t.schema_name = old #>> '{owned_by,0}' AND t.object_name = old #>> '{owned_by,1}') THEN
          PERFORM pgflow.emit('ddl', jsonb_build_object('tag', tg_tag, 'before', old,
            'cascade', is_cascade, 'published_by', brought_by));
        END IF;
        CONTINUE;
      END IF;
      CONTINUE WHEN gone.object_type NOT IN ('index', 'trigger', 'policy', 'rule', 'table constraint',
        'statistics object', 'table column', 'default value', 'domain constraint');
      -- A part of a table that is still there: it is named, or for an index looked for.
      FOR owner IN SELECT s.class, s.object FROM pgflow.object_state s
        WHERE s.class IN ('pg_class'::regclass, 'pg_type'::regclass)
        AND CASE WHEN gone.object_type IN ('index', 'statistics object') THEN gone.original
            AND s.schema_name = gone.schema_name AND (s.state -> 'indexes') || (s.state -> 'statistics')
              @> jsonb_build_array(jsonb_build_object('name', gone.object_name))
          ELSE s.schema_name = gone.address_names[1] AND s.object_name = gone.address_names[2] END
      LOOP
        IF gone.original AND tg_tag LIKE 'DROP %' THEN
          PERFORM pgflow.capture_object(owner.class, owner.object, tg_tag, is_cascade);
        ELSIF tg_tag LIKE 'DROP %' THEN
          PERFORM pgflow.await_others(owner.class, owner.object, NULL, NULL);
          UPDATE pgflow.object_state SET state = pgflow.state(class, object)
          WHERE class = owner.class AND object = owner.object
          AND pgflow.state(class, object) IS NOT NULL;
        END IF;
      END LOOP;
    END LOOP;
  EXCEPTION
  WHEN serialization_failure OR deadlock_detected THEN
    RAISE;  -- Whoever runs DDL beside others has to be ready for these, and the next try is captured.
  WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, place = PG_EXCEPTION_CONTEXT;
    PERFORM pgflow.emit_failure(tg_tag, concat_ws('; ', sqlerrm, nullif(detail, ''), place));
  END;
  PERFORM pgflow.set_busy(false);
END $$;

-- Which tables an ALTER TABLE rewrites, for the end of that command.
CREATE OR REPLACE FUNCTION pgflow.capture_rewrite() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET standard_conforming_strings = on AS $$
DECLARE
  stack text;
  reason int := pg_event_trigger_table_rewrite_reason();
BEGIN
  GET DIAGNOSTICS stack = PG_CONTEXT;
  -- 1: persistence, 2: a default, 4: a column's type, 8: the access method. USING may give any
  -- column any value; without, the target computes the same from its own rows.
  IF reason & 7 = 0 OR EXISTS (SELECT FROM pg_class
      WHERE oid = pg_event_trigger_table_rewrite_oid() AND relpersistence = 't') THEN
    RETURN;
  END IF;
  INSERT INTO pgflow.command_note (kind, relation, whole)
  VALUES ('rewritten', pg_event_trigger_table_rewrite_oid(),
    reason & 4 <> 0 AND (stack ~ '\n' OR current_query() ~* '\yusing\y'));
END $$;

-- Notes the session's search_path, for what runs with it elsewhere. It is a setting, as it
-- was one before: whoever could forge it may choose it.
CREATE OR REPLACE FUNCTION pgflow.capture_start() RETURNS event_trigger
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_catalog.set_config('pgflow.search_path', pg_catalog.current_setting('search_path'), true);
  PERFORM pg_catalog.set_config('pgflow.schemas',
    pg_catalog.array_to_json(pg_catalog.current_schemas(false))::pg_catalog.text, true);
END $$;
