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

-- The number of the subtransaction that runs; no function tells it.
CREATE OR REPLACE FUNCTION pgflow.subtransaction() RETURNS xid
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  place tid;
  number xid;
BEGIN
  INSERT INTO pgflow.writer DEFAULT VALUES RETURNING ctid, xmin INTO place, number;
  DELETE FROM pgflow.writer WHERE ctid = place;
  RETURN number;
END $$;

-- A message begins with the secret and the subtransaction that writes it: of a transaction that is
-- sent before its end the server tells the top one alone, which says nothing of a rollback to a
-- savepoint.
CREATE OR REPLACE FUNCTION pgflow.emit(prefix text, content jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  bytes bytea;
BEGIN
  bytes := convert_to((SELECT secret FROM pgflow.capture_secret) || pgflow.subtransaction()::text
    || ' ' || content::text, 'UTF8');
  IF current_setting('server_version_num')::int >= 140000 THEN
    PERFORM pg_logical_emit_message(true, 'pgflow.' || prefix, bytes);
    -- A message has the LSN of its end, which is where the next record begins. Among changes of the
    -- same LSN the decoder does not keep a subtransaction's, as this is one, before its parent's.
    PERFORM pg_logical_emit_message(true, 'pgflow', '');
    RETURN;
  END IF;
  INSERT INTO pgflow.message VALUES ('pgflow.' || prefix, bytes);
  DELETE FROM pgflow.message;
END $$;

-- Whether a capture is under way in this transaction: its own commands are not captured. The value
-- is the secret, so that nobody else can say so.
CREATE OR REPLACE FUNCTION pgflow.is_busy() RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN (SELECT coalesce(current_setting('pgflow.busy', true), '') = secret FROM pgflow.capture_secret);
END $$;
CREATE OR REPLACE FUNCTION pgflow.set_busy(busy boolean) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM set_config('pgflow.busy', CASE WHEN busy THEN secret ELSE '' END, true)
  FROM pgflow.capture_secret;
END $$;

-- One array of all that can be said with GRANT; NULL: the default of the object's kind.
CREATE OR REPLACE FUNCTION pgflow.acl(acl aclitem[]) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
BEGIN
  IF acl IS NULL THEN RETURN '[]'; END IF;
  RETURN (SELECT coalesce(jsonb_agg(jsonb_build_object(
           'role', CASE WHEN a.grantee = 0 THEN 'public' ELSE r.rolname END,
           'public', a.grantee = 0, 'privilege', a.privilege_type, 'grantable', a.is_grantable)
         ORDER BY r.rolname, a.privilege_type), '[]')
    FROM aclexplode(acl) a LEFT JOIN pg_authid r ON r.oid = a.grantee);
END $$;

CREATE OR REPLACE FUNCTION pgflow.is_superuser(role oid) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN coalesce((SELECT rolsuper FROM pg_authid WHERE oid = role), false);
END $$;

-- What an expression calls that its owner may have filled with anything, or that does more than
-- compute: on a target it would run with the rights of whoever writes there. NULL: nothing. What a
-- superuser made of a superuser's functions is trusted.
CREATE OR REPLACE FUNCTION pgflow.risk(expression text, owner oid) RETURNS text
LANGUAGE plpgsql STABLE AS $$
BEGIN
  -- Nothing is called but nextval, now and casts between the server's own types, as in nearly all
  -- defaults: 30,000 of them are looked at for 10,000 tables.
  IF expression IS NULL OR expression COLLATE "C" !~ ('n(?:c|o)id (?!(?:1574|1299|480|668|669|1174|'
      '1178|1703|1740|1781|1782|2024|2027|2028) )') THEN
    RETURN NULL;
  END IF;
  RETURN (SELECT string_agg(DISTINCT p.oid::regprocedure::text, ', ')
    FROM regexp_matches(expression,
      ':(?:funcid|opfuncid|aggfnoid|winfnoid|hashfuncid|negfuncid) (\d+)', 'g') m
    JOIN pg_proc p ON p.oid = m[1]::oid
    WHERE NOT ((p.oid < 16384 OR EXISTS (SELECT FROM pg_depend d
        WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'))
      AND (p.provolatile <> 'v' OR p.proname IN ('nextval', 'random', 'clock_timestamp', 'timeofday',
        'gen_random_uuid', 'uuidv4', 'uuidv7', 'uuid_generate_v1', 'uuid_generate_v1mc',
        'uuid_generate_v4', 'txid_current', 'pg_current_xact_id'))
      AND p.proname !~ '_to_xml')
    AND NOT (pgflow.is_superuser(owner) AND pgflow.is_superuser(p.proowner)));
END $$;

-- These give the states of many objects at once, because there may be very many, and what looks at
-- each by itself plans and begins a query for each.

CREATE OR REPLACE FUNCTION pgflow.columns_states(relations oid[])
RETURNS TABLE (of_relation oid, of_columns jsonb)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  names_not_null boolean := current_setting('server_version_num')::int >= 180000;
BEGIN
  RETURN QUERY SELECT a.attrelid, jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
      'number', a.attnum, 'name', a.attname, 'type', format_type(a.atttypid, a.atttypmod),
      'type_oid', a.atttypid::bigint, 'type_modifier', a.atttypmod,
      'not_null', a.attnotnull,
      -- From version 18 it is a constraint with a name.
      'not_null_name', CASE WHEN names_not_null AND a.attnotnull THEN (
        SELECT k.conname FROM pg_constraint k WHERE k.conrelid = a.attrelid
        AND k.contype = 'n' AND k.conkey = ARRAY[a.attnum]) END,
      'default', pg_get_expr(d.adbin, d.adrelid), 'default_oid', d.oid::bigint,
      'risk', CASE WHEN d.oid IS NOT NULL THEN pgflow.risk(d.adbin::text, c.relowner) END,
      -- What rows that are older than the column have in it. A partitioned table has no rows, but
      -- its leaves do.
      'missing', CASE WHEN a.atthasmissing THEN array_to_string(a.attmissingval, '')
        WHEN c.relkind = 'p' THEN (SELECT array_to_string(l.attmissingval, '') FROM pg_attribute l
          WHERE l.attrelid = (SELECT relid FROM pg_partition_tree(c.oid) WHERE isleaf LIMIT 1)
          AND l.attname = a.attname AND l.atthasmissing) END,
      'identity', nullif(a.attidentity, ''), 'generated', nullif(a.attgenerated, ''),
      'collation', CASE WHEN a.attcollation <> t.typcollation THEN (
        SELECT format('%I.%I', n.nspname, k.collname) FROM pg_collation k
        JOIN pg_namespace n ON n.oid = k.collnamespace WHERE k.oid = a.attcollation) END,
      'storage', CASE WHEN a.attstorage <> t.typstorage THEN a.attstorage END,
      'compression', nullif(a.compression, ''), 'statistics', nullif(a.attstattarget, -1)::text,
      'local', a.attislocal,
      'grants', CASE WHEN a.attacl IS NOT NULL THEN nullif(pgflow.acl(a.attacl), '[]') END,
      'comment', e.description,
      'sequence', CASE WHEN a.attidentity <> '' THEN (
        SELECT to_jsonb(s) - 'seqrelid' - 'seqtypid' FROM pg_depend x
        JOIN pg_sequence s ON s.seqrelid = x.objid
        WHERE x.classid = 'pg_class'::regclass AND x.refclassid = 'pg_class'::regclass
        AND x.refobjid = a.attrelid AND x.refobjsubid = a.attnum AND x.deptype = 'i') END
    )) ORDER BY a.attnum)
  FROM pg_class c
  -- Version 13 has no column of that name, and finds the one here.
  CROSS JOIN (SELECT ''::"char" AS attcompression) none
  CROSS JOIN LATERAL (SELECT *, attcompression AS compression FROM pg_attribute
    WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped) a
  JOIN pg_type t ON t.oid = a.atttypid
  LEFT JOIN pg_attrdef d ON a.atthasdef AND d.adrelid = a.attrelid AND d.adnum = a.attnum
  LEFT JOIN pg_description e ON e.objoid = a.attrelid AND e.classoid = 'pg_class'::regclass
    AND e.objsubid = a.attnum
  WHERE c.oid = ANY (relations) GROUP BY a.attrelid;
END $$;

-- What few relations have, and a query for all of them would have to be planned for.
CREATE OR REPLACE FUNCTION pgflow.rare_state(c pg_class) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  state jsonb := '{}';
BEGIN
  IF c.relkind IN ('v', 'm') THEN
    state := state || jsonb_build_object('definition', pg_get_viewdef(c.oid));
    IF c.relkind = 'm' THEN
      state := state || jsonb_build_object('populated', c.relispopulated);
    END IF;
  END IF;
  IF c.relkind = 'p' THEN
    state := state || jsonb_build_object('partition_key', pg_get_partkeydef(c.oid),
      'risk', (SELECT pgflow.risk(partexprs::text, c.relowner) FROM pg_partitioned_table
        WHERE partrelid = c.oid));
  END IF;
  IF c.relispartition THEN
    state := state || jsonb_build_object('partition_bound', pg_get_expr(c.relpartbound, c.oid));
  END IF;
  state := state || jsonb_build_object('parents', (
    SELECT jsonb_agg(jsonb_build_array(pn.nspname, p.relname, p.oid::bigint) ORDER BY h.inhseqno)
    FROM pg_inherits h JOIN pg_class p ON p.oid = h.inhparent
    JOIN pg_namespace pn ON pn.oid = p.relnamespace WHERE h.inhrelid = c.oid));
  IF c.relhastriggers THEN
    state := state || jsonb_build_object('triggers', coalesce((
      SELECT jsonb_agg(jsonb_build_object(
        'oid', g.oid::bigint, 'name', g.tgname, 'definition', pg_get_triggerdef(g.oid),
        'enabled', g.tgenabled, 'risk', (SELECT g.tgfoid::regprocedure::text FROM pg_proc f
          WHERE f.oid = g.tgfoid
          AND NOT (pgflow.is_superuser(c.relowner) AND pgflow.is_superuser(f.proowner))),
        'comment', obj_description(g.oid, 'pg_trigger'))
        ORDER BY g.tgname)
      FROM pg_trigger g WHERE g.tgrelid = c.oid AND NOT g.tgisinternal AND g.tgparentid = 0), '[]'));
  END IF;
  IF EXISTS (SELECT FROM pg_policy WHERE polrelid = c.oid) THEN
    state := state || jsonb_build_object('policies', (
      SELECT jsonb_agg(jsonb_build_object(
        'oid', y.oid::bigint, 'name', y.polname, 'command', y.polcmd,
        'permissive', y.polpermissive,
        'roles', (SELECT jsonb_agg(CASE WHEN m.role = 0 THEN 'public'
            ELSE quote_ident(pg_get_userbyid(m.role)) END) FROM unnest(y.polroles) m(role)),
        'risk', pgflow.risk(nullif(concat(y.polqual, y.polwithcheck), ''), c.relowner),
        'using', pg_get_expr(y.polqual, y.polrelid), 'check', pg_get_expr(y.polwithcheck, y.polrelid),
        'comment', obj_description(y.oid, 'pg_policy')) ORDER BY y.polname)
      FROM pg_policy y WHERE y.polrelid = c.oid));
  END IF;
  IF c.relhasrules THEN
    state := state || jsonb_build_object('rules', coalesce((
      SELECT jsonb_agg(jsonb_build_object(
        'oid', w.oid::bigint, 'name', w.rulename, 'definition', pg_get_ruledef(w.oid),
        'risk', CASE WHEN NOT pgflow.is_superuser(c.relowner) THEN 'its actions' END,
        'comment', obj_description(w.oid, 'pg_rewrite')) ORDER BY w.rulename)
      FROM pg_rewrite w WHERE w.ev_class = c.oid AND w.rulename <> '_RETURN'), '[]'));
  END IF;
  IF EXISTS (SELECT FROM pg_statistic_ext WHERE stxrelid = c.oid) THEN
    state := state || jsonb_build_object('statistics', (
      SELECT jsonb_agg(jsonb_build_object(
        'oid', s.oid::bigint, 'schema', sn.nspname, 'name', s.stxname,
        'definition', pg_get_statisticsobjdef(s.oid),
        'risk', pgflow.risk(to_jsonb(s) ->> 'stxexprs', c.relowner),
        'comment', obj_description(s.oid, 'pg_statistic_ext')) ORDER BY s.stxname)
      FROM pg_statistic_ext s JOIN pg_namespace sn ON sn.oid = s.stxnamespace
      WHERE s.stxrelid = c.oid));
  END IF;
  RETURN jsonb_strip_nulls(state);
END $$;

-- Of tables, views and materialized views with all that hangs on them.
CREATE OR REPLACE FUNCTION pgflow.relation_states(relations oid[])
RETURNS TABLE (of_object oid, of_state jsonb)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  found record;
BEGIN
  FOR found IN SELECT c, c.relkind <> 'r' OR c.relhastriggers OR c.relhasrules OR EXISTS (
        SELECT FROM pg_inherits WHERE inhrelid = c.oid) OR EXISTS (
        SELECT FROM pg_policy WHERE polrelid = c.oid) OR EXISTS (
        SELECT FROM pg_statistic_ext WHERE stxrelid = c.oid) AS has_more,
      jsonb_strip_nulls(jsonb_build_object(
      'object', CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view'
                WHEN 'f' THEN 'foreign table' ELSE 'table' END,
      'oid', c.oid::bigint, 'schema', n.nspname, 'name', c.relname,
      'partitioned', c.relkind = 'p', 'persistence', c.relpersistence,
      'owner', pg_get_userbyid(c.relowner),
      'grants', CASE WHEN c.relacl IS NULL THEN '[]' ELSE pgflow.acl(c.relacl) END,
      'default_grants', c.relacl IS NULL,
      'options', CASE WHEN c.reloptions IS NOT NULL THEN to_jsonb(c.reloptions) END,
      'comment', (SELECT description FROM pg_description WHERE objoid = c.oid
        AND classoid = 'pg_class'::regclass AND objsubid = 0),
      'row_security', c.relrowsecurity, 'force_row_security', c.relforcerowsecurity,
      'identity', c.relreplident,
      'identity_index', CASE WHEN c.relhasindex THEN (
        SELECT x.relname FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
        WHERE i.indrelid = c.oid AND i.indisreplident) END,
      'constraints', coalesce((SELECT jsonb_agg(jsonb_build_object(
          'oid', k.oid::bigint, 'name', k.conname, 'type', k.contype,
          'definition', pg_get_constraintdef(k.oid), 'validated', k.convalidated,
          'risk', CASE WHEN k.contype = 'c' THEN pgflow.risk(k.conbin::text, c.relowner) END,
          'inherited', NOT k.conislocal OR k.conparentid <> 0,
          'columns', to_jsonb(k.conkey),
          'references', CASE WHEN k.confrelid <> 0 THEN (
            SELECT jsonb_build_array(fn.nspname, f.relname) FROM pg_class f
            JOIN pg_namespace fn ON fn.oid = f.relnamespace WHERE f.oid = k.confrelid) END,
          'index', nullif(k.conindid, 0)::bigint,
          'comment', (SELECT description FROM pg_description WHERE objoid = k.oid
            AND classoid = 'pg_constraint'::regclass AND objsubid = 0))
          ORDER BY k.contype DESC, k.conname)
        FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype IN ('c', 'f', 'p', 'u', 'x')
        AND NOT (k.contype = 'f' AND k.conparentid <> 0)), '[]'),
      'indexes', coalesce(CASE WHEN c.relhasindex THEN (SELECT jsonb_agg(jsonb_build_object(
          'oid', x.oid::bigint, 'name', x.relname,
          -- That of a partitioned table reads ON ONLY also when all partitions have it.
          'definition', CASE WHEN x.relkind = 'I' AND i.indisvalid
            THEN regexp_replace(pg_get_indexdef(x.oid), ' ON ONLY ', ' ON ')
            ELSE pg_get_indexdef(x.oid) END,
          'risk', pgflow.risk(nullif(concat(i.indexprs, i.indpred), ''), c.relowner),
          'options', CASE WHEN x.reloptions IS NOT NULL THEN to_jsonb(x.reloptions) END,
          'parent', CASE WHEN x.relispartition THEN (
            SELECT jsonb_build_array(pn.nspname, p.relname) FROM pg_inherits h
            JOIN pg_class p ON p.oid = h.inhparent JOIN pg_namespace pn ON pn.oid = p.relnamespace
            WHERE h.inhrelid = x.oid) END,
          'comment', obj_description(x.oid, 'pg_class')) ORDER BY x.relname)
        FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
        WHERE i.indrelid = c.oid AND (i.indisvalid OR x.relkind = 'I')
        AND NOT EXISTS (SELECT FROM pg_constraint k
          WHERE k.conrelid = c.oid AND k.conindid = x.oid AND k.contype IN ('p', 'u', 'x'))) END,
        '[]'),
      'triggers', '[]'::jsonb, 'policies', '[]'::jsonb, 'rules', '[]'::jsonb,
      'statistics', '[]'::jsonb, 'columns', coalesce(s.of_columns, '[]'))) AS state
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pgflow.columns_states(relations) s ON s.of_relation = c.oid
    WHERE c.oid = ANY (relations)
  LOOP
    of_object := (found.c).oid;
    of_state := found.state;
    IF found.has_more THEN of_state := of_state || pgflow.rare_state(found.c); END IF;
    RETURN NEXT;
  END LOOP;
END $$;

CREATE OR REPLACE FUNCTION pgflow.sequence_states(relations oid[])
RETURNS TABLE (of_object oid, of_state jsonb)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN QUERY SELECT c.oid, jsonb_strip_nulls(jsonb_build_object(
    'object', 'sequence', 'schema', n.nspname, 'name', c.relname, 'persistence', c.relpersistence,
    'owner', pg_get_userbyid(c.relowner),
    'grants', CASE WHEN c.relacl IS NULL THEN '[]' ELSE pgflow.acl(c.relacl) END,
    'default_grants', c.relacl IS NULL,
    'comment', (SELECT description FROM pg_description WHERE objoid = c.oid
      AND classoid = 'pg_class'::regclass AND objsubid = 0),
    'type', format_type(s.seqtypid, NULL), 'start', s.seqstart, 'increment', s.seqincrement,
    'minimum', s.seqmin, 'maximum', s.seqmax, 'cache', s.seqcache, 'cycle', s.seqcycle,
    'owned_by', (SELECT jsonb_build_array(tn.nspname, t.relname, a.attname) FROM pg_depend d
      JOIN pg_class t ON t.oid = d.refobjid JOIN pg_namespace tn ON tn.oid = t.relnamespace
      JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid
      WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'a'
      AND d.refclassid = 'pg_class'::regclass)))
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_sequence s ON s.seqrelid = c.oid WHERE c.oid = ANY (relations);
END $$;

CREATE OR REPLACE FUNCTION pgflow.type_state(type oid) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN (SELECT jsonb_strip_nulls(jsonb_build_object(
      'object', CASE t.typtype WHEN 'e' THEN 'enum' WHEN 'd' THEN 'domain' WHEN 'r' THEN 'range'
        WHEN 'c' THEN 'composite' END,
      'schema', n.nspname, 'name', t.typname, 'owner', pg_get_userbyid(t.typowner),
      'grants', pgflow.acl(t.typacl), 'default_grants', t.typacl IS NULL,
      'comment', obj_description(t.oid, 'pg_type'),
      'labels', CASE WHEN t.typtype = 'e' THEN coalesce((
        SELECT jsonb_agg(jsonb_build_array(e.oid::bigint, e.enumlabel) ORDER BY e.enumsortorder)
        FROM pg_enum e WHERE e.enumtypid = t.oid), '[]') END,
      'columns', CASE WHEN t.typtype = 'c' THEN coalesce((SELECT of_columns
      FROM pgflow.columns_states(ARRAY[t.typrelid])), '[]') END,
      'base', CASE WHEN t.typtype = 'd' THEN format_type(t.typbasetype, t.typtypmod) END,
      'collation', CASE WHEN t.typtype = 'd' THEN (SELECT format('%I.%I', kn.nspname, k.collname)
        FROM pg_collation k JOIN pg_namespace kn ON kn.oid = k.collnamespace
        JOIN pg_type b ON b.oid = t.typbasetype
        WHERE k.oid = t.typcollation AND t.typcollation <> b.typcollation) END,
      'default', CASE WHEN t.typtype = 'd' THEN pg_get_expr(t.typdefaultbin, 0) END,
      'not_null', CASE WHEN t.typtype = 'd' THEN t.typnotnull END,
      'risk', CASE t.typtype WHEN 'd' THEN pgflow.risk(t.typdefaultbin::text, t.typowner)
        WHEN 'r' THEN (SELECT pgflow.risk(':funcid ' || r.rngsubdiff::oid, t.typowner)
          FROM pg_range r WHERE r.rngtypid = t.oid) END,
      'constraints', CASE WHEN t.typtype = 'd' THEN coalesce((
        SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object('oid', k.oid::bigint,
          'name', k.conname, 'definition', pg_get_constraintdef(k.oid),
          'risk', pgflow.risk(k.conbin::text, t.typowner))) ORDER BY k.conname) FROM pg_constraint k
        WHERE k.contypid = t.oid AND k.contype = 'c'), '[]') END,
      'definition', CASE WHEN t.typtype = 'r' THEN (
        SELECT 'AS RANGE (SUBTYPE = ' || format_type(r.rngsubtype, NULL)
          || coalesce((SELECT format(', SUBTYPE_OPCLASS = %I.%I', o_n.nspname, o.opcname)
               FROM pg_opclass o JOIN pg_namespace o_n ON o_n.oid = o.opcnamespace
               WHERE o.oid = r.rngsubopc AND NOT o.opcdefault), '')
          || coalesce((SELECT format(', COLLATION = %I.%I', k_n.nspname, k.collname)
               FROM pg_collation k JOIN pg_namespace k_n ON k_n.oid = k.collnamespace
               WHERE k.oid = r.rngcollation), '')
          || CASE WHEN r.rngsubdiff <> 0 THEN ', SUBTYPE_DIFF = ' || r.rngsubdiff::regproc ELSE '' END
          || coalesce((SELECT format(', MULTIRANGE_TYPE_NAME = %I.%I', m_n.nspname, m.typname)
               FROM pg_type m JOIN pg_namespace m_n ON m_n.oid = m.typnamespace
               WHERE m.oid = (to_jsonb(r) ->> 'rngmultitypid')::oid), '')
          || ')' FROM pg_range r WHERE r.rngtypid = t.oid) END))
    FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE t.oid = type
    AND (t.typtype IN ('e', 'd', 'r') OR t.typtype = 'c' AND EXISTS (
      SELECT FROM pg_class c WHERE c.oid = t.typrelid AND c.relkind = 'c')));
END $$;

-- Nothing for an aggregate: the catalog has no definition of it.
CREATE OR REPLACE FUNCTION pgflow.routine_state(routine oid) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN (SELECT jsonb_strip_nulls(jsonb_build_object(
      'object', CASE WHEN p.prokind = 'p' THEN 'procedure' ELSE 'function' END,
      'schema', n.nspname, 'name', p.proname,
      'arguments', pg_get_function_identity_arguments(p.oid),
      'signature', p.oid::regprocedure::text,
      'definition', pg_get_functiondef(p.oid), 'result', pg_get_function_result(p.oid),
      'owner', pg_get_userbyid(p.proowner), 'grants', pgflow.acl(p.proacl),
      'default_grants', p.proacl IS NULL, 'comment', obj_description(p.oid, 'pg_proc')))
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE p.oid = routine AND p.prokind <> 'a');
END $$;

-- The state of an object of one of the kinds above, and of schemas and extensions; NULL: another
-- kind, or it is gone.
CREATE OR REPLACE FUNCTION pgflow.state(class oid, object oid) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  kind "char";
BEGIN
  CASE class
    WHEN 'pg_class'::regclass THEN
      SELECT relkind INTO kind FROM pg_class WHERE oid = object;
      IF kind IN ('r', 'p', 'v', 'm') THEN
        RETURN (SELECT of_state FROM pgflow.relation_states(ARRAY[object]));
      ELSIF kind = 'S' THEN
        RETURN (SELECT of_state FROM pgflow.sequence_states(ARRAY[object]));
      END IF;
    WHEN 'pg_type'::regclass THEN RETURN pgflow.type_state(object);
    WHEN 'pg_proc'::regclass THEN RETURN pgflow.routine_state(object);
    WHEN 'pg_namespace'::regclass THEN
      RETURN (SELECT jsonb_strip_nulls(jsonb_build_object('object', 'schema', 'name', nspname,
          'owner', pg_get_userbyid(nspowner), 'grants', pgflow.acl(nspacl),
          'default_grants', nspacl IS NULL, 'comment', obj_description(oid, 'pg_namespace')))
        FROM pg_namespace WHERE oid = object);
    WHEN 'pg_extension'::regclass THEN
      RETURN (SELECT jsonb_strip_nulls(jsonb_build_object('object', 'extension', 'name', e.extname,
          'schema', n.nspname, 'version', e.extversion,
          'comment', obj_description(e.oid, 'pg_extension')))
        FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.oid = object);
    ELSE NULL;
  END CASE;
  RETURN NULL;
END $$;

-- Whether it has a state.
CREATE OR REPLACE FUNCTION pgflow.has_state(class oid, object oid) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF class = 'pg_class'::regclass THEN
    RETURN EXISTS (SELECT FROM pg_class WHERE oid = object AND relkind IN ('r', 'p', 'v', 'm', 'S'));
  END IF;
  RETURN pgflow.state(class, object) IS NOT NULL;
END $$;

-- What a part of something else belongs to: the table of an index, the type of an attribute.
CREATE OR REPLACE FUNCTION pgflow.whole_of(class oid, object oid, OUT of_class oid, OUT of_object oid)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  of_class := class;
  of_object := object;
  CASE class
    WHEN 'pg_class'::regclass THEN
      IF (SELECT relkind FROM pg_class WHERE oid = object) = 'c' THEN
        of_class := 'pg_type'::regclass;
        SELECT reltype INTO of_object FROM pg_class WHERE oid = object;
      ELSE
        -- The table of an index, or of the sequence behind an identity column.
        SELECT coalesce((SELECT indrelid FROM pg_index WHERE indexrelid = object),
          (SELECT refobjid FROM pg_depend d WHERE d.classid = 'pg_class'::regclass
            AND d.objid = object AND d.refclassid = 'pg_class'::regclass AND d.deptype = 'i'
            AND EXISTS (SELECT FROM pg_sequence WHERE seqrelid = object)), object)
        INTO of_object;
      END IF;
      RETURN;
    WHEN 'pg_type'::regclass THEN
      -- The array type, or the row type of a table, never comes alone.
      RETURN;
    WHEN 'pg_trigger'::regclass THEN SELECT tgrelid INTO of_object FROM pg_trigger WHERE oid = object;
    WHEN 'pg_policy'::regclass THEN SELECT polrelid INTO of_object FROM pg_policy WHERE oid = object;
    WHEN 'pg_rewrite'::regclass THEN SELECT ev_class INTO of_object FROM pg_rewrite WHERE oid = object;
    WHEN 'pg_attrdef'::regclass THEN SELECT adrelid INTO of_object FROM pg_attrdef WHERE oid = object;
    WHEN 'pg_statistic_ext'::regclass THEN
      SELECT stxrelid INTO of_object FROM pg_statistic_ext WHERE oid = object;
    WHEN 'pg_constraint'::regclass THEN
      SELECT CASE WHEN conrelid <> 0 THEN 'pg_class'::regclass ELSE 'pg_type'::regclass END,
        CASE WHEN conrelid <> 0 THEN conrelid ELSE contypid END
      INTO of_class, of_object FROM pg_constraint WHERE oid = object;
      RETURN;
    ELSE RETURN;
  END CASE;
  of_class := 'pg_class'::regclass;
END $$;

-- Which publications of pipelines chose the tables: by their own name or a partition's root's.
CREATE OR REPLACE FUNCTION pgflow.chosen(relations oid[])
RETURNS TABLE (of_relation oid, of_publication text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN QUERY SELECT DISTINCT named.relation, p.publication
  FROM (
    SELECT r AS relation, r AS name_of FROM unnest(relations) r
    UNION ALL SELECT c.oid, a.relid::oid FROM pg_class c
    CROSS JOIN LATERAL pg_partition_ancestors(c.oid) a
    WHERE c.oid = ANY (relations) AND c.relispartition
  ) named JOIN pg_class c ON c.oid = named.name_of JOIN pg_namespace n ON n.oid = c.relnamespace
  CROSS JOIN pgflow.capture_pipeline p
  WHERE c.relpersistence = 'p' AND c.relkind IN ('r', 'p')
  AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'pgflow')
  AND (p.includes = '{}' OR EXISTS (
    SELECT FROM unnest(p.includes) i WHERE n.nspname || E'\x1f' || c.relname ~ i))
  AND NOT EXISTS (
    SELECT FROM unnest(p.excludes) e WHERE n.nspname || E'\x1f' || c.relname ~ e);
END $$;

-- Whether the publication brings the table's rows: by name, with its root, with its schema, or all.
CREATE OR REPLACE FUNCTION pgflow.is_published(relation oid, publication text) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  found boolean;
BEGIN
  SELECT p.puballtables OR EXISTS (SELECT FROM pg_publication_rel r WHERE r.prpubid = p.oid
    AND (r.prrelid = relation OR r.prrelid IN (SELECT relid FROM pg_partition_ancestors(relation))))
  INTO found FROM pg_publication p WHERE p.pubname = publication;
  IF found OR current_setting('server_version_num')::int < 150000 THEN
    RETURN coalesce(found, false);
  END IF;
  RETURN EXISTS (SELECT FROM pg_publication_namespace n JOIN pg_publication p ON p.oid = n.pnpubid
    WHERE p.pubname = publication AND n.pnnspid IN (SELECT relnamespace FROM pg_class
      WHERE oid = relation OR oid IN (SELECT relid FROM pg_partition_ancestors(relation))));
END $$;

-- Those that chose the tables, and bring their rows.
CREATE OR REPLACE FUNCTION pgflow.published(relations oid[])
RETURNS TABLE (of_relation oid, of_publications text[])
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN QUERY SELECT c.of_relation, array_agg(c.of_publication ORDER BY c.of_publication)
  FROM pgflow.chosen(relations) c
  WHERE CASE WHEN EXISTS (SELECT FROM pg_publication p
      JOIN pg_publication_rel r ON r.prpubid = p.oid AND r.prrelid = c.of_relation
      WHERE p.pubname = c.of_publication) THEN true
    ELSE pgflow.is_published(c.of_relation, c.of_publication) END
  GROUP BY c.of_relation;
END $$;

CREATE OR REPLACE FUNCTION pgflow.is_ours(publication text) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN (SELECT EXISTS (SELECT FROM pg_publication p WHERE p.pubname = publication
      AND obj_description(p.oid, 'pg_publication') = 'made by pgflow'));
END $$;

-- Sees to it that UPDATE and DELETE of a published table go on to work: a table without a key gets
-- REPLICA IDENTITY FULL, as long as it has none. Only from commands that have locked it anyway.
CREATE OR REPLACE FUNCTION pgflow.keep_updatable(relation oid) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  has_key boolean := EXISTS (SELECT FROM pg_index WHERE indrelid = relation AND indisprimary
    AND indisvalid AND indimmediate);
  by_pgflow boolean;
BEGIN
  SELECT s.identity_by_pgflow INTO by_pgflow FROM pgflow.object_state s
  WHERE s.class = 'pg_class'::regclass AND s.object = relation;
  IF NOT has_key AND (SELECT relreplident = 'd' FROM pg_class WHERE oid = relation) THEN
    EXECUTE format('ALTER TABLE %s REPLICA IDENTITY FULL', relation::regclass);
    by_pgflow := true;
  ELSIF by_pgflow AND has_key THEN
    EXECUTE format('ALTER TABLE %s REPLICA IDENTITY DEFAULT', relation::regclass);
    by_pgflow := false;
  END IF;
  UPDATE pgflow.object_state s SET identity_by_pgflow = by_pgflow
  WHERE s.class = 'pg_class'::regclass AND s.object = relation
  AND s.identity_by_pgflow <> by_pgflow;
  RETURN coalesce(by_pgflow, false);
END $$;

-- Looks which publications are to bring the table's rows. `announced`: for which it is new.
-- `direct`: which bring them from now on, without its being asked for, but not those that are there.
CREATE OR REPLACE FUNCTION pgflow.admit(
  in_relation oid, OUT announced text[], OUT direct text[])
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  stored text[] := coalesce((SELECT publications FROM pgflow.object_state
    WHERE class = 'pg_class'::regclass AND object = in_relation), '{}');
  each text;
  joining boolean;
  root_joins boolean;
BEGIN
  announced := '{}';
  direct := '{}';
  FOR each IN SELECT of_publication FROM pgflow.chosen(ARRAY[in_relation]) ORDER BY 1 LOOP
    joining := EXISTS (SELECT FROM pgflow.joining_table j
      WHERE j.relation = in_relation AND j.publication = each);
    root_joins := EXISTS (SELECT FROM pgflow.joining_table j WHERE j.publication = each
      AND j.relation IN (SELECT relid FROM pg_partition_ancestors(in_relation))
      AND j.relation <> in_relation);
    IF each = ANY (stored) THEN
      -- A partition that has left its root. Its next row must not be missed.
      IF pgflow.is_ours(each) AND NOT pgflow.is_published(in_relation, each) THEN
        EXECUTE format('ALTER PUBLICATION %I ADD TABLE ONLY %s', each, in_relation::regclass);
      END IF;
    ELSIF pgflow.is_published(in_relation, each) THEN
      direct := direct || each;
      IF NOT joining THEN announced := announced || each; END IF;
      DELETE FROM pgflow.joining_table j WHERE j.relation = in_relation AND j.publication = each;
    ELSIF NOT joining AND pgflow.is_ours(each) THEN
      announced := announced || each;
      INSERT INTO pgflow.joining_table VALUES (in_relation, each, root_joins);
    END IF;
  END LOOP;
END $$;

-- The table and all that ALTER TABLE on it reaches. ROWS: who expects a thousand reads all of
-- pg_class to join them.
CREATE OR REPLACE FUNCTION pgflow.tree_and_heirs(relation oid) RETURNS SETOF oid
LANGUAGE plpgsql STABLE ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN QUERY WITH RECURSIVE heir(oid) AS (
    SELECT relation UNION SELECT i.inhrelid FROM pg_inherits i JOIN heir h ON i.inhparent = h.oid)
  SELECT heir.oid FROM heir;
END $$;

-- The table and, when it is partitioned, all below it.
CREATE OR REPLACE FUNCTION pgflow.tree_of(relation oid) RETURNS SETOF oid
LANGUAGE plpgsql STABLE ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN QUERY SELECT relation UNION SELECT relid::oid FROM pg_partition_tree(relation);
END $$;

-- From here on the publications bring the rows of the table and its partitions; emits those that
-- are there.
CREATE OR REPLACE FUNCTION pgflow.begin_rows(in_relation oid, in_publications text[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  member record;
BEGIN
  FOR member IN SELECT s.object, c.relkind,
      ARRAY(SELECT unnest(in_publications) EXCEPT SELECT unnest(s.publications)) AS publications
    FROM pgflow.tree_of(in_relation) m(oid) JOIN pg_class c ON c.oid = m.oid
    JOIN pgflow.object_state s ON s.class = 'pg_class'::regclass AND s.object = m.oid
  LOOP
    CONTINUE WHEN member.publications = '{}';
    UPDATE pgflow.object_state s SET publications = s.publications || member.publications
    WHERE s.class = 'pg_class'::regclass AND s.object = member.object;
    DELETE FROM pgflow.joining_table j WHERE j.relation = member.object
      AND j.publication = ANY (member.publications);
    IF member.relkind = 'r' THEN
      PERFORM pgflow.emit_rows(member.object, '{}', 'insert', member.publications);
    END IF;
  END LOOP;
END $$;

-- At the commit of the transaction that made the table.
CREATE OR REPLACE FUNCTION pgflow.join_publication() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET standard_conforming_strings = on SET timezone = 'UTC' SET lc_monetary = 'C'
SET datestyle = 'ISO, MDY' SET intervalstyle = 'postgres' SET extra_float_digits = 3
SET bytea_output = 'hex' SET quote_all_identifiers = off SET lock_timeout = 0 SET jit = off AS $$
DECLARE
  detail text;
  place text;
BEGIN
  IF NOT EXISTS (SELECT FROM pgflow.joining_table j JOIN pg_class c ON c.oid = j.relation
      WHERE j.relation = new.relation AND j.publication = new.publication AND NOT j.with_root) THEN
    DELETE FROM pgflow.joining_table j WHERE j.relation = new.relation
      AND NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = j.relation);
    RETURN NULL;
  END IF;
  BEGIN
    PERFORM pgflow.set_busy(true);
    EXECUTE format('ALTER PUBLICATION %I ADD TABLE ONLY %s', new.publication,
      new.relation::regclass);
    PERFORM pgflow.begin_rows(new.relation, ARRAY[new.publication]);
  EXCEPTION
  WHEN serialization_failure OR deadlock_detected THEN
    RAISE;  -- Whoever runs DDL beside others has to be ready for these, and the next try is captured.
  WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, place = PG_EXCEPTION_CONTEXT;
    PERFORM pgflow.emit_failure('CREATE TABLE', concat_ws('; ', sqlerrm, nullif(detail, ''), place));
  END;
  PERFORM pgflow.set_busy(false);
  RETURN NULL;
END $$;

-- Emits the table's rows as changes: those columns, or, with `whole`, everything again.
CREATE OR REPLACE FUNCTION pgflow.emit_rows(
  relation oid, changed text[], operation text, publications text[])
RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET standard_conforming_strings = on SET timezone = 'UTC' SET lc_monetary = 'C'
SET datestyle = 'ISO, MDY' SET intervalstyle = 'postgres'
SET extra_float_digits = 3 SET bytea_output = 'hex' SET row_security = off AS $$
DECLARE
  header jsonb;
  expressions text;
  line text;
  lines text[] := '{}';
  size bigint := 0;
BEGIN
  WITH attribute AS (
    SELECT a.*, c.relreplident = 'f' OR EXISTS (SELECT FROM pg_index i WHERE i.indrelid = relation
        AND CASE c.relreplident WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident
        ELSE false END AND a.attnum = ANY (i.indkey)) AS key
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
    WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''),
  shown AS (SELECT *, operation <> 'update' OR key OR attname = ANY (changed) AS sent FROM attribute)
  SELECT jsonb_build_object('relation', relation::bigint, 'schema', n.nspname, 'name', c.relname,
      'identity', c.relreplident, 'operation', operation, 'first', true,
      'publications', to_jsonb(publications), 'columns', (
        SELECT jsonb_agg(jsonb_build_object('name', attname, 'type', atttypid::bigint,
          'modifier', atttypmod, 'key', key, 'sent', sent) ORDER BY attnum) FROM shown)),
    (SELECT string_agg(format('CASE WHEN num_nulls(%1$I) = 0 THEN format(''%%s'', %1$I) END',
      attname), ', ' ORDER BY attnum) FROM shown WHERE sent)
  INTO header, expressions
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = relation;
  IF expressions IS NULL THEN RETURN; END IF;
  -- An array, because a function takes 100 arguments.
  FOR line IN EXECUTE format('SELECT array_to_json(ARRAY[%s]::text[])::text FROM ONLY %s',
      expressions, relation::regclass) LOOP
    lines := lines || line;
    size := size + length(line);
    IF size > 500000 THEN
      PERFORM pgflow.emit_block(header, lines);
      header := header - 'first';
      lines := '{}';
      size := 0;
    END IF;
  END LOOP;
  IF lines <> '{}' THEN PERFORM pgflow.emit_block(header, lines); END IF;
END $$;

CREATE OR REPLACE FUNCTION pgflow.emit_block(header jsonb, lines text[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM pgflow.emit('rows', header || jsonb_build_object(
    'rows', ('[' || array_to_string(lines, ',') || ']')::jsonb));
END $$;

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
      UNION ALL SELECT 'pg_class'::regclass, oid FROM pg_class
      WHERE in_class = 'pg_namespace'::regclass AND relnamespace = in_object
      UNION ALL SELECT 'pg_type'::regclass, oid FROM pg_type
      WHERE in_class = 'pg_namespace'::regclass AND typnamespace = in_object
      UNION ALL SELECT 'pg_proc'::regclass, oid FROM pg_proc
      WHERE in_class = 'pg_namespace'::regclass AND pronamespace = in_object
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

-- The relations that a GRANT or REVOKE names, by their last names, when its text is that one command
-- and says so in plain words; NULL: any other text (quoted names, ALL TABLES, several commands).
CREATE OR REPLACE FUNCTION pgflow.granted_names(query text) RETURNS name[]
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  named text := substring(query FROM
    '^\s*(?:[Gg][Rr][Aa][Nn][Tt]|[Rr][Ee][Vv][Oo][Kk][Ee])\s[A-Za-z0-9_$\s,()]*?\s[Oo][Nn]\s+'
    '(?:(?:[Tt][Aa][Bb][Ll][Ee]|[Ss][Ee][Qq][Uu][Ee][Nn][Cc][Ee])\s+)?'
    '([A-Za-z_][A-Za-z0-9_$.]*(?:\s*,\s*[A-Za-z_][A-Za-z0-9_$.]*)*)'
    '\s+(?:[Tt][Oo]|[Ff][Rr][Oo][Mm])\s[^;]*;?\s*$');
BEGIN
  RETURN (SELECT array_agg(lower(substring(n FROM '[^.]*$'))::name)
    FROM regexp_split_to_table(named, '\s*,\s*') n);
END $$;

-- Objects whose owner or privileges are not those of their stored state, among those that this
-- subtransaction has written. `kind`: what the command names; only that catalog is read. NULL: all.
CREATE OR REPLACE FUNCTION pgflow.changed_rights(
  kind text, with_columns boolean, subtransaction xid)
RETURNS TABLE (of_class oid, of_object oid)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET enable_hashjoin = off
SET enable_mergejoin = off SET jit = off AS $$
  WITH written AS MATERIALIZED (
    SELECT 'pg_class'::regclass::oid AS class, oid, relowner AS owner, relacl AS acl FROM pg_class
    WHERE coalesce(kind IN ('TABLE', 'COLUMN', 'SEQUENCE'), true)
    AND xmin = subtransaction AND relkind IN ('r', 'p', 'v', 'm', 'S')
    UNION ALL SELECT 'pg_type'::regclass, oid, typowner, typacl FROM pg_type
    WHERE coalesce(kind IN ('TYPE', 'DOMAIN'), true) AND xmin = subtransaction
    UNION ALL SELECT 'pg_proc'::regclass, oid, proowner, proacl FROM pg_proc
    WHERE coalesce(kind IN ('FUNCTION', 'PROCEDURE', 'ROUTINE'), true) AND xmin = subtransaction
    UNION ALL SELECT 'pg_namespace'::regclass, oid, nspowner, nspacl FROM pg_namespace
    WHERE coalesce(kind = 'SCHEMA', true) AND xmin = subtransaction
  ), written_column AS MATERIALIZED (
    SELECT attrelid, attnum, attacl FROM pg_attribute
    WHERE with_columns AND xmin = subtransaction AND attnum > 0
  )
  SELECT s.class, s.object FROM written o
  JOIN pgflow.object_state s ON o.class = s.class AND o.oid = s.object
  WHERE s.state ->> 'owner' <> pg_get_userbyid(o.owner)
  OR s.state -> 'grants' <> pgflow.acl(o.acl)
  OR s.state -> 'default_grants' <> to_jsonb(o.acl IS NULL)
  -- What is taken from a table is taken from its columns as well.
  OR jsonb_path_exists(s.state, '$.columns[*].grants')
  UNION
  SELECT s.class, s.object FROM written_column a
  JOIN pgflow.object_state s ON s.class = 'pg_class'::regclass AND s.object = a.attrelid
  WHERE EXISTS (SELECT FROM jsonb_array_elements(s.state -> 'columns') c
    WHERE (c ->> 'number')::int = a.attnum
    AND coalesce(c -> 'grants', '[]') <> pgflow.acl(a.attacl))
  ORDER BY 1, 2
$$;

-- The same among relations of these names, whatever their number and that of all others.
CREATE OR REPLACE FUNCTION pgflow.changed_rights_of(names name[], subtransaction xid)
RETURNS TABLE (of_class oid, of_object oid)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET jit = off AS $$
  SELECT 'pg_class'::regclass::oid, c.oid FROM pg_class c
  WHERE c.relname = ANY (names) AND c.relkind IN ('r', 'p', 'v', 'm', 'S')
  AND (c.xmin = subtransaction OR EXISTS (SELECT FROM pg_attribute a
    WHERE a.attrelid = c.oid AND a.xmin = subtransaction))
  ORDER BY 1, 2
$$;

CREATE OR REPLACE FUNCTION pgflow.emit_failure(tag text, error text) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
  SELECT pgflow.emit('ddl', jsonb_build_object('tag', tag, 'error', error,
    'query', left(current_query(), 10000)))
$$;

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
          'publication namespace', 'subscription', 'event trigger', 'server', 'user mapping',
          'foreign-data wrapper');
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
    FOR gone IN SELECT * FROM pg_event_trigger_dropped_objects() WHERE NOT is_temporary LOOP
      DELETE FROM pgflow.object_state WHERE class = gone.classid AND object = gone.objid
        AND gone.objsubid = 0 RETURNING state, to_jsonb(publications)
        INTO old, brought_by;
      IF FOUND THEN
        IF gone.original AND coalesce(old ->> 'schema', '') <> 'pgflow' THEN
          PERFORM pgflow.emit('ddl', jsonb_build_object('tag', tg_tag, 'before', old,
            'cascade', is_cascade, 'published_by', brought_by));
        END IF;
        CONTINUE;
      END IF;
      IF gone.original AND gone.object_type NOT IN ('index', 'trigger', 'policy', 'rule',
          'table constraint', 'statistics object', 'table column', 'default value',
          'domain constraint', 'type', 'sequence', 'publication relation') THEN
        PERFORM pgflow.emit('ddl', jsonb_build_object('tag', tg_tag, 'statement',
          format('DROP %s IF EXISTS %s', upper(gone.object_type), gone.object_identity),
          'object', gone.object_type, 'identity', gone.object_identity,
          'schema', gone.schema_name, 'top_level', true, 'role', pgflow.session_role()));
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

-- Notes the session's search_path, which statements that travel as text need. It is a setting, as it
-- was one before: whoever could forge it may choose it.
CREATE OR REPLACE FUNCTION pgflow.capture_start() RETURNS event_trigger
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_catalog.set_config('pgflow.search_path', pg_catalog.current_setting('search_path'), true);
END $$;

-- The states of everything that is there.
CREATE OR REPLACE FUNCTION pgflow.present_states()
RETURNS TABLE (of_class oid, of_object oid, of_state jsonb)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  relations oid[];
  sequences oid[];
BEGIN
  SELECT coalesce(array_agg(c.oid) FILTER (WHERE c.relkind <> 'S'), '{}'),
    coalesce(array_agg(c.oid) FILTER (WHERE c.relkind = 'S' AND NOT EXISTS (
      SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
      AND d.deptype = 'i' AND d.refclassid = 'pg_class'::regclass)), '{}')
  INTO relations, sequences
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S') AND c.relpersistence <> 't'
  AND n.nspname !~ '^(pg_|information_schema$|pgflow$)'
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass
    AND d.objid = c.oid AND d.deptype = 'e');
  RETURN QUERY SELECT 'pg_class'::regclass::oid, r.of_object, r.of_state
  FROM pgflow.relation_states(relations) r;
  RETURN QUERY SELECT 'pg_class'::regclass::oid, r.of_object, r.of_state
  FROM pgflow.sequence_states(sequences) r;
  RETURN QUERY SELECT o.class, o.oid, pgflow.state(o.class, o.oid)
  FROM (
    SELECT 'pg_type'::regclass::oid AS class, t.oid, typnamespace AS namespace FROM pg_type t
    WHERE typtype IN ('e', 'd', 'r') OR typtype = 'c' AND EXISTS (
      SELECT FROM pg_class c WHERE c.oid = t.typrelid AND c.relkind = 'c')
    UNION ALL SELECT 'pg_proc'::regclass, oid, pronamespace FROM pg_proc WHERE prokind <> 'a'
    UNION ALL SELECT 'pg_namespace'::regclass, oid, oid FROM pg_namespace
    UNION ALL SELECT 'pg_extension'::regclass, oid, NULL FROM pg_extension
  ) o LEFT JOIN pg_namespace n ON n.oid = o.namespace
  WHERE coalesce(n.nspname, '') !~ '^(pg_|information_schema$|pgflow$)'
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = o.class AND d.objid = o.oid
    AND d.deptype = 'e');
END $$;

-- Stores which publications bring the tables' rows, where it is more than is known.
CREATE OR REPLACE FUNCTION pgflow.refresh_publications() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET jit = off AS $$
BEGIN
  UPDATE pgflow.object_state s SET publications = now.of_publications
  FROM pgflow.published(ARRAY(SELECT object FROM pgflow.object_state
    WHERE class = 'pg_class'::regclass)) now
  WHERE s.class = 'pg_class'::regclass AND s.object = now.of_relation
  AND NOT s.publications @> now.of_publications;
END $$;

-- Stores the state of everything that is there. Called when the triggers are made, and again when
-- all transactions that began before are over: what they changed was not captured. Each state is
-- computed once, and all of them together.
CREATE OR REPLACE FUNCTION pgflow.refresh() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
SET standard_conforming_strings = on SET timezone = 'UTC' SET lc_monetary = 'C'
SET datestyle = 'ISO, MDY' SET intervalstyle = 'postgres' SET extra_float_digits = 3
SET bytea_output = 'hex' SET quote_all_identifiers = off SET jit = off
SET plan_cache_mode = force_generic_plan SET work_mem = '64MB' AS $$
DECLARE
  stale record;
  classes oid[];
  objects oid[];
BEGIN
  DELETE FROM pgflow.command_note WHERE transaction < pg_snapshot_xmin(pg_current_snapshot());
  WITH present AS MATERIALIZED (SELECT * FROM pgflow.present_states()),
  added AS (
    INSERT INTO pgflow.object_state (class, object, state, publications)
    SELECT p.of_class, p.of_object, p.of_state, coalesce(b.of_publications, '{}')
    FROM present p LEFT JOIN pgflow.published(ARRAY(SELECT n.of_object FROM present n
      WHERE n.of_class = 'pg_class'::regclass)) b
      ON p.of_class = 'pg_class'::regclass AND b.of_relation = p.of_object
    WHERE NOT EXISTS (SELECT FROM pgflow.object_state s
      WHERE s.class = p.of_class AND s.object = p.of_object)
    ON CONFLICT (class, object) DO NOTHING),  -- Its command has stored it meanwhile.
  -- By itself: the state of each would be asked for before it is known that few are absent.
  absent AS MATERIALIZED (
    SELECT s.class, s.object FROM pgflow.object_state s WHERE NOT EXISTS (SELECT FROM present p
      WHERE p.of_class = s.class AND p.of_object = s.object)),
  gone AS (
    DELETE FROM pgflow.object_state s USING absent a
    WHERE s.class = a.class AND s.object = a.object AND pgflow.state(a.class, a.object) IS NULL)
  SELECT array_agg(s.class), array_agg(s.object) INTO classes, objects
  FROM pgflow.object_state s
  LEFT JOIN present p ON p.of_class = s.class AND p.of_object = s.object
  WHERE s.state <> CASE WHEN p.of_object IS NULL THEN pgflow.state(s.class, s.object)
    ELSE p.of_state END;
  PERFORM pgflow.refresh_publications();
  FOR stale IN SELECT * FROM unnest(classes, objects) s(class, object) LOOP
    -- Behind a command that is changing it just now.
    IF stale.class = 'pg_class'::regclass
        AND (SELECT relkind IN ('r', 'p', 'v') FROM pg_class WHERE oid = stale.object) THEN
      EXECUTE format('LOCK TABLE %s IN ACCESS SHARE MODE', stale.object::regclass);
    END IF;
    PERFORM pgflow.await_others(stale.class, stale.object, NULL, NULL);
    UPDATE pgflow.object_state SET state = pgflow.state(class, object)
    WHERE class = stale.class AND object = stale.object
    AND pgflow.state(class, object) IS NOT NULL;
  END LOOP;
END $$;

-- Before version 14: lets the messages through, which are rows there.
CREATE OR REPLACE FUNCTION pgflow.publish_messages(publication text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_publication_tables t WHERE t.pubname = publication
      AND t.schemaname = 'pgflow' AND t.tablename = 'message') THEN
    EXECUTE format('ALTER PUBLICATION %I ADD TABLE pgflow.message', publication);
  END IF;
END $$;

-- Takes everything away when no pipeline is left. The schema stays where others keep something in
-- it.
CREATE OR REPLACE FUNCTION pgflow.remove_capture() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  routine regprocedure;
BEGIN
  IF EXISTS (SELECT FROM pgflow.capture_pipeline) THEN RETURN; END IF;
  DROP EVENT TRIGGER IF EXISTS pgflow_capture_start;
  DROP EVENT TRIGGER IF EXISTS pgflow_capture_rewrite;
  DROP EVENT TRIGGER IF EXISTS pgflow_capture_drop;
  DROP EVENT TRIGGER IF EXISTS pgflow_capture;
  DROP TABLE pgflow.capture_pipeline, pgflow.capture_secret, pgflow.object_state,
    pgflow.joining_table, pgflow.message, pgflow.command_note, pgflow.writer;
  FOR routine IN SELECT oid FROM pg_proc WHERE pronamespace = 'pgflow'::regnamespace LOOP
    EXECUTE format('DROP FUNCTION %s', routine);
  END LOOP;
  IF NOT EXISTS (SELECT FROM pg_class WHERE relnamespace = 'pgflow'::regnamespace) THEN
    DROP SCHEMA pgflow;
  END IF;
END $$;

REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA pgflow FROM PUBLIC;
-- Nor anybody else whom default privileges let in: what is here is believed, and called with a
-- superuser's rights. The secret's readers were chosen one by one.
DO $$
DECLARE
  open record;
BEGIN
  FOR open IN
    SELECT 'TABLE' AS kind, c.oid::regclass::text AS name, a.grantee, a.privilege_type AS privilege
    FROM pg_class c CROSS JOIN aclexplode(c.relacl) a
    WHERE c.relnamespace = 'pgflow'::regnamespace AND c.relname IN ('capture_pipeline',
      'capture_secret', 'object_state', 'joining_table', 'message', 'command_note', 'writer')
    AND a.grantee <> c.relowner
    AND NOT (c.relname = 'capture_secret' AND a.privilege_type = 'SELECT' AND a.grantee <> 0)
    UNION ALL SELECT 'FUNCTION', p.oid::regprocedure::text, a.grantee, a.privilege_type
    FROM pg_proc p CROSS JOIN aclexplode(p.proacl) a
    WHERE p.pronamespace = 'pgflow'::regnamespace AND a.grantee <> p.proowner
    UNION ALL SELECT 'SCHEMA', 'pgflow', a.grantee, a.privilege_type
    FROM pg_namespace n CROSS JOIN aclexplode(n.nspacl) a
    WHERE n.nspname = 'pgflow' AND a.grantee <> n.nspowner AND a.privilege_type = 'CREATE'
  LOOP
    EXECUTE format('REVOKE %s ON %s %s FROM %s CASCADE', open.privilege, open.kind, open.name,
      CASE WHEN open.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(open.grantee)) END);
  END LOOP;
END $$;
DROP TRIGGER IF EXISTS join_publication ON pgflow.joining_table;
CREATE CONSTRAINT TRIGGER join_publication AFTER INSERT ON pgflow.joining_table
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION pgflow.join_publication();
ALTER TABLE pgflow.joining_table ENABLE ALWAYS TRIGGER join_publication;
CREATE EVENT TRIGGER pgflow_capture_start ON ddl_command_start EXECUTE FUNCTION pgflow.capture_start();
CREATE EVENT TRIGGER pgflow_capture_rewrite ON table_rewrite EXECUTE FUNCTION pgflow.capture_rewrite();
CREATE EVENT TRIGGER pgflow_capture_drop ON sql_drop EXECUTE FUNCTION pgflow.capture_drop();
CREATE EVENT TRIGGER pgflow_capture ON ddl_command_end EXECUTE FUNCTION pgflow.capture();
ALTER EVENT TRIGGER pgflow_capture_start ENABLE ALWAYS;
ALTER EVENT TRIGGER pgflow_capture_rewrite ENABLE ALWAYS;
ALTER EVENT TRIGGER pgflow_capture_drop ENABLE ALWAYS;
ALTER EVENT TRIGGER pgflow_capture ENABLE ALWAYS;
