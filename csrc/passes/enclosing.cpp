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
constexpr std::int64_t worth_threads = 1 << 20;  // numbers: half a millisecond of one thread
constexpr std::int64_t sampled = 32;  // one point of so many
constexpr double nearly = 0.8;  // a square this much smaller is near the sphere
constexpr double safe = 1e-12;  // more than rounding takes
constexpr double solved = 1e-13;  // what the pool may stick out by at the end, in squares
constexpr double epsilon = std::numeric_limits<double>::epsilon();

double number(const Points& points, std::int64_t i, std::int64_t j) {
  const std::int64_t at = i * points.k + j;
  return points.dtype == Dtype::f32 ? static_cast<double>(reinterpret_cast<const float*>(points.data)[at])
                                    : reinterpret_cast<const double*>(points.data)[at];
}

class Search {
 public:
  Search(const Points& points, const double* weights, Team& team)
      : points_(points), team_(team), given_(weights), solver_(points.k), origin_(points.k), center_(points.k) {
    alone_ = points.n * points.k < worth_threads;
    chunks_ = std::clamp<std::int64_t>(points.n / least_chunk, 1, most_chunks);
    found_.resize(static_cast<std::size_t>(chunks_));
    if (weights) {
      int exponent = 0;
      const double most = *std::max_element(weights, weights + points.n);
      std::frexp(most, &exponent);
      unit_ = std::ldexp(1.0, 1 - exponent);
      heaviest_ = most * unit_;
      weights_.resize(static_cast<std::size_t>(points.n));
      for (std::int64_t i = 0; i < points.n; ++i) weights_[i] = (weights[i] * unit_) * (weights[i] * unit_);
    }
  }

  // The optimum, up to rounding; false if some points are not finite.
  bool solve() {
    if (!guess()) start();
    if (!pass() || !in_range()) {
      if (!find_scale()) return false;
      start();
      pass();
    }
    double best = -1.0;
    for (int stalled = 0;;) {
      upper_ = largest();
      stalled = solver_.value() > best ? 0 : stalled + 1;
      best = std::max(best, solver_.value());
      if (upper_ <= solver_.value() || stalled == 3) break;
      const std::vector<double> before = center_;
      gather();
      if (!grow()) break;
      const bool moves = !weights_.empty() && solver_.id(OneCenter::base) != at_;
      if (moves) see_from(solver_.id(OneCenter::base));  // from the heaviest, small distances are to be known
      settle();
      if (!moves && rest_is_inside(before)) break;
      pass();
    }
    return true;
  }

  Enclosure run() { return solve() ? answer() : Enclosure{}; }

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

  // From the first point, as if it were all.
  void start() {
    see_from(0);
    begin_with(0);
    center_ = solver_.center();
  }

  void begin_with(std::int64_t i) {
    held_.resize(static_cast<std::size_t>(points_.k));
    solver_.start(i, offset(i, held_.data()), square(i));
  }

  // From the ball around a few of the points, spread over all of them: it is nearly right. False if that is no help.
  bool guess() {
    if (points_.n < most_chunks * sampled) return false;
    const std::int64_t n = points_.n / sampled, size = points_.k * size_of(points_.dtype);
    std::vector<std::byte> data(static_cast<std::size_t>(n * size));
    std::vector<double> weights;
    for (std::int64_t i = 0; i < n; ++i) {
      std::copy_n(points_.data + i * sampled * size, size, data.data() + i * size);
      if (given_) weights.push_back(given_[i * sampled]);
    }
    const Points sample{data.data(), points_.dtype, n, points_.k};
    Search of(sample, given_ ? weights.data() : nullptr, team_);
    if (!of.solve()) return false;
    scale_ = of.scale_;
    see_from(of.solver_.id(OneCenter::base) * sampled);
    for (std::int64_t s = 0; s < of.solver_.size(); ++s) pool_.push_back(of.solver_.id(s) * sampled);
    begin_with(pool_[0]);
    read_pool();
    grow();
    settle();
    return true;
  }

  // Solves for the support anew; from now on its points stay where the pool's coordinates do not disturb them.
  void settle() {
    held_.resize(static_cast<std::size_t>(solver_.size() * points_.k));
    double* next = held_.data();
    solver_.measure([&](std::int64_t id) { return offset(id, std::exchange(next, next + points_.k)); });
    center_ = solver_.center();
  }

  bool pass() {
    const Frame frame{origin_.data(), scale_, center_.data()};
    const double least = solver_.size() > 1 ? nearly * solver_.value() : -1.0;
    ++passes_;
    const auto look = [&](std::int64_t chunk) {
      const std::int64_t first = points_.n * chunk / chunks_, last = points_.n * (chunk + 1) / chunks_;
      const double* weights = weights_.empty() ? nullptr : weights_.data() + first;
      const int k = static_cast<int>(points_.k);
      const std::byte* data = points_.data + first * k * size_of(points_.dtype);
      Farthest& f = found_[chunk];
      f = points_.dtype == Dtype::f32
              ? kernels().farthest_f32(reinterpret_cast<const float*>(data), last - first, k, frame, weights, least)
              : kernels().farthest_f64(reinterpret_cast<const double*>(data), last - first, k, frame, weights, least);
      for (int p = 0; p < f.count; ++p) f.points[p].index += first;
    };
    if (alone_)
      for (std::int64_t chunk = 0; chunk < chunks_; ++chunk) look(chunk);
    else
      team_.parallel_for(chunks_, [&](std::int64_t chunk, int) { look(chunk); });
    return std::all_of(found_.begin(), found_.end(), [](const Farthest& f) { return f.finite; });
  }

  // The largest square of those that the pass has kept, and of the others.
  static double largest(const Farthest& f) {
    double square = 0.0;
    for (int p = 0; p < f.count; ++p) square = std::max(square, f.points[p].square);
    return square;
  }
  double rest() const {
    double square = 0.0;
    for (const Farthest& f : found_) square = std::max(square, f.rest);
    return square;
  }
  double largest() const {
    double square = rest();
    for (const Farthest& f : found_) square = std::max(square, largest(f));
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

  // What the pass has kept joins the pool.
  void gather() {
    if (pool_.size() > static_cast<std::size_t>(2 * most_chunks * Farthest::most)) pool_.clear();
    for (const Farthest& f : found_)
      for (int p = 0; p < f.count; ++p) pool_.push_back(f.points[p].index);
    std::sort(pool_.begin(), pool_.end());
    pool_.erase(std::unique(pool_.begin(), pool_.end()), pool_.end());
    read_pool();
  }

  void read_pool() {
    coordinates_.resize(pool_.size() * points_.k);
    pool_weights_.clear();
    for (std::size_t c = 0; c < pool_.size(); ++c) {
      offset(pool_[c], &coordinates_[c * points_.k]);
      if (!weights_.empty()) pool_weights_.push_back(weights_[pool_[c]]);
    }
  }

  // The point of the pool that is farthest from where the solver has the center.
  Farthest::Point farthest_of_pool() const {
    const std::vector<double> nothing(points_.k);
    const Frame frame{nothing.data(), 1.0, solver_.center().data()};
    const Farthest f = kernels().farthest_f64(coordinates_.data(), static_cast<std::int64_t>(pool_.size()),
                                              static_cast<int>(points_.k), frame,
                                              weights_.empty() ? nullptr : pool_weights_.data(), -1.0);
    return *std::max_element(f.points, f.points + f.count, [](const Farthest::Point& a, const Farthest::Point& b) {
      return a.square < b.square || (a.square == b.square && a.index > b.index);
    });
  }

  // Solves for the support and the pool; false if nothing changes.
  bool grow() {
    bool changed = false;
    double best = solver_.value();
    int stalled = 0;
    for (;;) {
      const Farthest::Point far = farthest_of_pool();
      const std::int64_t id = pool_[far.index];
      if (far.square <= solver_.value() * (1.0 + epsilon) || solver_.holds(id)) return changed;
      solver_.add(id, &coordinates_[far.index * points_.k], square(id));
      changed = true;
      stalled = solver_.value() > best ? 0 : stalled + 1;
      best = std::max(best, solver_.value());
      if (stalled > 2 * points_.k + 8) return changed;
      team_.ask(0.0);
    }
  }

  // Whether the pass has said enough: points outside the pool were within `rest` of where the center was, so they are
  // within that and the way that the center has come. If that is inside the ball, the pool says how large it is.
  bool rest_is_inside(const std::vector<double>& before) {
    const double moved = std::sqrt(square_distance(before.data(), center_.data(), points_.k));
    const double reach = (std::sqrt(rest()) + heaviest_ * moved) * (1.0 + safe);
    const double farthest = farthest_of_pool().square;
    if (!(reach < std::sqrt(farthest) && farthest <= solver_.value() * (1.0 + solved))) return false;
    upper_ = farthest;
    return true;
  }

  Enclosure answer() {
    Enclosure out{true, 0.0, 0.0, passes_, {}, {}, {}};
    const double upper = upper_, lower = solver_.bound();
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
  const double* given_;
  OneCenter solver_;
  std::vector<double> origin_, center_, weights_;
  std::vector<double> held_, coordinates_, pool_weights_;  // of the support, and of the pool
  std::vector<std::int64_t> pool_;  // points that may be on the sphere
  std::vector<Farthest> found_;
  std::int64_t chunks_, at_ = 0, passes_ = 0;
  double scale_ = 1.0, unit_ = 1.0, heaviest_ = 1.0, upper_ = 0.0;
  bool alone_;
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
