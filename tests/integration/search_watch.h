// SearchWatch: searches an index in a tight loop, as its users do, and notes what they must not
// see.
//
// The table's rows have a number `n` that only grows, and none of them is deleted while it watches:
// so a search never fails, never finds a row less than an earlier one found, and none with a
// smaller `n`. Its thread begins and ends with it; the server must outlive it.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <string>
#include <thread>

#include <absl/base/thread_annotations.h>
#include <nlohmann/json.hpp>

#include "base/mutex.h"
#include "engine/testing/scratch_opensearch.h"

namespace pgflow::tests {

class SearchWatch {
 public:
  // `patient`: the server is killed meanwhile, and answers nothing for a while. `ids`: documents
  // are known by their ids; else they are only counted, because the key changes.
  struct Options {
    bool patient = false;
    bool ids = true;
  };
  SearchWatch(const engine::ScratchOpenSearch& server, std::string index, Options options);
  SearchWatch(const engine::ScratchOpenSearch& server, std::string index)
      : SearchWatch(server, std::move(index), Options()) {}

  // Empty: all was well.
  std::string problem() const;
  uint64_t searches() const { return searches_.load(); }
  // Rows that are to be found from now on, whatever was found before.
  void Expect(uint64_t rows) { expected_ = rows; }

 private:
  void Look();
  void LookAtEach(const nlohmann::json& hits);
  void Note(const std::string& problem);

  const engine::ScratchOpenSearch& server_;
  const std::string index_;
  const Options options_;
  std::map<std::string, int64_t> seen_;
  uint64_t looks_ = 0;
  uint64_t most_ = 0;
  double sum_ = 0;
  std::atomic<uint64_t> expected_{0};
  std::atomic<uint64_t> searches_{0};
  mutable base::Mutex mutex_;
  std::string problem_ ABSL_GUARDED_BY(mutex_);
  std::jthread thread_;
};

// The index that the name is an alias of; the name itself where it is an index; "" when there is
// none.
std::string IndexBehind(const engine::ScratchOpenSearch& server, const std::string& name);

}  // namespace pgflow::tests
