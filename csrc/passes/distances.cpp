#include "distances.hpp"

#include <array>
#include <functional>
#include <limits>
#include <utility>

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

// What the two kinds of workers share: the block at hand, and a row of it in float64.
class BlockRows {
 protected:
  explicit BlockRows(const Updates& updates)
      : updates_(updates), reader_(updates), bad_(updates.n), known_(updates.n), like_(updates.n) {}

  void open(std::int64_t block) {
    begin_ = block * block_columns;
    end_ = std::min(begin_ + block_columns, updates_.d);
    std::fill(bad_.begin(), bad_.end(), false);
    std::fill(known_.begin(), known_.end(), false);
    for (std::int64_t i = 0; i < updates_.n; ++i) like_[i] = i;
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

  // The distance within the block of rows that may be close: formed in float64 from f(a, b), the scaled difference of
  // two numbers. Where rows turn out to be equal (frozen layers), that carries over to others equal to them.
  template <class Difference>
  double in_float64(std::int64_t i, std::int64_t j, Difference&& f) {
    if (like_[i] == like_[j]) return 0.0;
    load(i, one_);
    load(j, other_);
    if (one_ == other_) {
      like_[j] = like_[i];
      return 0.0;
    }
    for (int k = 0; k < block_columns; ++k) one_[k] = f(one_[k], other_[k]);
    std::fill(other_.begin(), other_.end(), 0.0);
    double sums[8] = {};
    for (int k = 0; k < block_columns; k += strip_columns) {
      const double *a = one_.data() + k, *b = other_.data() + k;
      kernels().distances_f64(&a, 1, &b, 1, nullptr, sums, 1);
    }
    return add_lanes(sums);
  }

  const Updates& updates_;
  StripReader reader_;
  std::int64_t begin_ = 0, end_ = 0;
  std::vector<char> bad_, known_;

 private:
  void load(std::int64_t i, std::vector<double>& row) {
    row.assign(block_columns, 0.0);
    for (std::int64_t k = begin_; k < end_;) {
      const Strips strips = reader_.next(&i, 1, k, end_, block_columns);
      if (strips.f32)
        std::copy_n(strips.f32[0], strips.columns, row.data() + (k - begin_));
      else
        std::copy_n(strips.f64[0], strips.columns, row.data() + (k - begin_));
      k += strips.columns;
    }
  }

  std::vector<std::int64_t> like_;  // per row, a row known to be equal to it within the block
  std::vector<double> one_, other_;
};

// Block after block, the distances of all pairs within it.
class BlockDistances : BlockRows {
 public:
  BlockDistances(const Updates& updates, std::atomic<bool>* bad)
      : BlockRows(updates), pairs_(updates.n), rows_(updates.n), bad_somewhere_(bad) {
    for (std::int64_t i = 0; i < updates.n; ++i) rows_[i] = i;
    const std::int64_t side = std::min(panel, updates.n);
    sums_.resize(static_cast<std::size_t>(side * side * 8));
  }

  // distances[pairs(i, j)] for all pairs; the rows that are not finite are marked.
  void operator()(std::int64_t block, double* distances) {
    const std::int64_t n = updates_.n;
    open(block);
    if (n == 1) check(0);
    for (std::int64_t p = 0; p < n; p += panel)
      for (std::int64_t q = p; q < n; q += panel)
        panels(p, std::min(panel, n - p), q, std::min(panel, n - q), distances);
    for (std::int64_t i = 0; i < n; ++i)
      if (bad_[i]) bad_somewhere_[i].store(true, std::memory_order_relaxed);
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
      const Strips strips = reader_.next_packed(rows, count, k, end_);
      narrow = narrow || strips.f32;
      if (strips.f32)
        kernels().distances_f32(strips.f32, a, strips.f32 + other, b, strips.ahead, sums_.data(), b);
      else
        kernels().distances_f64(strips.f64, a, strips.f64 + other, b, strips.ahead, sums_.data(), b);
      k += strips.columns;
    }
    const double least = narrow ? safe_from_underflow : 0.0;
    for (std::int64_t i = 0; i < np; ++i)
      for (std::int64_t j = p == q ? i + 1 : 0; j < nq; ++j) {
        double& distance = distances[pairs_(p + i, q + j)];
        distance = add_lanes(&sums_[(i * nq + j) * 8]);
        if (!(distance >= least && distance <= std::numeric_limits<double>::max()))
          distance = reconsider(p + i, q + j, distance, narrow);
      }
  }

  // A distance that is NaN, infinite or suspiciously small.
  double reconsider(std::int64_t i, std::int64_t j, double distance, bool narrow) {
    if (!(distance <= std::numeric_limits<double>::max()) && (check(i) | check(j))) return 0.0;  // will become NaN
    return narrow ? in_float64(i, j, std::minus<double>()) : distance;
  }

  Pairs pairs_;
  std::vector<std::int64_t> rows_, both_;
  std::vector<double> sums_;
  std::atomic<bool>* bad_somewhere_;
};

// Block after block, whether the rows are finite.
class BlockFinite : BlockRows {
 public:
  BlockFinite(const Updates& updates, std::atomic<bool>* bad) : BlockRows(updates), bad_somewhere_(bad) {}

  void operator()(std::int64_t block) {
    open(block);
    for (std::int64_t i = 0; i < updates_.n; ++i)
      if (check(i)) bad_somewhere_[i].store(true, std::memory_order_relaxed);
  }

 private:
  std::atomic<bool>* bad_somewhere_;
};

// Block after block, the scaled distances of chosen pairs within it.
class BlockScaled : BlockRows {
 public:
  using Pair = std::pair<std::int64_t, std::int64_t>;

  BlockScaled(const Updates& updates, double scale, const std::vector<Pair>& chosen)
      : BlockRows(updates), scale_(scale), chosen_(chosen) {}

  void operator()(std::int64_t block, double* distances) {
    open(block);
    // Whichever comes first, scaling or subtracting, must not leave the range.
    const auto grown = [s = scale_](double a, double b) { return (a - b) * s; };
    const auto shrunk = [s = scale_](double a, double b) { return a * s - b * s; };
    for (const auto& [i, j] : chosen_) *distances++ = scale_ > 1.0 ? in_float64(i, j, grown) : in_float64(i, j, shrunk);
  }

 private:
  double scale_;
  const std::vector<Pair>& chosen_;
};

// A sum, and what its additions have lost.
struct Sum {
  double total = 0.0, error = 0.0;
  void add(double x) {
    const double old = total, sum = old + x, part = sum - old;
    error += (old - (sum - part)) + (x - part);
    total = sum;
  }
  double rounded() const { return std::isfinite(total) ? total + error : total; }
};

constexpr std::int64_t stretch = 4096;  // pairs that one thread adds up

// The sums over blocks of what the workers write for each of `count` pairs: the blocks of a superblock are added in order,
// whoever computed them, with what each addition loses added at the end; so are superblocks, each rounded once. So the sums
// do not depend on who has which superblocks, but on where these begin.
class Sums {
 public:
  // Where parts are asked for, those of superblock b stay at parts[b * count ..] and are not added.
  Sums(std::size_t count, double* parts) : count_(static_cast<std::int64_t>(count)), inner_(count), parts_(parts) {
    if (!parts) outer_.resize(count);
  }

  void add(std::int64_t block, const double* distances, std::int64_t begin, std::int64_t end) {
    if (block % superblock == 0 && block) close(block / superblock - 1, begin, end);
    for (std::int64_t pair = begin; pair < end; ++pair) inner_[pair].add(distances[pair]);
  }

  // All superblocks but the last have been closed.
  std::vector<double> finish(std::int64_t blocks) {
    close((blocks - 1) / superblock, 0, count_);
    std::vector<double> out(outer_.size());
    for (std::size_t pair = 0; pair < out.size(); ++pair) out[pair] = outer_[pair].rounded();
    return out;
  }

 private:
  void close(std::int64_t number, std::int64_t begin, std::int64_t end) {
    for (std::int64_t pair = begin; pair < end; ++pair) {
      const double part = std::exchange(inner_[pair], Sum{}).rounded();
      if (parts_)
        parts_[number * count_ + pair] = part;
      else
        outer_[pair].add(part);
    }
  }

  std::int64_t count_;
  std::vector<Sum> inner_, outer_;
  double* parts_;
};

template <class Worker>
std::vector<double> sum_blocks(const Updates& updates, std::size_t count, Team& team, std::vector<Worker>& workers,
                               double* parts = nullptr) {
  const std::int64_t blocks = block_count(updates);
  const auto pairs = static_cast<std::int64_t>(count), slot_bytes = 8 * std::max<std::int64_t>(1, pairs);
  const std::int64_t wave = std::min(blocks, std::max<std::int64_t>(wave_bytes / slot_bytes, team.threads()));
  const std::int64_t stretches = (pairs + stretch - 1) / stretch;
  std::vector<double> slots(static_cast<std::size_t>(wave) * count);
  Sums sums(count, parts);
  team.expect(blocks + (blocks + wave - 1) / wave * stretches);
  for (std::int64_t first = 0; first < blocks; first += wave) {
    const std::int64_t here = std::min(wave, blocks - first);
    team.parallel_for(here, [&](std::int64_t task, int worker) {
      workers[worker](first + task, slots.data() + task * pairs);
    });
    team.parallel_for(stretches, [&](std::int64_t task, int) {
      for (std::int64_t slot = 0; slot < here; ++slot)
        sums.add(first + slot, slots.data() + slot * pairs, task * stretch, std::min(pairs, (task + 1) * stretch));
    });
  }
  return sums.finish(blocks);
}

}  // namespace

namespace {

// The distances of the pairs, or the parts of them that the superblocks have, as symmetric matrices one after the other;
// NaN where a row is not finite.
void sqdist(const Updates& updates, Team& team, bool whole, double* out) {
  const StandardArithmetic standard;
  const std::int64_t n = updates.n, matrices = whole ? 1 : superblock_count(updates);
  const Pairs pairs(n);
  const auto count = static_cast<std::size_t>(pairs.count());
  std::vector<std::atomic<bool>> bad(static_cast<std::size_t>(n));
  if (n * n * updates.d < 16 * worth_threads) team.work_alone();
  std::vector<BlockDistances> workers;
  for (std::int64_t worker = 0; worker < std::min<std::int64_t>(team.threads(), block_count(updates)); ++worker)
    workers.emplace_back(updates, bad.data());
  std::vector<double> sums(whole ? 0 : count * matrices);
  const std::vector<double> total = sum_blocks(updates, count, team, workers, whole ? nullptr : sums.data());

  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  const double* found = whole ? total.data() : sums.data();
  for (std::int64_t matrix = 0; matrix < matrices; ++matrix, out += n * n, found += count)
    for (std::int64_t i = 0; i < n; ++i) {
      out[i * n + i] = bad[i] ? nan : 0.0;
      for (std::int64_t j = i + 1; j < n; ++j)
        out[i * n + j] = out[j * n + i] = bad[i] || bad[j] ? nan : found[pairs(i, j)];
    }
}

}  // namespace

void sqdist(const Updates& updates, Team& team, double* out) { sqdist(updates, team, true, out); }

void sqdist_parts(const Updates& updates, Team& team, double* parts) { sqdist(updates, team, false, parts); }

void carry_parts(const double* parts, std::int64_t count, std::int64_t size, Team& team, double* carried) {
  if (count * size < 16 * stretch) team.work_alone();
  const std::int64_t stretches = (size + stretch - 1) / stretch;
  team.expect(stretches);
  team.parallel_for(stretches, [&](std::int64_t task, int) {
    std::array<Sum, stretch> sums;
    const std::int64_t begin = task * stretch, here = std::min(stretch, size - begin);
    double *totals = carried + begin, *lost = totals + size;
    for (std::int64_t k = 0; k < here; ++k) sums[k] = {totals[k], lost[k]};
    for (std::int64_t part = 0; part < count; ++part)
      for (std::int64_t k = 0; k < here; ++k) sums[k].add(parts[part * size + begin + k]);
    for (std::int64_t k = 0; k < here; ++k) totals[k] = sums[k].total, lost[k] = sums[k].error;
  });
}

void carried_sums(const double* carried, std::int64_t size, double* out) {
  const StandardArithmetic standard;
  for (std::int64_t k = 0; k < size; ++k) out[k] = Sum{carried[k], carried[size + k]}.rounded();
}

namespace {

// The pairs whose squares float64 cannot hold without the scale.
std::vector<BlockScaled::Pair> beyond(const double* D, std::int64_t n, double scale) {
  std::vector<BlockScaled::Pair> chosen;
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t j = i + 1; j < n; ++j)
      if (scale > 1.0 ? D[i * n + j] < vanishing : std::isinf(D[i * n + j])) chosen.emplace_back(i, j);
  return chosen;
}

std::vector<double> scaled(const Updates& updates, double scale, Team& team,
                           const std::vector<BlockScaled::Pair>& chosen, double* parts = nullptr) {
  if (chosen.empty()) return {};
  std::vector<BlockScaled> workers;
  for (int worker = 0; worker < team.threads(); ++worker) workers.emplace_back(updates, scale, chosen);
  return sum_blocks(updates, chosen.size(), team, workers, parts);
}

}  // namespace

void sqdist_scaled_parts(const Updates& updates, double scale, Team& team, const double* D, double* parts) {
  const StandardArithmetic standard;
  const std::int64_t n = updates.n, matrices = superblock_count(updates);
  const auto chosen = beyond(D, n, scale);
  std::vector<double> sums(chosen.size() * matrices);
  scaled(updates, scale, team, chosen, sums.data());
  std::fill_n(parts, matrices * n * n, 0.0);
  for (std::int64_t matrix = 0; matrix < matrices; ++matrix)
    for (std::size_t p = 0; p < chosen.size(); ++p) {
      const auto [i, j] = chosen[p];
      parts[(matrix * n + i) * n + j] = parts[(matrix * n + j) * n + i] = sums[matrix * chosen.size() + p];
    }
}

void sqdist_scaled(const Updates& updates, double scale, Team& team, double* D) {
  const StandardArithmetic standard;
  const std::int64_t n = updates.n;
  const auto chosen = beyond(D, n, scale);
  const std::vector<double> total = scaled(updates, scale, team, chosen);
  for (std::int64_t k = 0; k < n * n; ++k) D[k] = D[k] * scale * scale;
  for (std::size_t p = 0; p < chosen.size(); ++p)
    D[chosen[p].first * n + chosen[p].second] = D[chosen[p].second * n + chosen[p].first] = total[p];
}

void finite_rows(const Updates& updates, Team& team, bool* finite) {
  const std::int64_t n = updates.n;
  std::vector<std::atomic<bool>> bad(static_cast<std::size_t>(n));
  std::vector<BlockFinite> workers;
  for (int worker = 0; worker < team.threads(); ++worker) workers.emplace_back(updates, bad.data());
  team.expect(block_count(updates));
  team.parallel_for(block_count(updates), [&](std::int64_t block, int worker) { workers[worker](block); });
  for (std::int64_t i = 0; i < n; ++i) finite[i] = !bad[i];
}

}  // namespace rc
