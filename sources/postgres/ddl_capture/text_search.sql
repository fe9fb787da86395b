-- What full text search is set up of: states as in definitions.sql.

CREATE OR REPLACE FUNCTION pgflow.text_search_state(class oid, which oid) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  CASE class
    WHEN 'pg_ts_parser'::regclass THEN
      RETURN (SELECT jsonb_build_object('object', 'text search parser', 'schema', n.nspname,
          'name', p.prsname, 'ownerless', true, 'definition', format(
            'CREATE TEXT SEARCH PARSER %I.%I (START = %s%s%s%s%s)', n.nspname, p.prsname, p.prsstart,
            pgflow.option('GETTOKEN', p.prstoken), pgflow.option('END', p.prsend),
            pgflow.option('HEADLINE', p.prsheadline), pgflow.option('LEXTYPES', p.prslextype)))
        FROM pg_ts_parser p JOIN pg_namespace n ON n.oid = p.prsnamespace WHERE p.oid = which);
    WHEN 'pg_ts_template'::regclass THEN
      RETURN (SELECT jsonb_build_object('object', 'text search template', 'schema', n.nspname,
          'name', t.tmplname, 'ownerless', true, 'definition', format(
            'CREATE TEXT SEARCH TEMPLATE %I.%I (LEXIZE = %s%s)', n.nspname, t.tmplname,
            t.tmpllexize, pgflow.option('INIT', t.tmplinit)))
        FROM pg_ts_template t JOIN pg_namespace n ON n.oid = t.tmplnamespace WHERE t.oid = which);
    WHEN 'pg_ts_dict'::regclass THEN
      RETURN (SELECT jsonb_build_object('object', 'text search dictionary', 'schema', n.nspname,
          'name', d.dictname, 'owner_oid', d.dictowner::bigint,
          'definition', format('CREATE TEXT SEARCH DICTIONARY %I.%I (TEMPLATE = %I.%I%s)',
            n.nspname, d.dictname, tn.nspname, t.tmplname, coalesce(', ' || d.dictinitoption, '')),
          'alter', CASE WHEN d.dictinitoption <> ''
            THEN jsonb_build_array(format('(%s)', d.dictinitoption)) END)
        FROM pg_ts_dict d JOIN pg_namespace n ON n.oid = d.dictnamespace
        JOIN pg_ts_template t ON t.oid = d.dicttemplate
        JOIN pg_namespace tn ON tn.oid = t.tmplnamespace WHERE d.oid = which);
    ELSE
      RETURN (SELECT jsonb_build_object('object', 'text search configuration', 'schema', n.nspname,
          'name', c.cfgname, 'owner_oid', c.cfgowner::bigint,
          'definition', format('CREATE TEXT SEARCH CONFIGURATION %I.%I (PARSER = %I.%I)',
            n.nspname, c.cfgname, pn.nspname, p.prsname),
          'members', (SELECT jsonb_agg(jsonb_build_array(
              format('MAPPING FOR %I', m.token), format('MAPPING FOR %I WITH %s', m.token, m.dicts))
              ORDER BY m.token)
            FROM (SELECT k.alias AS token, string_agg(format('%I.%I', dn.nspname, d.dictname), ', '
                ORDER BY x.mapseqno) AS dicts
              FROM pg_ts_config_map x JOIN ts_token_type(c.cfgparser) k ON k.tokid = x.maptokentype
              JOIN pg_ts_dict d ON d.oid = x.mapdict
              JOIN pg_namespace dn ON dn.oid = d.dictnamespace
              WHERE x.mapcfg = c.oid GROUP BY k.alias) m))
        FROM pg_ts_config c JOIN pg_namespace n ON n.oid = c.cfgnamespace
        JOIN pg_ts_parser p ON p.oid = c.cfgparser JOIN pg_namespace pn ON pn.oid = p.prsnamespace
        WHERE c.oid = which);
  END CASE;
END $$;
