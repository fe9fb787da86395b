-- Foreign data wrappers and servers: states as in definitions.sql. User mappings, which have the
-- passwords, stay where they are.

-- {"host": "a"}; NULL: none.
CREATE OR REPLACE FUNCTION pgflow.foreign_options(options text[]) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN (SELECT jsonb_object_agg(o.option_name, o.option_value) FROM pg_options_to_table(options) o);
END $$;

CREATE OR REPLACE FUNCTION pgflow.foreign_state(class oid, which oid) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF class = 'pg_foreign_data_wrapper'::regclass THEN
    RETURN (SELECT jsonb_build_object('object', 'foreign data wrapper', 'name', w.fdwname,
        'owner_oid', w.fdwowner::bigint, 'grants', pgflow.acl(w.fdwacl),
        'default_grants', w.fdwacl IS NULL, 'foreign_options', pgflow.foreign_options(w.fdwoptions),
        'definition', format('CREATE FOREIGN DATA WRAPPER %I', w.fdwname)
          || CASE WHEN w.fdwhandler <> 0 THEN ' HANDLER ' || w.fdwhandler::regproc ELSE '' END
          || CASE WHEN w.fdwvalidator <> 0 THEN ' VALIDATOR ' || w.fdwvalidator::regproc ELSE '' END,
        'alter', jsonb_build_array(
          CASE WHEN w.fdwhandler = 0 THEN 'NO HANDLER' ELSE 'HANDLER ' || w.fdwhandler::regproc END,
          CASE WHEN w.fdwvalidator = 0 THEN 'NO VALIDATOR'
            ELSE 'VALIDATOR ' || w.fdwvalidator::regproc END))
      FROM pg_foreign_data_wrapper w WHERE w.oid = which);
  END IF;
  RETURN (SELECT jsonb_build_object('object', 'server', 'name', s.srvname,
      'owner_oid', s.srvowner::bigint, 'grants', pgflow.acl(s.srvacl),
      'default_grants', s.srvacl IS NULL, 'foreign_options', pgflow.foreign_options(s.srvoptions),
      'definition', format('CREATE SERVER %I', s.srvname) || coalesce(' TYPE ' || quote_literal(s.srvtype), '')
        || coalesce(' VERSION ' || quote_literal(s.srvversion), '')
        || format(' FOREIGN DATA WRAPPER %I', w.fdwname),
      'alter', jsonb_build_array('VERSION ' || coalesce(quote_literal(s.srvversion), 'NULL')))
    FROM pg_foreign_server s JOIN pg_foreign_data_wrapper w ON w.oid = s.srvfdw WHERE s.oid = which);
END $$;
