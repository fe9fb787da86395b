-- One of these; NULL: another kind, or it is gone.
CREATE OR REPLACE FUNCTION pgflow.definition_state(class oid, object oid) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  state jsonb;
  owner oid;
BEGIN
  state := CASE class
    WHEN 'pg_operator'::regclass THEN pgflow.operator_state(object)
    WHEN 'pg_proc'::regclass THEN pgflow.aggregate_state(object)
    WHEN 'pg_type'::regclass THEN pgflow.base_type_state(object)
    WHEN 'pg_cast'::regclass THEN pgflow.cast_state(object)
    WHEN 'pg_transform'::regclass THEN pgflow.transform_state(object)
    WHEN 'pg_collation'::regclass THEN pgflow.collation_state(object)
    WHEN 'pg_conversion'::regclass THEN pgflow.conversion_state(object)
    WHEN 'pg_ts_parser'::regclass THEN pgflow.text_search_state(class, object)
    WHEN 'pg_ts_template'::regclass THEN pgflow.text_search_state(class, object)
    WHEN 'pg_ts_dict'::regclass THEN pgflow.text_search_state(class, object)
    WHEN 'pg_ts_config'::regclass THEN pgflow.text_search_state(class, object)
    WHEN 'pg_opclass'::regclass THEN pgflow.operator_class_state(class, object)
    WHEN 'pg_opfamily'::regclass THEN pgflow.operator_class_state(class, object)
    WHEN 'pg_language'::regclass THEN pgflow.language_state(object)
    WHEN 'pg_foreign_data_wrapper'::regclass THEN pgflow.foreign_state(class, object)
    WHEN 'pg_foreign_server'::regclass THEN pgflow.foreign_state(class, object)
    WHEN 'pg_am'::regclass THEN pgflow.access_method_state(object)
    ELSE NULL END;
  IF state IS NULL THEN RETURN NULL; END IF;
  owner := coalesce((state ->> 'owner_oid')::oid, 10);
  RETURN jsonb_strip_nulls('{"default_grants": true}' || (state - 'owner_oid') || jsonb_build_object(
    'owner', pg_get_userbyid(owner), 'of_superuser', pgflow.is_superuser(owner),
    'catalog', class::regclass::text,
    'address', (SELECT identity FROM pg_identify_object(class, object, 0)),
    'comment', (SELECT description FROM pg_description WHERE objoid = object
      AND classoid = class AND objsubid = 0)));
END $$;

-- The numbers of all of these that users made.
CREATE OR REPLACE FUNCTION pgflow.definitions()
RETURNS TABLE (of_class oid, of_object oid, of_namespace oid)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN QUERY SELECT o.tableoid, o.oid, o.namespace FROM (
    SELECT tableoid, oid, oprnamespace AS namespace FROM pg_operator
    UNION ALL SELECT tableoid, oid, pronamespace FROM pg_proc WHERE prokind = 'a'
    UNION ALL SELECT tableoid, oid, typnamespace FROM pg_type t
      WHERE (typtype = 'b' OR NOT typisdefined)
      AND NOT EXISTS (SELECT FROM pg_type e WHERE e.typarray = t.oid)
    UNION ALL SELECT tableoid, oid, NULL FROM pg_cast
    UNION ALL SELECT tableoid, oid, NULL FROM pg_transform
    UNION ALL SELECT tableoid, oid, collnamespace FROM pg_collation
    UNION ALL SELECT tableoid, oid, connamespace FROM pg_conversion
    UNION ALL SELECT tableoid, oid, prsnamespace FROM pg_ts_parser
    UNION ALL SELECT tableoid, oid, tmplnamespace FROM pg_ts_template
    UNION ALL SELECT tableoid, oid, dictnamespace FROM pg_ts_dict
    UNION ALL SELECT tableoid, oid, cfgnamespace FROM pg_ts_config
    UNION ALL SELECT tableoid, oid, opcnamespace FROM pg_opclass
    UNION ALL SELECT tableoid, oid, opfnamespace FROM pg_opfamily
    UNION ALL SELECT tableoid, oid, NULL FROM pg_language
    UNION ALL SELECT tableoid, oid, NULL FROM pg_foreign_data_wrapper
    UNION ALL SELECT tableoid, oid, NULL FROM pg_foreign_server
    UNION ALL SELECT tableoid, oid, NULL FROM pg_am) o WHERE o.oid >= 16384;
END $$;
