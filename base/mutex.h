// Mutex, CondVar: Abseil's interface over the standard library's locks.
//
// Why not absl::Mutex: Debian's libabsl is built without ThreadSanitizer, which then sees none of
// its locks and reports every guarded field as a race. The interface is Abseil's for its conditions
// and its thread-safety annotations, which clang checks (and which std::mutex lacks).
#pragma once

#include <algorithm>
#include <condition_variable>
#include <mutex>

#include <absl/base/thread_annotations.h>
#include <absl/time/time.h>

namespace pgflow::base {

// What Await waits for: a bool, or a callable without arguments. Points to it.
class Condition {
 public:
  explicit Condition(const bool* flag) : subject_(flag), eval_(&ReadFlag) {}
  template <typename Callable>
  explicit Condition(const Callable* callable) : subject_(callable), eval_(&Call<Callable>) {}

  bool Eval() const { return eval_(subject_); }

 private:
  static bool ReadFlag(const void* subject) { return *static_cast<const bool*>(subject); }
  // The mutex is held whenever a condition is looked at, but not in a way that clang can follow.
  template <typename Callable>
  static bool Call(const void* subject) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    return (*static_cast<const Callable*>(subject))();
  }

  const void* subject_;
  bool (*eval_)(const void* subject);
};

class ABSL_LOCKABLE Mutex {
 public:
  Mutex() = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  void Lock() ABSL_EXCLUSIVE_LOCK_FUNCTION() { mutex_.lock(); }
  void Unlock() ABSL_UNLOCK_FUNCTION() {
    // Whoever awaits a condition looks at it again when a holder lets go, as with Abseil.
    if (waiters_ > 0) changed_.notify_all();
    mutex_.unlock();
  }
  bool TryLock() ABSL_EXCLUSIVE_TRYLOCK_FUNCTION(true) { return mutex_.try_lock(); }
  void AssertReaderHeld() const ABSL_ASSERT_SHARED_LOCK() {}
  void AssertHeld() const ABSL_ASSERT_EXCLUSIVE_LOCK() {}

  void Await(const Condition& condition) {
    while (!AwaitWithTimeout(condition, kLongest)) {
    }
  }
  // The condition's value after at most `timeout`. Lets go of the mutex while it waits.
  bool AwaitWithTimeout(const Condition& condition, absl::Duration timeout) {
    std::unique_lock lock(mutex_, std::adopt_lock);
    ++waiters_;
    const bool value =
        changed_.wait_for(lock, absl::ToChronoNanoseconds(std::min(timeout, kLongest)),
                          [&condition] { return condition.Eval(); });
    --waiters_;
    static_cast<void>(lock.release());
    return value;
  }

 private:
  friend class CondVar;
  // Longer ones would overflow the clock.
  static constexpr absl::Duration kLongest = absl::Hours(24);

  std::mutex mutex_;
  std::condition_variable changed_;
  int waiters_ = 0;  // Guarded by mutex_.
};

class ABSL_SCOPED_LOCKABLE MutexLock {
 public:
  explicit MutexLock(Mutex* mutex) ABSL_EXCLUSIVE_LOCK_FUNCTION(mutex) : mutex_(mutex) {
    mutex_->Lock();
  }
  ~MutexLock() ABSL_UNLOCK_FUNCTION() { mutex_->Unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex* const mutex_;
};

// Waits let go of the mutex, and wake without a reason now and then.
class CondVar {
 public:
  void Signal() { changed_.notify_one(); }
  void SignalAll() { changed_.notify_all(); }
  void Wait(Mutex* mutex) { WaitWithTimeout(mutex, Mutex::kLongest); }
  // True when the time was over.
  bool WaitWithTimeout(Mutex* mutex, absl::Duration timeout) {
    std::unique_lock lock(mutex->mutex_, std::adopt_lock);
    // Its holder may have changed what others await.
    if (mutex->waiters_ > 0) mutex->changed_.notify_all();
    const std::cv_status status =
        changed_.wait_for(lock, absl::ToChronoNanoseconds(std::min(timeout, Mutex::kLongest)));
    static_cast<void>(lock.release());
    return status == std::cv_status::timeout;
  }

 private:
  std::condition_variable changed_;
};

}  // namespace pgflow::base
