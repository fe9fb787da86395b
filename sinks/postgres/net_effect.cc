#include "sinks/postgres/net_effect.h"

#include <algorithm>
#include <cstring>

#include "base/bytes.h"
#include "base/status.h"

namespace pgflow::sinks {

using engine::Operation;
using schemas::Value;
using schemas::ValueKind;

absl::StatusOr<bool> NetEffect::Add(const engine::ChangeEvent& event) {
  PGFLOW_RETURN_IF_ERROR(change_.Decode(binding_, event));
  ++event_count_;
  return Merge(event);
}

absl::StatusOr<bool> NetEffect::AddDistinct(const engine::ChangeEvent& event) {
  distinct_ = true;
  return Add(event);
}

bool NetEffect::Merge(const engine::ChangeEvent& event) {
  switch (event.operation) {
    case Operation::kInsert:
      return !change_.has_unchanged && MergeInsert(change_.after);
    case Operation::kDelete:
      return MergeDelete(change_.before);
    case Operation::kUpdate:
      if (!change_.key_changed) return MergeUpdate(change_.after);
      return !change_.has_unchanged && !distinct_ && MergeMove();
    case Operation::kRead:
    case Operation::kTruncate:
    case Operation::kSchemaChange:
      break;
  }
  return false;
}

NetEffect::Row* NetEffect::Find(const std::vector<Value>& values, bool& is_new) {
  // One column's bytes are the key as they are; several are written one behind the other.
  std::string_view key;
  for (uint32_t column : binding_.key) {
    const Value& value = values[column];
    if (value.kind != ValueKind::kBinary && value.kind != ValueKind::kText) return nullptr;
    // The same value has other bytes in the other form.
    if (key_kind_ == ValueKind::kNull) key_kind_ = value.kind;
    if (value.kind != key_kind_) return nullptr;
  }
  if (binding_.key.size() == 1) {
    key = values[binding_.key.front()].view();
  } else {
    key_.clear();
    for (uint32_t column : binding_.key) {
      base::AppendBigEndian(key_, values[column].size);
      key_.append(values[column].view());
    }
    key = key_;
  }
  const auto found = by_key_.find(key);
  is_new = found == by_key_.end();
  if (!is_new) return distinct_ ? nullptr : &rows_[found->second];
  if (binding_.key.size() != 1) {
    char* copy = static_cast<char*>(memory_.allocate(key.size(), 1));
    std::memcpy(copy, key.data(), key.size());
    key = {copy, key.size()};
  }
  by_key_.emplace(key, static_cast<uint32_t>(rows_.size()));
  Row& row = rows_.emplace_back();
  row.key = key;
  row.values = static_cast<Value*>(memory_.allocate(values.size() * sizeof(Value), alignof(Value)));
  std::uninitialized_copy(values.begin(), values.end(), row.values);
  return &row;
}

void NetEffect::Keep(Row& row, const std::vector<Value>& values) {
  std::copy(values.begin(), values.end(), row.values);
}

bool NetEffect::MergeInsert(const std::vector<Value>& values) {
  bool is_new = false;
  Row* row = Find(values, is_new);
  if (row == nullptr) return false;
  if (is_new) {
    row->final = Final::kInsert;
    return true;
  }
  if (row->final != Final::kDelete && row->final != Final::kNothing) return false;
  row->final = row->final == Final::kDelete ? Final::kReplace : Final::kInsert;
  Keep(*row, values);
  return true;
}

bool NetEffect::MergeUpdate(const std::vector<Value>& values) {
  bool is_new = false;
  Row* row = Find(values, is_new);
  if (row == nullptr) return false;
  if (is_new) {
    row->final = Final::kUpdate;
    return true;
  }
  if (row->final == Final::kDelete || row->final == Final::kNothing) return false;
  for (size_t i = 0; i < values.size(); ++i) {
    if (!values[i].is_unchanged()) row->values[i] = values[i];
  }
  return true;
}

// The row keeps what it has in columns that only the target has, and where the target lacks the row
// nothing must come of it. So only a row that was inserted here can be deleted and inserted anew.
bool NetEffect::MergeMove() {
  bool is_new = false;
  Row* row = Find(change_.before, is_new);
  if (row == nullptr || is_new) return false;
  if (row->final != Final::kInsert && row->final != Final::kReplace) return false;
  return MergeDelete(change_.before) && MergeInsert(change_.after);
}

bool NetEffect::MergeDelete(const std::vector<Value>& values) {
  bool is_new = false;
  Row* row = Find(values, is_new);
  if (row == nullptr) return false;
  if (is_new) {
    row->final = Final::kDelete;
    return true;
  }
  switch (row->final) {
    case Final::kInsert:
      row->final = Final::kNothing;
      return true;
    case Final::kUpdate:
    case Final::kReplace:
      row->final = Final::kDelete;
      return true;
    case Final::kDelete:
    case Final::kNothing:
      return false;
  }
  return false;
}

}  // namespace pgflow::sinks
