#include "engine/topology/pipeline_file.h"

namespace pgflow::engine {
namespace {

config::ConfigSpec<StateSection> StateSpec() {
  config::ConfigSpec<StateSection> spec;
  spec.Field("directory", &StateSection::directory,
             "Where checkpoints of sinks that cannot keep their own, and the spool, are kept.");
  return spec;
}

config::ConfigSpec<SpoolSection> SpoolSpec() {
  config::ConfigSpec<SpoolSection> spec;
  spec.Field("directory", &SpoolSection::directory,
             "Where changes wait that do not fit in memory. Default: `spool` in the state "
             "directory.");
  spec.Field("memory", &SpoolSection::memory, "Changes kept in memory at most.")
      .Range(config::ByteSize{base::kMiB}, config::ByteSize{64 * base::kGiB});
  spec.Field(
      "size_max", &SpoolSection::size_max,
      "Changes kept on disk at most; the source waits when it is full. 0: no limit. A transaction "
      "of the source has to fit into it: a larger one stops the pipeline.");
  return spec;
}

config::ConfigSpec<AdminSection> AdminSpec() {
  config::ConfigSpec<AdminSection> spec;
  spec.Field("listen", &AdminSection::listen,
             "Address and port of /metrics, /health, /ready, /status, /activity and /tap.");
  spec.Field("tap", &AdminSection::tap,
             "Whether `pgflow tap` (/tap) may show the changes that pass, with their values. "
             "Whatever `listen` says it shows them only to programs on the machine that pgflow "
             "runs on, of any user there.");
  return spec;
}

config::ConfigSpec<DeadLetterSection> DeadLetterSpec() {
  config::ConfigSpec<DeadLetterSection> spec;
  spec.Field("file", &DeadLetterSection::file,
             "A copy for people, as JSON lines, of the queue of these rows in the state directory; "
             "`pgflow replay` brings them back.")
      .Required()
      .Example("refused.jsonl");
  return spec;
}

config::ConfigSpec<RetryOptions> RetrySpec() {
  config::ConfigSpec<RetryOptions> spec;
  spec.Field("initial", &RetryOptions::initial,
             "Wait before the first attempt after an error that may pass; doubles each time.")
      .Range(absl::Milliseconds(1), absl::Hours(1));
  spec.Field("max", &RetryOptions::max, "Longest wait between two attempts.")
      .Range(absl::Milliseconds(1), absl::Hours(24));
  return spec;
}

}  // namespace

config::ConfigSpec<PipelineFile> PipelineFileSpec() {
  config::ConfigSpec<PipelineFile> spec;
  spec.Field("name", &PipelineFile::name,
             "Names the slot, the checkpoints and the metrics: a-z, 0-9 and _.")
      .Example("shop");
  spec.Field("source", &PipelineFile::source, "Where changes come from: one component.")
      .Required()
      .Example("{postgres: {url: \"${SOURCE_URL}\"}}");
  spec.Field("transformers", &PipelineFile::transformers,
             "What happens to them on the way, in order: a list of components.");
  spec.Field("sinks", &PipelineFile::sinks, "Where they go: a list of components.")
      .Required()
      .Example("[{stdout: {}}]");
  spec.Section("state", &PipelineFile::state, StateSpec(), "What pgflow keeps on disk.");
  spec.Section("spool", &PipelineFile::spool, SpoolSpec(),
               "Changes that a sink has not taken yet.");
  spec.Section(
      "admin", &PipelineFile::admin, AdminSpec(),
      "The HTTP port for metrics, status and what `pgflow tap` and `pgflow top` show; none "
      "unless it is written.");
  spec.Field(
          "startup_timeout", &PipelineFile::startup_timeout,
          "How long `pgflow run` waits at its start for a source or a sink that is away, before it "
          "gives up. What is wrong and not away (a password, a missing database) ends it at "
          "once. Once all has worked, it waits as long as it takes.")
      .Range(absl::ZeroDuration(), absl::Hours(24 * 365));
  spec.Field("tests", &PipelineFile::tests,
             "Tests of `transformers`, which `pgflow test` runs without any network: a list of "
             "{name, tables, given, expect} with changes {operation, table, before, after, "
             "unchanged}; `error` in place of `expect` where the chain must stop.");
  return spec;
}

config::ConfigSpec<SinkEntry> SinkEntrySpec(const Registry* registry) {
  config::ConfigSpec<SinkEntry> spec;
  if (registry != nullptr) {
    for (const ComponentType<Sink>& type : registry->sinks) {
      spec.Field(type.name, &SinkEntry::component, type.summary);
    }
  }
  spec.Field("name", &SinkEntry::name,
             "Names the sink in logs, metrics and checkpoints. Default: its type.");
  spec.Section("dead_letter", &SinkEntry::dead_letter, DeadLetterSpec(),
               "Where rows go that the sink refuses. Without it they stop the pipeline.");
  spec.Section("retry", &SinkEntry::retry, RetrySpec(), "How errors that may pass are retried.");
  return spec;
}

}  // namespace pgflow::engine
