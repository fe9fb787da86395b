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
      -- From version 17.
      'not_null_name', CASE WHEN t.typtype = 'd' THEN (SELECT k.conname FROM pg_constraint k
        WHERE k.contypid = t.oid AND k.contype = 'n') END,
      'risk', CASE t.typtype WHEN 'd' THEN pgflow.risk(t.typdefaultbin::text, t.typowner)
        WHEN 'r' THEN (SELECT pgflow.risk(':funcid ' || r.rngsubdiff::oid, t.typowner)
          FROM pg_range r WHERE r.rngtypid = t.oid) END,
      'constraints', CASE WHEN t.typtype = 'd' THEN coalesce((
        SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object('oid', k.oid::bigint,
          'name', k.conname, 'definition', pg_get_constraintdef(k.oid),
          'comment', obj_description(k.oid, 'pg_constraint'),
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

-- Nothing for an aggregate, which has a state of another kind (definitions.sql).
CREATE OR REPLACE FUNCTION pgflow.routine_state(routine oid) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN (SELECT jsonb_strip_nulls(jsonb_build_object(
      'object', CASE WHEN p.prokind = 'p' THEN 'procedure' ELSE 'function' END,
      'schema', n.nspname, 'name', p.proname,
      'arguments', pg_get_function_identity_arguments(p.oid),
      'signature', p.oid::regprocedure::text,
      'whole_signature', (SELECT identity FROM pg_identify_object('pg_proc'::regclass, p.oid, 0)),
      'definition', pg_get_functiondef(p.oid), 'result', pg_get_function_result(p.oid),
      'owner', pg_get_userbyid(p.proowner), 'grants', pgflow.acl(p.proacl),
      'default_grants', p.proacl IS NULL, 'comment', obj_description(p.oid, 'pg_proc')))
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE p.oid = routine AND p.prokind <> 'a');
END $$;
