#include "sinks/stdout/stdout_sink.h"

#include <unistd.h>

#include <utility>

#include "base/bytes.h"
#include "base/status.h"
#include "schemas/glob.h"

namespace pgflow::sinks {
namespace {

// Lines are handed over in runs of about this size, so that a large window needs no large buffer.
constexpr size_t kFlushBytes = 256 * base::kKiB;

}  // namespace

// Encodes batches and writes the lines. One thread.
class StdoutSink::Lines {
 public:
  // `tables` must outlive this.
  Lines(std::shared_ptr<RotatingWriter> writer, std::unique_ptr<EventEncoder> encoder,
        const std::vector<std::string>& tables)
      : writer_(std::move(writer)), encoder_(std::move(encoder)), tables_(tables) {}

  absl::Status Append(engine::Batch& batch, std::stop_token stop) {
    PGFLOW_ASSIGN_OR_RETURN(const std::span<const engine::ChangeEvent> events, batch.Events());
    encoder_->StartBatch();
    const schemas::TableSchema* table = nullptr;
    bool wanted = false;
    for (const engine::ChangeEvent& event : events) {
      if (event.schema != table) {
        table = event.schema;
        wanted = Wants(table->table);
      }
      if (!wanted) continue;  // Not one of `tables`: another sink may take it.
      absl::StatusOr<std::span<const EncodedMessage>> messages = encoder_->Encode(batch, event);
      if (!messages.ok()) {
        absl::Status status = std::move(messages).status();
        if (!batch.is_snapshot()) {
          base::SetPayload(status, engine::kCulpritPayload, batch.PositionOf(event).ToString());
        }
        return status;
      }
      for (const EncodedMessage& message : *messages) {
        buffer_.append(message.value);
        buffer_.push_back('\n');
      }
      if (buffer_.size() >= kFlushBytes) PGFLOW_RETURN_IF_ERROR(Flush(stop));
    }
    return absl::OkStatus();
  }

  absl::Status Flush(std::stop_token stop) {
    absl::Status status = writer_->Write(buffer_, stop);
    buffer_.clear();
    return status;
  }

 private:
  bool Wants(const schemas::TableName& table) const {
    return tables_.empty() || schemas::MatchesAnyGlob(tables_, table.ToString());
  }

  std::shared_ptr<RotatingWriter> writer_;
  const std::unique_ptr<EventEncoder> encoder_;
  const std::vector<std::string>& tables_;
  std::string buffer_;
};

class StdoutSink::Lane final : public engine::SnapshotLane {
 public:
  Lane(std::shared_ptr<RotatingWriter> writer, std::unique_ptr<Lines> lines)
      : writer_(std::move(writer)), lines_(std::move(lines)) {}

  absl::Status BeginRange(const engine::TablePlan&, engine::BlockRange, RangeOptions) override {
    return absl::OkStatus();
  }
  absl::StatusOr<engine::WriteResult> Write(engine::Batch& batch, std::stop_token stop) override {
    PGFLOW_RETURN_IF_ERROR(lines_->Append(batch, stop));
    PGFLOW_RETURN_IF_ERROR(lines_->Flush(stop));
    return engine::WriteResult();
  }
  absl::Status FinishRange(std::stop_token) override { return writer_->Sync(); }
  absl::Status FinishTable(const engine::TablePlan&, std::stop_token) override {
    return absl::OkStatus();
  }

 private:
  std::shared_ptr<RotatingWriter> writer_;
  std::unique_ptr<Lines> lines_;
};

namespace {

config::ConfigSpec<RotateConfig> RotateSpec() {
  config::ConfigSpec<RotateConfig> spec;
  spec.Field("size", &RotateConfig::size,
             "Before it would be larger than this; lines are not split.")
      .Range(config::ByteSize{1 << 10}, config::ByteSize{uint64_t{1} << 40})
      .Example("256MiB");
  spec.Field("every", &RotateConfig::every,
             "When it is so old and not empty, within ten seconds or so.")
      .Range(absl::Seconds(1), absl::Hours(24 * 366))
      .Example("1h");
  spec.Field("keep", &RotateConfig::keep, "So many of them stay, the newest; 0: all.");
  spec.Field("compress", &RotateConfig::compress,
             "Compress them (FILE.000001.gz); the plain file goes when the other one is durable.");
  return spec;
}

RotationOptions OptionsOf(const StdoutSinkConfig& config) {
  RotationOptions options;
  if (!config.rotate.has_value()) return options;
  if (config.rotate->size.has_value()) options.size_max = config.rotate->size->bytes;
  options.age_max = config.rotate->every;
  options.keep = config.rotate->keep;
  options.compress = config.rotate->compress;
  return options;
}

}  // namespace

config::ConfigSpec<StdoutSinkConfig> StdoutSinkSpec() {
  config::ConfigSpec<StdoutSinkConfig> spec;
  spec.Field("file", &StdoutSinkConfig::file,
             "Append to this file instead of writing to standard output. It is created when it is "
             "missing.")
      .Example("orders.jsonl");
  spec.Section("rotate", &StdoutSinkConfig::rotate, RotateSpec(),
               "Put the file aside when it is large or old, as FILE.000001, FILE.000002 and so on. "
               "A file with a number is complete and does not change any more.");
  spec.Field("tables", &StdoutSinkConfig::tables,
             "Only tables whose schema.name matches one of these patterns (* and ?); all when it "
             "is empty.")
      .Example("[\"public.orders\", \"sales.*\"]");
  spec.Section("encoding", &StdoutSinkConfig::encoding, EncodingSpec(),
               "How the changes are written.");
  return spec;
}

StdoutSink::StdoutSink(StdoutSinkConfig config) : config_(std::move(config)) {}
StdoutSink::~StdoutSink() = default;

absl::StatusOr<std::unique_ptr<engine::Sink>> StdoutSink::Make(StdoutSinkConfig config) {
  for (const std::string& pattern : config.tables) {
    if (pattern != "*" && pattern.find('.') == std::string::npos) {
      return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                              "tables: pattern '{}' names no schema; write 'public.{}' or '*.{}'",
                              pattern, pattern, pattern);
    }
  }
  if (config.rotate.has_value() && config.file.empty()) {
    return absl::InvalidArgumentError("rotate: needs 'file'");
  }
  if (config.rotate.has_value() && !OptionsOf(config).rotates()) {
    return absl::InvalidArgumentError("rotate: needs 'size' or 'every'");
  }
  PGFLOW_RETURN_IF_ERROR(EventEncoder::Make(config.encoding, {}).status());
  return std::make_unique<StdoutSink>(std::move(config));
}

absl::StatusOr<std::unique_ptr<StdoutSink::Lines>> StdoutSink::MakeLines() const {
  PGFLOW_ASSIGN_OR_RETURN(std::unique_ptr<EventEncoder> encoder,
                          EventEncoder::Make(config_.encoding, {.pipeline = context_.pipeline,
                                                                .database = context_.database,
                                                                .placement = Placement::kInOrder}));
  return std::make_unique<Lines>(writer_, std::move(encoder), config_.tables);
}

absl::Status StdoutSink::Open(const engine::SinkContext& context, std::stop_token) {
  context_ = context;
  if (config_.file.empty()) {
    writer_ = RotatingWriter::ForDescriptor(STDOUT_FILENO, "standard output");
  } else {
    // Closed first: opening cuts an unfinished line, which an open writer could still be adding to.
    lines_.reset();
    writer_.reset();
    PGFLOW_ASSIGN_OR_RETURN(writer_, RotatingWriter::OpenFile(config_.file, OptionsOf(config_)));
  }
  PGFLOW_ASSIGN_OR_RETURN(lines_, MakeLines());
  written_ = durable_;
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<engine::SnapshotLane>> StdoutSink::OpenLane(std::stop_token) {
  PGFLOW_ASSIGN_OR_RETURN(std::unique_ptr<Lines> lines, MakeLines());
  return std::make_unique<Lane>(writer_, std::move(lines));
}

// A window that ends within a transaction is written too: each line stands for itself, and the
// frontier stays where the transaction began.
absl::StatusOr<engine::WriteResult> StdoutSink::Write(const engine::Window& window,
                                                      std::stop_token stop) {
  for (engine::Batch& batch : window.batches) PGFLOW_RETURN_IF_ERROR(lines_->Append(batch, stop));
  PGFLOW_RETURN_IF_ERROR(lines_->Flush(stop));
  if (window.ends_at_commit) written_ = window.end;
  return engine::WriteResult();
}

absl::StatusOr<engine::StreamPoint> StdoutSink::Durable(std::stop_token) {
  PGFLOW_RETURN_IF_ERROR(writer_->Sync());
  durable_ = written_;
  return durable_;
}

engine::ComponentType<engine::Sink> StdoutSinkType() {
  return engine::MakeComponentType<engine::Sink, StdoutSinkConfig>(
      "stdout", "Writes each change as one line of JSON, to standard output or a file.",
      "at least once; every change carries its position", &StdoutSinkSpec, &StdoutSink::Make);
}

}  // namespace pgflow::sinks
