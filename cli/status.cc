// pgflow status: asks the running pipeline; without one, the source and the checkpoints.
#include "base/status.h"

#include <filesystem>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "cli/group.h"
#include "cli/interrupt.h"
#include "cli/running_pipeline.h"
#include "engine/api/part_name.h"
#include "engine/observe/status_json.h"
#include "engine/observe/status_text.h"
#include "engine/state/sqlite_checkpoint_store.h"

namespace pgflow::cli {
namespace {

using Json = nlohmann::ordered_json;

// Read without opening the sink: that would take it away from a pipeline that runs elsewhere.
absl::StatusOr<std::optional<engine::SinkCheckpoint>> StoredCheckpoint(
    const engine::PipelineParts& parts, const engine::SinkNode& sink, std::stop_token stop) {
  auto own =
      sink.sink->PeekCheckpoint({parts.name(), sink.name, "", parts.options.state_directory}, stop);
  if (!own.ok() || own->has_value()) return own;
  std::error_code ignored;
  if (!std::filesystem::exists(parts.options.state_directory, ignored)) return own;
  PGFLOW_ASSIGN_OR_RETURN(const auto database,
                          engine::SqliteDatabase::Open(parts.options.state_directory));
  return engine::SqliteCheckpointStore(*database, parts.name(), sink.name).Load();
}

Json SourceJson(const engine::PipelineParts& parts, std::stop_token stop) {
  Json json;
  json["type"] = parts.source_type;
  const auto identity = parts.source->Open(stop);
  if (!identity.ok()) {
    json["error"] = std::string(base::Message(identity.status()));
    return json;
  }
  json["database"] = identity->database;
  json["slot"] = identity->slot;
  const auto health = parts.source->Health(stop);
  if (!health.ok()) {
    json["error"] = std::string(base::Message(health.status()));
    return json;
  }
  json["slot_wal_status"] = health->wal_status;
  json["retained_wal_bytes"] = health->retained_wal_bytes;
  json["server_lsn"] = health->server_lsn.ToString();
  return json;
}

// `part`: of a log that several processes share; empty: the pipeline has a log for itself.
Json SinkJson(const engine::PipelineParts& parts, const engine::SinkNode& sink,
              const std::string& part, std::stop_token stop) {
  Json json;
  json["name"] = part.empty() ? sink.name : sink.name + " " + part;
  json["type"] = sink.type;
  const auto checkpoint =
      part.empty() ? StoredCheckpoint(parts, sink, stop)
                   : sink.sink->PeekCheckpoint(
                         {engine::PartName(parts.name(), part), sink.name, "", ""}, stop);
  if (checkpoint.ok() && !checkpoint->has_value() && !part.empty()) {
    json["error"] = "the target has no checkpoint of it; what the group has read is the group's";
    return json;
  }
  if (!checkpoint.ok()) {
    json["error"] = std::string(base::Message(checkpoint.status()));
    return json;
  }
  json["began"] = checkpoint->has_value();
  if (!checkpoint->has_value()) return json;
  const engine::SinkCheckpoint& found = **checkpoint;
  json["slot"] = found.identity.slot;
  json["frontier"] = found.stream.end_lsn.ToString();
  json["snapshot_complete"] = found.snapshot_complete;
  size_t complete = 0;
  for (const engine::TableProgress& table : found.tables) complete += table.complete ? 1 : 0;
  json["tables"] = found.tables.size();
  json["tables_complete"] = complete;
  return json;
}

void PrintStored(const Json& json, std::ostream& out) {
  out << fmt::format("pipeline {}: not running ({})\n", json["pipeline"].get<std::string>(),
                     json["why"].get<std::string>());
  const Json& source = json["source"];
  if (source.contains("error")) {
    out << fmt::format("source {}: {}\n", source["type"].get<std::string>(),
                       source["error"].get<std::string>());
  } else {
    out << fmt::format(
        "source {}: database {}, slot {} ({}), {} bytes of WAL retained, at {}\n",
        source["type"].get<std::string>(), source["database"].get<std::string>(),
        source["slot"].get<std::string>(), source["slot_wal_status"].get<std::string>(),
        source["retained_wal_bytes"].get<uint64_t>(), source["server_lsn"].get<std::string>());
  }
  for (const Json& sink : json["sinks"]) {
    const std::string name = sink["name"].get<std::string>();
    if (sink.contains("error")) {
      out << fmt::format("sink {}: {}\n", name, sink["error"].get<std::string>());
    } else if (!sink["began"].get<bool>()) {
      out << fmt::format("sink {}: never began\n", name);
    } else {
      out << fmt::format("sink {}: frontier {}, snapshot {} ({} of {} tables)\n", name,
                         sink["frontier"].get<std::string>(),
                         sink["snapshot_complete"].get<bool>() ? "complete" : "not complete",
                         sink["tables_complete"].get<size_t>(), sink["tables"].get<size_t>());
    }
  }
}

ExitCode ShowStored(const Invocation& invocation, const engine::PipelineParts& parts,
                    const std::string& why, bool as_json) {
  const Interrupt interrupt;
  Json json;
  json["pipeline"] = parts.name();
  json["running"] = false;
  json["why"] = why;
  json["source"] = SourceJson(parts, interrupt.drain());
  json["sinks"] = Json::array();
  std::vector<std::string> names = {""};
  if (const auto group = engine::GroupOf(*parts.source); group != nullptr) {
    const auto listed = group->ListParts(interrupt.drain());
    names = listed.ok() ? *listed : std::vector<std::string>();
  }
  for (const engine::SinkNode& sink : parts.sinks) {
    for (const std::string& part : names) {
      json["sinks"].push_back(SinkJson(parts, sink, part, interrupt.drain()));
    }
  }
  if (as_json) {
    invocation.console.out << json.dump(2, ' ', false, Json::error_handler_t::replace) << "\n";
  } else {
    PrintStored(json, invocation.console.out);
  }
  return ExitCode::kDone;
}

ExitCode Status(const Invocation& invocation, const PipelineInput& input, bool as_json) {
  const auto parts = LoadPipeline(invocation, input);
  if (!parts.has_value()) return ExitCode::kUsage;
  if (!parts->admin_listen.has_value()) {
    return ShowStored(invocation, *parts,
                      "or unknown: the file has no `admin` section to ask it through", as_json);
  }
  const auto running = FindRunning(*parts);
  if (running.status().code() == absl::StatusCode::kInvalidArgument) {
    return Fail(invocation.console, running.status());
  }
  if (!running.ok()) {
    return ShowStored(invocation, *parts, std::string(base::Message(running.status())), as_json);
  }
  invocation.console.out << (as_json ? running->answer
                                     : engine::StatusToText(running->status, absl::Now()));
  return ExitCode::kDone;
}

}  // namespace

void AddStatus(CommandLine& line, const Invocation& invocation) {
  auto input = std::make_shared<PipelineInput>(invocation.registry);
  auto json = std::make_shared<bool>(false);
  input->AddTo(line.Add("status", "Progress, frontiers, lag and the slot's health",
                        [&invocation, input, json] { return Status(invocation, *input, *json); })
                   .Flag("--json", *json, "As JSON"));
}

}  // namespace pgflow::cli
