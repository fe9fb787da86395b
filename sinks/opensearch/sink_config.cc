#include "sinks/opensearch/sink_config.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/status.h"
#include "http/url.h"
#include "schemas/glob.h"
#include "sinks/opensearch/index_name.h"

namespace pgflow::sinks {
namespace {

config::ConfigSpec<SearchTableOptions> TableSpec() {
  config::ConfigSpec<SearchTableOptions> spec;
  spec.Field("table", &SearchTableOptions::table,
             "The tables that this is for: a pattern over schema.table (* and ?). The first entry "
             "that matches counts.")
      .Required()
      .Example("public.products");
  spec.Field("index", &SearchTableOptions::index, "The name of their index, in place of `index`.")
      .Example("catalog");
  spec.Field("key", &SearchTableOptions::key,
             "The columns that make the document's id. Needed only for a table without primary key "
             "and identity index; their values must be unique, never NULL, and in the replica "
             "identity (REPLICA IDENTITY FULL has all columns).")
      .Example("[tenant, number]");
  spec.Field("mapping", &SearchTableOptions::mapping,
             "Mapping of single fields, by column name, in place of what follows from the type: "
             "{title: {type: text, analyzer: english}}. Of a point, type: geo_point makes a "
             "location. PostGIS columns of SRID 4326 are geo_point or geo_shape of themselves; of "
             "one without SRID, these types say that it is longitude and latitude.");
  spec.Field("settings", &SearchTableOptions::settings,
             "Settings of their index, over the general ones.");
  spec.Field("pipeline", &SearchTableOptions::pipeline,
             "The ingest pipeline of their documents, in place of the general one; none: none.")
      .Example("articles");
  spec.Field("routing", &SearchTableOptions::routing,
             "The column by whose value documents are routed to shards: a search with that value "
             "as its routing asks one shard only. A whole number, a text or a uuid, and in the "
             "replica identity (REPLICA IDENTITY FULL has all columns). NULL: the id routes.")
      .Example("tenant");
  return spec;
}

config::ConfigSpec<JoinOptions> JoinSpec() {
  config::ConfigSpec<JoinOptions> spec;
  spec.Field("parent", &JoinOptions::parent, "The table whose documents get the rows.")
      .Required()
      .Example("public.orders");
  spec.Field("child", &JoinOptions::child,
             "The table whose rows they get. It has an index of its own all the same.")
      .Required()
      .Example("public.items");
  spec.Field("on", &JoinOptions::on,
             "Columns of the child, and the columns of the parent's key that they hold: all of "
             "them, in the key's order. {order_id: id}. Whole numbers, texts or uuids.")
      .Required();
  spec.Field("as", &JoinOptions::as, "The field, of type nested.").Required().Example("items");
  return spec;
}

void AddMappingFields(config::ConfigSpec<OpenSearchSinkConfig>& spec) {
  spec.Field("strings", &OpenSearchSinkConfig::strings,
             "How texts are indexed: for full-text search, as one keyword, or both (the keyword is "
             "then the sub-field `keyword`).")
      .Choice({{"text_and_keyword", StringMapping::kTextAndKeyword},
               {"text", StringMapping::kText},
               {"keyword", StringMapping::kKeyword}});
  spec.Field("numerics", &OpenSearchSinkConfig::numerics,
             "How numeric is indexed. The document has every digit in either case.")
      .Choice({{"double", NumericMapping::kDouble}, {"keyword", NumericMapping::kKeyword}});
  spec.Field("json", &OpenSearchSinkConfig::json,
             "How json and jsonb are indexed. flattened: every leaf as a keyword, without new "
             "fields in the mapping; a value that is no object becomes {\"_json\": value}. object: "
             "each key becomes a field, whose first value chooses its type. stored: not at all.")
      .Choice({{"flattened", JsonMapping::kFlattened},
               {"object", JsonMapping::kObject},
               {"stored", JsonMapping::kStored}});
}

absl::Status ValidateJoin(const JoinOptions& join, const std::vector<JoinOptions>& all) {
  for (const std::string* table : {&join.parent, &join.child}) {
    if (table->find('.') != std::string::npos && table->find('*') == std::string::npos) continue;
    return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                            "joins: {} must be one table, as schema.table", *table);
  }
  if (join.as.empty() || FieldName(join.as) != join.as) {
    return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                            "joins: as: {} is no name of a field (no dots, no leading _)", join.as);
  }
  const bool scalars = join.on.is_map() && !join.on.entries().empty() &&
                       std::ranges::all_of(join.on.entries(), [](const auto& pair) {
                         return pair.second.kind() == config::Node::Kind::kScalar;
                       });
  if (!scalars) {
    return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                            "joins: on: of {} must be a map of the child's columns to the "
                            "parent's, as {{order_id: id}}",
                            join.child);
  }
  for (const JoinOptions& other : all) {
    if (other.child == join.parent) {
      return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                              "joins: {} is the parent of {} and a child of {}; one level of "
                              "nesting is what can be kept",
                              join.parent, join.child, other.parent);
    }
    if (&other != &join && other.LinkField() == join.LinkField()) {
      return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                              "joins: two of {} have the field {}", join.parent, join.as);
    }
  }
  return absl::OkStatus();
}

absl::Status ValidateJoins(const std::vector<JoinOptions>& joins) {
  for (const JoinOptions& join : joins) PGFLOW_RETURN_IF_ERROR(ValidateJoin(join, joins));
  return absl::OkStatus();
}

// A document with nested rows is written again from what it holds already.
absl::Status ValidateJoinedTables(const OpenSearchSinkConfig& config) {
  for (const JoinOptions& join : config.joins) {
    for (const std::string& table : {join.parent, join.child}) {
      const std::string pipeline = config.PipelineOf(TableOf(table));
      if (pipeline.empty()) continue;
      return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                              "pipeline: {} is part of a join, whose documents would go through {} "
                              "again and again; give it pipeline: none under tables, or leave the "
                              "join out",
                              table, pipeline);
    }
  }
  return absl::OkStatus();
}

// Parents and children are found by their ids alone.
absl::Status ValidateJoinedRouting(const OpenSearchSinkConfig& config) {
  for (const JoinOptions& join : config.joins) {
    for (const std::string& table : {join.parent, join.child}) {
      const std::string routing = config.RoutingOf(TableOf(table));
      if (routing.empty()) continue;
      return base::MakeStatus(
          absl::StatusCode::kInvalidArgument,
          "tables: routing: {} is part of a join, whose documents are found by "
          "their ids alone, and would be routed by {}; leave one of the two out",
          table, routing);
    }
  }
  return absl::OkStatus();
}

}  // namespace

const SearchTableOptions* OpenSearchSinkConfig::OptionsOf(const schemas::TableName& table) const {
  const std::string name = table.ToString();
  for (const SearchTableOptions& options : tables) {
    if (schemas::MatchesGlob(options.table, name)) return &options;
  }
  return nullptr;
}

std::string OpenSearchSinkConfig::PipelineOf(const schemas::TableName& table) const {
  const SearchTableOptions* options = OptionsOf(table);
  const bool own = options != nullptr && !options->pipeline.empty();
  const std::string& chosen = own ? options->pipeline : pipeline;
  return chosen == "none" ? std::string() : chosen;
}

std::string OpenSearchSinkConfig::RoutingOf(const schemas::TableName& table) const {
  const SearchTableOptions* options = OptionsOf(table);
  return options == nullptr ? std::string() : options->routing;
}

schemas::TableName JoinOptions::ParentTable() const { return TableOf(parent); }

std::vector<std::pair<std::string, std::string>> JoinOptions::Columns() const {
  std::vector<std::pair<std::string, std::string>> columns;
  for (const auto& [key, value] : on.entries()) columns.emplace_back(key.text(), value.text());
  return columns;
}

// A column's field never begins with `_`, so that this is none.
std::string JoinOptions::LinkField() const {
  std::string field = fmt::format("_join_{}_{}", parent, as);
  std::ranges::replace(field, '.', '_');
  return field;
}

std::vector<const JoinOptions*> OpenSearchSinkConfig::JoinsWithParent(
    const schemas::TableName& table) const {
  std::vector<const JoinOptions*> found;
  for (const JoinOptions& join : joins) {
    if (join.parent == table.ToString()) found.push_back(&join);
  }
  return found;
}

std::vector<const JoinOptions*> OpenSearchSinkConfig::JoinsWithChild(
    const schemas::TableName& table) const {
  std::vector<const JoinOptions*> found;
  for (const JoinOptions& join : joins) {
    if (join.child == table.ToString()) found.push_back(&join);
  }
  return found;
}

config::ConfigSpec<OpenSearchSinkConfig> OpenSearchSinkSpec() {
  config::ConfigSpec<OpenSearchSinkConfig> spec;
  spec.Field("url", &OpenSearchSinkConfig::url,
             "The cluster's address. User and password belong to connection.auth.")
      .Required()
      .Example("https://search.example.com:9200");
  spec.Field("index", &OpenSearchSinkConfig::index,
             "The name under which a table's documents are found, with {schema} and {table} for "
             "the table's. It is an alias; the index behind it has a number added, so that it can "
             "be rebuilt and switched.")
      .Example("shop-{table}");
  spec.Field("api_key", &OpenSearchSinkConfig::api_key,
             "An API key in its encoded form, in place of user and password.")
      .Example("${OPENSEARCH_API_KEY}");
  spec.Section("connection", &OpenSearchSinkConfig::connection, http::ConnectionSpec(),
               "TLS, authentication and time-outs.");
  AddMappingFields(spec);
  spec.Field("settings", &OpenSearchSinkConfig::settings,
             "Settings of every index that is created: {number_of_shards: 3, analysis: ...}.");
  spec.Field("pipeline", &OpenSearchSinkConfig::pipeline,
             "An ingest pipeline of the server that documents go through. It gets whole rows: a "
             "table with large values needs REPLICA IDENTITY FULL. A document that it drops is not "
             "in the index. Columns that it makes are mapped under tables: mapping.")
      .Example("enrich");
  spec.Section("tables", &OpenSearchSinkConfig::tables, TableSpec(),
               "What is particular to some tables.");
  spec.Section("joins", &OpenSearchSinkConfig::joins, JoinSpec(),
               "Documents with the rows of another table nested in them, kept right when these "
               "change, come, go, or move to another parent.");
  spec.Field("on_existing_documents", &OpenSearchSinkConfig::on_existing_documents,
             "What to do at the first snapshot when an index holds documents already. replace: "
             "remove them all; an index of the very name becomes an alias of a new one.")
      .Choice({{"refuse", ExistingDocuments::kRefuse},
               {"append", ExistingDocuments::kAppend},
               {"replace", ExistingDocuments::kReplace}});
  spec.Field("refresh", &OpenSearchSinkConfig::refresh,
             "When written documents become visible to searches. auto: at once while changes are "
             "few, by the index's refresh_interval under load. interval: always by that. always: "
             "at once, whatever it costs.")
      .Choice({{"auto", RefreshMode::kAuto},
               {"interval", RefreshMode::kInterval},
               {"always", RefreshMode::kAlways}});
  spec.Field("deletes_remembered", &OpenSearchSinkConfig::deletes_remembered,
             "How long the cluster knows the version of a deleted document (index.gc_deletes): a "
             "write that is late by less cannot bring the document back. Each deletion takes about "
             "100 bytes of heap that long.")
      .Range(absl::Minutes(1), absl::Hours(24));
  spec.Field("bulk_size", &OpenSearchSinkConfig::bulk_size, "Size of a bulk request, about.")
      .Range({64 * base::kKiB}, {64 * base::kMiB});
  spec.Field("connections", &OpenSearchSinkConfig::connections,
             "Bulk requests of the stream that are under way at once. A snapshot has one for each "
             "of its workers.")
      .Range(1, 16);
  return spec;
}

absl::Status ValidateOpenSearchSinkConfig(const OpenSearchSinkConfig& config) {
  const absl::StatusOr<http::Url> url = http::ParseUrl(config.url);
  if (!url.ok()) return base::Annotate(url.status(), "url");
  if (config.url.find_first_of("?#") != std::string::npos) {
    return absl::InvalidArgumentError("url must have no query");
  }
  if (url->path.find('@') != std::string::npos) {
    return absl::InvalidArgumentError("url: an '@' in its path");
  }
  PGFLOW_RETURN_IF_ERROR(http::Validate(config.connection));
  const http::AuthConfig& auth = config.connection.auth;
  const bool has_auth =
      !auth.username.empty() || !auth.bearer_token.empty() || auth.aws.has_value();
  if (!config.api_key.empty() && has_auth) {
    return absl::InvalidArgumentError("api_key and connection.auth exclude each other; keep one");
  }
  PGFLOW_RETURN_IF_ERROR(ValidateIndexTemplate("index", config.index));
  for (const SearchTableOptions& table : config.tables) {
    if (table.index.empty()) continue;
    PGFLOW_RETURN_IF_ERROR(ValidateIndexTemplate("tables: index", table.index));
  }
  PGFLOW_RETURN_IF_ERROR(ValidateJoins(config.joins));
  PGFLOW_RETURN_IF_ERROR(ValidateJoinedTables(config));
  PGFLOW_RETURN_IF_ERROR(ValidateJoinedRouting(config));
  if (config.deletes_remembered < 2 * config.connection.request_timeout) {
    return absl::InvalidArgumentError(
        "deletes_remembered must be at least twice connection.request_timeout: a request that is "
        "late by that must find the deletions");
  }
  return absl::OkStatus();
}

}  // namespace pgflow::sinks
