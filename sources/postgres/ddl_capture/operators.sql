-- Operators, their classes and families: states as in definitions.sql.

-- Nothing for a shell, which a name that is used too early makes everywhere.
CREATE OR REPLACE FUNCTION pgflow.operator_state(operator oid) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN (SELECT jsonb_build_object('object', 'operator', 'schema', n.nspname, 'name', o.oprname,
      'suffix', ' ' || pgflow.operands(o), 'owner_oid', o.oprowner::bigint,
      'definition', format('CREATE OPERATOR %I.%s (FUNCTION = %s', n.nspname, o.oprname, o.oprcode)
        || CASE WHEN o.oprleft <> 0 THEN ', LEFTARG = ' || format_type(o.oprleft, NULL) ELSE '' END
        || CASE WHEN o.oprright <> 0 THEN ', RIGHTARG = ' || format_type(o.oprright, NULL) ELSE '' END
        || coalesce(', COMMUTATOR = ' || pgflow.operator_name(o.oprcom), '')
        || coalesce(', NEGATOR = ' || pgflow.operator_name(o.oprnegate), '')
        || pgflow.option('RESTRICT', o.oprrest) || pgflow.option('JOIN', o.oprjoin)
        || CASE WHEN o.oprcanhash THEN ', HASHES' ELSE '' END
        || CASE WHEN o.oprcanmerge THEN ', MERGES' ELSE '' END || ')',
      'alter', jsonb_build_array(
        format('SET (RESTRICT = %s)', CASE WHEN o.oprrest = 0 THEN 'NONE' ELSE o.oprrest::text END),
        format('SET (JOIN = %s)', CASE WHEN o.oprjoin = 0 THEN 'NONE' ELSE o.oprjoin::text END)))
    FROM pg_operator o JOIN pg_namespace n ON n.oid = o.oprnamespace
    WHERE o.oid = operator AND o.oprcode <> 0);
END $$;

-- Of an operator class or family: [how DROP names it, how ADD does] of each that hangs on it.
CREATE OR REPLACE FUNCTION pgflow.family_members(class oid, which oid) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN (SELECT jsonb_agg(jsonb_build_array(m.short, m.long) ORDER BY m.long) FROM (
    SELECT format('OPERATOR %s (%s, %s)', a.amopstrategy, format_type(a.amoplefttype, NULL),
        format_type(a.amoprighttype, NULL)) AS short,
      format('OPERATOR %s %I.%s %s%s', a.amopstrategy, n.nspname, o.oprname, pgflow.operands(o),
        coalesce((SELECT format(' FOR ORDER BY %I.%I', fn.nspname, f.opfname) FROM pg_opfamily f
          JOIN pg_namespace fn ON fn.oid = f.opfnamespace WHERE f.oid = a.amopsortfamily), ''))
      AS long
    FROM pg_depend d JOIN pg_amop a ON a.oid = d.objid JOIN pg_operator o ON o.oid = a.amopopr
    JOIN pg_namespace n ON n.oid = o.oprnamespace
    WHERE d.refclassid = class AND d.refobjid = which AND d.classid = 'pg_amop'::regclass
    UNION SELECT format('FUNCTION %s (%s, %s)', a.amprocnum, format_type(a.amproclefttype, NULL),
        format_type(a.amprocrighttype, NULL)),
      format('FUNCTION %s (%s, %s) %s', a.amprocnum, format_type(a.amproclefttype, NULL),
        format_type(a.amprocrighttype, NULL), a.amproc::regprocedure)
    FROM pg_depend d JOIN pg_amproc a ON a.oid = d.objid
    WHERE d.refclassid = class AND d.refobjid = which AND d.classid = 'pg_amproc'::regclass) m);
END $$;

CREATE OR REPLACE FUNCTION pgflow.operator_class_state(class oid, which oid) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF class = 'pg_opfamily'::regclass THEN
    RETURN (SELECT jsonb_build_object('object', 'operator family', 'schema', n.nspname,
        'name', f.opfname, 'suffix', format(' USING %I', m.amname), 'owner_oid', f.opfowner::bigint,
        'definition', format('CREATE OPERATOR FAMILY %I.%I USING %I', n.nspname, f.opfname, m.amname),
        'members', pgflow.family_members(class, f.oid))
      FROM pg_opfamily f JOIN pg_am m ON m.oid = f.opfmethod
      JOIN pg_namespace n ON n.oid = f.opfnamespace WHERE f.oid = which);
  END IF;
  RETURN (SELECT jsonb_build_object('object', 'operator class', 'schema', n.nspname,
      'name', c.opcname, 'suffix', format(' USING %I', m.amname), 'owner_oid', c.opcowner::bigint,
      'definition', format('CREATE OPERATOR CLASS %I.%I %sFOR TYPE %s USING %I FAMILY %I.%I AS %s',
        n.nspname, c.opcname, CASE WHEN c.opcdefault THEN 'DEFAULT ' ELSE '' END,
        format_type(c.opcintype, NULL), m.amname, fn.nspname, f.opfname, concat_ws(', ',
          -- It has to have something: what it stores is what it is about, unless it says otherwise.
          CASE WHEN c.opckeytype <> 0 OR pgflow.family_members(class, c.oid) IS NULL
            THEN 'STORAGE ' || format_type(coalesce(nullif(c.opckeytype, 0), c.opcintype), NULL) END,
          (SELECT string_agg(e ->> 1, ', ')
            FROM jsonb_array_elements(pgflow.family_members(class, c.oid)) e))))
    FROM pg_opclass c JOIN pg_am m ON m.oid = c.opcmethod
    JOIN pg_namespace n ON n.oid = c.opcnamespace JOIN pg_opfamily f ON f.oid = c.opcfamily
    JOIN pg_namespace fn ON fn.oid = f.opfnamespace WHERE c.oid = which);
END $$;
