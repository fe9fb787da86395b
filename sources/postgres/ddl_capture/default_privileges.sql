-- What ALTER DEFAULT PRIVILEGES has set: a state for each role, schema and kind of objects.
CREATE OR REPLACE FUNCTION pgflow.default_privileges_state(which oid) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN (SELECT jsonb_strip_nulls(jsonb_build_object('object', 'default privileges',
      'name', (SELECT identity FROM pg_identify_object(d.tableoid, d.oid, 0)),
      'owner', pg_get_userbyid(d.defaclrole), 'in_schema', n.nspname,
      'kind', CASE d.defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES'
        WHEN 'f' THEN 'FUNCTIONS' WHEN 'T' THEN 'TYPES' WHEN 'n' THEN 'SCHEMAS'
        ELSE 'LARGE OBJECTS' END,
      'grants', pgflow.acl(d.defaclacl)))
    FROM pg_default_acl d LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace
    WHERE d.oid = which);
END $$;

-- Commands do not say which they have changed: all are looked at, of which there are few.
CREATE OR REPLACE FUNCTION pgflow.capture_default_privileges(tag text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  gone jsonb;
  present oid;
BEGIN
  FOR gone IN DELETE FROM pgflow.object_state s WHERE s.class = 'pg_default_acl'::regclass
    AND NOT EXISTS (SELECT FROM pg_default_acl d WHERE d.oid = s.object) RETURNING s.state LOOP
    PERFORM pgflow.emit('ddl', jsonb_build_object('tag', tag, 'before', gone));
  END LOOP;
  FOR present IN SELECT oid FROM pg_default_acl ORDER BY oid LOOP
    PERFORM pgflow.capture_object('pg_default_acl'::regclass, present, tag, false);
  END LOOP;
END $$;
