-- What the catalog has no definition of as text: CREATE, built from its columns. Each state has what
-- the others have (object, schema, name, owner, comment, perhaps grants), and
--   definition  the whole CREATE statement;
--   suffix      what stands behind the name where it is altered: "(integer)", " USING btree";
--   identity    instead of name and suffix, where there is no name: "(integer AS text)";
--   catalog, address  the catalog it is in, and its identity there, to look for it elsewhere;
--   alter       what ALTER can set, each as text;
--   members     what ALTER adds and drops: [what DROP names it by, what ADD says] each.

-- " , KEY = routine" when there is one.
CREATE OR REPLACE FUNCTION pgflow.option(key text, routine regproc) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN CASE WHEN routine::oid <> 0 THEN format(', %s = %s', key, routine) ELSE '' END;
END $$;

-- "OPERATOR(public.===)".
CREATE OR REPLACE FUNCTION pgflow.operator_name(operator oid) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN (SELECT format('OPERATOR(%I.%s)', n.nspname, o.oprname) FROM pg_operator o
    JOIN pg_namespace n ON n.oid = o.oprnamespace WHERE o.oid = operator);
END $$;

-- "(integer, NONE)", as ALTER and DROP name an operator's operands.
CREATE OR REPLACE FUNCTION pgflow.operands(o pg_operator) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN format('(%s, %s)', CASE WHEN o.oprleft = 0 THEN 'NONE' ELSE format_type(o.oprleft, NULL) END,
    CASE WHEN o.oprright = 0 THEN 'NONE' ELSE format_type(o.oprright, NULL) END);
END $$;

CREATE OR REPLACE FUNCTION pgflow.aggregate_state(routine oid) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  arguments text := coalesce(nullif(pg_get_function_identity_arguments(routine), ''), '*');
  modify jsonb := '{"r": "READ_ONLY", "s": "SHAREABLE", "w": "READ_WRITE"}';
BEGIN
  RETURN (SELECT jsonb_build_object('object', 'aggregate', 'schema', n.nspname, 'name', p.proname,
      'suffix', format('(%s)', arguments), 'owner_oid', p.proowner::bigint,
      'grants', pgflow.acl(p.proacl), 'default_grants', p.proacl IS NULL,
      -- A domain's checks run when the first value is read, which is at once.
      'risk', CASE WHEN t.typtype = 'd' AND num_nonnulls(a.agginitval, a.aggminitval) > 0
        AND NOT pgflow.is_superuser(p.proowner) THEN 'checks of ' || format_type(t.oid, NULL) END,
      'definition', format('CREATE OR REPLACE AGGREGATE %I.%I(%s) (SFUNC = %s, STYPE = %s',
          n.nspname, p.proname, arguments, a.aggtransfn, format_type(a.aggtranstype, NULL))
        || CASE WHEN a.aggtransspace <> 0 THEN ', SSPACE = ' || a.aggtransspace ELSE '' END
        || pgflow.option('FINALFUNC', a.aggfinalfn)
        || CASE WHEN a.aggfinalextra THEN ', FINALFUNC_EXTRA' ELSE '' END
        || CASE WHEN a.aggfinalfn <> 0
          THEN ', FINALFUNC_MODIFY = ' || (modify ->> a.aggfinalmodify::text) ELSE '' END
        || pgflow.option('COMBINEFUNC', a.aggcombinefn)
        || pgflow.option('SERIALFUNC', a.aggserialfn)
        || pgflow.option('DESERIALFUNC', a.aggdeserialfn)
        || coalesce(', INITCOND = ' || quote_literal(a.agginitval), '')
        || pgflow.option('MSFUNC', a.aggmtransfn) || pgflow.option('MINVFUNC', a.aggminvtransfn)
        || CASE WHEN a.aggmtranstype <> 0 THEN ', MSTYPE = ' || format_type(a.aggmtranstype, NULL)
          ELSE '' END
        || CASE WHEN a.aggmtransspace <> 0 THEN ', MSSPACE = ' || a.aggmtransspace ELSE '' END
        || pgflow.option('MFINALFUNC', a.aggmfinalfn)
        || CASE WHEN a.aggmfinalextra THEN ', MFINALFUNC_EXTRA' ELSE '' END
        || CASE WHEN a.aggmfinalfn <> 0
          THEN ', MFINALFUNC_MODIFY = ' || (modify ->> a.aggmfinalmodify::text) ELSE '' END
        || coalesce(', MINITCOND = ' || quote_literal(a.aggminitval), '')
        || coalesce(', SORTOP = ' || pgflow.operator_name(a.aggsortop), '')
        || CASE p.proparallel WHEN 's' THEN ', PARALLEL = SAFE' WHEN 'r' THEN ', PARALLEL = RESTRICTED'
          ELSE '' END
        || CASE WHEN a.aggkind = 'h' THEN ', HYPOTHETICAL' ELSE '' END || ')')
    FROM pg_proc p JOIN pg_aggregate a ON a.aggfnoid = p.oid
    JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_type t ON t.oid = a.aggtranstype
    WHERE p.oid = routine);
END $$;

-- Whose a cast or transform is, nothing says: who owns its types may make it.
CREATE OR REPLACE FUNCTION pgflow.owner_of_types(one oid, other oid) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN (SELECT typowner FROM pg_type WHERE oid IN (one, other)
    ORDER BY pgflow.is_superuser(typowner), oid = other LIMIT 1);
END $$;

CREATE OR REPLACE FUNCTION pgflow.cast_state(which oid) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  types text := (SELECT format('(%s AS %s)', format_type(castsource, NULL),
    format_type(casttarget, NULL)) FROM pg_cast WHERE oid = which);
BEGIN
  RETURN (SELECT jsonb_build_object('object', 'cast', 'name', types, 'identity', types,
      'owner_oid', pgflow.owner_of_types(castsource, casttarget), 'ownerless', true,
      'definition', format('CREATE CAST %s %s%s', types,
        CASE castmethod WHEN 'f' THEN 'WITH FUNCTION ' || castfunc::regprocedure
          WHEN 'i' THEN 'WITH INOUT' ELSE 'WITHOUT FUNCTION' END,
        CASE castcontext WHEN 'a' THEN ' AS ASSIGNMENT' WHEN 'i' THEN ' AS IMPLICIT' ELSE '' END))
    FROM pg_cast WHERE oid = which);
END $$;

CREATE OR REPLACE FUNCTION pgflow.transform_state(which oid) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  about text := (SELECT format('FOR %s LANGUAGE %I', format_type(t.trftype, NULL), l.lanname)
    FROM pg_transform t JOIN pg_language l ON l.oid = t.trflang WHERE t.oid = which);
BEGIN
  RETURN (SELECT jsonb_build_object('object', 'transform', 'name', about, 'identity', about,
      'owner_oid', pgflow.owner_of_types(trftype, trftype), 'ownerless', true,
      'definition', format('CREATE OR REPLACE TRANSFORM %s (%s)', about, concat_ws(', ',
        CASE WHEN trffromsql <> 0 THEN 'FROM SQL WITH FUNCTION ' || trffromsql::regprocedure END,
        CASE WHEN trftosql <> 0 THEN 'TO SQL WITH FUNCTION ' || trftosql::regprocedure END)))
    FROM pg_transform WHERE oid = which);
END $$;

CREATE OR REPLACE FUNCTION pgflow.collation_state(which oid) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN (SELECT jsonb_build_object('object', 'collation', 'schema', n.nspname, 'name', c.collname,
      'owner_oid', c.collowner::bigint,
      'definition', format('CREATE COLLATION %I.%I (PROVIDER = %s%s%s%s)', n.nspname, c.collname,
        CASE c.collprovider WHEN 'i' THEN 'icu' WHEN 'b' THEN 'builtin' WHEN 'd' THEN 'default'
          ELSE 'libc' END,
        CASE WHEN c.collisdeterministic THEN '' ELSE ', DETERMINISTIC = false' END,
        -- The column's name, and where the locale is, are another one with nearly each version.
        CASE WHEN c.collprovider = 'c' AND c.collcollate <> c.collctype
            THEN format(', LC_COLLATE = %L, LC_CTYPE = %L', c.collcollate, c.collctype)
          ELSE format(', LOCALE = %L', coalesce(to_jsonb(c) ->> 'colllocale',
            to_jsonb(c) ->> 'colliculocale', c.collcollate)) END,
        coalesce(', RULES = ' || quote_literal(to_jsonb(c) ->> 'collicurules'), '')))
    FROM pg_collation c JOIN pg_namespace n ON n.oid = c.collnamespace WHERE c.oid = which);
END $$;

CREATE OR REPLACE FUNCTION pgflow.conversion_state(which oid) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN (SELECT jsonb_build_object('object', 'conversion', 'schema', n.nspname,
      'name', c.conname, 'owner_oid', c.conowner::bigint,
      'definition', format('CREATE %sCONVERSION %I.%I FOR %L TO %L FROM %s',
        CASE WHEN c.condefault THEN 'DEFAULT ' ELSE '' END, n.nspname, c.conname,
        pg_encoding_to_char(c.conforencoding), pg_encoding_to_char(c.contoencoding), c.conproc))
    FROM pg_conversion c JOIN pg_namespace n ON n.oid = c.connamespace WHERE c.oid = which);
END $$;

CREATE OR REPLACE FUNCTION pgflow.language_state(which oid) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN (SELECT jsonb_build_object('object', 'language', 'name', l.lanname,
      'owner_oid', l.lanowner::bigint, 'grants', pgflow.acl(l.lanacl),
      'default_grants', l.lanacl IS NULL,
      'definition', format('CREATE %sLANGUAGE %I HANDLER %s%s%s',
        CASE WHEN l.lanpltrusted THEN 'TRUSTED ' ELSE '' END, l.lanname, l.lanplcallfoid::regproc,
        CASE WHEN l.laninline <> 0 THEN ' INLINE ' || l.laninline::regproc ELSE '' END,
        CASE WHEN l.lanvalidator <> 0 THEN ' VALIDATOR ' || l.lanvalidator::regproc ELSE '' END))
    FROM pg_language l WHERE l.oid = which AND l.lanispl);
END $$;

CREATE OR REPLACE FUNCTION pgflow.access_method_state(which oid) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN (SELECT jsonb_build_object('object', 'access method', 'name', m.amname, 'ownerless', true,
      'definition', format('CREATE ACCESS METHOD %I TYPE %s HANDLER %s', m.amname,
        CASE m.amtype WHEN 'i' THEN 'INDEX' ELSE 'TABLE' END, m.amhandler))
    FROM pg_am m WHERE m.oid = which);
END $$;
