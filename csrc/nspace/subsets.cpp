#include "subsets.hpp"

#include <stdexcept>

namespace rc {

bool revolving(const Subset& a, const Subset& b) {
  bool forwards = true;  // turned around by each number that both have
  for (std::size_t i = a.size(); i-- > 0; forwards = !forwards)
    if (a[i] != b[i]) return (a[i] < b[i]) == forwards;
  return false;
}

std::uint64_t binomial(std::int64_t n, std::int64_t k) {
  if (k < 0 || k > n) return 0;
  k = std::min(k, n - k);
  unsigned __int128 count = 1;
  for (std::int64_t i = 1; i <= k; ++i) {
    count = count * static_cast<unsigned __int128>(n - k + i) / static_cast<unsigned __int128>(i);
    if (count > std::numeric_limits<std::uint64_t>::max()) throw std::overflow_error("more subsets than 64 bits count");
  }
  return static_cast<std::uint64_t>(count);
}

// Of the i-subsets whose largest number is t, numbered backwards, all of t numbers come before: C(t + 1, i) in all.
std::uint64_t rank(const Subset& subset) {
  std::uint64_t place = 0;
  std::int64_t i = 0;
  for (const std::int32_t t : subset) place = binomial(t + 1, ++i) - 1 - place;
  return place;
}

Subset unrank(std::uint64_t place, std::int32_t k) {
  Subset subset(static_cast<std::size_t>(k));
  for (std::int32_t i = k; i > 0; --i) {
    std::int32_t t = i - 1;
    while (binomial(t + 1, i) <= place) ++t;
    subset[i - 1] = t;
    place = binomial(t + 1, i) - 1 - place;
  }
  return subset;
}

Team& alone_if_few(Team& team, std::int64_t n, std::int64_t t) {
  double subsets = 1.0;
  for (std::int64_t i = 0; i < t; ++i) subsets *= static_cast<double>(n - i) / static_cast<double>(i + 1);
  if (subsets < 2000.0) team.work_alone();
  return team;
}

Subset Stretch::first() const {
  Subset subset(taken.rbegin(), taken.rend());
  Subset below(static_cast<std::size_t>(wanted));
  for (std::int32_t i = 0; i < wanted; ++i) below[i] = i;
  if (backwards && wanted > 0) below.back() = open - 1;
  subset.insert(subset.begin(), below.begin(), below.end());
  return subset;
}

Walked walk_table(const double* values, std::int32_t n, std::int32_t k, const Budget& budget, Team& team) {
  struct Table {
    const double* values;
    std::mutex mutex;
    std::vector<std::uint64_t> visited;

    double bound(const Stretch& stretch, int) {
      const std::uint64_t begin = rank(stretch.first()), count = binomial(stretch.open, stretch.wanted);
      if (stretch.is_single()) {
        const std::lock_guard<std::mutex> lock(mutex);
        visited.push_back(begin);
      }
      if (values) return *std::max_element(values + begin, values + begin + count);
      return stretch.is_single() ? 0.0 : std::numeric_limits<double>::infinity();
    }
    Subset first(const Stretch& stretch) const { return stretch.first(); }
  };
  Table table{values, {}, {}};
  Allowance allowance(team, budget);
  Incumbent best(-std::numeric_limits<double>::infinity(), revolving);
  LeftOut left;
  walk(table, n, k, allowance, best, left);
  return {best.subset(), best.value(), left.bound(), std::move(table.visited)};
}

}  // namespace rc
