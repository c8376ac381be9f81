#include "clusters.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "../kernels.hpp"

namespace rc {
namespace {

constexpr std::int64_t chunk_points = 4096;
constexpr std::int64_t worth_threads = 1 << 20;  // differences of numbers: half a millisecond of one thread
constexpr int most_steps = 100;

const float* numbers(const Points& points, float) { return reinterpret_cast<const float*>(points.data); }
const double* numbers(const Points& points, double) { return reinterpret_cast<const double*>(points.data); }

// Calls with points as what they are.
template <class F>
void with_type(const Points& points, F&& f) {
  if (points.dtype == Dtype::f32)
    f(numbers(points, 0.0f));
  else
    f(numbers(points, 0.0));
}

void find_nearest(const float* points, std::int64_t count, int d, const double* centers, int k, double* scratch,
                  std::int32_t* labels, double* distances) {
  kernels().nearest_f32(points, count, d, centers, k, scratch, labels, distances);
}
void find_nearest(const double* points, std::int64_t count, int d, const double* centers, int k, double* scratch,
                  std::int32_t* labels, double* distances) {
  kernels().nearest_f64(points, count, d, centers, k, scratch, labels, distances);
}

// Centers as the kernels want them.
std::vector<double> side_by_side(const double* centers, std::int64_t k, std::int64_t d) {
  std::vector<double> out(static_cast<std::size_t>(Nearest::groups(static_cast<int>(k)) * Nearest::together * d));
  for (std::int64_t c = 0; c < k; ++c)
    for (std::int64_t j = 0; j < d; ++j)
      out[(c / Nearest::together * d + j) * Nearest::together + c % Nearest::together] = centers[c * d + j];
  return out;
}

std::int64_t chunks_of(const Points& points) { return (points.n + chunk_points - 1) / chunk_points; }

double dot(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0.0;
  for (std::size_t j = 0; j < a.size(); ++j) sum += a[j] * b[j];
  return sum;
}
double length(const std::vector<double>& a) { return std::sqrt(dot(a, a)); }

// The search for the median of one cluster, whose points lie one behind the other.
template <class T>
class MedianSearch {
 public:
  MedianSearch(std::vector<T> points, std::vector<double> weights, std::int64_t d)
      : points_(std::move(points)), w_(std::move(weights)), d_(d), n_(static_cast<std::int64_t>(w_.size())),
        centers_(static_cast<std::size_t>(d * Nearest::together)), distances_(w_.size()),
        scratch_(static_cast<std::size_t>(Nearest::scratch(1))) {
    for (const double w : w_) total_ += w;
  }

  bool has_weight() const { return total_ > 0.0; }

  template <class Ask>
  void run(double tolerance, double* center, Ask&& ask) {
    View here = look(std::vector<double>(center, center + d_));
    std::vector<double> before, step_before;
    std::int64_t tried = -1;  // a point that is not the median
    for (int step = 0; step < most_steps && !is_median(here, tolerance); ++step) {
      ask();
      if (here.own == 0.0 && here.closest != tried && rest_holds(here)) {
        tried = here.closest;
        View there = look(point(tried));
        if (is_median(there, tolerance) || there.value < here.value) {
          here = std::move(there);
          before.clear();
          continue;
        }
      }
      // The step of Weiszfeld's, held back by what lies at y itself.
      const double pull = length(here.pull);
      std::vector<double> move(here.pull);
      for (double& x : move) x *= (1.0 - here.own / pull) / here.inverse;
      View next = look(ahead(here, move, before, step_before));
      if (!before.empty() && !(next.value <= here.value)) next = look(plus(here.y, 1.0, move));
      // Where the pull hardly changes, between heavy points that nearly balance, the way is long: on, while it leads down.
      if (length(next.pull) > 0.5 * pull) {
        const std::vector<double> way = plus(next.y, -1.0, here.y);
        for (double stretch = 2.0; next.value < here.value; stretch *= 2.0) {
          View farther = look(plus(here.y, stretch, way));
          if (!(farther.value < next.value)) break;
          next = std::move(farther);
        }
      }
      if (!(next.value < here.value)) break;  // rounding has the last word
      before = std::move(here.y);
      step_before = std::move(move);
      here = std::move(next);
    }
    if (!is_median(here, tolerance) && here.closest >= 0) {  // y may be a point but for rounding
      View there = look(point(here.closest));
      if (there.value <= here.value) here = std::move(there);
    }
    std::copy(here.y.begin(), here.y.end(), center);
  }

 private:
  // What is seen from y.
  struct View {
    std::vector<double> y, pull;  // the sum of w_i u_i over the points elsewhere, u_i the unit vector towards point i
    double value = 0.0, inverse = 0.0, own = 0.0;  // sum of w_i r_i, of w_i / r_i; the weight at y itself
    std::int64_t closest = -1;  // of those elsewhere
    double there = 0.0;         // the weight of those as close
  };

  bool is_median(const View& seen, double tolerance) const {
    return 2.0 * (length(seen.pull) - seen.own) <= tolerance * total_;
  }

  View look(std::vector<double> y) {
    View seen;
    for (std::int64_t j = 0; j < d_; ++j) centers_[j * Nearest::together] = y[j];
    find_nearest(points_.data(), n_, static_cast<int>(d_), centers_.data(), 1, scratch_.data(), nullptr,
                 distances_.data());
    seen.pull.resize(static_cast<std::size_t>(d_));
    double least = std::numeric_limits<double>::infinity();
    for (std::int64_t i = 0; i < n_; ++i) {
      const double r = distances_[i];
      if (!(r > 0.0)) {
        seen.own += w_[i];
        continue;
      }
      if (r < least && w_[i] > 0.0) {
        least = r;
        seen.closest = i;
        seen.there = w_[i];
      } else if (r == least) {
        seen.there += w_[i];  // a copy, most likely
      }
      const double share = w_[i] / r;
      const T* x = points_.data() + i * d_;
      for (std::int64_t j = 0; j < d_; ++j) seen.pull[j] += share * (static_cast<double>(x[j]) - y[j]);
      seen.inverse += share;
      seen.value += w_[i] * r;
    }
    seen.y = std::move(y);
    return seen;
  }

  std::vector<double> point(std::int64_t i) const {
    return std::vector<double>(points_.begin() + i * d_, points_.begin() + (i + 1) * d_);
  }

  // Whether the closest point might hold against the pull of all others, as it is seen from here.
  bool rest_holds(const View& here) const {
    if (here.closest < 0) return false;
    std::vector<double> rest = here.pull, way = point(here.closest);
    for (std::int64_t j = 0; j < d_; ++j) way[j] -= here.y[j];
    const double share = here.there / length(way);
    for (std::int64_t j = 0; j < d_; ++j) rest[j] -= share * way[j];
    return length(rest) <= 1.5 * here.there;
  }

  static std::vector<double> plus(const std::vector<double>& a, double times, const std::vector<double>& b) {
    std::vector<double> out(a);
    for (std::size_t j = 0; j < a.size(); ++j) out[j] += times * b[j];
    return out;
  }

  // Where Weiszfeld's steps would end, if they went on shrinking as the last two have (Aitken).
  std::vector<double> ahead(const View& here, const std::vector<double>& move, const std::vector<double>& before,
                            const std::vector<double>& step_before) const {
    std::vector<double> out = plus(here.y, 1.0, move);
    if (before.empty()) return out;
    std::vector<double> change(move);
    for (std::int64_t j = 0; j < d_; ++j) change[j] -= step_before[j];
    const double square = dot(change, change);
    if (!(square > 0.0)) return out;
    const double share = dot(move, change) / square;
    for (std::int64_t j = 0; j < d_; ++j) out[j] -= share * (out[j] - before[j] - step_before[j]);
    return out;
  }

  std::vector<T> points_;
  std::vector<double> w_;
  std::int64_t d_, n_;
  std::vector<double> centers_, distances_, scratch_;
  double total_ = 0.0;
};

}  // namespace

void nearest_centers(const Points& points, const double* centers, std::int64_t k, Team& team, std::int32_t* labels,
                     double* distances) {
  const StandardArithmetic standard;
  const int d = static_cast<int>(points.k), count = static_cast<int>(k);
  const std::vector<double> laid_out = side_by_side(centers, k, d);
  if (points.n * d * k < worth_threads) team.work_alone();
  team.parallel_for(chunks_of(points), [&](std::int64_t chunk, int) {
    const std::int64_t first = chunk * chunk_points, part = std::min(chunk_points, points.n - first);
    std::vector<double> scratch(static_cast<std::size_t>(Nearest::scratch(count)));
    with_type(points, [&](const auto* x) {
      find_nearest(x + first * d, part, d, laid_out.data(), count, scratch.data(), labels + first, distances + first);
    });
  });
}

void costs_with(const Points& points, const double* weights, const double* distances, const double* candidates,
                std::int64_t count, Team& team, double* sums) {
  const StandardArithmetic standard;
  const int d = static_cast<int>(points.k);
  const std::int64_t chunks = chunks_of(points);
  std::vector<std::vector<double>> laid_out;
  for (std::int64_t c = 0; c < count; ++c) laid_out.push_back(side_by_side(candidates + c * d, 1, d));
  std::vector<double> parts(static_cast<std::size_t>(chunks * count));
  if (points.n * d * count < worth_threads) team.work_alone();
  team.parallel_for(chunks, [&](std::int64_t chunk, int) {
    const std::int64_t first = chunk * chunk_points, part = std::min(chunk_points, points.n - first);
    std::vector<double> scratch(static_cast<std::size_t>(Nearest::scratch(1))), there(static_cast<std::size_t>(part));
    for (std::int64_t c = 0; c < count; ++c) {
      with_type(points, [&](const auto* x) {
        find_nearest(x + first * d, part, d, laid_out[c].data(), 1, scratch.data(), nullptr, there.data());
      });
      double sum = 0.0;
      for (std::int64_t i = 0; i < part; ++i)
        sum += (weights ? weights[first + i] : 1.0) * std::min(distances[first + i], there[i]);
      parts[chunk * count + c] = sum;
    }
  });
  std::fill_n(sums, count, 0.0);
  for (std::int64_t chunk = 0; chunk < chunks; ++chunk)
    for (std::int64_t c = 0; c < count; ++c) sums[c] += parts[chunk * count + c];
}

void cluster_medians(const Points& points, const double* weights, const std::int32_t* labels, std::int64_t k,
                     double tolerance, Team& team, double* centers) {
  const StandardArithmetic standard;
  const std::int64_t d = points.k;
  std::vector<std::int64_t> starts(static_cast<std::size_t>(k) + 1), order(static_cast<std::size_t>(points.n));
  for (std::int64_t i = 0; i < points.n; ++i) ++starts[labels[i] + 1];
  for (std::int64_t c = 0; c < k; ++c) starts[c + 1] += starts[c];
  std::vector<std::int64_t> next(starts.begin(), starts.end() - 1);
  for (std::int64_t i = 0; i < points.n; ++i) order[next[labels[i]]++] = i;

  if (points.n * d * 8 < worth_threads) team.work_alone();  // eight steps or so
  team.parallel_for(k, [&](std::int64_t c, int worker) {
    const std::int64_t first = starts[c], size = starts[c + 1] - first;
    with_type(points, [&]<class T>(const T* x) {
      std::vector<T> own(static_cast<std::size_t>(size * d));
      std::vector<double> w(static_cast<std::size_t>(size), 1.0);
      for (std::int64_t i = 0; i < size; ++i) {
        std::copy_n(x + order[first + i] * d, d, own.data() + i * d);
        if (weights) w[i] = weights[order[first + i]];
      }
      MedianSearch<T> search(std::move(own), std::move(w), d);
      if (search.has_weight())
        search.run(tolerance, centers + c * d, [&] {
          if (worker == 0) team.ask(static_cast<double>(c) / static_cast<double>(k));
        });
    });
  });
}

}  // namespace rc
