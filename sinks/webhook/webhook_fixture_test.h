// WebhookFixture: a sink and the receiver it posts to; for the tests of this folder.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "base/pause.h"
#include "base/status.h"
#include "engine/testing/event_builder.h"
#include "engine/testing/scripted_http_server.h"
#include "sinks/webhook/webhook_sink.h"

namespace pgflow::sinks {

using engine::HttpReceived;
using engine::HttpScript;

inline HttpScript Answer(int status, std::string body = "") {
  HttpScript script;
  script.status = status;
  script.body = std::move(body);
  return script;
}

class WebhookFixture : public testing::Test {
 protected:
  void SetUp() override {
    builder_.Table("public.items (id int4 key, name text)");
    builder_.Table("public.log (line text) nothing");
    config_.url = config::Secret(server_.Url("/hook?token=hush"));
    config_.private_addresses = PrivateAddresses::kAllow;
    config_.retry.initial = absl::Milliseconds(5);
    config_.retry.max = absl::Milliseconds(50);
  }

  std::unique_ptr<engine::Sink> Make() {
    absl::StatusOr<std::unique_ptr<engine::Sink>> sink = WebhookSink::Make(config_);
    EXPECT_TRUE(sink.ok()) << sink.status();
    return *std::move(sink);
  }
  void Open() {
    if (sink_ == nullptr) sink_ = Make();
    EXPECT_TRUE(sink_->Open({"pipeline", "webhook", "db"}, {}).ok());
  }
  // A window of whole transactions.
  absl::StatusOr<engine::WriteResult> Write(std::string_view script, std::stop_token stop = {}) {
    batches_.clear();
    batches_.push_back(builder_.StreamBatch(script));
    return Rewrite(std::move(stop));
  }
  // The same window once more.
  absl::StatusOr<engine::WriteResult> Rewrite(std::stop_token stop = {}) {
    const engine::TransactionSpan& last = batches_.back().transactions().back();
    end_ = {last.commit_lsn, last.end_lsn};
    return sink_->Write({batches_, true, end_}, std::move(stop));
  }

  // Each event that arrived and was not asked for again, "operation id name", in order of arrival.
  static std::vector<std::string> TextsOf(const HttpReceived& request) {
    const nlohmann::json body = nlohmann::json::parse(request.body);
    std::vector<std::string> texts;
    for (const nlohmann::json& event : body.is_array() ? body : nlohmann::json::array({body})) {
      std::string text = event["operation"].get<std::string>();
      if (!event.contains("after")) {
        texts.push_back(text);
        continue;
      }
      const nlohmann::json& row = event["after"].is_null() ? event["before"] : event["after"];
      for (const auto& [name, value] : row.items()) text += " " + value.dump();
      texts.push_back(text);
    }
    return texts;
  }
  std::vector<std::string> Arrived() const {
    std::vector<std::string> all;
    for (const HttpReceived& request : server_.Requests()) {
      for (std::string& text : TextsOf(request)) all.push_back(std::move(text));
    }
    return all;
  }

  engine::ScriptedHttpServer server_;
  engine::EventBuilder builder_;
  WebhookConfig config_;
  std::unique_ptr<engine::Sink> sink_;
  std::vector<engine::Batch> batches_;
  engine::StreamPoint end_;
};

}  // namespace pgflow::sinks
