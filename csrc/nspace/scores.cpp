#include "scores.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "../arithmetic.hpp"

namespace rc {

void krum_scores(const double* D, std::int64_t n, std::int64_t neighbors, double divisor, double* scores) {
  const StandardArithmetic standard;
  std::vector<double> others(static_cast<std::size_t>(n));
  for (std::int64_t i = 0; i < n; ++i) {
    const double* row = D + i * n;
    std::copy(row, row + i, others.begin());
    std::copy(row + i + 1, row + n, others.begin() + i);
    const auto end = others.begin() + neighbors;
    if (neighbors < n - 1) std::nth_element(others.begin(), end, others.begin() + (n - 1));
    std::sort(others.begin(), end);
    scores[i] = std::accumulate(others.begin(), end, 0.0) / divisor;
  }
}

void select_lowest(std::span<const double* const> keys, std::int64_t n, std::int64_t m, std::int64_t* selected) {
  const StandardArithmetic standard;  // subnormal keys compare as what they are
  std::vector<std::int64_t> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  const auto before = [&](std::int64_t a, std::int64_t b) {
    for (const double* key : keys) {
      if (key[a] != key[b]) return key[a] < key[b];
      if (std::isfinite(key[a])) break;
    }
    return a < b;
  };
  if (m < n) std::nth_element(order.begin(), order.begin() + m, order.end(), before);
  std::copy_n(order.begin(), m, selected);
  std::sort(selected, selected + m);
}

}  // namespace rc
