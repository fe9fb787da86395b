-- These give the states of many objects at once, because there may be very many, and what looks at
-- each by itself plans and begins a query for each.

CREATE OR REPLACE FUNCTION pgflow.columns_states(relations oid[])
RETURNS TABLE (of_relation oid, of_columns jsonb)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  names_not_null boolean := current_setting('server_version_num')::int >= 180000;
  sets_expressions boolean := current_setting('server_version_num')::int >= 170000;
BEGIN
  RETURN QUERY SELECT a.attrelid, jsonb_agg(CASE WHEN rare IS NULL THEN common
    ELSE common || jsonb_strip_nulls(to_jsonb(rare)) END ORDER BY a.attnum)
  FROM pg_class c
  -- Version 13 has no column of that name, and finds the one here.
  CROSS JOIN (SELECT ''::"char" AS attcompression) none
  CROSS JOIN LATERAL (SELECT *, attcompression AS compression FROM pg_attribute
    WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped) a
  JOIN pg_type t ON t.oid = a.atttypid
  LEFT JOIN pg_constraint k ON names_not_null AND a.attnotnull AND k.conrelid = a.attrelid
    AND k.contype = 'n' AND k.conkey = ARRAY[a.attnum]
  LEFT JOIN pg_attrdef d ON a.atthasdef AND d.adrelid = a.attrelid AND d.adnum = a.attnum
  LEFT JOIN pg_description e ON e.objoid = a.attrelid AND e.classoid = 'pg_class'::regclass
    AND e.objsubid = a.attnum
  -- What most columns have none of is put together only where there is something of it: 50,000 of them
  -- are looked at for 10,000 tables.
  CROSS JOIN LATERAL (SELECT k.conname AS not_null_name,
      -- From version 18 it is a constraint with a name, and may say more: NO INHERIT, NOT VALID.
      CASE WHEN k.connoinherit OR NOT k.convalidated THEN pg_get_constraintdef(k.oid) END
        AS not_null_definition,
      obj_description(k.oid, 'pg_constraint') AS not_null_comment,
      -- Of an heir: its own, whether or not a parent has it, too.
      CASE WHEN a.attinhcount > 0 THEN k.conislocal END AS not_null_local,
      CASE WHEN pgflow.calls_more(d.adbin::text)
        THEN pgflow.risk(d.adbin::text, c.relowner) END AS risk,
      -- What rows that are older than the column have in it. A partitioned table has no rows, but
      -- its leaves do.
      CASE WHEN a.atthasmissing THEN array_to_string(a.attmissingval, '')
        WHEN c.relkind = 'p' THEN (SELECT array_to_string(l.attmissingval, '') FROM pg_attribute l
          WHERE l.attrelid = (SELECT relid FROM pg_partition_tree(c.oid) WHERE isleaf LIMIT 1)
          AND l.attname = a.attname AND l.atthasmissing) END AS missing,
      nullif(a.attidentity, '') AS identity, nullif(a.attgenerated, '') AS generated,
      -- Of a partition, where its root's is another one.
      CASE WHEN a.attgenerated <> '' AND sets_expressions AND c.relispartition THEN (
        SELECT nullif(pg_get_expr(pd.adbin, pd.adrelid) <> pg_get_expr(d.adbin, d.adrelid), false)
        FROM pg_inherits h JOIN pg_attribute pa ON pa.attrelid = h.inhparent
          AND pa.attname = a.attname
        JOIN pg_attrdef pd ON pd.adrelid = pa.attrelid AND pd.adnum = pa.attnum
        WHERE h.inhrelid = c.oid) END AS overrides,
      CASE WHEN a.attgenerated <> '' AND sets_expressions THEN true END AS settable,
      CASE WHEN a.attcollation <> t.typcollation THEN (
        SELECT format('%I.%I', n.nspname, o.collname) FROM pg_collation o
        JOIN pg_namespace n ON n.oid = o.collnamespace WHERE o.oid = a.attcollation) END AS collation,
      CASE WHEN a.attstorage <> t.typstorage THEN a.attstorage END AS storage,
      CASE WHEN a.attoptions IS NOT NULL THEN to_jsonb(a.attoptions) END AS options,
      nullif(a.compression, '') AS compression, nullif(a.attstattarget, -1)::text AS statistics,
      CASE WHEN a.attacl IS NOT NULL THEN nullif(pgflow.acl(a.attacl), '[]') END AS grants,
      e.description AS comment,
      CASE WHEN a.attidentity <> '' THEN (
        SELECT to_jsonb(s) - 'seqrelid' - 'seqtypid' || CASE WHEN q.relpersistence = c.relpersistence
          THEN '{}' ELSE jsonb_build_object('persistence', q.relpersistence) END
        FROM pg_depend x JOIN pg_sequence s ON s.seqrelid = x.objid
        JOIN pg_class q ON q.oid = x.objid
        WHERE x.classid = 'pg_class'::regclass AND x.refclassid = 'pg_class'::regclass
        AND x.refobjid = a.attrelid AND x.refobjsubid = a.attnum AND x.deptype = 'i') END AS sequence
    ) rare
  CROSS JOIN LATERAL (SELECT jsonb_strip_nulls(jsonb_build_object(
      'number', a.attnum, 'name', a.attname, 'type', format_type(a.atttypid, a.atttypmod),
      'type_oid', a.atttypid::bigint, 'type_modifier', a.atttypmod,
      'not_null', a.attnotnull,
      'default', pg_get_expr(d.adbin, d.adrelid), 'default_oid', d.oid::bigint,
      'own_storage', CASE WHEN t.typlen = -1 THEN t.typstorage END,
      'local', a.attislocal)) AS common) usual
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
  IF c.relkind = 'f' THEN
    state := state || (SELECT jsonb_build_object('server', s.srvname,
        'foreign_options', pgflow.foreign_options(f.ftoptions),
        'column_options', (SELECT jsonb_object_agg(a.attnum, pgflow.foreign_options(a.attfdwoptions))
          FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
          AND a.attfdwoptions IS NOT NULL))
      FROM pg_foreign_table f JOIN pg_foreign_server s ON s.oid = f.ftserver WHERE f.ftrelid = c.oid);
  END IF;
  IF c.reloftype <> 0 THEN
    state := state || jsonb_build_object('of_type', format_type(c.reloftype, NULL),
      'of_type_oid', c.reloftype::text);
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
      FROM pg_trigger g WHERE g.tgrelid = c.oid AND NOT g.tgisinternal AND g.tgparentid = 0), '[]'),
      -- A partition has its root's triggers, and may switch them off.
      'inherited_triggers', (
      SELECT jsonb_agg(jsonb_build_object('oid', g.oid::bigint, 'name', g.tgname,
        'enabled', g.tgenabled) ORDER BY g.tgname)
      -- Before version 15 they are internal ones there, as those of foreign keys are.
      FROM pg_trigger g WHERE g.tgrelid = c.oid AND g.tgparentid <> 0
        AND (NOT g.tgisinternal OR g.tgconstraint = 0)));
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
        'enabled', w.ev_enabled,
        'risk', CASE WHEN NOT pgflow.is_superuser(c.relowner) THEN 'its actions' END,
        'comment', obj_description(w.oid, 'pg_rewrite')) ORDER BY w.rulename)
      FROM pg_rewrite w WHERE w.ev_class = c.oid
        AND (w.rulename <> '_RETURN' OR c.relkind NOT IN ('v', 'm'))), '[]'));
  END IF;
  IF EXISTS (SELECT FROM pg_statistic_ext WHERE stxrelid = c.oid) THEN
    state := state || jsonb_build_object('statistics', (
      SELECT jsonb_agg(jsonb_build_object(
        'oid', s.oid::bigint, 'schema', sn.nspname, 'name', s.stxname,
        'definition', pg_get_statisticsobjdef(s.oid), 'owner', pg_get_userbyid(s.stxowner),
        'target', CASE WHEN s.stxstattarget >= 0 THEN s.stxstattarget::text END,
        'risk', pgflow.risk(to_jsonb(s) ->> 'stxexprs', c.relowner),
        'comment', obj_description(s.oid, 'pg_statistic_ext')) ORDER BY s.stxname)
      FROM pg_statistic_ext s JOIN pg_namespace sn ON sn.oid = s.stxnamespace
      WHERE s.stxrelid = c.oid));
  END IF;
  RETURN jsonb_strip_nulls(state);
END $$;

-- That of a partitioned table reads ON ONLY also when all partitions have it.
CREATE OR REPLACE FUNCTION pgflow.index_definition(index oid) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN (SELECT CASE WHEN x.relkind = 'I' AND i.indisvalid
      THEN regexp_replace(pg_get_indexdef(x.oid), ' ON ONLY ', ' ON ')
      ELSE pg_get_indexdef(x.oid) END
    FROM pg_class x JOIN pg_index i ON i.indexrelid = x.oid WHERE x.oid = index);
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
        SELECT FROM pg_policy WHERE polrelid = c.oid) OR c.reloftype <> 0 OR EXISTS (
        SELECT FROM pg_statistic_ext WHERE stxrelid = c.oid) AS has_more,
      jsonb_strip_nulls(jsonb_build_object(
      'object', CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view'
                WHEN 'f' THEN 'foreign table' ELSE 'table' END,
      'oid', c.oid::bigint, 'schema', n.nspname, 'name', c.relname,
      'partitioned', c.relkind = 'p', 'persistence', c.relpersistence,
      'owner', pg_get_userbyid(c.relowner),
      'grants', CASE WHEN c.relacl IS NULL THEN '[]' ELSE pgflow.acl(c.relacl) END,
      'default_grants', c.relacl IS NULL,
      'options', (SELECT to_jsonb(nullif(c.reloptions || CASE WHEN c.reltoastrelid <> 0 THEN (
          SELECT array_agg('toast.' || o) FROM pg_class t CROSS JOIN unnest(t.reloptions) o
          WHERE t.oid = c.reltoastrelid) END, '{}'))),
      'comment', (SELECT description FROM pg_description WHERE objoid = c.oid
        AND classoid = 'pg_class'::regclass AND objsubid = 0),
      'row_security', c.relrowsecurity, 'force_row_security', c.relforcerowsecurity,
      'identity', c.relreplident,
      'identity_index', CASE WHEN c.relhasindex THEN (
        SELECT x.relname FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
        WHERE i.indrelid = c.oid AND i.indisreplident) END,
      'clustered_on', CASE WHEN c.relhasindex THEN (
        SELECT x.relname FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
        WHERE i.indrelid = c.oid AND i.indisclustered) END,
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
          'only', CASE WHEN c.relkind = 'p' AND k.contype IN ('p', 'u', 'x') THEN (
            SELECT nullif(NOT indisvalid, false) FROM pg_index WHERE indexrelid = k.conindid) END,
          'parent_index', CASE WHEN k.conparentid <> 0 AND k.contype IN ('p', 'u', 'x') THEN (
            SELECT jsonb_build_array(rn.nspname, r.conname) FROM pg_constraint r
            JOIN pg_namespace rn ON rn.oid = r.connamespace WHERE r.oid = k.conparentid) END,
          'index_comment', CASE WHEN k.contype IN ('p', 'u', 'x')
            THEN obj_description(k.conindid, 'pg_class') END,
          'comment', (SELECT description FROM pg_description WHERE objoid = k.oid
            AND classoid = 'pg_constraint'::regclass AND objsubid = 0))
          ORDER BY k.contype DESC, k.conname)
        FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype IN ('c', 'f', 'p', 'u', 'x')
        AND NOT (k.contype = 'f' AND k.conparentid <> 0)), '[]'),
      'indexes', coalesce(CASE WHEN c.relhasindex THEN (SELECT jsonb_agg(jsonb_build_object(
          'oid', x.oid::bigint, 'name', x.relname,
          'definition', pgflow.index_definition(x.oid),
          -- CREATE INDEX finds an index of a partition which is not whole, and neither is its own.
          'attached', CASE WHEN x.relkind = 'I' AND NOT i.indisvalid THEN (
            WITH RECURSIVE below(index, parent, level) AS (
              SELECT inhrelid, inhparent, 1 FROM pg_inherits WHERE inhparent = x.oid
              UNION ALL SELECT h.inhrelid, h.inhparent, b.level + 1
              FROM below b JOIN pg_inherits h ON h.inhparent = b.index)
            SELECT jsonb_agg(jsonb_build_object('schema', bn.nspname, 'name', bx.relname,
              'definition', pgflow.index_definition(bx.oid),
              'parent', (SELECT jsonb_build_array(pn.nspname, p.relname) FROM pg_class p
                JOIN pg_namespace pn ON pn.oid = p.relnamespace WHERE p.oid = b.parent))
              ORDER BY b.level, bx.relname)
            FROM below b JOIN pg_class bx ON bx.oid = b.index
            JOIN pg_namespace bn ON bn.oid = bx.relnamespace
            JOIN pg_index bi ON bi.indexrelid = bx.oid AND (bi.indisvalid OR bx.relkind = 'I')) END,
          'risk', pgflow.risk(nullif(concat(i.indexprs, i.indpred), ''), c.relowner),
          'options', CASE WHEN x.reloptions IS NOT NULL THEN to_jsonb(x.reloptions) END,
          'column_statistics', CASE WHEN i.indexprs IS NOT NULL THEN (
            SELECT jsonb_agg(jsonb_build_array(a.attnum, a.attstattarget) ORDER BY a.attnum)
            FROM pg_attribute a WHERE a.attrelid = x.oid AND a.attstattarget >= 0) END,
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
