#include "diameter.hpp"

#include <algorithm>
#include <bit>
#include <vector>

#include "../arithmetic.hpp"
#include "cover.hpp"

namespace rc {
namespace {

struct Problem {
  const double* D;
  std::int32_t n, m;  // so many points, so many of them wanted

  double at(std::int32_t i, std::int32_t j) const { return D[static_cast<std::size_t>(i) * n + j]; }

  double diameter(const Subset& subset) const {
    double largest = 0.0;
    for (const std::int32_t i : subset)
      for (const std::int32_t j : subset) largest = std::max(largest, at(i, j));
    return largest;
  }

  Subset nearest(std::int32_t i) const {
    Subset all(static_cast<std::size_t>(n));
    for (std::int32_t j = 0; j < n; ++j) all[j] = j;
    std::nth_element(all.begin(), all.begin() + (m - 1), all.end(), [&](std::int32_t a, std::int32_t b) {
      return at(i, a) != at(i, b) ? at(i, a) < at(i, b) : a < b;
    });
    all.resize(static_cast<std::size_t>(m));
    std::sort(all.begin(), all.end());
    return all;
  }

  Graph farther_than(double T) const {
    Graph graph;
    graph.reset(n);
    for (std::int32_t i = 0; i < n; ++i) {
      Bits::Word* row = graph.row(i);
      for (std::int32_t j = 0; j < n; ++j) row[j >> 6] |= static_cast<Bits::Word>(at(i, j) > T && i != j) << (j & 63);
      for (std::int32_t w = 0; w < graph.words; ++w) graph.degree[i] += std::popcount(row[w]);
    }
    return graph;
  }
};

// The m lowest of a set.
Subset lowest(const Bits& set, std::int32_t n, std::int32_t m) {
  Subset subset;
  for_each(Bits::words(n), [&](std::int32_t i) { return set.data()[i]; }, [&](std::int32_t v) {
    if (static_cast<std::int32_t>(subset.size()) < m) subset.push_back(v);
  });
  return subset;
}

// The first in lexicographic order of the subsets of the size of `subset`, which is one, without an edge of the graph.
void make_first(const Graph& graph, CoverSearch& search, Allowance& allowance, Subset& subset) {
  const auto n = graph.n, m = static_cast<std::int32_t>(subset.size());
  std::int64_t k = n - m;  // how many of those that are open may still be left out
  Bits open = graph.alive, found(n), rest(n), without(n);
  for (const std::int32_t i : subset) found.insert(i);
  Subset first;
  const auto open_neighbours = [&](std::int32_t v) {
    std::int64_t count = 0;
    for (std::int32_t w = 0; w < graph.words; ++w) count += std::popcount(graph.row(v)[w] & open.data()[w]);
    return count;
  };
  for (std::int32_t v = 0; v < n && static_cast<std::int32_t>(first.size()) < m; ++v) {
    if (!open.has(v)) continue;
    open.erase(v);
    const std::int64_t out = open_neighbours(v);
    bool taken = found.has(v);
    if (!taken && out <= k) {
      without = open;
      for (std::int32_t w = 0; w < graph.words; ++w) without.data()[w] &= ~graph.row(v)[w];
      taken = search.covers(graph, without, k - out, rest);
      if (allowance.is_spent()) return;
      if (taken) found = rest;
    }
    if (taken) {
      first.push_back(v);
      for (std::int32_t w = 0; w < graph.words; ++w) open.data()[w] &= ~graph.row(v)[w];
      k -= out;
    } else {
      --k;
    }
  }
  subset = first;
}

}  // namespace

Diameter smallest_diameter(
    const double* D, std::int64_t n, std::int64_t f, const Budget& budget, Team& team, std::int64_t* subset) {
  const StandardArithmetic standard;
  Allowance allowance(team, budget);
  const Problem problem{D, static_cast<std::int32_t>(n), static_cast<std::int32_t>(n - f)};
  const std::int32_t m = problem.m;

  // Each of m points has m within the diameter, itself among them.
  std::vector<double> reach(static_cast<std::size_t>(n)), row(static_cast<std::size_t>(n));
  for (std::int64_t i = 0; i < n; ++i) {
    std::copy_n(D + i * n, n, row.begin());
    std::nth_element(row.begin(), row.begin() + (m - 1), row.end());
    reach[i] = row[m - 1];
  }
  const auto center = static_cast<std::int32_t>(std::min_element(reach.begin(), reach.end()) - reach.begin());
  std::nth_element(reach.begin(), reach.begin() + (m - 1), reach.end());
  Subset best = problem.nearest(center);
  Diameter found{reach[m - 1], problem.diameter(best)};

  CoverSearch search(allowance);
  std::vector<double> between;  // what the diameter may be, less `high`
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t j = 0; j < i; ++j)
      if (const double d = D[i * n + j]; found.low <= d && d < found.high) between.push_back(d);
  std::sort(between.begin(), between.end());
  between.erase(std::unique(between.begin(), between.end()), between.end());
  auto low = between.begin(), high = between.end();
  const double rounds = std::bit_width(between.size());
  Bits rest;
  while (low < high) {
    allowance.set_progress(1.0 - std::bit_width(static_cast<std::size_t>(high - low)) / (rounds + 1.0));
    const auto middle = low + (high - low) / 2;
    const Graph graph = problem.farther_than(*middle);
    if (search.covers(graph, graph.alive, f, rest)) {
      best = lowest(rest, problem.n, m);
      found.high = problem.diameter(best);
      high = std::lower_bound(low, middle, found.high);
    } else {
      if (allowance.is_spent()) break;
      low = middle + 1;
    }
    found.low = low < high ? *low : found.high;
  }
  if (low == high) {
    found.low = found.high;
    make_first(problem.farther_than(found.high), search, allowance, best);
  }
  std::copy(best.begin(), best.end(), subset);
  return found;
}

}  // namespace rc
