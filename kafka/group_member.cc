#include "kafka/group_member.h"

#include <array>
#include <cstdlib>
#include <cstring>
#include <utility>

#include <absl/time/clock.h>

#include "base/log.h"
#include "base/status.h"
#include "kafka/client.h"

namespace pgflow::kafka {
namespace {

using List = Owned<rd_kafka_topic_partition_list_t>;

List MakeList(std::span<const TopicPartition> partitions) {
  List list(rd_kafka_topic_partition_list_new(static_cast<int>(partitions.size())));
  for (const TopicPartition& at : partitions) {
    // Somewhere: nothing is read here.
    rd_kafka_topic_partition_list_add(list.get(), at.topic.c_str(), at.partition)->offset =
        RD_KAFKA_OFFSET_END;
  }
  return list;
}

std::vector<TopicPartition> ToVector(const rd_kafka_topic_partition_list_t* list) {
  std::vector<TopicPartition> partitions;
  for (int i = 0; i < list->cnt; ++i) {
    partitions.push_back({list->elems[i].topic, list->elems[i].partition});
  }
  return partitions;
}

int Milliseconds(absl::Duration duration) {
  return static_cast<int>(absl::ToInt64Milliseconds(duration));
}

// The group's business goes on; the same call will do in a moment, or is no longer ours to make.
bool IsOfRebalance(rd_kafka_resp_err_t code) {
  return code == RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS ||
         code == RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION ||
         code == RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID ||
         code == RD_KAFKA_RESP_ERR__ASSIGNMENT_LOST || code == RD_KAFKA_RESP_ERR__STATE;
}

}  // namespace

struct GroupMember::State {
  rd_kafka_t* handle = nullptr;
  Assignment pending;
  bool closing = false;

  static void OnRebalance(rd_kafka_t* handle, rd_kafka_resp_err_t code,
                          rd_kafka_topic_partition_list_t* partitions, void* opaque);
};

// The opaque of a handle is its Client, which leads here.
void GroupMember::State::OnRebalance(rd_kafka_t* handle, rd_kafka_resp_err_t code,
                                     rd_kafka_topic_partition_list_t* partitions, void* opaque) {
  auto* state = static_cast<State*>(static_cast<Client*>(opaque)->owner);
  if (state->closing) {
    const Owned<rd_kafka_error_t> ignored(code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS
                                              ? rd_kafka_incremental_assign(handle, partitions)
                                              : rd_kafka_incremental_unassign(handle, partitions));
    return;
  }
  std::vector<TopicPartition> all = ToVector(partitions);
  if (code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
    state->pending.gained = std::move(all);
    // Nothing new is a change, too, which the group wants accepted.
    if (state->pending.gained.empty()) {
      const Owned<rd_kafka_error_t> ignored(rd_kafka_incremental_assign(handle, partitions));
    }
    return;
  }
  state->pending.lost = std::move(all);
  state->pending.too_late = rd_kafka_assignment_lost(handle) != 0;
  if (state->pending.lost.empty()) {
    const Owned<rd_kafka_error_t> ignored(rd_kafka_incremental_unassign(handle, partitions));
  }
}

GroupMember::GroupMember(Options options)
    : options_(std::move(options)), state_(std::make_unique<State>()) {}

GroupMember::~GroupMember() {
  if (client_ == nullptr) return;
  state_->closing = true;
  if (!state_->pending.empty()) Accept().IgnoreError();
  rd_kafka_consumer_close(client_->handle());
}

absl::StatusOr<std::unique_ptr<GroupMember>> GroupMember::Make(Options options) {
  std::unique_ptr<GroupMember> member(new GroupMember(std::move(options)));
  Settings all = member->options_.settings;
  all["group.id"] = member->options_.group;
  all["enable.auto.commit"] = "false";
  all["enable.auto.offset.store"] = "false";
  all["partition.assignment.strategy"] = "cooperative-sticky";
  all.try_emplace("session.timeout.ms",
                  std::to_string(Milliseconds(member->options_.session_timeout)));
  // Paused at once: what little comes in between is thrown away.
  all["queued.max.messages.kbytes"] = "1024";
  all["queued.min.messages"] = "1";
  // New partitions, and topics that a pattern names, are found within this.
  all.try_emplace("topic.metadata.refresh.interval.ms", "10000");
  PGFLOW_ASSIGN_OR_RETURN(member->client_,
                          Client::Make(RD_KAFKA_CONSUMER, all, [](rd_kafka_conf_t* conf) {
                            rd_kafka_conf_set_rebalance_cb(conf, &State::OnRebalance);
                          }));
  member->client_->owner = member->state_.get();
  rd_kafka_poll_set_consumer(member->client_->handle());
  return member;
}

absl::Status GroupMember::Join() {
  const List list(rd_kafka_topic_partition_list_new(static_cast<int>(options_.topics.size())));
  for (const std::string& topic : options_.topics) {
    rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), RD_KAFKA_PARTITION_UA);
  }
  const rd_kafka_resp_err_t code = rd_kafka_subscribe(client_->handle(), list.get());
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return ErrorStatus(code, fmt::format("join group {}", options_.group), "");
  }
  joined_ = true;
  return absl::OkStatus();
}

absl::StatusOr<Assignment> GroupMember::Poll(absl::Duration wait) {
  if (!joined_) PGFLOW_RETURN_IF_ERROR(Join());
  const Owned<rd_kafka_message_t> message(
      rd_kafka_consumer_poll(client_->handle(), Milliseconds(wait)));
  if (client_->connection_error().code() == absl::StatusCode::kUnauthenticated) {
    return client_->connection_error();
  }
  if (message != nullptr && message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
    const absl::Status status = ErrorStatus(message->err, fmt::format("group {}", options_.group),
                                            rd_kafka_message_errstr(message.get()));
    const bool passes = base::IsRetryable(status) || IsOfRebalance(message->err) ||
                        message->err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
                        message->err == RD_KAFKA_RESP_ERR__MAX_POLL_EXCEEDED;
    if (!passes) return status;
    base::LogWarning("{}; waiting", base::Message(status));
  }
  return state_->pending;
}

absl::Status GroupMember::Accept() {
  rd_kafka_t* handle = client_->handle();
  const Assignment change = std::exchange(state_->pending, {});
  if (!change.lost.empty()) {
    const List list = MakeList(change.lost);
    const Owned<rd_kafka_error_t> error(rd_kafka_incremental_unassign(handle, list.get()));
    if (error != nullptr) return ErrorStatus(*error, "give partitions back");
  }
  if (!change.gained.empty()) {
    const List list = MakeList(change.gained);
    const Owned<rd_kafka_error_t> error(rd_kafka_incremental_assign(handle, list.get()));
    if (error != nullptr) return ErrorStatus(*error, "take partitions");
    rd_kafka_pause_partitions(handle, list.get());
  }
  return absl::OkStatus();
}

absl::Status GroupMember::Commit(std::span<const GroupPlace> places, std::stop_token stop) {
  if (places.empty()) return absl::OkStatus();
  const List list(rd_kafka_topic_partition_list_new(static_cast<int>(places.size())));
  for (const GroupPlace& place : places) {
    rd_kafka_topic_partition_t* entry =
        rd_kafka_topic_partition_list_add(list.get(), place.at.topic.c_str(), place.at.partition);
    entry->offset = place.next.value_or(RD_KAFKA_OFFSET_INVALID);
    entry->metadata_size = place.note.size();
    // The list frees it.
    entry->metadata = place.note.empty() ? nullptr : ::strdup(place.note.c_str());
  }
  const std::string what = fmt::format("commit offsets of group {}", options_.group);
  const Owned<rd_kafka_queue_t> queue(rd_kafka_queue_new(client_->handle()));
  rd_kafka_resp_err_t code =
      rd_kafka_commit_queue(client_->handle(), list.get(), queue.get(), nullptr, nullptr);
  const absl::Time deadline = absl::Now() + options_.patience;
  while (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
    const Owned<rd_kafka_event_t> event(rd_kafka_queue_poll(queue.get(), Milliseconds(kStep)));
    if (event != nullptr) {
      code = rd_kafka_event_error(event.get());
      if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return absl::OkStatus();
      break;
    }
    if (stop.stop_requested()) return base::MakeStatus(absl::StatusCode::kCancelled, "{}", what);
    if (absl::Now() >= deadline) return client_->TimedOut(what, options_.patience);
  }
  if (IsOfRebalance(code)) {
    return base::MakeStatus(absl::StatusCode::kAborted, "{}: {}", what, rd_kafka_err2str(code));
  }
  return ErrorStatus(code, what, "");
}

absl::StatusOr<std::vector<GroupPlace>> GroupMember::Committed(
    std::span<const TopicPartition> partitions, std::stop_token stop) {
  const List list = MakeList(partitions);
  const std::string what = fmt::format("offsets of group {}", options_.group);
  PGFLOW_RETURN_IF_ERROR(client_->Persist(
      what, absl::Now() + options_.patience, stop, [&](int step_ms) -> rd_kafka_error_t* {
        const rd_kafka_resp_err_t code = rd_kafka_committed(client_->handle(), list.get(), step_ms);
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return nullptr;
        const bool waits =
            code == RD_KAFKA_RESP_ERR__TRANSPORT || code == RD_KAFKA_RESP_ERR__WAIT_COORD;
        return rd_kafka_error_new(waits ? RD_KAFKA_RESP_ERR__TIMED_OUT : code, "%s",
                                  rd_kafka_err2str(code));
      }));
  std::vector<GroupPlace> places;
  for (int i = 0; i < list->cnt; ++i) {
    const rd_kafka_topic_partition_t& entry = list->elems[i];
    if (entry.err != RD_KAFKA_RESP_ERR_NO_ERROR) return ErrorStatus(entry.err, what, "");
    GroupPlace place{{entry.topic, entry.partition}, std::nullopt, ""};
    if (entry.offset >= 0) place.next = entry.offset;
    if (entry.metadata != nullptr) {
      place.note.assign(static_cast<const char*>(entry.metadata), entry.metadata_size);
    }
    places.push_back(std::move(place));
  }
  return places;
}

absl::StatusOr<std::string> GroupMember::ClusterId(std::stop_token stop) {
  std::string id;
  PGFLOW_RETURN_IF_ERROR(
      client_->Persist("the cluster's name", absl::Now() + options_.patience, stop,
                       [&](int step_ms) -> rd_kafka_error_t* {
                         char* text = rd_kafka_clusterid(client_->handle(), step_ms);
                         if (text == nullptr)
                           return rd_kafka_error_new(RD_KAFKA_RESP_ERR__TIMED_OUT, "no answer");
                         id = text;
                         rd_kafka_mem_free(client_->handle(), text);
                         return nullptr;
                       }));
  return id;
}

absl::Status GroupMember::RemoveGroup(std::stop_token stop) {
  const std::string what = fmt::format("remove group {}", options_.group);
  const Owned<rd_kafka_queue_t> queue(rd_kafka_queue_new(client_->handle()));
  rd_kafka_DeleteGroup_t* group = rd_kafka_DeleteGroup_new(options_.group.c_str());
  rd_kafka_DeleteGroups(client_->handle(), &group, 1, nullptr, queue.get());
  rd_kafka_DeleteGroup_destroy(group);
  const absl::Time deadline = absl::Now() + options_.patience;
  while (true) {
    const Owned<rd_kafka_event_t> event(rd_kafka_queue_poll(queue.get(), Milliseconds(kStep)));
    if (event == nullptr) {
      if (stop.stop_requested()) return base::MakeStatus(absl::StatusCode::kCancelled, "{}", what);
      if (absl::Now() >= deadline) return client_->TimedOut(what, options_.patience);
      continue;
    }
    rd_kafka_resp_err_t code = rd_kafka_event_error(event.get());
    size_t count = 0;
    const rd_kafka_group_result_t** results =
        code != RD_KAFKA_RESP_ERR_NO_ERROR
            ? nullptr
            : rd_kafka_DeleteGroups_result_groups(rd_kafka_event_DeleteGroups_result(event.get()),
                                                  &count);
    for (size_t i = 0; i < count; ++i) {
      const rd_kafka_error_t* error = rd_kafka_group_result_error(results[i]);
      if (error != nullptr) code = rd_kafka_error_code(error);
    }
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR || code == RD_KAFKA_RESP_ERR_GROUP_ID_NOT_FOUND) {
      return absl::OkStatus();
    }
    if (code == RD_KAFKA_RESP_ERR_NON_EMPTY_GROUP) {
      return base::MakeStatus(absl::StatusCode::kFailedPrecondition,
                              "{}: some process is still in it; stop all of them first", what);
    }
    return ErrorStatus(code, what, "");
  }
}

}  // namespace pgflow::kafka
