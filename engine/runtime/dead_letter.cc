#include "engine/runtime/dead_letter.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <utility>

#include <absl/strings/escaping.h>
#include <absl/time/clock.h>
#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/status.h"
#include "postgres/types/sql_state.h"

namespace pgflow::engine {
namespace {

using Json = nlohmann::json;

std::string ToHex(std::string_view bytes) {
  return absl::BytesToHexString({bytes.data(), bytes.size()});
}

// JSON strings are UTF-8; text of a SQL_ASCII database need not be.
bool FitsJson(std::string_view text) {
  try {
    return !Json(std::string(text)).dump().empty();
  } catch (const Json::exception&) {
    return false;
  }
}

// {"t": text} | {"x": hex of text that is not UTF-8} | {"b": hex of the binary form} |
// {"u": true} unchanged | null.
Json EncodeRow(const schemas::RowView& row) {
  if (!row.exists()) return nullptr;
  std::vector<schemas::Value> values;
  row.Decode(values);
  Json encoded = Json::array();
  for (const schemas::Value& value : values) {
    switch (value.kind) {
      case schemas::ValueKind::kNull:
        encoded.push_back(nullptr);
        break;
      case schemas::ValueKind::kUnchanged:
        encoded.push_back({{"u", true}});
        break;
      case schemas::ValueKind::kText:
        if (FitsJson(value.view())) {
          encoded.push_back({{"t", std::string(value.view())}});
        } else {
          encoded.push_back({{"x", ToHex(value.view())}});
        }
        break;
      case schemas::ValueKind::kBinary:
        encoded.push_back({{"b", ToHex(value.view())}});
        break;
    }
  }
  return encoded;
}

void DecodeRow(const Json& encoded, std::string& tuple) {
  base::AppendBigEndian<uint16_t>(tuple, static_cast<uint16_t>(encoded.size()));
  for (const Json& value : encoded) {
    if (value.is_null() || value.contains("u")) {
      tuple.push_back(value.is_null() ? 'n' : 'u');
      continue;
    }
    const std::string& kind = value.begin().key();
    std::string bytes = value.begin().value().get<std::string>();
    if (kind != "t") bytes = absl::HexStringToBytes(bytes);
    tuple.push_back(kind == "b" ? 'b' : 't');
    base::AppendBigEndian<uint32_t>(tuple, static_cast<uint32_t>(bytes.size()));
    tuple += bytes;
  }
}

Json EncodeSchema(const schemas::TableSchema& schema) {
  Json columns = Json::array();
  for (const schemas::Column& column : schema.columns) {
    columns.push_back({{"name", column.name},
                       {"type", column.type},
                       {"type_modifier", column.type_modifier},
                       {"type_name", column.type_name},
                       {"attribute_number", column.attribute_number},
                       {"identity", column.identity},
                       {"primary_key", column.primary_key},
                       {"wire_type", column.wire_type}});
  }
  return {{"schema", schema.table.schema},
          {"name", schema.table.name},
          {"oid", schema.oid},
          {"replica_identity", std::string(1, static_cast<char>(schema.replica_identity))},
          {"columns", std::move(columns)}};
}

schemas::TableSchemaPtr DecodeSchema(const Json& json) {
  auto schema = std::make_shared<schemas::TableSchema>();
  schema->table = {json.at("schema"), json.at("name")};
  schema->oid = json.at("oid");
  schema->replica_identity =
      static_cast<schemas::ReplicaIdentity>(json.at("replica_identity").get<std::string>().at(0));
  for (const Json& column : json.at("columns")) {
    // Files of earlier versions do not have the last two.
    schema->columns.push_back({.name = column.at("name"),
                               .type = column.at("type"),
                               .type_modifier = column.at("type_modifier"),
                               .attribute_number = column.at("attribute_number"),
                               .identity = column.at("identity"),
                               .primary_key = column.value("primary_key", int16_t{0}),
                               .type_name = column.at("type_name"),
                               .wire_type = column.value("wire_type", postgres::Oid{0})});
  }
  return schema;
}

Operation OperationOf(const std::string& name) {
  for (Operation operation : {Operation::kRead, Operation::kUpdate, Operation::kDelete,
                              Operation::kTruncate, Operation::kInsert}) {
    if (OperationName(operation) == name) return operation;
  }
  throw std::runtime_error("unknown operation " + name);
}

Position PositionOf(const std::string& text) {
  const size_t colon = text.rfind(':');
  Position position;
  position.commit_lsn = postgres::Lsn::Parse(text.substr(0, colon)).value_or(postgres::Lsn());
  if (colon != std::string::npos) {
    std::from_chars(text.data() + colon + 1, text.data() + text.size(), position.ordinal);
  }
  return position;
}

// Throws what nlohmann throws.
DeadLetter DecodeLine(const std::string& line) {
  const Json json = Json::parse(line);
  auto chunk = std::make_shared<Chunk>();
  chunk->tables.push_back(DecodeSchema(json.at("table")));
  const Operation operation = OperationOf(json.at("operation"));
  ChangeEvent event;
  event.operation = operation == Operation::kRead ? Operation::kInsert : operation;
  event.before_image = static_cast<BeforeImage>(json.at("before_image").get<int>());
  event.catch_up = true;
  event.schema = chunk->tables.front().get();
  const Position position = PositionOf(json.at("position"));
  event.ordinal = position.ordinal;
  std::string before;
  if (!json.at("before").is_null()) DecodeRow(json.at("before"), before);
  std::string after;
  if (!json.at("after").is_null()) DecodeRow(json.at("after"), after);
  chunk->bytes = before + after;
  const std::string_view bytes = chunk->bytes;
  if (!before.empty()) event.before = schemas::RowView::Tuple(bytes.substr(0, before.size()));
  if (!after.empty()) event.after = schemas::RowView::Tuple(bytes.substr(before.size()));
  TransactionSpan span;
  span.commit_lsn = position.commit_lsn;
  span.end_lsn = position.commit_lsn;
  span.xid = json.at("xid");
  span.begins = span.ends = true;
  return DeadLetter{json.at("sink"), position, json.at("error"), Batch(chunk, {event}, {span}),
                    line};
}

absl::Status RewriteFile(const std::string& path, const std::vector<std::string>& lines) {
  const std::string next = path + ".next";
  {
    std::ofstream out(next, std::ios::trunc);
    for (const std::string& line : lines) out << line << '\n';
    if (!out.flush()) {
      return base::MakeStatus(absl::StatusCode::kFailedPrecondition, "dead letter {}: cannot write",
                              next);
    }
  }
  if (std::rename(next.c_str(), path.c_str()) != 0) return absl::ErrnoToStatus(errno, "rename");
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<DeadLetterFile>> DeadLetterFile::Open(std::string path) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd < 0) {
    return base::MakeStatus(absl::StatusCode::kFailedPrecondition,
                            "dead letter {}: {}; choose a writable file", path,
                            std::strerror(errno));
  }
  return std::unique_ptr<DeadLetterFile>(new DeadLetterFile(std::move(path), fd));
}

DeadLetterFile::~DeadLetterFile() { ::close(fd_); }

absl::Status DeadLetterFile::Append(std::string_view sink, const Position& position,
                                    const TransactionSpan* transaction, const ChangeEvent& event,
                                    const absl::Status& error) {
  Json json = {
      {"position", position.ToString()},
      {"sink", std::string(sink)},
      {"operation", std::string(OperationName(event.operation))},
      {"xid", transaction == nullptr ? 0 : transaction->xid},
      {"before_image", static_cast<int>(event.before_image)},
      {"error", std::string(base::Message(error))},
      {"sqlstate", postgres::SqlStateOf(error)},
      {"rejected_at", absl::FormatTime(absl::RFC3339_full, absl::Now(), absl::UTCTimeZone())}};
  json["table"] = EncodeSchema(*event.schema);
  json["before"] = EncodeRow(event.before);
  json["after"] = EncodeRow(event.after);
  // Only names and the server's words can still be something else than UTF-8 here.
  std::string line = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  line.push_back('\n');
  const ssize_t written = ::write(fd_, line.data(), line.size());
  if (written != static_cast<ssize_t>(line.size()) || ::fdatasync(fd_) != 0) {
    return base::MakeStatus(absl::StatusCode::kFailedPrecondition,
                            "dead letter {}: cannot write: {}", path_, std::strerror(errno));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<DeadLetter>> ReadDeadLetters(const std::string& path) {
  std::ifstream in(path);
  if (!in) {
    return base::MakeStatus(absl::StatusCode::kNotFound, "dead letter {}: no such file", path);
  }
  std::vector<DeadLetter> letters;
  std::string line;
  for (size_t number = 1; std::getline(in, line); ++number) {
    if (line.empty()) continue;
    try {
      letters.push_back(DecodeLine(line));
    } catch (const std::exception& error) {
      return base::MakeStatus(absl::StatusCode::kInvalidArgument, "dead letter {}:{}: {}", path,
                              number, error.what());
    }
  }
  return letters;
}

absl::StatusOr<ReplayResult> ReplayDeadLetters(const std::string& path, const SinkContext& context,
                                               Sink& sink, std::stop_token stop) {
  PGFLOW_ASSIGN_OR_RETURN(std::vector<DeadLetter> letters, ReadDeadLetters(path));
  ReplayResult result;
  std::vector<std::string> kept;
  bool open = false;
  Window window;
  for (DeadLetter& letter : letters) {
    if (letter.sink != context.sink) {
      kept.push_back(letter.line);
      continue;
    }
    if (!open) {
      PGFLOW_RETURN_IF_ERROR(sink.Open(context, stop));
      if (CheckpointStore* store = sink.checkpoint_store(); store != nullptr) {
        PGFLOW_ASSIGN_OR_RETURN(std::optional<SinkCheckpoint> checkpoint, store->Load());
        if (checkpoint.has_value()) window.end = checkpoint->stream;
      }
    }
    window.batches = {&letter.batch, 1};
    absl::StatusOr<WriteResult> written = sink.Write(window, stop);
    absl::Status refusal = written.status();
    open = refusal.ok();  // After an error a sink wants to be opened again.
    if (written.ok() && !written->rejections.empty()) refusal = written->rejections.front().error;
    if (refusal.ok()) {
      ++result.replayed;
      continue;
    }
    if (refusal.code() != absl::StatusCode::kInvalidArgument) {
      return base::Annotate(refusal, fmt::format("replay of {}", letter.position.ToString()));
    }
    kept.push_back(letter.line);
    result.refused.push_back(
        fmt::format("{}: {}", letter.position.ToString(), base::Message(refusal)));
  }
  // A sink may take what it has not made durable yet.
  if (open) PGFLOW_RETURN_IF_ERROR(sink.Close(stop));
  PGFLOW_RETURN_IF_ERROR(RewriteFile(path, kept));
  return result;
}

}  // namespace pgflow::engine
