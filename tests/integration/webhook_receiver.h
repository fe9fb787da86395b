// WebhookReceiver: an endpoint that does what the documentation asks of one: checks signatures,
// drops what it has seen by its Idempotency-Key, and keeps the rows of a table (id, v).
//
// Also watches for what must not happen: a bad signature, an event that overtakes another one of
// its row. Thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <string>

#include <nlohmann/json.hpp>

#include "engine/testing/scripted_http_server.h"

namespace pgflow::tests {

class WebhookReceiver {
 public:
  WebhookReceiver();

  engine::ScriptedHttpServer& server() { return server_; }
  // Refuses rows with that value (422), or none when it is negative.
  void RefuseValue(int64_t v);

  // The inside of a sink's YAML mapping; `more` follows in it.
  std::string Sink(const std::string& more = "") const;

  // "id=v id=v", by id.
  std::string Rows() const;
  std::string Problems() const;  // Empty: none.
  size_t taken() const;          // Events, repetitions aside.
  size_t repetitions() const;
  size_t reads() const;  // Of those taken, rows of snapshots.

 private:
  using Json = nlohmann::json;

  engine::HttpScript OnRequest(const engine::HttpReceived& request);
  void CheckSignature(const engine::HttpReceived& request);
  void Take(const Json& event);
  void Problem(const std::string& text);

  mutable std::mutex mutex_;
  std::set<std::string> seen_;
  std::map<int64_t, int64_t> rows_;
  std::map<int64_t, std::pair<uint64_t, uint64_t>> newest_;  // Position by id.
  std::string problems_;
  size_t taken_ = 0;
  size_t repetitions_ = 0;
  size_t reads_ = 0;
  int64_t refused_value_ = -1;
  // Last: its threads use the others.
  engine::ScriptedHttpServer server_;
};

// What WebhookReceiver::Rows must be, from a table with those columns.
std::string WebhookRowsSql(const std::string& table);

}  // namespace pgflow::tests
