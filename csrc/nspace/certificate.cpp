#include "certificate.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "../arithmetic.hpp"
#include "candidates.hpp"
#include "quadratic.hpp"

namespace rc {
namespace {

constexpr double epsilon = std::numeric_limits<double>::epsilon();
constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double near = 10.0;

class Robustness {
 public:
  Robustness(const double* x, std::int64_t n, std::int64_t k, std::int64_t t, const double* y, const Budget& budget,
             Team& team)
      : n_(n), k_(k), s_(n - t), x_(x), y_(y), allowance_(alone_if_few(team, n, t), budget), length_(n), order_(n) {
    for (std::int64_t i = 0; i < n; ++i) length_[i] = std::sqrt(dot(point(i), point(i), k));
    std::iota(order_.begin(), order_.end(), 0);
    std::stable_sort(order_.begin(), order_.end(), [&](auto i, auto j) { return length_[i] < length_[j]; });
    const double reach = length_[order_[s_ - 1]];
    const auto end = std::find_if(order_.begin(), order_.end(), [&](auto i) { return length_[i] > near * reach; });
    near_ = end - order_.begin();
    if (reach > 0.0) classes_.push_back({-1, near_});  // else each of these subsets is of equal points
    for (std::int64_t rank = near_; rank < n; ++rank) classes_.push_back({order_[rank], rank});
  }

  Worst run() {
    for (const Class& c : classes_) offer(members(c, Subset()));
    if (best_.subset.empty()) return best_;
    for (const Class& c : classes_) climb(c);
    double high = best_.low;
    for (const Class& c : classes_) high = std::max(high, prove(c));
    best_.high = std::max(high, best_.low);
    return best_;
  }

 private:
  // The subsets of the `count` first points in order and `last`, if there is one, with it.
  struct Class {
    std::int32_t last;
    std::int64_t count;
  };

  const double* point(std::int64_t i) const { return x_ + i * k_; }
  std::int64_t left_out(const Class& c) const { return c.count + (c.last >= 0) - s_; }

  // Of a class, the subset without these; for none given, without the farthest but the last.
  Subset members(const Class& c, const Subset& without) const {
    Subset out;
    for (std::int64_t rank = 0, next = 0; rank < c.count; ++rank) {
      const bool leaves = without.empty() ? rank >= c.count - left_out(c)
                                          : next < static_cast<std::int64_t>(without.size()) && without[next] == rank;
      if (leaves)
        ++next;
      else
        out.push_back(order_[rank]);
    }
    if (c.last >= 0) out.push_back(c.last);
    std::sort(out.begin(), out.end());
    return out;
  }

  std::vector<double> mean(const Subset& S) const {
    std::vector<double> out(static_cast<std::size_t>(k_), 0.0);
    for (const std::int32_t i : S)
      for (std::int64_t j = 0; j < k_; ++j) out[j] += point(i)[j];
    for (double& v : out) v /= static_cast<double>(s_);
    return out;
  }

  // Takes S if the quotient is larger; whether it is.
  bool offer(const Subset& S) {
    const std::vector<double> at = mean(S);
    double variance = 0.0;
    for (const std::int32_t i : S) variance += square_distance(point(i), at.data(), k_);
    variance /= static_cast<double>(s_);
    const double quotient = square_distance(y_, at.data(), k_) / variance;
    if (!(variance > 0.0) || !(quotient > best_.low)) return false;
    best_.low = quotient;
    best_.subset = S;
    middle_ = at;
    return true;
  }

  // The form of what a class leaves out, for this quotient, seen from the mean of the best subset.
  struct Form {
    std::vector<double> G, h;
    double constant, rounding;
    std::int64_t n, t;
    Quadratic quadratic() const { return {G.data(), h.data(), n, t}; }
  };

  Form form(const Class& c, double quotient) const {
    const double s = static_cast<double>(s_), one = 1.0 + quotient;
    const std::int64_t m = c.count;
    const auto size = static_cast<std::size_t>(k_);
    std::vector<double> g(static_cast<std::size_t>(m + 1) * size, 0.0), a(size, 0.0), b(size);
    for (std::int64_t rank = 0; rank < m + (c.last >= 0); ++rank)
      for (std::int64_t j = 0; j < k_; ++j)
        a[j] += g[rank * k_ + j] = point(rank < m ? order_[rank] : c.last)[j] - middle_[j];
    for (std::int64_t j = 0; j < k_; ++j) b[j] = y_[j] - middle_[j];
    Form f{std::vector<double>(m * m), std::vector<double>(m), 0.0, 0.0, m, left_out(c)};
    double squares = 0.0, lengths = 0.0;
    for (std::int64_t i = 0; i <= m; ++i) {
      allowance_.team().ask(0.0);
      const double* of = &g[i * k_];
      const double square = dot(of, of, k_);
      squares += square;
      lengths += std::sqrt(square);
      if (i == m) break;
      f.h[i] = one * (square - 2.0 * dot(of, a.data(), k_)) + s * (2.0 * dot(of, b.data(), k_) + quotient * square);
      for (std::int64_t j = i + 1; j < m; ++j) f.G[i * m + j] = f.G[j * m + i] = one * dot(of, &g[j * k_], k_);
    }
    const double far = dot(b.data(), b.data(), k_);
    f.constant = one * dot(a.data(), a.data(), k_) - 2.0 * s * dot(a.data(), b.data(), k_) + s * s * far - quotient * s * squares;
    const double all = one * lengths * lengths + 2.0 * s * std::sqrt(far) * lengths + s * s * far + quotient * s * squares;
    f.rounding = (6.0 + static_cast<double>(k_) / 8.0) * epsilon * all;
    return f;
  }

  // Exchanges of points, as long as they raise the quotient.
  void climb(const Class& c) {
    if (left_out(c) == 0) return;
    for (bool found = true; found && !allowance_.is_spent();) {
      found = false;
      const Form f = form(c, best_.low);
      for (const Subset& without : local_maxima(f.quadratic(), allowance_)) found |= offer(members(c, without));
    }
  }

  // What no subset of the class exceeds.
  double prove(const Class& c) {
    if (left_out(c) == 0) return best_.low;
    while (true) {
      const double quotient = best_.low * (1.0 + tolerance);
      const Form f = form(c, quotient);
      const Largest largest = largest_quadratic(f.quadratic(), allowance_, -f.constant);
      if (!largest.subset.empty() && !allowance_.is_spent() && offer(members(c, largest.subset))) continue;
      const double excess = std::max(largest.bound + f.constant, 0.0) + f.rounding;
      return quotient + excess / (static_cast<double>(s_ * s_) * least_variance(c));
    }
  }

  // The variance of s points is the sum of the squared distances of their pairs over s^2, of which each has s - 1.
  double least_variance(const Class& c) const {
    const double s = static_cast<double>(s_);
    std::vector<double> row(static_cast<std::size_t>(c.count)), sums;
    const auto sum_of_smallest = [&](std::vector<double>& v, std::int64_t count) {
      std::nth_element(v.begin(), v.begin() + (count - 1), v.end());
      return std::accumulate(v.begin(), v.begin() + count, 0.0);
    };
    const auto sum_from = [&](std::int32_t i, std::int64_t count) {
      for (std::int64_t rank = 0; rank < c.count; ++rank) row[rank] = square_distance(point(i), point(order_[rank]), k_);
      return sum_of_smallest(row, count);
    };
    if (c.last >= 0) return s_ > 1 ? sum_from(c.last, s_ - 1) / (s * s) : 0.0;
    for (std::int64_t rank = 0; rank < c.count; ++rank) sums.push_back(sum_from(order_[rank], s_));
    return sum_of_smallest(sums, s_) / (2.0 * s * s);
  }

  const std::int64_t n_, k_, s_;
  const double *x_, *y_;
  mutable Allowance allowance_;
  std::vector<double> length_;       // from the origin
  std::vector<std::int32_t> order_;  // by it
  std::int64_t near_ = 0;
  std::vector<Class> classes_;
  Worst best_{{}, -infinity, -infinity};
  std::vector<double> middle_;  // the mean of the best subset
};

}  // namespace

Worst meb_factor(const double* x, std::int64_t n, std::int64_t k, std::int64_t t, const double* y, const Budget& budget,
                 Team& team) {
  const StandardArithmetic standard;
  const Candidates points(x, n, k, t);
  const std::vector<double> at(y, y + k);
  Allowance allowance(alone_if_few(team, n, t), budget);
  Oracle oracle(points, at, team.threads());
  Oracle::Local local = oracle.climb(allowance);
  std::vector<std::int32_t> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  for (std::int64_t i = 0; i < n && !allowance.is_spent(); ++i) {  // and from the neighbours of each
    std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return points.D(i, a) < points.D(i, b); });
    Subset nearest(order.begin(), order.begin() + (n - t));
    std::sort(nearest.begin(), nearest.end());
    const Oracle::Local other = oracle.climb(nearest, allowance);
    if (other.value > local.value) local = other;
  }
  const double c = std::sqrt(local.value) + tolerance;
  Incumbent best(c * c);
  LeftOut left;
  branch(oracle, oracle.root(), allowance, best, left);
  Worst worst{best.subset().empty() ? points.subset(local.set) : best.subset(), 0.0, 0.0};
  worst.low = std::sqrt(oracle.value(points.ball(worst.subset)));
  worst.high = std::max(worst.low, std::sqrt(std::max(best.value(), left.bound())));
  return worst;
}

Worst robustness(const double* x, std::int64_t n, std::int64_t k, std::int64_t t, const double* y, const Budget& budget,
                 Team& team) {
  const StandardArithmetic standard;
  return Robustness(x, n, k, t, y, budget, team).run();
}

}  // namespace rc
