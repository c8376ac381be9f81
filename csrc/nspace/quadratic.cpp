#include "quadratic.hpp"

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <utility>

namespace rc {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double exact = 4503599627370496.0;  // 2^52: whole numbers below it add exactly

// The form in whole units of 2^exponent, so large that no sum that is formed here reaches 2^53 units: values, bounds
// and the gains of exchanges are exact in whatever order they are added.
struct Whole {
  explicit Whole(const Quadratic& q)
      : n(q.n), t(q.t), G(static_cast<std::size_t>(n * n)), h(static_cast<std::size_t>(n)) {
    if (t < 0 || t > n) throw std::invalid_argument("0 <= t <= n");
    double largest = 0.0;
    bool finite = true;
    const auto see = [&](double x) {
      finite = finite && std::isfinite(x);
      largest = std::max(largest, std::abs(x));
    };
    for (std::int64_t i = 0; i < n; ++i) {
      see(q.h[i]);
      for (std::int64_t j = i + 1; j < n; ++j) see(q.G[i * n + j]);
    }
    if (!finite) throw std::invalid_argument("G and h are finite");
    std::frexp(largest, &exponent);
    fill(q);  // |G|, |h| <= 1 now, to see what a subset can add up to
    std::vector<double> sizes(static_cast<std::size_t>(n)), rows(static_cast<std::size_t>(n));
    for (std::int64_t i = 0; i < n; ++i) {
      std::transform(row(i), row(i) + n, sizes.begin(), [](double x) { return std::abs(x); });
      rows[i] = std::abs(h[i]) + sum_of_largest(sizes);
    }
    int most = 0;
    std::frexp(sum_of_largest(rows), &most);
    exponent = largest > 0.0 ? exponent + most - 51 : -2000;
    fill(q);
    for (double& x : G) x = std::nearbyint(x);
    for (double& x : h) x = std::nearbyint(x);
  }

  double in_units(double x) const { return std::ldexp(x, -exponent); }

  // Half a unit for each of the t + t (t - 1) terms, and the rounding of the product.
  double bound_of(double units) const {
    const double off = 0.5 * static_cast<double>(t) * static_cast<double>(t) + 1.0;
    return std::nextafter(std::ldexp(units + off, exponent), infinity);
  }

  const double* row(std::int64_t i) const { return &G[i * n]; }

  std::int64_t n, t;
  std::vector<double> G, h;
  int exponent = 0;

 private:
  void fill(const Quadratic& q) {
    for (std::int64_t i = 0; i < n; ++i) {
      h[i] = in_units(q.h[i]);
      for (std::int64_t j = i + 1; j < n; ++j) G[i * n + j] = G[j * n + i] = in_units(q.G[i * n + j]);
    }
  }

  double sum_of_largest(std::vector<double>& sizes) const {
    std::sort(sizes.begin(), sizes.end(), std::greater<>());
    return std::accumulate(sizes.begin(), sizes.begin() + t, 0.0);
  }
};

// Exchanges as long as one improves; gain[i] is h_i + 2 sum of G_ij over the chosen j.
class LocalSearch {
 public:
  explicit LocalSearch(const Whole& whole) : q_(whole), chosen_(q_.n), gain_(q_.n), in_(q_.t), out_(q_.n - q_.t) {}

  double from(std::int32_t start) {
    std::fill(chosen_.begin(), chosen_.end(), 0);
    gain_ = q_.h;
    value_ = 0.0;
    take(start);
    for (std::int64_t count = 1; count < q_.t; ++count) {
      std::int64_t best = -1;
      for (std::int64_t i = 0; i < q_.n; ++i)
        if (!chosen_[i] && (best < 0 || gain_[i] > gain_[best])) best = i;
      take(best);
    }
    while (exchange()) {
    }
    return value_;
  }

  Subset subset() const {
    Subset subset;
    for (std::int64_t i = 0; i < q_.n; ++i)
      if (chosen_[i]) subset.push_back(static_cast<std::int32_t>(i));
    return subset;
  }

 private:
  void take(std::int64_t i) { add(i, 1.0), chosen_[i] = 1; }
  void drop(std::int64_t i) { add(i, -1.0), chosen_[i] = 0; }

  void add(std::int64_t i, double sign) {
    value_ += sign * gain_[i];
    const double* g = q_.row(i);  // whose diagonal is 0
    for (std::int64_t j = 0; j < q_.n; ++j) gain_[j] += sign * 2.0 * g[j];
  }

  bool exchange() {
    std::int64_t ins = 0, outs = 0;
    for (std::int64_t i = 0; i < q_.n; ++i) (chosen_[i] ? in_[ins++] : out_[outs++]) = static_cast<std::int32_t>(i);
    double best = 0.0;
    std::int32_t leaves = -1, comes = -1;
    for (const std::int32_t i : in_) {
      const double* g = q_.row(i);
      const double enough = best + gain_[i];
      double most = enough;
      for (const std::int32_t j : out_)
        if (const double worth = gain_[j] - 2.0 * g[j]; worth > most) most = worth, leaves = i, comes = j;
      best += most - enough;
    }
    if (leaves < 0) return false;
    drop(leaves);
    take(comes);
    return true;
  }

  const Whole& q_;
  std::vector<char> chosen_;
  std::vector<double> gain_;
  std::vector<std::int32_t> in_, out_;
  double value_ = 0.0;
};

// take(value, local) for what each start leads to, as long as it says to go on.
template <class Take>
void search_locally(const Whole& whole, Take&& take) {
  constexpr std::int64_t most_starts = 64;
  std::vector<std::int32_t> starts(static_cast<std::size_t>(whole.n));
  std::iota(starts.begin(), starts.end(), 0);
  std::vector<double> weight(whole.h);  // of all pairs with i, on the scale of a subset
  const double share = whole.n > 1 ? static_cast<double>(whole.t - 1) / static_cast<double>(whole.n - 1) : 0.0;
  for (std::int64_t i = 0; i < whole.n; ++i)
    weight[i] += 2.0 * share * std::accumulate(whole.row(i), whole.row(i) + whole.n, 0.0);
  std::stable_sort(starts.begin(), starts.end(), [&](auto i, auto j) { return weight[i] > weight[j]; });
  if (whole.n > most_starts) starts.resize(most_starts);
  LocalSearch local(whole);
  for (const std::int32_t start : starts)
    if (!take(local.from(start), local)) return;
}

void search_locally(const Whole& whole, Team& team, Incumbent& best) {
  search_locally(whole, [&](double value, const LocalSearch& local) {
    best.offer(value, [&] { return local.subset(); });
    team.ask(0.0);
    return true;
  });
}

// What is left to choose below a node: `left` of the candidates, the most promising first, where gain[k] is what
// candidate k adds to the value beside those that are chosen already.
struct State {
  const State* parent = nullptr;
  std::int32_t item = -1;  // chosen last
  std::int64_t left = 0;
  double value = 0.0;
  std::vector<std::int32_t> candidates;
  std::vector<double> gain;
  std::vector<std::int32_t> first;  // the position of the first twin
};

// States that nodes have given back, one store for each worker.
using Store = std::vector<std::unique_ptr<State>>;
struct GiveBack {
  Store* store = nullptr;
  void operator()(State* state) const { store->emplace_back(state); }
};
using Held = std::unique_ptr<State, GiveBack>;

// The child number k of a node chooses its candidate k, and has to choose the others behind k. With r left to choose,
//
//   u_i = gain_i + the sum of the r - 1 largest G_ij,
//
// in which each pair is counted from both sides, a choice adds at most the sum of the r largest u; and with k in it,
// what k gains and the r - 1 largest of ahead_i + 2 G_ik, where ahead_i is gain_i + the sum of the r - 2 largest G_ij.
class Search {
 public:
  struct Node {
    double bound;
    const State* parent;
    std::size_t position;
    Held state;
  };

  Search(const Whole& whole, int workers)
      : q_(whole), nearest_(q_.n * q_.n), falling_(q_.n * q_.n), twin_(q_.n), scratch_(workers) {
    for (std::int64_t i = 0; i < q_.n; ++i) {
      std::int32_t* order = &nearest_[i * q_.n];
      std::iota(order, order + q_.n, 0);
      const double* g = q_.row(i);
      std::swap(order[i], order[q_.n - 1]);  // itself last
      std::sort(order, order + q_.n - 1, [&](auto j, auto k) { return g[j] != g[k] ? g[j] > g[k] : j < k; });
      for (std::int64_t k = 0; k < q_.n; ++k) falling_[i * q_.n + k] = g[order[k]];
      twin_[i] = static_cast<std::int32_t>(i);
      for (std::int64_t j = 0; j < i && twin_[i] == i; ++j)
        if (are_twins(i, j)) twin_[i] = static_cast<std::int32_t>(j), any_twins_ = true;
    }
    for (Scratch& mine : scratch_) mine.is_candidate.resize(q_.n), mine.seen.resize(q_.n);
    root_.left = q_.t;
    root_.candidates.resize(q_.n);
    std::iota(root_.candidates.begin(), root_.candidates.end(), 0);
    root_.gain = q_.h;
  }

  // Bounded by the sum of the t largest u.
  Node root() const {
    std::vector<double> u(q_.h);
    for (std::int64_t i = 0; i < q_.n; ++i)
      u[i] = std::accumulate(&falling_[i * q_.n], &falling_[i * q_.n] + (q_.t - 1), u[i]);
    std::sort(u.begin(), u.end(), std::greater<>());
    return {std::accumulate(u.begin(), u.begin() + q_.t, 0.0), nullptr, 0, Held()};
  }

  void expand(Node& node, int worker, Incumbent& best, std::vector<Node>& children) {
    Scratch& mine = scratch_[worker];
    if (mine.store.empty()) mine.store.push_back(std::make_unique<State>());
    State& state = *mine.store.back();
    node.state = Held(mine.store.back().release(), GiveBack{&mine.store});
    mine.store.pop_back();
    enter(node, state);
    const auto count = static_cast<std::int64_t>(state.candidates.size());
    if (count < state.left || best.beats(node.bound, [&] { return first_below(state); })) return;
    if (state.left == 1) return choose_one(state, best);
    if (state.left == 2) return choose_two(state, best);
    if (!rank(state, mine, best)) return;
    const double* u = mine.bound.data();
    const std::size_t size = state.candidates.size(), r = static_cast<std::size_t>(state.left);
    double window = state.value + std::accumulate(u, u + r, 0.0), level = mine.ahead[r - 1];
    for (std::size_t k = 0; k + r <= size && window >= best.value(); ++k) {  // the largest u come first
      if (!any_twins_ || state.first[k] == static_cast<std::int32_t>(k)) {
        const double own = state.value + state.gain[k];
        double bound = own + most_behind(state, k, level, mine);
        if (bound >= best.value()) {
          level = mine.work[select(mine.work, r - 1)];
          bound = own + std::accumulate(mine.work.begin(), mine.work.begin() + (r - 1), 0.0);
          if (bound >= best.value()) children.push_back({std::min(window, bound), &state, k, Held()});
        }
      }
      if (k + r < size) window += u[k + r] - u[k];
    }
  }

 private:
  struct Scratch {
    Store store;
    std::vector<std::int32_t> seen, order;
    std::vector<double> is_candidate;  // 1 or 0
    std::vector<double> bound, ahead, sorted_ahead, work;
    State sorted;
  };

  // Whether one may stand for the other in every subset.
  bool are_twins(std::int64_t i, std::int64_t j) const {
    if (q_.h[i] != q_.h[j]) return false;
    for (std::int64_t k = 0; k < q_.n; ++k)
      if (k != i && k != j && q_.row(i)[k] != q_.row(j)[k]) return false;
    return true;
  }

  void enter(const Node& node, State& state) const {
    const State& from = node.parent ? *node.parent : root_;
    state.candidates.clear();
    state.gain.clear();
    if (!node.parent) {
      state.parent = nullptr;
      state.item = -1;
      state.left = from.left;
      state.value = 0.0;
      state.candidates = from.candidates;
      state.gain = from.gain;
      return;
    }
    const std::size_t k = node.position;
    state.parent = &from;
    state.item = from.candidates[k];
    state.left = from.left - 1;
    state.value = from.value + from.gain[k];
    const double* g = q_.row(state.item);
    for (std::size_t j = k + 1; j < from.candidates.size(); ++j) {
      // Whose twin is left out stays out: with the twin in its place the subset is worth the same, and comes earlier.
      if (any_twins_ && static_cast<std::size_t>(from.first[j]) < k) continue;
      state.candidates.push_back(from.candidates[j]);
      state.gain.push_back(from.gain[j] + 2.0 * g[from.candidates[j]]);
    }
  }

  static Subset chosen(const State& state) {
    Subset subset;
    for (const State* s = &state; s; s = s->parent)
      if (s->item >= 0) subset.push_back(s->item);
    return subset;
  }

  // The first subset in lexicographic order that could be below the node.
  static Subset first_below(const State& state) {
    Subset subset = chosen(state), candidates = state.candidates;
    std::sort(candidates.begin(), candidates.end());
    subset.insert(subset.end(), candidates.begin(), candidates.begin() + state.left);
    std::sort(subset.begin(), subset.end());
    return subset;
  }

  static Subset with(const State& state, std::initializer_list<std::size_t> positions) {
    Subset subset = chosen(state);
    for (const std::size_t k : positions) subset.push_back(state.candidates[k]);
    std::sort(subset.begin(), subset.end());
    return subset;
  }

  void choose_one(const State& state, Incumbent& best) const {
    for (std::size_t k = 0; k < state.gain.size(); ++k)
      best.offer(state.value + state.gain[k], [&] { return with(state, {k}); });
  }

  void choose_two(const State& state, Incumbent& best) const {
    const double most = *std::max_element(state.gain.begin(), state.gain.end());
    for (std::size_t j = 0; j < state.gain.size(); ++j) {
      const std::int32_t i = state.candidates[j];
      const double* g = q_.row(i);
      const double value = state.value + state.gain[j], highest = falling_[i * q_.n];
      if (value + most + 2.0 * highest < best.value()) continue;
      for (std::size_t k = j + 1; k < state.gain.size(); ++k)
        best.offer(value + state.gain[k] + 2.0 * g[state.candidates[k]], [&] { return with(state, {j, k}); });
    }
  }

  // Brings the count largest to the front, the smallest of them last, whose place it returns.
  static std::size_t select(std::vector<double>& values, std::size_t count) {
    std::nth_element(values.begin(), values.begin() + (count - 1), values.end(), std::greater<>());
    return count - 1;
  }

  // A bound on what the r - 1 others add once k is chosen: the r - 1 largest z_j = ahead_j + 2 G_kj, which are in
  // mine.work then. Whatever the level, these are at most r - 1 levels and all that any z_j is above it; at the level
  // of the smallest of them, just that much. One child's level is a good guess for the next one's.
  double most_behind(const State& state, std::size_t k, double level, Scratch& mine) const {
    const double* g = q_.row(state.candidates[k]);
    const std::int32_t* candidates = state.candidates.data() + k + 1;
    const double* ahead = mine.ahead.data() + k + 1;
    const std::size_t count = state.candidates.size() - k - 1;
    mine.work.resize(count);
    double* z = mine.work.data();
    double above[2] = {0.0, 0.0};
    for (std::size_t j = 0; j < count; ++j) z[j] = ahead[j] + 2.0 * g[candidates[j]];
    std::size_t j = 0;
    for (; j + 2 <= count; j += 2)
      for (std::size_t lane = 0; lane < 2; ++lane) above[lane] += std::max(z[j + lane] - level, 0.0);
    if (j < count) above[0] += std::max(z[j] - level, 0.0);
    const double levels = static_cast<double>(state.left - 1) * level, rest = above[0] + above[1];
    return std::abs(levels) < exact && rest < exact ? levels + rest : infinity;
  }

  // Sorts the candidates by u, which are in mine.bound then, and drops those that are in no better subset. False if too
  // few are left.
  bool rank(State& state, Scratch& mine, const Incumbent& best) const {
    const std::int64_t r = state.left;
    std::vector<double>& u = mine.bound;
    for (;;) {
      const auto count = static_cast<std::int64_t>(state.candidates.size());
      if (count < r) return false;
      u.resize(state.candidates.size());
      mine.ahead.resize(state.candidates.size());
      for (const std::int32_t i : state.candidates) mine.is_candidate[i] = 1.0;
      for (std::int64_t k = 0; k < count; ++k) {
        const std::int32_t i = state.candidates[k];
        const std::int32_t* nearest = &nearest_[i * q_.n];
        const double* falling = &falling_[i * q_.n];
        const double others = static_cast<double>(r - 1);
        double sum = state.gain[k], found = 0.0;
        std::int64_t at = 0;
        for (; found < others; ++at) {  // without a branch that nobody could predict
          const double counts = mine.is_candidate[nearest[at]];
          sum += counts * falling[at];
          found += counts;
        }
        u[k] = sum;
        mine.ahead[k] = sum - falling[at - 1];
      }
      for (const std::int32_t i : state.candidates) mine.is_candidate[i] = 0.0;
      // With candidate k, a choice is worth at most the r - 1 largest u and its own.
      mine.work = u;
      std::nth_element(mine.work.begin(), mine.work.begin() + (r - 1), mine.work.end(), std::greater<>());
      const double others = state.value + std::accumulate(mine.work.begin(), mine.work.begin() + (r - 1), 0.0);
      if (others + mine.work[r - 1] < best.value()) return false;
      std::int64_t kept = 0;
      for (std::int64_t k = 0; k < count; ++k) {
        if (others + u[k] < best.value()) continue;
        state.candidates[kept] = state.candidates[k];
        state.gain[kept] = state.gain[k];
        mine.ahead[kept] = mine.ahead[k];
        u[kept++] = u[k];
      }
      state.candidates.resize(kept);
      state.gain.resize(kept);
      if (4 * (count - kept) <= count) break;  // few have left: the others' u stay much the same
    }
    u.resize(state.candidates.size());
    sort(state, mine);
    return true;
  }

  void sort(State& state, Scratch& mine) const {
    const std::size_t count = state.candidates.size();
    mine.order.resize(count);
    std::iota(mine.order.begin(), mine.order.end(), 0);
    const double* u = mine.bound.data();
    std::sort(mine.order.begin(), mine.order.end(), [&](auto j, auto k) {
      return u[j] != u[k] ? u[j] > u[k] : state.candidates[j] < state.candidates[k];
    });
    State& sorted = mine.sorted;
    sorted.candidates.clear();
    sorted.gain.clear();
    mine.work.clear();
    mine.sorted_ahead.clear();
    for (const std::int32_t k : mine.order) {
      sorted.candidates.push_back(state.candidates[k]);
      sorted.gain.push_back(state.gain[k]);
      mine.work.push_back(u[k]);
      mine.sorted_ahead.push_back(mine.ahead[k]);
    }
    state.candidates.swap(sorted.candidates);
    state.gain.swap(sorted.gain);
    mine.bound.swap(mine.work);
    mine.ahead.swap(mine.sorted_ahead);
    if (!any_twins_) return;
    state.first.resize(count);
    for (const std::int32_t i : state.candidates) mine.seen[twin_[i]] = -1;
    for (std::size_t k = 0; k < count; ++k) {
      std::int32_t& first = mine.seen[twin_[state.candidates[k]]];
      if (first < 0) first = static_cast<std::int32_t>(k);
      state.first[k] = first;
    }
  }

  const Whole& q_;
  std::vector<std::int32_t> nearest_;  // row i: the others by falling G_ij
  std::vector<double> falling_;        // which are these
  std::vector<std::int32_t> twin_;     // the first one that may stand for i
  bool any_twins_ = false;
  State root_;
  std::vector<Scratch> scratch_;
};

}  // namespace

double value_of(const Quadratic& q, const Subset& T) {
  double value = 0.0;
  for (std::size_t a = 0; a < T.size(); ++a) {
    double pairs = 0.0;
    for (std::size_t b = a + 1; b < T.size(); ++b) pairs += q.G[T[a] * q.n + T[b]];
    value += q.h[T[a]] + 2.0 * pairs;
  }
  return value;
}

Subset local_search(const Quadratic& q, Team& team) {
  const StandardArithmetic standard;
  const Whole whole(q);
  Incumbent best;
  if (q.t) search_locally(whole, team, best);
  return best.subset();
}

std::vector<Subset> local_maxima(const Quadratic& q, Allowance& allowance) {
  const StandardArithmetic standard;
  if (!q.t) return {{}};
  const Whole whole(q);
  std::vector<std::pair<double, Subset>> found;
  search_locally(whole, [&](double value, const LocalSearch& local) {
    found.emplace_back(-value, local.subset());
    allowance.team().ask(0.0);
    return allowance.step(0);
  });
  std::sort(found.begin(), found.end());
  found.erase(std::unique(found.begin(), found.end()), found.end());
  std::vector<Subset> maxima;
  for (auto& [value, subset] : found) maxima.push_back(std::move(subset));
  return maxima;
}

Largest largest_quadratic(const Quadratic& q, const Budget& budget, Team& team, double threshold) {
  Allowance allowance(team, budget);
  return largest_quadratic(q, allowance, threshold);
}

Largest largest_quadratic(const Quadratic& q, Allowance& allowance, double threshold) {
  const StandardArithmetic standard;
  const Whole whole(q);
  if (q.t == 0) return {{}, threshold < 0.0 ? 0.0 : -infinity, std::max(threshold, 0.0)};
  const double most = std::ldexp(1.0, 53);
  Incumbent best(threshold == -infinity ? threshold
                                        : std::clamp(std::floor(whole.in_units(threshold)), -most, most));
  search_locally(whole, allowance.team(), best);
  LeftOut left;
  Search search(whole, allowance.team().threads());
  branch(search, search.root(), allowance, best, left);
  Largest largest{best.subset(), -infinity, whole.bound_of(std::max(best.value(), left.bound()))};
  if (!largest.subset.empty()) largest.value = value_of(q, largest.subset);
  return largest;
}

}  // namespace rc
