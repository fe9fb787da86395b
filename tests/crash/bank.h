// Bank: the workload of the crash test. Writers move money between accounts; whatever commits, the
// sums stay what they were.
//
// Tables: account (primary key), journal (no key, REPLICA IDENTITY FULL, duplicate rows), document
// (TOAST values that most updates leave alone), writer (how far each writer is). Every
// transaction changes `account` and `journal` so that sum(balance) is kTotal and sum(amount) is 0.
// Thread-safe.
#pragma once

#include <atomic>
#include <cstdint>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "engine/testing/scratch_postgres.h"

namespace pgflow::tests {

struct BankOptions {
  uint64_t seed = 0;
  int accounts = 30000;
  int journal_rows = 30000;
  int documents = 400;
  int writers = 3;
};

class Bank {
 public:
  static const std::vector<std::string>& Tables();

  // `source` outlives the bank.
  Bank(engine::ScratchPostgres& source, BankOptions options);

  // Drops and fills the tables; false, with a failed test, when that does not work.
  bool Create();
  // Writers come back by themselves when the server does.
  void StartWriters();
  void StopWriters();

  int64_t total() const { return int64_t{1000} * options_.accounts; }
  int64_t committed() const { return committed_; }

 private:
  void Write(int writer, std::stop_token stop);
  // Statements of one transaction, without BEGIN and its end.
  std::string Transfer(std::mt19937_64& random) const;
  std::string BigTransfer(std::mt19937_64& random) const;
  std::string JournalChange(std::mt19937_64& random) const;
  std::string DocumentChange(std::mt19937_64& random) const;
  std::string Transaction(int writer, std::mt19937_64& random) const;

  engine::ScratchPostgres& source_;
  const BankOptions options_;
  std::atomic<int64_t> committed_{0};
  std::vector<std::jthread> writers_;
};

}  // namespace pgflow::tests
