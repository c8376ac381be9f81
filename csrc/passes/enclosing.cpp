#include "enclosing.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "../kernels.hpp"
#include "../nspace/ball.hpp"

namespace rc {
namespace {

constexpr std::int64_t most_chunks = 64;  // whatever the number of threads
constexpr std::int64_t least_chunk = 64;  // points
constexpr std::int64_t worth_threads = 1 << 16;  // numbers
constexpr double epsilon = std::numeric_limits<double>::epsilon();

double number(const Points& points, std::int64_t i, std::int64_t j) {
  const std::int64_t at = i * points.k + j;
  return points.dtype == Dtype::f32 ? static_cast<double>(reinterpret_cast<const float*>(points.data)[at])
                                    : reinterpret_cast<const double*>(points.data)[at];
}

class Search {
 public:
  Search(const Points& points, const double* weights, Team& team)
      : points_(points), team_(team), solver_(points.k), origin_(points.k), center_(points.k) {
    if (points.n * points.k < worth_threads) team.work_alone();
    chunks_ = std::clamp<std::int64_t>(points.n / least_chunk, 1, most_chunks);
    found_.resize(static_cast<std::size_t>(chunks_));
    if (weights) {
      int exponent = 0;
      std::frexp(*std::max_element(weights, weights + points.n), &exponent);
      unit_ = std::ldexp(1.0, -exponent);
      weights_.resize(static_cast<std::size_t>(points.n));
      for (std::int64_t i = 0; i < points.n; ++i) weights_[i] = (weights[i] * unit_) * (weights[i] * unit_);
    }
  }

  Enclosure run() {
    see_from(0);
    if (!pass() || !in_range()) {
      if (!find_scale()) return {};
      pass();
    }
    held_.resize(static_cast<std::size_t>(points_.k));
    solver_.start(0, offset(0, held_.data()), square(0));
    std::vector<std::int64_t> pool;
    double best = -1.0;
    for (int stalled = 0;;) {
      // Those that stick out of the ball as it is, and the few before them.
      std::vector<std::int64_t> candidates;
      for (const Farthest& f : found_)
        if (f.square > solver_.value()) candidates.push_back(f.index);
      stalled = solver_.value() > best ? 0 : stalled + 1;
      best = std::max(best, solver_.value());
      if (candidates.empty() || stalled == 3 || !grow(candidates, pool)) break;
      // From the heaviest, small distances are to be known.
      if (!weights_.empty() && solver_.id(OneCenter::base) != at_) see_from(solver_.id(OneCenter::base));
      hold();
      center_ = solver_.center();
      pass();
    }
    return answer();
  }

 private:
  double square(std::int64_t i) const { return weights_.empty() ? 1.0 : 1.0 / weights_[i]; }

  const double* offset(std::int64_t i, double* out) const {
    for (std::int64_t j = 0; j < points_.k; ++j) out[j] = (number(points_, i, j) - origin_[j]) * scale_;
    return out;
  }

  void see_from(std::int64_t i) {
    at_ = i;
    for (std::int64_t j = 0; j < points_.k; ++j) origin_[j] = number(points_, i, j);
  }

  // Keeps the support where it stays, seen from the point where the origin is, and solves for it anew.
  void hold() {
    held_.resize(static_cast<std::size_t>(solver_.size() * points_.k));
    double* next = held_.data();
    solver_.measure([&](std::int64_t id) { return offset(id, std::exchange(next, next + points_.k)); });
  }

  bool pass() {
    const Frame frame{origin_.data(), scale_, center_.data()};
    ++passes_;
    team_.parallel_for(chunks_, [&](std::int64_t chunk, int) {
      const std::int64_t first = points_.n * chunk / chunks_, last = points_.n * (chunk + 1) / chunks_;
      const double* weights = weights_.empty() ? nullptr : weights_.data() + first;
      const int k = static_cast<int>(points_.k);
      Farthest& f = found_[chunk];
      if (points_.dtype == Dtype::f32)
        f = kernels().farthest_f32(reinterpret_cast<const float*>(points_.data) + first * k, last - first, k, frame, weights);
      else
        f = kernels().farthest_f64(reinterpret_cast<const double*>(points_.data) + first * k, last - first, k, frame, weights);
      f.index += first;
    });
    return std::all_of(found_.begin(), found_.end(), [](const Farthest& f) { return f.finite; });
  }

  double largest() const {
    double square = 0.0;
    for (const Farthest& f : found_) square = std::max(square, f.square);
    return square;
  }

  // Whether squares are so far from the ends of float64's range that none that matters has lost digits.
  bool in_range() const { return largest() > 0x1p-600 && largest() < 0x1p600; }

  // A scale by which the farthest numbers are about 1 away; false if some are not finite.
  bool find_scale() {
    double extent = 0.0;
    for (std::int64_t i = 0; i < points_.n; ++i)
      for (std::int64_t j = 0; j < points_.k; ++j) {
        const double x = number(points_, i, j);
        if (!std::isfinite(x)) return false;
        extent = std::max(extent, std::abs(0.5 * x - 0.5 * origin_[j]));
      }
    if (extent > 0.0) scale_ = std::ldexp(1.0, std::clamp(-1 - std::ilogb(extent), -1000, 1000));
    return true;
  }

  // Solves for the support and the candidates; false if nothing changes.
  bool grow(const std::vector<std::int64_t>& candidates, std::vector<std::int64_t>& pool) {
    for (const std::int64_t i : candidates)
      if (std::find(pool.begin(), pool.end(), i) == pool.end()) pool.push_back(i);
    if (pool.size() > 4 * most_chunks) pool.erase(pool.begin(), pool.end() - 4 * most_chunks);
    coordinates_.resize(pool.size() * points_.k);
    for (std::size_t c = 0; c < pool.size(); ++c) offset(pool[c], &coordinates_[c * points_.k]);
    bool changed = false;
    double best = solver_.value();
    int stalled = 0;
    for (std::int64_t step = 0;; ++step) {
      std::size_t worst = pool.size();
      double farthest = solver_.value() * (1.0 + epsilon);
      for (std::size_t c = 0; c < pool.size(); ++c) {
        const double far = square_distance(&coordinates_[c * points_.k], solver_.center().data(), points_.k) / square(pool[c]);
        if (far > farthest) farthest = far, worst = c;
      }
      if (worst == pool.size() || solver_.holds(pool[worst])) return changed;
      solver_.add(pool[worst], &coordinates_[worst * points_.k], square(pool[worst]));
      changed = true;
      stalled = solver_.value() > best ? 0 : stalled + 1;
      best = std::max(best, solver_.value());
      if (stalled > 2 * points_.k + 8) return changed;
      if (step % 64 == 63) team_.ask(0.0);
    }
  }

  Enclosure answer() {
    Enclosure out{true, 0.0, 0.0, passes_, {}, {}, {}};
    const double upper = std::max(largest(), 0.0), lower = solver_.bound();
    // A sum of k squares in eight lanes, of differences that were rounded once or twice.
    const double rounding = (6.0 + static_cast<double>(points_.k) / 8.0) * epsilon;
    out.value = std::sqrt(upper) / scale_ / unit_;
    out.gap = upper > 0.0 ? std::max(std::sqrt(upper / lower) - 1.0, 0.0) + rounding : 0.0;
    for (std::int64_t s = 0; s < solver_.size(); ++s) {
      if (solver_.share(s) == 0.0) continue;
      out.support.push_back(solver_.id(s));
      out.shares.push_back(solver_.share(s));
    }
    out.center.resize(points_.k);
    for (std::int64_t j = 0; j < points_.k; ++j) out.center[j] = solver_.center()[j] / scale_ + origin_[j];
    return out;
  }

  const Points& points_;
  Team& team_;
  OneCenter solver_;
  std::vector<double> origin_, center_, weights_;
  std::vector<double> held_, coordinates_;  // of the support, and of the pool
  std::vector<Farthest> found_;
  std::int64_t chunks_, at_ = 0, passes_ = 0;
  double scale_ = 1.0, unit_ = 1.0;
};

}  // namespace

Enclosure enclose(const Points& points, const double* weights, Team& team) {
  const StandardArithmetic standard;
  return Search(points, weights, team).run();
}

void finite_points(const Points& points, bool* finite) {
  for (std::int64_t i = 0; i < points.n; ++i) {
    finite[i] = true;
    for (std::int64_t j = 0; j < points.k; ++j) finite[i] = finite[i] && std::isfinite(number(points, i, j));
  }
}

}  // namespace rc
