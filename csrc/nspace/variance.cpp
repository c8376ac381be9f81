#include "variance.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "../arithmetic.hpp"
#include "filter.hpp"

namespace rc {
namespace {

using Vector = std::vector<double>;

// Ten digits: what rounding has made different is equal again, but where it has crossed the border between two numbers.
double rounded(double x) {
  int exponent;
  const double share = std::frexp(x, &exponent);
  return std::ldexp(std::nearbyint(std::ldexp(share, 34)), exponent - 34);
}

// What rounding may add to the products below, over the largest square that enters them, times their number.
constexpr double rounding = 64.0 * std::numeric_limits<double>::epsilon();

class Narrowest {
 public:
  Narrowest(const double* D, std::int32_t n, std::int32_t m) : D_(D), n_(n), m_(m), order_(static_cast<std::size_t>(n)) {
    Vector reach(static_cast<std::size_t>(n)), row(static_cast<std::size_t>(n));
    for (std::int32_t i = 0; i < n; ++i) {
      order_[i] = i;
      std::copy_n(D + static_cast<std::size_t>(i) * n, n, row.begin());
      std::nth_element(row.begin(), row.begin() + (m - 1), row.end());
      reach[i] = row[m - 1];
    }
    std::stable_sort(order_.begin(), order_.end(), [&](std::int32_t a, std::int32_t b) { return reach[a] < reach[b]; });
  }

  double variance(const Subset& subset) const {
    if (subset.size() < 2) return 0.0;
    const auto k = static_cast<std::int64_t>(subset.size());
    Vector gram = products(subset, subset), direction(subset.size());
    return std::max(0.0, top_eigenpair(gram.data(), k, direction.data())) / static_cast<double>(k);
  }

  double bound(const Stretch& stretch, int) const {
    if (stretch.is_single()) return -rounded(variance(first(stretch)));
    Subset taken, open;
    for (const std::int32_t place : stretch.taken) taken.push_back(order_[place]);
    for (std::int32_t place = 0; place < stretch.open; ++place) open.push_back(order_[place]);
    Subset all = taken;
    all.insert(all.end(), open.begin(), open.end());
    const double least = std::max(least_along(all, taken, open), least_along(taken, taken, open));
    return -rounded(least);
  }

  Subset first(const Stretch& stretch) const {
    Subset subset(order_.begin(), order_.begin() + stretch.open);
    std::nth_element(subset.begin(), subset.begin() + stretch.wanted, subset.end());
    subset.resize(static_cast<std::size_t>(stretch.wanted));
    for (const std::int32_t place : stretch.taken) subset.push_back(order_[place]);
    std::sort(subset.begin(), subset.end());
    return subset;
  }

 private:
  double at(std::int32_t i, std::int32_t j) const { return D_[static_cast<std::size_t>(i) * n_ + j]; }

  // <x_i - mu, x_j - mu> for i of some points and j of the base, whose mean mu is: (R_i + R_j - D_ij) / 2 - q, where R_i is
  // the mean of D_ij over the base, and q half the mean of R.
  Vector products(const Subset& points, const Subset& base) const {
    const auto mean = [&](std::int32_t i) {
      double sum = 0.0;
      for (const std::int32_t j : base) sum += at(i, j);
      return sum / static_cast<double>(base.size());
    };
    Vector to_base;
    double q = 0.0;
    for (const std::int32_t j : base) to_base.push_back(mean(j));
    for (const double x : to_base) q += 0.5 * x / static_cast<double>(base.size());
    Vector out;
    for (const std::int32_t i : points) {
      const double own = mean(i);
      for (std::size_t b = 0; b < base.size(); ++b) out.push_back(0.5 * (own + to_base[b] - at(i, base[b])) - q);
    }
    return out;
  }

  // At least so much do m points vary that hold those taken, and others of those open: along the widest direction of the
  // base, less what rounding may have added there.
  double least_along(const Subset& base, const Subset& taken, const Subset& open) const {
    if (base.size() < 2) return 0.0;
    const auto k = static_cast<std::int64_t>(base.size());
    Vector z(base.size()), work = products(base, base);
    top_eigenpair(work.data(), k, z.data());
    const auto along = [&](const Subset& points) {  // times the length of the direction, sum_j z_j (x_j - mu)
      const Vector products_ = products(points, base);
      Vector out;
      for (std::size_t i = 0; i < points.size(); ++i) {
        double sum = 0.0;
        for (std::size_t j = 0; j < base.size(); ++j) sum += products_[i * base.size() + j] * z[j];
        out.push_back(sum);
      }
      return out;
    };
    const Vector own = along(base), fixed = along(taken);
    Vector others = along(open);
    double square = 0.0, largest = 0.0;
    for (std::size_t j = 0; j < base.size(); ++j) square += own[j] * z[j];
    for (const Subset* one : {&taken, &open})
      for (const std::int32_t i : *one)
        for (const std::int32_t j : base) largest = std::max(largest, at(i, j));
    if (!(square > 0.0)) return 0.0;
    const double length = std::sqrt(square);
    std::sort(others.begin(), others.end());

    const auto wanted = static_cast<std::size_t>(m_) - taken.size();
    double least = std::numeric_limits<double>::infinity();
    for (std::size_t begin = 0; begin + wanted <= others.size(); ++begin) {
      const auto over = [&](auto&& add) {
        for (const double x : fixed) add(x);
        for (std::size_t i = begin; i < begin + wanted; ++i) add(others[i]);
      };
      double mean = 0.0, spread = 0.0;
      over([&](double x) { mean += x / length / m_; });
      over([&](double x) { spread += (x / length - mean) * (x / length - mean); });
      if (!(spread >= 0.0)) return 0.0;  // beyond float64
      least = std::min(least, spread);
    }
    const double certain = std::sqrt(least / m_) - rounding * n_ * (largest / length);
    return certain > 0.0 ? certain * certain * (1.0 - rounding * n_) : 0.0;
  }

  const double* D_;
  std::int32_t n_, m_;
  std::vector<std::int32_t> order_;  // those with the nearest m - 1 others first
};

}  // namespace

Variance smallest_variance(
    const double* D, std::int64_t n, std::int64_t f, const Budget& budget, Team& team, std::int64_t* subset) {
  const StandardArithmetic standard;
  const auto count = static_cast<std::int32_t>(n), m = static_cast<std::int32_t>(n - f);
  Narrowest problem(D, count, m);
  const Subset central = problem.first({{}, m, m});
  Incumbent best;
  best.offer(-rounded(problem.variance(central)), [&] { return central; });
  LeftOut left;
  if (f > 0) {
    Allowance allowance(team, budget);
    walk(problem, count, m, allowance, best, left);
  }
  std::copy(best.subset().begin(), best.subset().end(), subset);
  const double value = problem.variance(best.subset());
  return {left.bound() > best.value() ? std::min(value, -left.bound() * (1.0 - 1e-10)) : value, value};
}

}  // namespace rc
