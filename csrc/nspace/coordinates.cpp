#include "coordinates.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "../arithmetic.hpp"

namespace rc {

// A smaller share of the largest squared distance is left to rounding: a coordinate of that size would come with errors
// larger than itself, and left out it changes squared distances by as little.
constexpr double rounding = 32.0 * std::numeric_limits<double>::epsilon();

std::int64_t coordinates(const double* D, const double* stretch, std::int64_t n, std::int64_t reference,
                         Team& team, std::vector<double>& x) {
  const StandardArithmetic standard;
  const double* from = D + reference * n;
  const auto gram = [&](std::int64_t i, std::int64_t j) { return 0.5 * (from[i] + from[j] - D[i * n + j]); };
  std::vector<double> residual(from, from + n), columns;  // columns[c][i]
  const double least = rounding * *std::max_element(from, from + n);
  std::int64_t k = 0;
  for (; k < n; ++k) {
    const std::int64_t p = std::max_element(residual.begin(), residual.end()) - residual.begin();
    if (!(residual[p] > least)) break;
    team.ask(static_cast<double>(k) / static_cast<double>(n));
    const double pivot = std::sqrt(residual[p]);
    columns.resize(static_cast<std::size_t>((k + 1) * n));
    double* column = &columns[k * n];
    for (std::int64_t i = 0; i < n; ++i) column[i] = gram(i, p);
    for (std::int64_t c = 0; c < k; ++c) {
      const double* before = &columns[c * n];
      for (std::int64_t i = 0; i < n; ++i) column[i] -= before[i] * before[p];
    }
    for (std::int64_t i = 0; i < n; ++i) {
      column[i] /= pivot;
      residual[i] -= column[i] * column[i];
    }
    residual[p] = 0.0;
  }
  const std::int64_t width = std::max<std::int64_t>(k, 1);
  x.assign(static_cast<std::size_t>(n * width), 0.0);
  for (std::int64_t c = 0; c < k; ++c)
    for (std::int64_t i = 0; i < n; ++i) x[i * width + c] = stretch[i] * columns[c * n + i];
  return width;
}

}  // namespace rc
