#include "coordinates.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "../arithmetic.hpp"

namespace rc {

constexpr double epsilon = std::numeric_limits<double>::epsilon();

std::int64_t coordinates(const double* D, const double* stretch, std::int64_t n, std::int64_t reference,
                         std::vector<double>& x) {
  const StandardArithmetic standard;
  const double* from = D + reference * n;
  const auto gram = [&](std::int64_t i, std::int64_t j) { return 0.5 * (from[i] + from[j] - D[i * n + j]); };
  std::vector<double> residual(from, from + n), columns;  // columns[c][i]
  const double farthest = *std::max_element(from, from + n), rounding = 4.0 * static_cast<double>(n) * epsilon;
  std::int64_t k = 0;
  for (; k < n; ++k) {
    std::int64_t p = -1;  // of those of whom more is left than rounding, who has most
    for (std::int64_t i = 0; i < n; ++i)
      if (residual[i] > rounding * std::sqrt(from[i] * farthest) && (p < 0 || residual[i] > residual[p])) p = i;
    if (p < 0) break;
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
