// Searches over subsets: the only place that walks them. What a search may spend, who has won so far, and how the work is
// divided; the problems themselves are in the rooms that pose them.
//
// `branch` is branch and bound in the order that the problem chooses. Whatever the number of threads, the winner is the
// same: a node is left out only if its bound is below the best value, so that all subsets with the largest value are
// met, and of these the first wins, in lexicographic order unless the incumbent is told another. (A bound must therefore
// never be below a value that is found under it, not even by rounding, and neither may depend on what has been found
// elsewhere.)
//
// `walk` is the branch and bound of a problem that has no order of its own: through all k-subsets of n in revolving-door
// order, where each differs from the one before by one number in place of another.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <limits>
#include <mutex>
#include <thread>
#include <vector>

#include "../parallel.hpp"

namespace rc {

// Indices in increasing order.
using Subset = std::vector<std::int32_t>;

// Which of two subsets of one size is the first.
using Before = bool (*)(const Subset&, const Subset&);
inline bool lexicographic(const Subset& a, const Subset& b) { return a < b; }

// The revolving door of Nijenhuis and Wilf: first the k-subsets of n - 1 numbers, then, with n - 1 in each, the
// (k-1)-subsets of n - 1 numbers, backwards.
bool revolving(const Subset& a, const Subset& b);
std::uint64_t rank(const Subset& subset);  // its place in that order, whatever n is
Subset unrank(std::uint64_t rank, std::int32_t k);
std::uint64_t binomial(std::int64_t n, std::int64_t k);  // throws where 64 bits do not hold it; so do the two above

// Where there are so few t-subsets of n that waking the others takes longer than the search, nobody wakes them.
Team& alone_if_few(Team& team, std::int64_t n, std::int64_t t);

// The subset for which something is worst: it is `low` for this one, and no more than `high` for any.
struct Worst {
  Subset subset;
  double low, high;
};

// What a search may spend before it must answer with the best it has. Zero: as much as it takes.
struct Budget {
  std::int64_t steps = 0;  // what is found within so many is the same everywhere
  double seconds = 0.0;
};

// The budget of one search, shared by all workers, who may go through several rounds of it.
class Allowance {
 public:
  Allowance(Team& team, const Budget& budget) : team_(team), budget_(budget) {
    if (budget.steps) team.work_alone();  // which steps come first must not be left to chance
    counts_.resize(static_cast<std::size_t>(team.threads()));
  }

  Team& team() { return team_; }

  // One more step of this worker; false when the budget is spent. Worker 0, the calling thread, asks whether to go on.
  bool step(int worker) {
    if (is_spent()) return false;
    const std::int64_t count = ++counts_[worker].steps;
    if (budget_.steps && count > budget_.steps) spent_ = true;
    look(worker);
    return !is_spent();
  }

  // For the calling thread, where it waits for the others: whether they still search. Hears Ctrl-C as step does.
  bool goes_on() {
    look(0);
    return !is_spent();
  }

  // Nobody goes on: for who cannot.
  void stop() { spent_ = true; }

  bool is_spent() const { return spent_.load(std::memory_order_relaxed); }

  std::int64_t steps() const {
    std::int64_t sum = 0;
    for (const Count& count : counts_) sum += count.steps;
    return sum;
  }

  // Which share of the search is done, as far as it can be told.
  void set_progress(double fraction) { progress_.store(fraction, std::memory_order_relaxed); }

 private:
  using Clock = std::chrono::steady_clock;
  struct alignas(64) Count {  // a line of cache for each worker
    std::int64_t steps = 0;
  };

  void look(int worker) {
    if (budget_.seconds > 0.0 && std::chrono::duration<double>(Clock::now() - began_).count() > budget_.seconds)
      spent_ = true;
    if (worker != 0) return;
    try {
      team_.ask(progress_.load(std::memory_order_relaxed));
    } catch (...) {
      spent_ = true;  // the others stop as well
      throw;
    }
  }

  Team& team_;
  Budget budget_;
  std::vector<Count> counts_;
  std::atomic<bool> spent_{false};
  std::atomic<double> progress_{0.0};
  Clock::time_point began_ = Clock::now();
};

// The best subset that anybody has found: the largest value, and of equal ones the first.
class Incumbent {
 public:
  explicit Incumbent(double value = -std::numeric_limits<double>::infinity(), Before before = lexicographic)
      : before_(before), value_(value) {}

  double value() const { return value_.load(std::memory_order_relaxed); }
  const Subset& subset() const { return subset_; }  // empty as long as nothing is better than where the search began

  // Takes the subset if it is better; make() is asked for it only then.
  template <class Make>
  void offer(double value, Make&& make) {
    if (!(value >= this->value())) return;
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!(value >= value_)) return;
    Subset subset = make();
    if (value > value_ || (!subset_.empty() && before_(subset, subset_))) {
      value_ = value;
      subset_ = std::move(subset);
    }
  }

  // Whether none of the subsets wins that are worth `bound` at most and do not come before first(), which is asked for only
  // if it matters. (Where no subset is known, it must be worth more than the start.)
  template <class First>
  bool beats(double bound, First&& first) const {
    if (bound != value()) return bound < value();
    const std::lock_guard<std::mutex> lock(mutex_);
    return bound < value_ || (bound == value_ && (subset_.empty() || !before_(first(), subset_)));
  }

 private:
  const Before before_;
  mutable std::mutex mutex_;
  std::atomic<double> value_;
  Subset subset_;
};

// The largest bound of what a search has left out when its budget was spent; -infinity where it has seen everything.
class LeftOut {
 public:
  double bound() const { return bound_; }
  void add(double bound) {
    const std::lock_guard<std::mutex> lock(mutex_);
    bound_ = std::max(bound_, bound);
  }

 private:
  std::mutex mutex_;
  double bound_ = -std::numeric_limits<double>::infinity();
};

// Maximises over all leaves below `root`. Problem has
//   struct Node { double bound; ... }                 no leaf below it is worth more
//   void expand(Node& node, int worker, Incumbent& best, std::vector<Node>& children)
// which offers the leaves that it finds at the node to `best`, and appends the children, the most promising first. The
// node stays where it is as long as its children are searched, so that they may refer to it.
//
// The tree is opened level by level until there are enough tasks to share; each of them is searched depth first.
template <class Problem>
void branch(Problem& problem, typename Problem::Node root, Allowance& allowance, Incumbent& best, LeftOut& left) {
  using Node = typename Problem::Node;
  constexpr std::size_t enough = 64;  // whatever the number of threads
  std::deque<std::vector<Node>> levels;
  levels.emplace_back().push_back(std::move(root));
  while (!levels.back().empty() && levels.back().size() < enough && levels.size() < 8) {
    std::vector<Node> next;
    for (Node& node : levels.back()) {
      if (node.bound < best.value()) continue;
      if (allowance.step(0))
        problem.expand(node, 0, best, next);
      else
        left.add(node.bound);
    }
    levels.push_back(std::move(next));
  }
  std::vector<Node>& tasks = levels.back();
  std::vector<std::deque<std::vector<Node>>> stacks(static_cast<std::size_t>(allowance.team().threads()));
  const auto descend = [&](auto&& self, Node& node, int worker, std::size_t depth) -> void {
    if (node.bound < best.value()) return;
    if (!allowance.step(worker)) return left.add(node.bound);
    std::deque<std::vector<Node>>& stack = stacks[worker];
    if (stack.size() <= depth) stack.emplace_back();
    std::vector<Node>& children = stack[depth];
    children.clear();
    problem.expand(node, worker, best, children);
    for (Node& child : children) self(self, child, worker, depth + 1);
  };
  std::atomic<std::size_t> next{0}, done{0};
  struct Done {  // also of a task that has thrown
    std::atomic<std::size_t>& count;
    ~Done() { ++count; }
  };
  Team& team = allowance.team();
  team.parallel_for(team.threads(), [&](std::int64_t, int worker) {
    for (std::size_t task; (task = next++) < tasks.size();) {
      const Done counted{done};
      try {
        descend(descend, tasks[task], worker, 0);
      } catch (...) {
        allowance.stop();  // the others need not search any more
        throw;
      }
      allowance.set_progress(static_cast<double>(done + 1) / static_cast<double>(tasks.size()));
    }
    // The calling thread is the one that hears Ctrl-C, as long as anybody searches.
    while (worker == 0 && done < tasks.size() && allowance.goes_on())
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
  });
}

// A stretch of the walk: the k-subsets that hold `taken`, and of the numbers below `open` `wanted` more, in revolving-door
// order or, `backwards`, in reverse. Their ranks are consecutive.
struct Stretch {
  std::vector<std::int32_t> taken;  // decreasing
  std::int32_t open, wanted;
  bool backwards = false;
  double bound = std::numeric_limits<double>::infinity();

  bool is_single() const { return wanted == 0 || wanted == open; }
  Subset first() const;  // the only one, where it is single
};

// Maximises over all k-subsets of n, and does without stretches that cannot win. Problem has
//   double bound(const Stretch&, int worker)   no subset in it is worth more; of a single one, its value
//   Subset first(const Stretch&)               none of it comes before this one; the single one itself
// The numbers that are walked may stand for others: `first` says so, and by its order equal values are told apart.
template <class Problem>
struct Walk {
  using Node = Stretch;
  Problem& problem;

  void expand(Node& node, int worker, Incumbent& best, std::vector<Node>& children) {
    if (best.beats(node.bound, [&] { return problem.first(node); })) return;
    for (const bool with : {node.backwards, !node.backwards}) {
      Node child{node.taken, node.open - 1, node.wanted - with, node.backwards != with};
      if (with) child.taken.push_back(child.open);
      child.bound = std::min(problem.bound(child, worker), node.bound);
      if (child.is_single())
        best.offer(child.bound, [&] { return problem.first(child); });
      else if (!best.beats(child.bound, [&] { return problem.first(child); }))
        children.push_back(std::move(child));
    }
  }
};

// 0 < k < n.
template <class Problem>
void walk(Problem& problem, std::int32_t n, std::int32_t k, Allowance& allowance, Incumbent& best, LeftOut& left) {
  Walk<Problem> all{problem};
  branch(all, Stretch{{}, n, k}, allowance, best, left);
}

// A walk whose values stand in a table by rank (none: all are 0, and no bound says so), for tests. What it was worth, a
// bound on what it left out, and the ranks that it came by.
struct Walked {
  Subset best;
  double value, left_out;
  std::vector<std::uint64_t> visited;
};
Walked walk_table(const double* values, std::int32_t n, std::int32_t k, const Budget& budget, Team& team);

}  // namespace rc
