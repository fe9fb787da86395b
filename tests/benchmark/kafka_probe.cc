// kafka_probe: what scripts/bench asks a broker, with a clock beside it. One thread.
//
//   kafka_probe span BROKERS COUNT TOPIC...       reads COUNT committed messages; prints how many
//                                                 there are, their bytes, and the seconds from the
//                                                 first append to the last (the broker's clock)
//   kafka_probe copy BROKERS TO BATCH TOPIC...    reads the topics into memory and writes their
//                                                 messages to TO, in transactions of BATCH (0:
//                                                 idempotent); prints messages, bytes and seconds
//   kafka_probe latency URL BROKERS TOPIC COUNT   from the return of COMMIT on the source to the
//                                                 consumer that has the row; prints p50 p99 max in
//                                                 milliseconds. Needs latency (id, note)
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/strings/numbers.h>
#include <absl/time/clock.h>
#include <absl/time/time.h>
#include <fmt/format.h>

#include "base/status.h"
#include "kafka/consumer.h"
#include "kafka/producer.h"
#include "postgres/client/connection.h"

namespace pgflow {
namespace {

using SteadyClock = std::chrono::steady_clock;
using Arguments = std::span<char*>;

constexpr int kWarmUpCommits = 50;
constexpr absl::Duration kPatience = absl::Minutes(2);
// Longer than a commit takes, so that each one finds an idle system.
constexpr std::chrono::milliseconds kPause{20};

struct Stored {
  std::string key;
  std::string value;
  bool has_value = false;
};

struct Span {
  int64_t messages = 0;
  int64_t bytes = 0;
  int64_t first_ms = INT64_MAX;
  int64_t last_ms = 0;
};

absl::StatusOr<int64_t> Number(const char* text) {
  int64_t number = 0;
  if (absl::SimpleAtoi(text, &number)) return number;
  return base::MakeStatus(absl::StatusCode::kInvalidArgument, "'{}' is no number", text);
}

double SecondsSince(SteadyClock::time_point start) {
  return std::chrono::duration<double>(SteadyClock::now() - start).count();
}

absl::StatusOr<std::unique_ptr<kafka::Consumer>> Reader(const char* brokers) {
  return kafka::Consumer::Make({{"bootstrap.servers", brokers}, {"fetch.wait.max.ms", "100"}},
                               kafka::Isolation::kReadCommitted);
}

// All that is readable in partition 0 of one topic, from its beginning.
template <typename Taker>
absl::Status ReadTopic(kafka::Consumer& consumer, const std::string& topic, Taker take) {
  const kafka::PartitionOffset start{.partition = 0, .offset = 0};
  PGFLOW_RETURN_IF_ERROR(consumer.Assign(topic, {&start, 1}));
  const absl::Time deadline = absl::Now() + kPatience;
  while (absl::Now() < deadline) {
    PGFLOW_ASSIGN_OR_RETURN(const kafka::Polled polled, consumer.Poll(absl::Seconds(1)));
    if (polled.kind == kafka::Polled::Kind::kEnd) return absl::OkStatus();
    if (polled.kind == kafka::Polled::Kind::kRecord) take(polled.record);
  }
  return base::MakeStatus(absl::StatusCode::kDeadlineExceeded, "topic {} has no end", topic);
}

absl::Status MeasureSpan(Arguments arguments) {
  PGFLOW_ASSIGN_OR_RETURN(const int64_t wanted, Number(arguments[1]));
  const absl::Time deadline = absl::Now() + kPatience;
  Span span;
  while (span.messages < wanted && absl::Now() < deadline) {
    span = {};
    PGFLOW_ASSIGN_OR_RETURN(const auto consumer, Reader(arguments[0]));
    for (const char* topic : arguments.subspan(2)) {
      PGFLOW_RETURN_IF_ERROR(ReadTopic(*consumer, topic, [&span](const kafka::Record& record) {
        ++span.messages;
        span.bytes += static_cast<int64_t>(record.key.size() + record.value.size());
        span.first_ms = std::min(span.first_ms, record.timestamp_ms);
        span.last_ms = std::max(span.last_ms, record.timestamp_ms);
      }));
    }
  }
  fmt::print("{} {} {:.3f}\n", span.messages, span.bytes,
             static_cast<double>(span.last_ms - span.first_ms) / 1000);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<Stored>> ReadAll(const char* brokers, Arguments topics) {
  std::vector<Stored> stored;
  PGFLOW_ASSIGN_OR_RETURN(const auto consumer, Reader(brokers));
  for (const char* topic : topics) {
    PGFLOW_RETURN_IF_ERROR(ReadTopic(*consumer, topic, [&stored](const kafka::Record& record) {
      stored.push_back({std::string(record.key), std::string(record.value), record.has_value});
    }));
  }
  return stored;
}

// With the settings of the sink's own producer: what it adds is what is measured.
absl::StatusOr<std::unique_ptr<kafka::Producer>> Writer(const char* brokers, bool transactional) {
  kafka::Producer::Options options;
  options.settings = {{"bootstrap.servers", brokers},
                      {"compression.type", "lz4"},
                      {"linger.ms", transactional ? "20" : "0"},
                      {"queue.buffering.max.kbytes", "65536"}};
  if (!transactional) {
    options.settings["enable.idempotence"] = "true";
    return kafka::Producer::Make(std::move(options));
  }
  options.transactional_id = "kafka_probe";
  return kafka::Producer::MakeTransactional(options, {});
}

// One transaction: for the first, a new broker makes the topics that it keeps its book in.
absl::Status WarmUp(Arguments arguments) {
  PGFLOW_ASSIGN_OR_RETURN(const auto producer, Writer(arguments[0], true));
  kafka::Message message;
  PGFLOW_ASSIGN_OR_RETURN(message.topic, producer->TopicIndex("warm_up"));
  message.has_value = true;
  message.value = "one message";
  PGFLOW_RETURN_IF_ERROR(producer->Begin());
  PGFLOW_RETURN_IF_ERROR(producer->Send(message, {}));
  return producer->Commit({});
}

absl::Status Copy(Arguments arguments) {
  PGFLOW_ASSIGN_OR_RETURN(const int64_t batch, Number(arguments[2]));
  PGFLOW_ASSIGN_OR_RETURN(const std::vector<Stored> messages,
                          ReadAll(arguments[0], arguments.subspan(3)));
  PGFLOW_ASSIGN_OR_RETURN(auto producer, Writer(arguments[0], batch > 0));
  kafka::Message message;
  PGFLOW_ASSIGN_OR_RETURN(message.topic, producer->TopicIndex(arguments[1]));
  int64_t bytes = 0;
  int64_t open = 0;
  const SteadyClock::time_point start = SteadyClock::now();
  for (const Stored& stored : messages) {
    if (producer->worn()) {  // By a commit that took the broker long: as the sink does.
      PGFLOW_ASSIGN_OR_RETURN(producer, Writer(arguments[0], batch > 0));
      PGFLOW_ASSIGN_OR_RETURN(message.topic, producer->TopicIndex(arguments[1]));
    }
    if (batch > 0 && open == 0) PGFLOW_RETURN_IF_ERROR(producer->Begin());
    message.has_key = !stored.key.empty();
    message.key = stored.key;
    message.has_value = stored.has_value;
    message.value = stored.value;
    PGFLOW_RETURN_IF_ERROR(producer->Send(message, {}));
    bytes += static_cast<int64_t>(stored.key.size() + stored.value.size());
    if (++open == batch) {
      PGFLOW_RETURN_IF_ERROR(producer->Commit({}));
      open = 0;
    }
  }
  PGFLOW_RETURN_IF_ERROR(batch > 0 && open > 0 ? producer->Commit({}) : producer->Flush({}));
  fmt::print("{} {} {:.3f}\n", messages.size(), bytes, SecondsSince(start));
  return absl::OkStatus();
}

absl::StatusOr<double> MeasureOne(postgres::Connection& source, kafka::Consumer& consumer,
                                  int64_t id) {
  const std::string text = fmt::format("{}", id);
  const postgres::Parameter parameter = postgres::Parameter::Text(text);
  PGFLOW_RETURN_IF_ERROR(source.ExecutePrepared("write", {&parameter, 1}).status());
  const SteadyClock::time_point committed = SteadyClock::now();
  const std::string wanted = fmt::format("note {} of many", id);
  while (SecondsSince(committed) < absl::ToDoubleSeconds(kPatience)) {
    PGFLOW_ASSIGN_OR_RETURN(const kafka::Polled polled, consumer.Poll(absl::Seconds(1)));
    if (polled.kind == kafka::Polled::Kind::kRecord &&
        polled.record.value.find(wanted) != std::string_view::npos) {
      return SecondsSince(committed) * 1000;
    }
  }
  return base::MakeStatus(absl::StatusCode::kDeadlineExceeded, "row {} did not reach the topic",
                          id);
}

absl::Status MeasureLatency(Arguments arguments) {
  PGFLOW_ASSIGN_OR_RETURN(const int64_t count, Number(arguments[3]));
  postgres::ConnectOptions options;
  options.application_name = "kafka_probe";
  options.url = arguments[0];
  PGFLOW_ASSIGN_OR_RETURN(const auto source, postgres::Connection::Connect(options, {}));
  PGFLOW_RETURN_IF_ERROR(source->Prepare(
      "write", "INSERT INTO public.latency VALUES ($1::bigint, format('note %s of many', $1))"));
  PGFLOW_ASSIGN_OR_RETURN(const auto consumer, Reader(arguments[1]));
  const kafka::PartitionOffset start{.partition = 0, .offset = 0};
  PGFLOW_RETURN_IF_ERROR(consumer->Assign(arguments[2], {&start, 1}));
  std::vector<double> milliseconds;
  for (int64_t i = 0; i < kWarmUpCommits + count; ++i) {
    PGFLOW_ASSIGN_OR_RETURN(const double one, MeasureOne(*source, *consumer, i));
    if (i >= kWarmUpCommits) milliseconds.push_back(one);
    // Pacing, not synchronisation: the row has arrived.
    std::this_thread::sleep_for(kPause);
  }
  std::ranges::sort(milliseconds);
  const size_t last = milliseconds.size() - 1;
  fmt::print("{:.3f} {:.3f} {:.3f}\n", milliseconds[last / 2], milliseconds[last * 99 / 100],
             milliseconds[last]);
  return absl::OkStatus();
}

absl::Status Run(std::string_view what, Arguments arguments) {
  if (what == "warm_up" && arguments.size() == 1) return WarmUp(arguments);
  if (what == "span" && arguments.size() >= 3) return MeasureSpan(arguments);
  if (what == "copy" && arguments.size() >= 4) return Copy(arguments);
  if (what == "latency" && arguments.size() == 4) return MeasureLatency(arguments);
  return absl::InvalidArgumentError(
      "usage: kafka_probe warm_up BROKERS | span BROKERS COUNT TOPIC... | "
      "copy BROKERS TO BATCH TOPIC... | latency URL BROKERS TOPIC COUNT");
}

}  // namespace
}  // namespace pgflow

int main(int argc, char** argv) {
  const pgflow::Arguments all(argv, static_cast<size_t>(argc));
  const absl::Status status =
      pgflow::Run(argc > 1 ? argv[1] : "", all.subspan(std::min<size_t>(2, all.size())));
  if (status.ok()) return 0;
  fmt::print(stderr, "kafka_probe: {}\n", pgflow::base::Message(status));
  return status.code() == absl::StatusCode::kInvalidArgument ? 2 : 1;
}
