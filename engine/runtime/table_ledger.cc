#include "engine/runtime/table_ledger.h"

#include <absl/strings/numbers.h>
#include <absl/strings/string_view.h>
#include <fmt/format.h>

namespace pgflow::engine {
namespace {

template <typename Number>
bool ReadNumber(std::string_view text, Number& number) {
  return absl::SimpleAtoi(absl::string_view(text.data(), text.size()), &number);
}

}  // namespace

std::string TableLedger::ToText() const {
  if (oid == 0) return fmt::format("{}@{}", storage, snapshot);
  return fmt::format("{}/{}@{}", oid, storage, snapshot);
}

std::optional<TableLedger> TableLedger::Parse(std::string_view text) {
  const size_t at = text.find('@');
  if (at == std::string_view::npos) return std::nullopt;
  TableLedger ledger;
  ledger.snapshot = text.substr(at + 1);
  std::string_view storage = text.substr(0, at);
  if (const size_t slash = storage.find('/'); slash != std::string_view::npos) {
    if (!ReadNumber(storage.substr(0, slash), ledger.oid)) return std::nullopt;
    storage.remove_prefix(slash + 1);
  }
  if (!ReadNumber(storage, ledger.storage)) return std::nullopt;
  return ledger;
}

postgres::Oid TableLedger::OidIn(std::string_view text) {
  const std::optional<TableLedger> ledger = Parse(text);
  return ledger.has_value() ? ledger->oid : 0;
}

}  // namespace pgflow::engine
