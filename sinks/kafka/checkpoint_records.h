// CheckpointRecords: what the checkpoint topic holds of one sink, and how it adds up. Pure.
//
// Keys are JSON arrays, values JSON objects; a record without value takes its key away.
//   ["shop","kafka","sink"]                        whose log it is, and whether the snapshot is
//   done
//   ["shop","kafka","stream"]                      written in the transaction of the rows
//   ["shop","kafka","owner"]                       which process writes, through which producers
//   ["shop","kafka","table","public","orders"]     how far the table's snapshot is
//   ["shop","kafka","range","public","orders",64]  one finished range, by its first block
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <absl/status/status.h>

#include "engine/api/checkpoint.h"

namespace pgflow::sinks {

struct CheckpointRecord {
  std::string key;
  std::optional<std::string> value;
};

// Which process wrote last. `lanes`: the producers of snapshot lanes that it opened.
struct CheckpointOwner {
  std::string name;
  std::vector<uint32_t> lanes;
};

// Makes records of one sink.
class CheckpointKeys {
 public:
  CheckpointKeys(std::string_view pipeline, std::string_view sink);

  CheckpointRecord Sink(const engine::SinkCheckpoint& checkpoint) const;
  CheckpointRecord Stream(engine::StreamPoint point) const;
  CheckpointRecord Owner(const CheckpointOwner& owner) const;
  CheckpointRecord Table(const engine::TableProgress& progress) const;
  CheckpointRecord Range(const schemas::TableName& table, engine::BlockRange range) const;

  // What every key of this sink begins with.
  const std::string& prefix() const { return prefix_; }

 private:
  std::string prefix_;
};

// One sink's records, added up in their order.
class CheckpointRecords {
 public:
  explicit CheckpointRecords(const CheckpointKeys& keys) : prefix_(keys.prefix()) {}

  // Ignores records of other sinks. kDataLoss: one of ours cannot be read.
  absl::Status Apply(std::string_view key, std::optional<std::string_view> value);

  // Nothing when it never began.
  std::optional<engine::SinkCheckpoint> checkpoint() const;
  const CheckpointOwner& owner() const { return owner_; }
  // Keys of what is there; of some tables, or (without) of everything but the owner.
  std::vector<std::string> KeysOf(const std::set<schemas::TableName>& tables) const;
  std::vector<std::string> Keys() const;

 private:
  struct Table {
    engine::TableProgress progress;
    std::map<uint32_t, uint32_t> ranges;  // First block -> end.
    bool begun = false;
  };
  absl::Status ApplyTable(std::string_view key, const schemas::TableName& name,
                          std::optional<uint32_t> range, std::optional<std::string_view> value);

  const std::string prefix_;
  std::optional<engine::SinkCheckpoint> sink_;
  engine::StreamPoint stream_;
  CheckpointOwner owner_;
  std::map<schemas::TableName, Table> tables_;
  std::map<std::string, schemas::TableName, std::less<>> keys_;  // Present; "" for no table.
};

}  // namespace pgflow::sinks
