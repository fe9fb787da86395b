#include "engine/topology/pipeline_builder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/bytes.h"
#include "base/config/yaml_reader.h"

namespace pgflow::engine {
namespace {

using ::testing::ElementsAre;

struct PartConfig {
  std::string url;
  int64_t size = 1;
};

config::ConfigSpec<PartConfig> PartSpec() {
  config::ConfigSpec<PartConfig> spec;
  spec.Field("url", &PartConfig::url, "Where.").Required();
  spec.Field("size", &PartConfig::size, "How much.").Range(1, 9);
  return spec;
}

struct NoConfig {};
config::ConfigSpec<NoConfig> NoSpec() { return {}; }

class InertSource final : public Source {
 public:
  explicit InertSource(std::string at) : url(std::move(at)) {}
  absl::StatusOr<SourceIdentity> Open(std::stop_token) override { return SourceIdentity(); }
  absl::StatusOr<SlotState> OpenSlot(bool, std::stop_token) override { return SlotState(); }
  absl::Status DropSlot(std::stop_token) override { return absl::OkStatus(); }
  absl::StatusOr<std::unique_ptr<SnapshotSession>> OpenSnapshot(std::stop_token) override {
    return absl::UnimplementedError("");
  }
  absl::Status Run(StreamWriter&, std::stop_token) override { return absl::OkStatus(); }
  void Acknowledge(postgres::Lsn) override {}
  absl::StatusOr<SlotHealth> Health(std::stop_token) override { return SlotHealth(); }
  absl::StatusOr<postgres::Lsn> CurrentLsn(std::stop_token) override { return postgres::Lsn(); }
  const std::string& pipeline() const { return pipeline_; }

  std::string url;
};

class InertTransformer final : public Transformer {
 public:
  absl::StatusOr<schemas::TableSchemaPtr> TransformSchema(
      const schemas::TableSchemaPtr& schema) override {
    return schema;
  }
  absl::Status Transform(Batch&) override { return absl::OkStatus(); }
};

class InertSink final : public Sink {
 public:
  absl::Status Open(const SinkContext&, std::stop_token) override { return absl::OkStatus(); }
  absl::StatusOr<std::unique_ptr<SnapshotLane>> OpenLane(std::stop_token) override {
    return absl::UnimplementedError("");
  }
  absl::StatusOr<WriteResult> Write(const Window&, std::stop_token) override {
    return WriteResult();
  }
  absl::StatusOr<StreamPoint> Durable(std::stop_token) override { return StreamPoint(); }
};

absl::StatusOr<std::unique_ptr<Source>> MakeSource(PartConfig config) {
  if (config.url == "bad") return absl::InvalidArgumentError("url is not a URL");
  return std::make_unique<InertSource>(config.url);
}
absl::StatusOr<std::unique_ptr<Transformer>> MakeTransformer(PartConfig) {
  return std::make_unique<InertTransformer>();
}
absl::StatusOr<std::unique_ptr<Sink>> MakeSink(PartConfig) { return std::make_unique<InertSink>(); }
absl::StatusOr<std::unique_ptr<Sink>> MakeBareSink(NoConfig) {
  return std::make_unique<InertSink>();
}

Registry TestRegistry() {
  Registry registry;
  registry.sources.push_back(
      MakeComponentType<Source, PartConfig>("origin", "Makes.", "", &PartSpec, &MakeSource));
  registry.transformers.push_back(MakeComponentType<Transformer, PartConfig>(
      "filter", "Drops.", "", &PartSpec, &MakeTransformer));
  registry.sinks.push_back(
      MakeComponentType<Sink, PartConfig>("store", "Keeps.", "once", &PartSpec, &MakeSink));
  registry.sinks.push_back(
      MakeComponentType<Sink, NoConfig>("stdout", "Prints.", "once", &NoSpec, &MakeBareSink));
  return registry;
}

std::optional<PipelineParts> Build(const std::string& yaml, std::vector<std::string>& problems) {
  config::Problems found("p.yaml");
  const config::Node root = config::ParseYaml(yaml, "p.yaml", found);
  std::optional<PipelineParts> parts = BuildPipeline(root, TestRegistry(), found);
  for (const config::Problem& problem : found.Sorted()) problems.push_back(problem.ToString());
  EXPECT_EQ(parts.has_value(), problems.empty());
  return parts;
}

std::vector<std::string> SinkNames(const PipelineParts& parts) {
  std::vector<std::string> names;
  for (const SinkNode& sink : parts.sinks) names.push_back(sink.name);
  return names;
}

TEST(PipelineBuilderTest, BuildsEveryPart) {
  std::vector<std::string> problems;
  const auto parts = Build(R"(
name: shop
source: {origin: {url: here}}
transformers:
  - filter: {url: x}
  - filter: {url: y}
sinks:
  - store: {url: there}
    name: main
    dead_letter: {file: refused.jsonl}
    retry: {initial: 1s, max: 1m}
  - stdout:
state: {directory: /var/lib/pgflow}
spool: {memory: 8MiB, size_max: 1GiB}
admin: {}
)",
                           problems);
  ASSERT_TRUE(parts.has_value()) << problems.front();
  EXPECT_EQ(parts->name(), "shop");
  EXPECT_EQ(parts->source_type, "origin");
  EXPECT_EQ(static_cast<InertSource&>(*parts->source).url, "here");
  EXPECT_EQ(static_cast<InertSource&>(*parts->source).pipeline(), "shop");
  EXPECT_EQ(parts->transformers.size(), 2u);
  EXPECT_THAT(SinkNames(*parts), ElementsAre("main", "stdout"));
  EXPECT_EQ(parts->sinks[0].dead_letter_path, "refused.jsonl");
  EXPECT_EQ(parts->sinks[0].retry.max, absl::Minutes(1));
  EXPECT_EQ(parts->sinks[1].type, "stdout");
  EXPECT_EQ(parts->options.log.spool_directory, "/var/lib/pgflow/spool");
  EXPECT_EQ(parts->options.log.memory_bytes_max, 8 * base::kMiB);
  EXPECT_EQ(parts->options.log.spool_bytes_max, base::kGiB);
  EXPECT_EQ(parts->admin_listen, "127.0.0.1:9187");
}

TEST(PipelineBuilderTest, HasDefaults) {
  std::vector<std::string> problems;
  const auto parts = Build("source: {origin: {url: a}}\nsinks: [{stdout: {}}]\n", problems);
  ASSERT_TRUE(parts.has_value());
  EXPECT_EQ(parts->name(), "pgflow");
  EXPECT_EQ(parts->options.state_directory, ".pgflow");
  EXPECT_EQ(parts->options.log.spool_directory, ".pgflow/spool");
  EXPECT_EQ(parts->admin_listen, std::nullopt);
  EXPECT_EQ(parts->sinks[0].retry.initial, absl::Milliseconds(100));
}

TEST(PipelineBuilderTest, GivesEverySinkItsOwnName) {
  std::vector<std::string> problems;
  const auto parts = Build(
      "source: {origin: {url: a}}\n"
      "sinks: [{stdout: {}}, {stdout: {}}, {stdout: {}, name: stdout_2}]\n",
      problems);
  ASSERT_TRUE(parts.has_value());
  EXPECT_THAT(SinkNames(*parts), ElementsAre("stdout", "stdout_3", "stdout_2"));
}

TEST(PipelineBuilderTest, ReportsEverythingAtOnce) {
  std::vector<std::string> problems;
  Build(R"(nmae: shop
source: {origin: {url: bad, siez: 1}}
transformers:
  - fliter: {url: x}
  - filter: {}
sinks:
  - store: {url: a, size: 10}
    name: a b
  - stdout: {x: 1}
    store: {url: b}
  - name: lonely
  - 7
admin: {listen: localhost}
)",
        problems);
  EXPECT_THAT(
      problems,
      ElementsAre("p.yaml:1:1: unknown key 'nmae' in the file; did you mean 'name'?",
                  "p.yaml:2:29: unknown key 'siez' in 'source.origin'; did you mean 'size'?",
                  "p.yaml:4:5: unknown key 'fliter' in 'transformers[0]'; did you mean 'filter'?",
                  "p.yaml:5:13: 'url' is missing in 'transformers[1].filter'",
                  "p.yaml:7:27: 'sinks[0].store.size' must be from 1 to 9, not '10'",
                  "p.yaml:8:11: 'sinks[0].name' must be 1 to 40 of a-z, 0-9 and _, not 'a b'",
                  "p.yaml:10:5: one sink an entry; 'stdout' and 'store' cannot share one",
                  "p.yaml:11:5: a sink is missing here; write one of: store, stdout",
                  "p.yaml:12:5: 'sinks[3]' must be a section of keys and values, not a text",
                  "p.yaml:13:17: 'admin.listen' must be host:port, such as 127.0.0.1:9187, not "
                  "'localhost'"));
}

TEST(PipelineBuilderTest, RefusesWrongShapes) {
  const struct {
    const char* yaml;
    const char* problem;
  } kCases[] = {
      {"source: {origin: {url: a}}\nsinks: {stdout: {}}",
       "p.yaml:2:8: 'sinks' must be a list with at least one sink: begin each entry with '- '"},
      {"source: {origin: {url: a}}\nsinks: []",
       "p.yaml:2:8: 'sinks' must be a list with at least one sink: begin each entry with '- '"},
      {"source: {}\nsinks: [{stdout: {}}]",
       "p.yaml:1:9: a source is missing here; write one of: origin"},
      {"source:\nsinks: [{stdout: {}}]",
       "p.yaml:1:1: a source is missing here; write one of: origin"},
      {"source: {origin: {url: bad}}\nsinks: [{stdout: {}}]", "p.yaml:1:18: url is not a URL"},
      {"source: {origin: {url: a}}\nsinks: [{stdout: {}}]\ntransformers: {filter: {}}",
       "p.yaml:3:15: 'transformers' must be a list: begin each entry with '- '"},
      {"source: {origin: {url: a}}\nsinks: [{stdout: {}, name: x}, {stdout: {}, name: x}]",
       "p.yaml:2:51: another sink is named 'x' already"},
      {"source: {origin: {url: a}}\nsinks: [{stdout: {}}]\nname: My-Shop",
       "p.yaml:3:7: 'name' must be 1 to 40 of a-z, 0-9 and _, not 'My-Shop'"},
      {"source: {origin: {url: a}}\nsinks: [{stdout: {}, retry: {initial: 1m, max: 1s}}]",
       "p.yaml:2:29: retry.max must not be less than retry.initial"},
      {"sinks: [{stdout: {}}]",
       "p.yaml:1:1: 'source' is missing in the file; write source: {postgres: {url: "
       "\"${SOURCE_URL}\"}}"},
  };
  for (const auto& test : kCases) {
    std::vector<std::string> problems;
    Build(test.yaml, problems);
    EXPECT_THAT(problems, ElementsAre(test.problem)) << test.yaml;
  }
}

}  // namespace
}  // namespace pgflow::engine
