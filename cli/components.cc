#include "cli/components.h"

#include "sinks/blackhole/blackhole_sink.h"
#include "sinks/kafka/kafka_sink.h"
#include "sinks/opensearch/opensearch_sink.h"
#include "sinks/postgres/postgres_sink.h"
#include "sinks/stdout/stdout_sink.h"
#include "sinks/webhook/webhook_sink.h"
#include "sources/kafka/kafka_source.h"
#include "sources/postgres/postgres_source.h"
#include "transformers/compute/compute_transformer.h"
#include "transformers/enrich/enrich_transformer.h"
#include "transformers/filter/filter_transformer.h"
#include "transformers/mask/mask_transformer.h"
#include "transformers/outbox/outbox_transformer.h"
#include "transformers/project/project_transformer.h"
#include "transformers/rename/rename_transformer.h"
#include "transformers/route/route_transformer.h"
#include "transformers/script/script_transformer.h"

namespace pgflow::cli {

engine::Registry AllComponents() {
  engine::Registry registry;
  registry.sources.push_back(
      engine::MakeComponentType<engine::Source, sources::PostgresSourceConfig>(
          "postgres", "The tables of a Postgres database, and every change of them.", "",
          &sources::PostgresSourceSpec, &sources::PostgresSource::Make));
  registry.sources.push_back(sources::KafkaSourceType());
  registry.transformers.push_back(transformers::ComputeType());
  registry.transformers.push_back(transformers::EnrichType());
  registry.transformers.push_back(transformers::FilterType());
  registry.transformers.push_back(transformers::MaskType());
  registry.transformers.push_back(transformers::OutboxType());
  registry.transformers.push_back(transformers::ProjectType());
  registry.transformers.push_back(transformers::RenameType());
  registry.transformers.push_back(transformers::RouteType());
  registry.transformers.push_back(transformers::ScriptType());
  registry.sinks.push_back(sinks::PostgresSinkType());
  registry.sinks.push_back(sinks::KafkaSinkType());
  registry.sinks.push_back(sinks::OpenSearchSinkType());
  registry.sinks.push_back(sinks::StdoutSinkType());
  registry.sinks.push_back(sinks::BlackholeSinkType());
  registry.sinks.push_back(sinks::WebhookSinkType());
  return registry;
}

}  // namespace pgflow::cli
