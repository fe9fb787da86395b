-- A type with input and output functions of its own, or one that is announced only.
CREATE OR REPLACE FUNCTION pgflow.base_type_state(type oid) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN (SELECT jsonb_build_object('object', CASE WHEN t.typisdefined THEN 'base type'
        ELSE 'shell type' END, 'schema', n.nspname, 'name', t.typname,
      'owner_oid', t.typowner::bigint, 'grants', pgflow.acl(t.typacl),
      'default_grants', t.typacl IS NULL,
      'definition', format('CREATE TYPE %I.%I', n.nspname, t.typname) || CASE WHEN t.typisdefined
        THEN format(' (INPUT = %s, OUTPUT = %s', t.typinput, t.typoutput)
          || pgflow.option('RECEIVE', t.typreceive) || pgflow.option('SEND', t.typsend)
          || pgflow.option('TYPMOD_IN', t.typmodin) || pgflow.option('TYPMOD_OUT', t.typmodout)
          || pgflow.option('ANALYZE', t.typanalyze)
          || coalesce(', SUBSCRIPT = ' || nullif(to_jsonb(t) ->> 'typsubscript', '-'), '')
          || format(', INTERNALLENGTH = %s', CASE WHEN t.typlen < 0 THEN 'VARIABLE'
            ELSE t.typlen::text END)
          || CASE WHEN t.typbyval THEN ', PASSEDBYVALUE' ELSE '' END
          || format(', ALIGNMENT = %s', CASE t.typalign WHEN 'c' THEN 'char' WHEN 's' THEN 'int2'
            WHEN 'd' THEN 'double' ELSE 'int4' END)
          || format(', STORAGE = %s', CASE t.typstorage WHEN 'e' THEN 'external'
            WHEN 'x' THEN 'extended' WHEN 'm' THEN 'main' ELSE 'plain' END)
          || CASE WHEN t.typcategory <> 'U' THEN format(', CATEGORY = %L', t.typcategory) ELSE '' END
          || CASE WHEN t.typispreferred THEN ', PREFERRED = true' ELSE '' END
          || coalesce(', DEFAULT = ' || quote_literal(t.typdefault), '')
          || CASE WHEN t.typelem <> 0 THEN ', ELEMENT = ' || format_type(t.typelem, NULL) ELSE '' END
          || CASE WHEN t.typdelim <> ',' THEN format(', DELIMITER = %L', t.typdelim) ELSE '' END
          || CASE WHEN t.typcollation <> 0 THEN ', COLLATABLE = true' ELSE '' END || ')'
        ELSE '' END,
      'alter', CASE WHEN t.typisdefined THEN (
        SELECT jsonb_agg(format('SET (%s = %s)', o.key, o.value) ORDER BY o.key) FROM (VALUES
          ('RECEIVE', CASE WHEN t.typreceive = 0 THEN 'NONE' ELSE t.typreceive::text END),
          ('SEND', CASE WHEN t.typsend = 0 THEN 'NONE' ELSE t.typsend::text END),
          ('TYPMOD_IN', CASE WHEN t.typmodin = 0 THEN 'NONE' ELSE t.typmodin::text END),
          ('TYPMOD_OUT', CASE WHEN t.typmodout = 0 THEN 'NONE' ELSE t.typmodout::text END),
          ('ANALYZE', CASE WHEN t.typanalyze = 0 THEN 'NONE' ELSE t.typanalyze::text END),
          ('STORAGE', CASE t.typstorage WHEN 'e' THEN 'external' WHEN 'x' THEN 'extended'
            WHEN 'm' THEN 'main' ELSE 'plain' END)) o(key, value)) END)
    FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
    WHERE t.oid = type AND (t.typtype = 'b' OR NOT t.typisdefined)
    -- Not the array type, which comes with its element's.
    AND NOT EXISTS (SELECT FROM pg_type e WHERE e.typarray = t.oid));
END $$;
