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
      IF kind IN ('r', 'p', 'v', 'm', 'f') THEN
        RETURN (SELECT of_state FROM pgflow.relation_states(ARRAY[object]));
      ELSIF kind = 'S' THEN
        RETURN (SELECT of_state FROM pgflow.sequence_states(ARRAY[object]));
      END IF;
    WHEN 'pg_type'::regclass THEN
      RETURN coalesce(pgflow.type_state(object), pgflow.definition_state(class, object));
    WHEN 'pg_proc'::regclass THEN
      RETURN coalesce(pgflow.routine_state(object), pgflow.definition_state(class, object));
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
    WHEN 'pg_default_acl'::regclass THEN RETURN pgflow.default_privileges_state(object);
    ELSE RETURN pgflow.definition_state(class, object);
  END CASE;
  RETURN NULL;
END $$;

-- Whether it has a state.
CREATE OR REPLACE FUNCTION pgflow.has_state(class oid, object oid) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF class = 'pg_class'::regclass THEN
    RETURN EXISTS (SELECT FROM pg_class WHERE oid = object AND relkind IN ('r', 'p', 'v', 'm', 'S', 'f'));
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
