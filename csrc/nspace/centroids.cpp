#include "centroids.hpp"

#include <algorithm>
#include <cmath>
#include <deque>
#include <functional>
#include <iterator>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <tuple>
#include <utility>

#include "../arithmetic.hpp"
#include "ball.hpp"
#include "quadratic.hpp"

namespace rc {
namespace {

constexpr double epsilon = std::numeric_limits<double>::epsilon();

// What a squared distance must be above the largest so far, as a share of it, to count. Where thousands of centroids lie
// on the sphere (equal points, simplices), rounding alone makes them differ, and this keeps them from being looked into.
constexpr double least_excess = 2e-12;

class Search {
 public:
  Search(const double* x, std::int64_t n, std::int64_t k, std::int64_t f, const Budget& budget, Team& team)
      : n_(n), k_(k), f_(f), r_(std::min(f, n - f)), x_(x, x + n * k), allowance_(team, budget), solver_(k),
        y_(static_cast<std::size_t>(k)), g_(x_), G_(static_cast<std::size_t>(n * n)), h_(static_cast<std::size_t>(n)) {
    double extent = 0.0;
    for (const double v : x_) {
      if (!std::isfinite(v)) throw std::invalid_argument("x is finite");
      extent = std::max(extent, std::abs(v));
    }
    exponent_ = extent > 0.0 ? std::ilogb(extent) : 0;
    for (double& v : x_) v = std::ldexp(v, -exponent_);
  }

  CentroidBall run() {
    for (std::int64_t j = 0; j < k_; ++j) y_[j] = static_cast<double>(r_) * (total(j) / static_cast<double>(n_));
    look();
    Subset first(static_cast<std::size_t>(r_)), last(first);  // so that there are several, whatever the budget
    std::iota(first.begin(), first.end(), 0);
    std::iota(last.begin(), last.end(), static_cast<std::int32_t>(n_ - r_));
    add_to_pool({first, last}, -1.0);
    add_to_pool(local_maxima(form(), allowance_), -1.0);
    solver_.start(0, sum_of(0), 1.0);
    for (int lost = 0;;) {
      grow();
      y_ = solver_.center();
      look();
      const double known = farthest_known().second, threshold = known * (1.0 + least_excess);
      if (known > solver_.value() * (1.0 + least_excess)) ++lost;  // rounding, which more centroids will not undo
      const bool goes_on = lost < 3 && !allowance_.is_spent();
      if (goes_on && add_to_pool(local_maxima(form(), allowance_), threshold)) continue;
      const Largest largest = largest_quadratic(form(), allowance_, threshold);
      const bool none = largest.subset.empty(), complete = !allowance_.is_spent();
      keep(known, std::max(largest.bound, known) + rounding(), none && complete);
      if (none || !complete || !goes_on || !add_to_pool({largest.subset}, threshold)) return best_;
    }
  }

  // The centroid without T is (sum of all - sum of T) / (n - f), so that its distance from y is that of the sum of T from
  // (sum of all - (n - f) y), but for the factor.
  Worst farthest(const double* y) {
    const double count = static_cast<double>(n_ - f_);
    for (std::int64_t j = 0; j < k_; ++j) {
      const double to = count * std::ldexp(y[j], -exponent_);
      y_[j] = r_ == f_ ? total(j) - to : to;
    }
    if (r_ > 0) look();
    add_to_pool(local_maxima(form(), allowance_), -1.0);
    auto [id, known] = farthest_known();
    const Largest largest = largest_quadratic(form(), allowance_, known * (1.0 + least_excess));
    if (!largest.subset.empty() && add_to_pool({largest.subset}, known)) std::tie(id, known) = farthest_known();
    const double upper = std::max(largest.bound, known) + rounding();
    return {members(pool_[id]), std::ldexp(std::sqrt(known) / count, exponent_),
            std::ldexp(std::sqrt(upper) / count, exponent_)};
  }

 private:
  double total(std::int64_t j) const {
    double sum = 0.0;
    for (std::int64_t i = 0; i < n_; ++i) sum += x_[i * k_ + j];
    return sum;
  }

  const double* sum_of(std::int64_t id) const { return sums_[id].data(); }
  double square(std::int64_t id) const { return square_distance(sum_of(id), y_.data(), k_); }
  Quadratic form() const { return {G_.data(), h_.data(), n_, r_}; }

  // The form as it is seen from y.
  void look() {
    for (std::int64_t i = 0; i < n_; ++i)
      for (std::int64_t j = 0; j < k_; ++j) g_[i * k_ + j] = x_[i * k_ + j] - y_[j] / static_cast<double>(r_);
    for (std::int64_t i = 0; i < n_; ++i) {
      allowance_.team().ask(0.0);
      const double* g = &g_[i * k_];
      h_[i] = dot(g, g, k_);
      for (std::int64_t j = i + 1; j < n_; ++j) G_[i * n_ + j] = G_[j * n_ + i] = dot(g, &g_[j * k_], k_);
    }
  }

  // What rounding may have done to the form's value: sums of k products, in eight lanes, of differences.
  double rounding() const {
    std::vector<double> lengths(h_);
    std::sort(lengths.begin(), lengths.end(), std::greater<>());
    double sum = 0.0;
    for (std::int64_t i = 0; i < r_; ++i) sum += std::sqrt(lengths[i]);
    return (6.0 + static_cast<double>(k_) / 8.0) * epsilon * sum * sum;
  }

  // Takes the subsets whose sums are farther from y than this; whether there are any.
  bool add_to_pool(const std::vector<Subset>& subsets, double threshold) {
    const std::size_t before = pool_.size();
    for (const Subset& subset : subsets) {
      std::vector<double> sum(static_cast<std::size_t>(k_), 0.0);
      for (const std::int32_t i : subset)
        for (std::int64_t j = 0; j < k_; ++j) sum[j] += x_[i * k_ + j];
      if (!(square_distance(sum.data(), y_.data(), k_) > threshold)) continue;
      pool_.push_back(subset);
      sums_.push_back(std::move(sum));
    }
    return pool_.size() > before;
  }

  std::pair<std::int64_t, double> farthest_known() const {
    std::pair<std::int64_t, double> farthest{0, -1.0};
    for (std::int64_t id = 0; id < static_cast<std::int64_t>(pool_.size()); ++id)
      if (const double far = square(id); far > farthest.second) farthest = {id, far};
    return farthest;
  }

  // The one-centre of all sums in the pool. Close to it, a sum that sticks out by a share of 1e-8 raises the value by a
  // share of 1e-16: what is left to stick out tells as well that it is getting on.
  void grow() {
    double best = solver_.value(), least = std::numeric_limits<double>::infinity();
    for (std::int64_t stalled = 0; stalled <= 2 * k_ + 8; ++stalled) {
      y_ = solver_.center();
      const auto [id, far] = farthest_known();
      const double value = solver_.value();
      if (far <= value * (1.0 + epsilon) || solver_.holds(id)) break;
      if (solver_.size() > 1 && !allowance_.step(0)) break;
      if (value > best || far - value < least) stalled = 0;
      best = std::max(best, value);
      least = std::min(least, far - value);
      solver_.add(id, sum_of(id), 1.0);
      allowance_.team().ask(0.0);
    }
    solver_.settle();
  }

  // The centre as an answer, if it has the smallest gap so far. `upper`: no sum is farther away, squared.
  void keep(double known, double upper, bool finished) {
    const double gap = upper > 0.0 ? std::max(std::sqrt(upper / solver_.bound()) - 1.0, 0.0) : 0.0;
    if (!(best_.subsets.empty() || gap < best_.gap)) return;
    best_.gap = gap;
    best_.radius = std::ldexp(std::sqrt(finished ? known : upper) / static_cast<double>(n_ - f_), exponent_);
    std::vector<std::pair<Subset, double>> support;
    for (std::int64_t s = 0; s < solver_.size(); ++s)
      if (solver_.share(s) > 0.0) support.emplace_back(members(pool_[solver_.id(s)]), solver_.share(s));
    std::sort(support.begin(), support.end());
    best_.subsets.clear();
    best_.shares.clear();
    for (auto& [subset, share] : support) {
      best_.subsets.push_back(std::move(subset));
      best_.shares.push_back(share);
    }
  }

  // The n - f points of the centroid that belongs to a sum.
  Subset members(const Subset& subset) const {
    if (r_ != f_) return subset;
    Subset all(static_cast<std::size_t>(n_)), others;
    std::iota(all.begin(), all.end(), 0);
    std::set_difference(all.begin(), all.end(), subset.begin(), subset.end(), std::back_inserter(others));
    return others;
  }

  const std::int64_t n_, k_, f_, r_;
  std::vector<double> x_;  // times 2^-exponent: the largest coordinate is about 1
  int exponent_;
  Allowance allowance_;
  OneCenter solver_;
  std::vector<double> y_, g_, G_, h_;
  std::vector<Subset> pool_;  // those that have stuck out, by id
  std::deque<std::vector<double>> sums_;  // and their sums, which stay where they are
  CentroidBall best_{{}, {}, 0.0, 0.0};
};

}  // namespace

CentroidBall centroid_ball(const double* x, std::int64_t n, std::int64_t k, std::int64_t f, const Budget& budget,
                           Team& team) {
  const StandardArithmetic standard;
  if (f < 0 || f >= n) throw std::invalid_argument("0 <= f < n");
  if (f == 0 || std::all_of(x, x + n * k, [](double v) { return v == 0.0; })) {  // a single centroid
    Subset first(static_cast<std::size_t>(n - f));
    std::iota(first.begin(), first.end(), 0);
    return {{first}, {1.0}, 0.0, 0.0};
  }
  return Search(x, n, k, f, budget, alone_if_few(team, n, f)).run();
}

Worst farthest_centroid(const double* x, std::int64_t n, std::int64_t k, std::int64_t f, const double* y,
                        const Budget& budget, Team& team) {
  const StandardArithmetic standard;
  if (f < 0 || f >= n) throw std::invalid_argument("0 <= f < n");
  return Search(x, n, k, f, budget, alone_if_few(team, n, f)).farthest(y);
}

}  // namespace rc
