#include "tests/conformance/definitions.h"

#include <algorithm>

#include <fmt/format.h>

#include "tests/conformance/table_contents.h"

namespace pgflow::tests {
namespace {

// One query a kind of object, each with lines of text. From the catalog alone, and apart from what
// the program itself uses to capture definitions.
constexpr const char* kQueries[] = {
    // Relations.
    R"sql(SELECT format('relation %s kind %s persistence %s identity %s options %s rls %s %s '
  'bound %s key %s parents %s owner %s acl %s of %s toast %s', c.oid::regclass, c.relkind,
  c.relpersistence, c.relreplident,
  c.reloptions, c.relrowsecurity, c.relforcerowsecurity, pg_get_expr(c.relpartbound, c.oid),
  CASE WHEN c.relkind = 'p' THEN pg_get_partkeydef(c.oid) END,
  (SELECT array_agg(inhparent::regclass ORDER BY inhseqno) FROM pg_inherits WHERE inhrelid = c.oid),
  pg_get_userbyid(c.relowner), (SELECT array_agg(x::text ORDER BY x::text) FROM unnest(c.relacl) x),
  nullif(c.reloftype, 0)::regtype,
  (SELECT t.reloptions FROM pg_class t WHERE t.oid = c.reltoastrelid))
FROM pg_class c WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'c', 'f') AND {0})sql",
    R"sql(SELECT format('column %s.%s place %s type %s not null %s default %s identity %s '
  'generated %s collation %s storage %s statistics %s acl %s compression %s options %s',
  c.oid::regclass, a.attname,
  rank() OVER (PARTITION BY c.oid ORDER BY a.attnum), format_type(a.atttypid, a.atttypmod),
  a.attnotnull, pg_get_expr(d.adbin, d.adrelid), a.attidentity, a.attgenerated,
  a.attcollation::regcollation, a.attstorage, to_jsonb(a) ->> 'attstattarget',
  (SELECT array_agg(x::text ORDER BY x::text) FROM unnest(a.attacl) x),
  to_jsonb(a) ->> 'attcompression', a.attoptions)
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'c', 'f') AND {0})sql",
    R"sql(SELECT format('constraint %s on %s: %s, its own %s', k.conname, c.oid::regclass,
  pg_get_constraintdef(k.oid), k.conislocal)
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
WHERE {0})sql",
    R"sql(SELECT format('index %s options %s identity %s clustered %s statistics %s',
  pg_get_indexdef(i.indexrelid),
  x.reloptions, i.indisreplident, i.indisclustered,
  (SELECT array_agg(to_jsonb(a) ->> 'attstattarget' ORDER BY a.attnum) FROM pg_attribute a
    WHERE a.attrelid = x.oid))
FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_class x ON x.oid = i.indexrelid
WHERE {0})sql",
    R"sql(SELECT format('view %s: %s', c.oid::regclass, pg_get_viewdef(c.oid)) FROM pg_class c
WHERE c.relkind IN ('v', 'm') AND {0})sql",
    R"sql(SELECT format('trigger %s: %s', g.tgenabled, pg_get_triggerdef(g.oid)) FROM pg_trigger g
JOIN pg_class c ON c.oid = g.tgrelid
WHERE (NOT g.tgisinternal OR g.tgparentid <> 0 AND g.tgconstraint = 0) AND {0})sql",
    R"sql(SELECT format('rule %s %s', w.ev_enabled, pg_get_ruledef(w.oid)) FROM pg_rewrite w
JOIN pg_class c ON c.oid = w.ev_class WHERE w.rulename <> '_RETURN' AND {0})sql",
    R"sql(SELECT format('policy %s on %s %s %s using %s check %s', y.polname, c.oid::regclass,
  y.polcmd, y.polpermissive, pg_get_expr(y.polqual, y.polrelid),
  pg_get_expr(y.polwithcheck, y.polrelid))
FROM pg_policy y JOIN pg_class c ON c.oid = y.polrelid WHERE {0})sql",
    R"sql(SELECT format('statistics %s owner %s target %s', pg_get_statisticsobjdef(s.oid),
  pg_get_userbyid(s.stxowner), s.stxstattarget) FROM pg_statistic_ext s
JOIN pg_class c ON c.oid = s.stxrelid WHERE {0})sql",
    R"sql(SELECT format('sequence %s type %s start %s by %s min %s max %s cache %s cycle %s '
  'owned by %s', c.oid::regclass, s.seqtypid::regtype, s.seqstart, s.seqincrement, s.seqmin,
  s.seqmax, s.seqcache,
  s.seqcycle, (SELECT format('%s.%s', d.refobjid::regclass, d.refobjsubid <> 0) FROM pg_depend d
    WHERE d.objid = c.oid AND d.classid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
    AND d.refclassid = 'pg_class'::regclass))
FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid WHERE {0})sql",
    R"sql(SELECT format('type %s kind %s base %s default %s not null %s owner %s acl %s labels %s '
  'range %s constraints %s', c.oid::regtype, c.typtype, format_type(c.typbasetype, c.typtypmod),
  c.typdefault, c.typnotnull, pg_get_userbyid(c.typowner),
  (SELECT array_agg(x::text ORDER BY x::text) FROM unnest(c.typacl) x),
  (SELECT array_agg(enumlabel ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = c.oid),
  (SELECT rngsubtype::regtype FROM pg_range WHERE rngtypid = c.oid),
  (SELECT array_agg(format('%s %s', conname, pg_get_constraintdef(oid)) ORDER BY conname)
    FROM pg_constraint WHERE contypid = c.oid))
FROM pg_type c WHERE c.typtype IN ('e', 'd', 'r', 'c') AND {0})sql",
    R"sql(SELECT format('routine %s owner %s acl %s: %s', c.oid::regprocedure,
  pg_get_userbyid(c.proowner), (SELECT array_agg(x::text ORDER BY x::text) FROM unnest(c.proacl) x),
  CASE WHEN c.prokind <> 'a' THEN pg_get_functiondef(c.oid) END)
FROM pg_proc c WHERE {0})sql",
    R"sql(SELECT format('schema %s owner %s acl %s', c.nspname, pg_get_userbyid(c.nspowner),
  (SELECT array_agg(x::text ORDER BY x::text) FROM unnest(c.nspacl) x))
FROM pg_namespace c WHERE c.nspname !~ '^pg_|^information_schema$|^pgflow$')sql",
    R"sql(SELECT format('operator %s owner %s does %s commutator %s negator %s selects %s joins %s '
  'hashes %s merges %s', c.oid::regoperator, pg_get_userbyid(c.oprowner), c.oprcode::regprocedure,
  c.oprcom::regoperator, c.oprnegate::regoperator, c.oprrest, c.oprjoin, c.oprcanhash,
  c.oprcanmerge) FROM pg_operator c WHERE c.oprcode <> 0 AND {0})sql",
    R"sql(SELECT format('aggregate %s %s', c.oid::regprocedure, to_jsonb(a) - 'aggfnoid')
FROM pg_proc c JOIN pg_aggregate a ON a.aggfnoid = c.oid
WHERE {0})sql",
    R"sql(SELECT format('base type %s %s', c.oid::regtype, to_jsonb(c) - ARRAY['oid',
  'typnamespace', 'typowner', 'typarray', 'typacl']) FROM pg_type c
WHERE (c.typtype = 'b' AND c.typelem = 0 OR
  NOT c.typisdefined) AND {0})sql",
    R"sql(SELECT format('cast %s %s %s %s %s', castsource::regtype, casttarget::regtype,
  castfunc::regprocedure, castcontext, castmethod) FROM pg_cast WHERE oid >= 16384)sql",
    R"sql(SELECT format('collation %s.%s owner %s %s', c.collnamespace::regnamespace, c.collname,
  pg_get_userbyid(c.collowner), to_jsonb(c) - ARRAY['oid', 'collnamespace', 'collowner'])
FROM pg_collation c WHERE c.oid >= 16384)sql",
    R"sql(SELECT format('conversion %s.%s owner %s does %s %s %s %s', c.connamespace::regnamespace,
  c.conname, pg_get_userbyid(c.conowner), c.conproc, c.conforencoding, c.contoencoding,
  c.condefault)
FROM pg_conversion c WHERE c.oid >= 16384)sql",
    R"sql(SELECT format('dictionary %s owner %s options %s template %s', c.oid::regdictionary,
  pg_get_userbyid(c.dictowner), c.dictinitoption, (SELECT tmplname FROM pg_ts_template
    WHERE oid = c.dicttemplate)) FROM pg_ts_dict c WHERE c.oid >= 16384)sql",
    R"sql(SELECT format('configuration %s owner %s maps %s', c.oid::regconfig,
  pg_get_userbyid(c.cfgowner), (SELECT array_agg(format('%s %s %s', maptokentype, mapseqno,
    mapdict::regdictionary) ORDER BY maptokentype, mapseqno) FROM pg_ts_config_map
    WHERE mapcfg = c.oid)) FROM pg_ts_config c WHERE c.oid >= 16384)sql",
    R"sql(SELECT format('class %s.%s owner %s default %s %s family %s',
  c.opcnamespace::regnamespace, c.opcname, pg_get_userbyid(c.opcowner), c.opcdefault,
  c.opcintype::regtype,
  (SELECT opfname FROM pg_opfamily WHERE oid = c.opcfamily)) FROM pg_opclass c
WHERE c.oid >= 16384)sql",
    R"sql(SELECT format('family %s.%s owner %s operators %s functions %s',
  c.opfnamespace::regnamespace, c.opfname, pg_get_userbyid(c.opfowner),
  (SELECT array_agg(format('%s %s', amopstrategy, amopopr::regoperator) ORDER BY amopstrategy)
    FROM pg_amop WHERE amopfamily = c.oid),
  (SELECT array_agg(format('%s %s', amprocnum, amproc::regprocedure) ORDER BY amprocnum,
    amproc::regprocedure::text) FROM pg_amproc WHERE amprocfamily = c.oid))
FROM pg_opfamily c WHERE c.oid >= 16384)sql",
    R"sql(SELECT format('wrapper %s owner %s acl %s options %s', fdwname, pg_get_userbyid(fdwowner),
  ARRAY(SELECT unnest(fdwacl)::text ORDER BY 1), ARRAY(SELECT unnest(fdwoptions) ORDER BY 1))
FROM pg_foreign_data_wrapper)sql",
    R"sql(SELECT format('server %s owner %s acl %s options %s type %s version %s', srvname,
  pg_get_userbyid(srvowner), ARRAY(SELECT unnest(srvacl)::text ORDER BY 1),
  ARRAY(SELECT unnest(srvoptions) ORDER BY 1), srvtype, srvversion) FROM pg_foreign_server)sql",
    R"sql(SELECT format('foreign table %s server %s options %s columns %s', f.ftrelid::regclass,
  (SELECT srvname FROM pg_foreign_server WHERE oid = f.ftserver), f.ftoptions,
  (SELECT array_agg(a.attfdwoptions::text ORDER BY a.attnum) FROM pg_attribute a
    WHERE a.attrelid = f.ftrelid AND a.attnum > 0 AND NOT a.attisdropped))
FROM pg_foreign_table f)sql",
    R"sql(SELECT format('default privileges of %s in %s on %s: %s', pg_get_userbyid(defaclrole),
  nullif(defaclnamespace, 0)::regnamespace, defaclobjtype,
  (SELECT array_agg(x::text ORDER BY x::text) FROM unnest(defaclacl) x)) FROM pg_default_acl)sql",
    R"sql(SELECT format('extension %s in %s', extname, extnamespace::regnamespace)
FROM pg_extension)sql",
    R"sql(SELECT format('comment on %s %s: %s', i.type, i.identity, d.description)
FROM pg_description d CROSS JOIN LATERAL pg_identify_object(d.classoid, d.objoid, d.objsubid) i
WHERE d.objoid >= 16384 AND coalesce(i.schema, '') <> 'pgflow' AND i.type NOT IN ('event trigger',
  'publication') AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = d.classoid
  AND e.objid = d.objoid AND e.deptype = 'e') AND i.type <> 'extension')sql",
};

// Outside the system's schemas and ours, and no extension's own.
constexpr const char* kOfUsers =
    "{0}::regnamespace::text !~ '^pg_|^information_schema$|^pgflow$' AND NOT EXISTS (SELECT FROM "
    "pg_depend e WHERE e.objid = c.oid AND e.classid = c.tableoid AND e.deptype = 'e')";

std::string NamespaceColumn(std::string_view query) {
  if (query.find("FROM pg_type c") != std::string_view::npos) return "c.typnamespace";
  if (query.find("FROM pg_proc c") != std::string_view::npos) return "c.pronamespace";
  if (query.find("FROM pg_operator c") != std::string_view::npos) return "c.oprnamespace";
  return "c.relnamespace";
}

std::vector<std::string> DefinitionsOf(const Database& database) {
  std::vector<std::string> lines;
  Onlooker onlooker(database, "SET search_path = ''");
  for (const char* query : kQueries) {
    std::string sql = query;
    if (const size_t at = sql.find("{0}"); at != std::string::npos) {
      sql.replace(at, 3, fmt::format(fmt::runtime(kOfUsers), NamespaceColumn(sql)));
    }
    for (auto& row : onlooker.Rows(sql)) lines.push_back(std::move(row.first));
  }
  std::ranges::sort(lines);
  return lines;
}

}  // namespace

std::string DefinitionDifference(const Database& source, const Database& target) {
  const std::vector<std::string> there = DefinitionsOf(source);
  const std::vector<std::string> here = DefinitionsOf(target);
  std::string difference;
  const auto append = [&](std::string_view where, const auto& lines, const auto& others) {
    std::vector<std::string> only;
    std::ranges::set_difference(lines, others, std::back_inserter(only));
    for (const std::string& line : only) {
      difference += fmt::format("only in the {}: {}\n", where, line);
    }
  };
  append("source", there, here);
  append("target", here, there);
  return difference;
}

}  // namespace pgflow::tests
