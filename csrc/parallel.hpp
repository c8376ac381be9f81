// The only place with OpenMP: which threads run, what happens to an exception, to Ctrl-C and after a fork.
//
// parallel_for hands out task numbers 0 .. tasks-1. Which thread takes which task is left to chance, so a body
// writes only where its task number tells it to; everything that must be added in order is added afterwards, in
// task order. That is why results do not depend on the number of threads.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>

#include <omp.h>
#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif

#include "arithmetic.hpp"

namespace rc {

// Thrown when the caller asked to stop; the caller knows why.
struct Interrupted : std::exception {
  const char* what() const noexcept override { return "interrupted"; }
};

// libgomp's workers do not survive fork(): a child that opens a parallel region waits for them for ever.
// The child therefore stays on the one thread it has.
inline std::atomic<bool> in_forked_child{false};

inline int default_threads() { return omp_get_max_threads(); }
inline constexpr int openmp = _OPENMP;

// To be called once, when the library is loaded: the pool may be someone else's too.
inline void watch_forks() {
#if defined(__unix__) || defined(__APPLE__)
  pthread_atfork(nullptr, nullptr, [] { in_forked_child = true; });
#endif
}

// How a call runs: on how many threads, and whom to ask whether to go on.
class Team {
 public:
  // Called on the calling thread at most every interval, with the share of the work that is done; false stops.
  using Poll = bool (*)(void* context, double fraction);

  explicit Team(int threads, Poll poll = nullptr, void* context = nullptr)
      : threads_(in_forked_child || threads < 1 ? 1 : threads), poll_(poll), context_(context) {}

  int threads() const { return threads_; }

  // For little work, which takes less time than waking the others.
  void work_alone() { threads_ = 1; }

  // Announces how many tasks the whole call will run, over all its parallel_for.
  void expect(std::int64_t tasks) { total_ = tasks; }

  // body(task, worker) for every task; worker < threads() names the scratch space to use. The first exception
  // stops the others and is thrown again here.
  template <class Body>
  void parallel_for(std::int64_t tasks, Body&& body) {
    std::atomic<bool> stop{false};
    std::exception_ptr first;
    auto run_one = [&](std::int64_t task, int worker) {
      if (stop.load(std::memory_order_relaxed)) return;
      try {
        const StandardArithmetic standard;
        body(task, worker);
        done_.fetch_add(1, std::memory_order_relaxed);
        if (worker == 0) ask(done());
      } catch (...) {
        if (!stop.exchange(true)) first = std::current_exception();
      }
    };
    if (threads_ == 1 || tasks <= 1) {
      for (std::int64_t task = 0; task < tasks; ++task) run_one(task, 0);
    } else {
      const int workers = tasks < threads_ ? static_cast<int>(tasks) : threads_;
#pragma omp parallel for schedule(dynamic, 1) num_threads(workers)
      for (std::int64_t task = 0; task < tasks; ++task) run_one(task, omp_get_thread_num());
    }
    if (first) std::rethrow_exception(first);
  }

  // Asks whether to go on, if it is time, and says which share is done; Interrupted if not. For tasks that take long, on
  // the calling thread (worker 0).
  void ask(double fraction) {
    if (!poll_) return;
    const auto now = Clock::now();
    if (now - asked_ < interval) return;
    asked_ = now;
    if (!poll_(context_, fraction)) throw Interrupted();
  }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr auto interval = std::chrono::milliseconds(50);

  double done() const {
    const double done = static_cast<double>(done_.load(std::memory_order_relaxed));
    return total_ ? done / static_cast<double>(total_) : 0.0;
  }

  int threads_;
  Poll poll_;
  void* context_;
  std::int64_t total_ = 0;
  std::atomic<std::int64_t> done_{0};
  Clock::time_point asked_ = Clock::now();
};

}  // namespace rc
