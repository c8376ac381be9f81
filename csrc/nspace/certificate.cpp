#include "certificate.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>
#include <vector>

#include "../arithmetic.hpp"
#include "candidates.hpp"
#include "quadratic.hpp"

namespace rc {
namespace {

constexpr double epsilon = std::numeric_limits<double>::epsilon();
constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double near = 10.0;
constexpr int shortest = -10000;  // the exponent of 0, less than any other

class Robustness {
 public:
  Robustness(const double* x, const std::int32_t* exponents, std::int64_t n, std::int64_t k, std::int64_t t,
             const double* y, const Budget& budget, Team& team)
      : n_(n), k_(k), s_(n - t), from_(x), exponents_(exponents), to_(y), allowance_(alone_if_few(team, n, t), budget),
        length_(n), order_(n), x_(n * k), y_(k) {
    for (std::int64_t i = 0; i < n; ++i) {
      int exponent = 0;
      const double mantissa = std::frexp(std::sqrt(dot(x + i * k, x + i * k, k)), &exponent);
      length_[i] = {mantissa > 0.0 ? exponent + exponents[i] : shortest, mantissa};
    }
    std::iota(order_.begin(), order_.end(), 0);
    std::stable_sort(order_.begin(), order_.end(), [&](auto i, auto j) { return length_[i] < length_[j]; });
    const Length reach = length_[order_[s_ - 1]];
    const auto is_far = [&](std::int32_t i) {
      return length_[i].second > 0.0 &&
             !(std::ldexp(length_[i].second, std::min(length_[i].first - reach.first, 99)) <= near * reach.second);
    };
    const std::int64_t count = std::find_if(order_.begin(), order_.end(), is_far) - order_.begin();
    if (reach.second > 0.0) classes_.push_back({-1, count});  // else each of these subsets is of equal points
    for (std::int64_t rank = count; rank < n; ++rank) classes_.push_back({order_[rank], rank});
  }

  Worst run() {
    for (const Class& c : classes_) {
      look(c);
      offer(members(c, Subset()));
    }
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

  using Length = std::pair<int, double>;  // an exponent and a number of [0.5, 1) or 0: the longer, the larger

  // The points of a class on a scale on which the longest is about 1.
  void look(const Class& c) {
    const int one = length_[c.last >= 0 ? c.last : order_[c.count - 1]].first;
    const auto rescale = [&](double* out, const double* in, int exponent) {
      for (std::int64_t j = 0; j < k_; ++j) out[j] = std::ldexp(in[j], exponent - one);
    };
    for (std::int64_t rank = 0; rank < c.count + (c.last >= 0); ++rank) {
      const std::int64_t i = rank < c.count ? order_[rank] : c.last;
      rescale(&x_[i * k_], from_ + i * k_, exponents_[i]);
    }
    rescale(y_.data(), to_, exponents_[n_]);
  }

  const double* point(std::int64_t i) const { return &x_[i * k_]; }
  const double* of(const Class& c, std::int64_t rank) const { return point(rank < c.count ? order_[rank] : c.last); }
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
    const double quotient = square_distance(y_.data(), at.data(), k_) / variance;
    if (!(variance > 0.0) || !(quotient > best_.low)) return false;
    best_.low = quotient;
    best_.subset = S;
    return true;
  }

  // The form of what a class leaves out, for this quotient.
  struct Form {
    std::vector<double> G, h;
    double constant, rounding;
    std::int64_t n, t;
    Quadratic quadratic() const { return {G.data(), h.data(), n, t}; }
  };

  Form form(const Class& c, double quotient) {
    const double s = static_cast<double>(s_), one = 1.0 + quotient;
    const std::int64_t m = c.count;
    const auto size = static_cast<std::size_t>(k_);
    std::vector<double> a(size, 0.0);
    for (std::int64_t rank = 0; rank < m + (c.last >= 0); ++rank)
      for (std::int64_t j = 0; j < k_; ++j) a[j] += of(c, rank)[j];
    Form f{std::vector<double>(m * m), std::vector<double>(m), 0.0, 0.0, m, left_out(c)};
    double squares = 0.0, lengths = 0.0;
    for (std::int64_t i = 0; i < m + (c.last >= 0); ++i) {
      allowance_.team().ask(0.0);
      const double* g = of(c, i);
      const double square = dot(g, g, k_);
      squares += square;
      lengths += std::sqrt(square);
      if (i == m) break;
      f.h[i] = one * (square - 2.0 * dot(g, a.data(), k_)) + s * (2.0 * dot(g, y_.data(), k_) + quotient * square);
      for (std::int64_t j = i + 1; j < m; ++j) f.G[i * m + j] = f.G[j * m + i] = one * dot(g, of(c, j), k_);
    }
    const double far = dot(y_.data(), y_.data(), k_);
    f.constant = one * dot(a.data(), a.data(), k_) - 2.0 * s * dot(a.data(), y_.data(), k_) + s * s * far - quotient * s * squares;
    const double all = one * lengths * lengths + 2.0 * s * std::sqrt(far) * lengths + s * s * far + quotient * s * squares;
    f.rounding = (6.0 + static_cast<double>(k_) / 8.0) * epsilon * all;
    return f;
  }

  // Exchanges of points, as long as they raise the quotient.
  void climb(const Class& c) {
    if (left_out(c) == 0 || best_.low == infinity) return;
    look(c);
    for (bool found = true; found && !allowance_.is_spent();) {
      found = false;
      const Form f = form(c, best_.low);
      if (!std::isfinite(f.rounding)) best_.low = infinity;  // what float64 cannot hold counts as infinite
      if (best_.low == infinity) return;
      for (const Subset& without : local_maxima(f.quadratic(), allowance_)) found |= offer(members(c, without));
    }
  }

  // What no subset of the class exceeds.
  double prove(const Class& c) {
    if (left_out(c) == 0 || best_.low == infinity) return best_.low;
    look(c);
    while (true) {
      const double quotient = best_.low * (1.0 + tolerance);
      const Form f = form(c, quotient);
      if (!std::isfinite(f.rounding)) best_.low = infinity;
      if (best_.low == infinity) return infinity;
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
  const double* from_;
  const std::int32_t* exponents_;
  const double* to_;
  Allowance allowance_;
  std::vector<Length> length_;       // from the origin
  std::vector<std::int32_t> order_;  // by it
  std::vector<double> x_, y_;        // as they are seen
  std::vector<Class> classes_;
  Worst best_{{}, -infinity, -infinity};
};

}  // namespace

Worst meb_factor(const double* x, std::int64_t n, std::int64_t k, std::int64_t t, const double* y, const Budget& budget,
                 Team& team) {
  const StandardArithmetic standard;
  std::vector<double> scaled(x, x + n * k), at(y, y + k);
  double extent = 0.0;
  for (const double v : scaled) extent = std::max(extent, std::abs(v));
  const int one = std::ilogb(extent);
  for (double& v : scaled) v = std::ldexp(v, -one);
  for (double& v : at) v = std::ldexp(v, -one);
  const Candidates points(scaled.data(), n, k, t);
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

Worst robustness(const double* x, const std::int32_t* exponents, std::int64_t n, std::int64_t k, std::int64_t t,
                 const double* y, const Budget& budget, Team& team) {
  const StandardArithmetic standard;
  return Robustness(x, exponents, n, k, t, y, budget, team).run();
}

}  // namespace rc
