#include "distances.hpp"

#include <limits>

#include "strips.hpp"

namespace rc {
namespace {

// The lanes of one pair, added as a tree.
double add_lanes(const double* s) { return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7])); }

bool all_finite(const std::vector<double>& x) {
  return std::all_of(x.begin(), x.end(), [](double v) { return std::isfinite(v); });
}

// A float32 sum of squares from here on has lost less than 1e-8 of itself to underflow: each of the block's 8000
// fmas may have dropped 2^-150.
constexpr double safe_from_underflow = 0x1p-110;

// Rows that meet each other at a time: two panels of a strip stay in a core's second-level cache.
constexpr std::int64_t panel = 128;

// Bytes of unmerged blocks kept at a time.
constexpr std::int64_t wave_bytes = 4 << 20;

// The pairs i < j, row by row.
class Pairs {
 public:
  explicit Pairs(std::int64_t n) : n_(n) {}
  std::int64_t count() const { return n_ * (n_ - 1) / 2; }
  std::int64_t operator()(std::int64_t i, std::int64_t j) const { return i * (2 * n_ - i - 1) / 2 + j - i - 1; }

 private:
  std::int64_t n_;
};

// One worker's share: block after block, the distances of all pairs within it.
class BlockDistances {
 public:
  BlockDistances(const Updates& updates, double scale)
      : updates_(updates), scale_(scale), pairs_(updates.n), reader_(updates, scale), rows_(updates.n),
        bad_(updates.n), known_(updates.n), like_(updates.n) {
    for (std::int64_t i = 0; i < updates.n; ++i) rows_[i] = i;
    const std::int64_t side = std::min(panel, updates.n);
    sums_.resize(static_cast<std::size_t>(side * side * 8));
  }

  // distances[pairs(i, j)] for all pairs; bad[i] is set for each non-finite row that was met.
  void operator()(std::int64_t block, double* distances, std::atomic<bool>* bad) {
    const std::int64_t n = updates_.n;
    begin_ = block * block_columns;
    end_ = std::min(begin_ + block_columns, updates_.d);
    std::fill(bad_.begin(), bad_.end(), false);
    std::fill(known_.begin(), known_.end(), false);
    for (std::int64_t i = 0; i < n; ++i) like_[i] = i;
    if (n == 1) check(0);
    for (std::int64_t p = 0; p < n; p += panel)
      for (std::int64_t q = p; q < n; q += panel) panels(p, std::min(panel, n - p), q, std::min(panel, n - q), distances);
    for (std::int64_t i = 0; i < n; ++i)
      if (bad_[i]) bad[i].store(true, std::memory_order_relaxed);
  }

 private:
  // Rows p .. p+np-1 against rows q .. q+nq-1.
  void panels(std::int64_t p, std::int64_t np, std::int64_t q, std::int64_t nq, double* distances) {
    std::fill(sums_.begin(), sums_.end(), 0.0);
    const std::int64_t count = p == q ? np : np + nq;
    const std::int64_t* rows = rows_.data() + p;
    if (p != q) {
      both_.assign(rows, rows + np);
      both_.insert(both_.end(), rows_.begin() + q, rows_.begin() + q + nq);
      rows = both_.data();
    }
    const int other = p == q ? 0 : static_cast<int>(np), a = static_cast<int>(np), b = static_cast<int>(nq);
    bool narrow = false;
    for (std::int64_t k = begin_; k < end_;) {
      const Strips strips = reader_.next(rows, count, k, end_, strip_columns);
      narrow = narrow || strips.f32;
      if (strips.f32)
        kernels().distances_f32(strips.f32, a, strips.f32 + other, b, strips.more, sums_.data(), b);
      else
        kernels().distances_f64(strips.f64, a, strips.f64 + other, b, strips.more, sums_.data(), b);
      k += strips.columns;
    }
    for (std::int64_t i = 0; i < np; ++i)
      for (std::int64_t j = p == q ? i + 1 : 0; j < nq; ++j) {
        double& distance = distances[pairs_(p + i, q + j)];
        distance = add_lanes(&sums_[(i * nq + j) * 8]);
        const double least = narrow ? safe_from_underflow : 0.0;
        if (!(distance >= least && distance <= std::numeric_limits<double>::max()))
          distance = reconsider(p + i, q + j, distance, narrow);
      }
  }

  // A distance that is NaN, infinite or suspiciously small.
  double reconsider(std::int64_t i, std::int64_t j, double distance, bool narrow) {
    if (!(distance <= std::numeric_limits<double>::max()) && (check(i) | check(j))) return 0.0;  // will become NaN
    if (!narrow) return distance;
    if (like_[i] == like_[j]) return 0.0;
    distance = in_float64(i, j);
    if (distance == 0.0) like_[j] = like_[i];  // equal rows (frozen layers): equality carries over to the others
    return distance;
  }

  // Whether row i has a NaN or an infinity in this block; looked up once.
  bool check(std::int64_t i) {
    if (!known_[i]) {
      known_[i] = true;
      load(i, one_);
      bad_[i] = !all_finite(one_);
    }
    return bad_[i];
  }

  double in_float64(std::int64_t i, std::int64_t j) {
    load(i, one_);
    load(j, other_);
    const double *a = one_.data(), *b = other_.data();
    double sums[8] = {};
    for (int k = 0; k < block_columns; k += strip_columns) {
      const double *x = a + k, *y = b + k;
      kernels().distances_f64(&x, 1, &y, 1, false, sums, 1);
    }
    return add_lanes(sums);
  }

  void load(std::int64_t i, std::vector<double>& row) {
    row.resize(block_columns);
    gather_(updates_, i, begin_, end_, row.data(), scale_);
    std::fill(row.begin() + (end_ - begin_), row.end(), 0.0);
  }

  const Updates& updates_;
  double scale_;
  Pairs pairs_;
  StripReader reader_;
  Gather gather_;
  std::vector<std::int64_t> rows_, both_;
  std::vector<double> sums_;
  std::int64_t begin_ = 0, end_ = 0;
  std::vector<char> bad_, known_;     // per row, within the block
  std::vector<std::int64_t> like_;    // per row, a row known to be equal to it within the block
  std::vector<double> one_, other_;
};

}  // namespace

void sqdist(const Updates& updates, double scale, Team& team, double* out) {
  const std::int64_t n = updates.n, blocks = (updates.d + block_columns - 1) / block_columns;
  const Pairs pairs(n);
  const auto count = static_cast<std::size_t>(pairs.count());
  std::vector<double> total(count), error(count);
  std::vector<std::atomic<bool>> bad(static_cast<std::size_t>(n));

  // Blocks are added in order, whoever computed them: a wave of them side by side, then one after the other into the
  // compensated total (Neumaier's sum, exact to twice the working precision).
  const std::int64_t slot_bytes = std::max<std::int64_t>(1, pairs.count()) * static_cast<std::int64_t>(sizeof(double));
  const std::int64_t wave = std::min(blocks, std::max<std::int64_t>(wave_bytes / slot_bytes, team.threads()));
  std::vector<double> slots(static_cast<std::size_t>(wave) * count);
  const std::int64_t stretch = 4096, stretches = (pairs.count() + stretch - 1) / stretch;
  std::vector<BlockDistances> workers;
  const bool small = n * n * std::min<std::int64_t>(updates.d, block_columns) * blocks < 1 << 21;
  Team alone(1);
  Team& crew = small ? alone : team;
  for (int worker = 0; worker < crew.threads(); ++worker) workers.emplace_back(updates, scale);
  crew.expect(blocks + (blocks + wave - 1) / wave * stretches);
  for (std::int64_t first = 0; first < blocks; first += wave) {
    const std::int64_t here = std::min(wave, blocks - first);
    crew.parallel_for(here, [&](std::int64_t task, int worker) {
      workers[worker](first + task, slots.data() + task * pairs.count(), bad.data());
    });
    crew.parallel_for(stretches, [&](std::int64_t task, int) {
      const std::int64_t end = std::min(pairs.count(), (task + 1) * stretch);
      for (std::int64_t slot = 0; slot < here; ++slot) {
        const double* distances = slots.data() + slot * pairs.count();
        for (std::int64_t pair = task * stretch; pair < end; ++pair) {
          const double old = total[pair], x = distances[pair], sum = old + x, part = sum - old;
          error[pair] += (old - (sum - part)) + (x - part);
          total[pair] = sum;
        }
      }
    });
  }

  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  for (std::int64_t i = 0; i < n; ++i) {
    out[i * n + i] = bad[i] ? nan : 0.0;
    for (std::int64_t j = i + 1; j < n; ++j) {
      const std::int64_t pair = pairs(i, j);
      const double distance = std::isfinite(total[pair]) ? total[pair] + error[pair] : total[pair];
      out[i * n + j] = out[j * n + i] = bad[i] || bad[j] ? nan : distance;
    }
  }
}

void finite_rows(const Updates& updates, Team& team, bool* finite) {
  const std::int64_t n = updates.n, blocks = (updates.d + block_columns - 1) / block_columns;
  std::vector<std::atomic<bool>> bad(static_cast<std::size_t>(n));
  team.expect(blocks);
  team.parallel_for(blocks, [&](std::int64_t block, int) {
    Gather gather;
    std::vector<double> row(block_columns);
    const std::int64_t begin = block * block_columns, end = std::min(begin + block_columns, updates.d);
    for (std::int64_t i = 0; i < n; ++i) {
      gather(updates, i, begin, end, row.data());
      if (!all_finite(row)) bad[i] = true;
    }
  });
  for (std::int64_t i = 0; i < n; ++i) finite[i] = !bad[i];
}

}  // namespace rc
