// The candidate balls: those around n - t of n points, when it is unknown which t to leave out; and the oracle, which finds
// the one that a point y is farthest from, in its radii.
//
// The oracle needs no list of all C(n, t) balls. Let B be the ball around a set A of more than n - t points, and S its
// support. A T in A that holds S has the ball B; any other misses some of S: branch on which of S is the first to go, and
// keep those before it. The ball without a point follows from the ball with it in a few steps. For T in A,
//   |y - c_T| <= r_T + |y - x| for x in T
//   |y - c_T|^2 + r_T^2 <= max |y - x|^2 over A
// and r_T^2 is at least the variance of any convex weights of points in T, as are those of the ball of A without the
// points that leave. What these say together of c_T and r_T is told where it is used.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <vector>

#include "ball.hpp"
#include "subsets.hpp"

namespace rc {

// The most points that the oracle has bits for.
inline constexpr std::int64_t most_points = 512;
// A ball that y is farther from than from the others by less than this share of its radius is not looked for. (Where all
// balls are equally far, as those of a regular simplex, it must be more than the slack, for none to be looked at.)
inline constexpr double tolerance = 1e-10;

class Mask {
 public:
  explicit Mask(std::int64_t n = 0) : words_(static_cast<int>((n + 63) / 64)) {
    for (std::int64_t i = 0; i < n; ++i) set(i);
  }
  bool operator[](std::int64_t i) const { return bits_[i >> 6] >> (i & 63) & 1; }
  void set(std::int64_t i) { bits_[i >> 6] |= std::uint64_t{1} << (i & 63); }
  void clear(std::int64_t i) { bits_[i >> 6] &= ~(std::uint64_t{1} << (i & 63)); }
  void clear() { bits_.fill(0); }
  std::int64_t count() const {
    std::int64_t sum = 0;
    for (int w = 0; w < words_; ++w) sum += std::popcount(bits_[w]);
    return sum;
  }
  bool operator==(const Mask& other) const { return bits_ == other.bits_; }
  template <class Visit>
  void each(Visit&& visit) const {
    for (int w = 0; w < words_; ++w)
      for (std::uint64_t b = bits_[w]; b; b &= b - 1) visit(std::int64_t{64} * w + std::countr_zero(b));
  }

 private:
  std::array<std::uint64_t, most_points / 64> bits_{};
  int words_;
};

// What is the same for every y: the points, and the balls around sets of them.
class Candidates {
 public:
  Candidates(const double* x, std::int64_t n, std::int64_t k, std::int64_t t)
      : n(n), k(k), t(t), size(n - t), x_(x), D_(n * n), least_(n), all_(k) {
    for (std::int64_t i = 0; i < n; ++i)
      for (std::int64_t j = 0; j < n; ++j) D_[i * n + j] = square_distance(point(i), point(j), k);
    // Of the others in T, one is at least as far from i as its (n - t - 1)-nearest; and the variance of T is at least
    // that of the n - t smallest sums of n - t distances.
    std::vector<double> row(n), sums(n);
    for (std::int64_t i = 0; i < n; ++i) {
      std::copy_n(&D_[i * n], n, row.begin());
      std::sort(row.begin(), row.end());
      least_[i] = 0.25 * row[size - 1];
      for (std::int64_t j = 0; j < size; ++j) sums[i] += row[j];
    }
    std::sort(sums.begin(), sums.end());
    double sum = 0.0;
    for (std::int64_t i = 0; i < size; ++i) sum += sums[i];
    std::vector<double> reach = least_;
    std::sort(reach.begin(), reach.end());
    least_of_all = std::max(sum / (2.0 * static_cast<double>(size) * static_cast<double>(size)), reach[size - 1]);
    all_.start(0, point(0), 1.0);
    grow(all_, Mask(n));
  }

  const double* point(std::int64_t i) const { return x_ + i * k; }
  double D(std::int64_t i, std::int64_t j) const { return D_[i * n + j]; }
  const OneCenter& all() const { return all_; }
  double least(std::int64_t i) const { return least_[i]; }  // of r_T^2, for T with i

  // A ball around some points of a set becomes the ball around all.
  void grow(OneCenter& ball, const Mask& set) const {
    double best = -1.0;
    for (std::int64_t stalled = 0; stalled <= 2 * k + 8;) {
      Mask others = set;
      for (std::int64_t s = 0; s < ball.size(); ++s) others.clear(ball.id(s));
      double farthest = ball.value() * (1.0 + 1e-14);
      std::int64_t worst = -1;
      others.each([&](std::int64_t i) {
        const double far = square_distance(point(i), ball.center().data(), k);
        if (far > farthest) farthest = far, worst = i;
      });
      if (worst < 0) return;
      ball.add(worst, point(worst), 1.0);
      stalled = ball.value() > best ? 0 : stalled + 1;
      best = std::max(best, ball.value());
    }
  }

  // The ball around a set becomes the ball around the same without i.
  void shrink(OneCenter& ball, std::int64_t i, const Mask& left) const {
    for (std::int64_t s = 0; s < ball.size(); ++s)
      if (ball.id(s) == i) {
        ball.remove(s);
        return grow(ball, left);
      }
  }

  OneCenter ball(const Subset& set) const {
    OneCenter out(k);
    out.start(set[0], point(set[0]), 1.0);
    grow(out, mask(set));
    out.settle();
    return out;
  }

  Mask mask(const Subset& set) const {
    Mask out(n);
    out.clear();
    for (const std::int32_t i : set) out.set(i);
    return out;
  }

  static Subset subset(const Mask& set) {
    Subset out;
    set.each([&](std::int64_t i) { out.push_back(static_cast<std::int32_t>(i)); });
    return out;
  }

  // The first set in lexicographic order, of those of n - t points between the two.
  Subset smallest_between(const Mask& within, const Mask& with) const {
    Mask chosen = with;
    std::int64_t more = size - with.count();
    within.each([&](std::int64_t i) {
      if (!with[i] && more > 0) chosen.set(i), --more;
    });
    return subset(chosen);
  }

  const std::int64_t n, k, t, size;
  double least_of_all;  // r_T^2

 private:
  const double* x_;
  std::vector<double> D_, least_;
  OneCenter all_;
};

// The T whose ball y is farthest from, in its radii: |y - c_T|^2 / r_T^2.
class Oracle {
 public:
  struct Node {
    double bound;
    const Node* parent;
    std::int64_t removed, left;  // who left the parent's set, and how many may still leave
    Mask within, kept;           // kept <= T <= within
    double least;                // r_T^2 is at least this
  };

  Oracle(const Candidates& points, const std::vector<double>& y, int threads)
      : p_(points), y_(y), far_(points.n), workers_(static_cast<std::size_t>(threads)) {
    for (std::int64_t i = 0; i < p_.n; ++i) far_[i] = square_distance(p_.point(i), y.data(), p_.k);
  }

  Node root() const {
    Node node{0.0, nullptr, -1, p_.t, Mask(p_.n), Mask(p_.n), p_.least_of_all};
    node.kept.clear();
    node.bound = loose(node);
    return node;
  }

  double value(const OneCenter& ball) const {
    return ball.value() > 0.0 ? square_distance(ball.center().data(), y_.data(), p_.k) / ball.value() : 0.0;
  }

  void expand(Node& node, int worker, Incumbent& best, std::vector<Node>& children) {
    Worker& w = workers_[worker];
    const OneCenter& ball = ball_of(node, w);
    if (!(ball.value() > 0.0)) return;  // of equal points, which are not asked about
    // All that S keeps have this ball.
    Mask with = node.kept;
    w.free.clear();
    for (std::int64_t s = 0; s < ball.size(); ++s)
      if (ball.share(s) > 0.0) {
        with.set(ball.id(s));
        if (!node.kept[ball.id(s)]) w.free.push_back(s);
      }
    if (with.count() <= p_.size)
      best.offer(std::min(value(ball), node.bound), [&] { return p_.smallest_between(node.within, with); });
    if (node.left == 0 || w.free.empty()) return;
    // R leaves the support, i first: see Missing. R is among those from i on.
    weigh(ball, node.left, w);
    Node child{node.bound, &node, -1, node.left - 1, node.within, node.kept, node.least};
    std::int64_t kept = node.kept.count();
    for (std::size_t a = 0; a < w.free.size() && kept <= p_.size; ++a) {
      const std::int64_t i = ball.id(w.free[a]);
      child.removed = i;
      child.within.clear(i);
      child.bound = std::min({node.bound, loose(child), without(ball, a, node.left, child.least, w)});
      if (!(child.bound < best.value())) children.push_back(child);
      // From now on it stays.
      child.within.set(i);
      child.least = std::max(child.least, p_.least(i));
      child.kept.each([&](std::int64_t j) { child.least = std::max(child.least, 0.25 * p_.D(i, j)); });
      child.kept.set(i);
      ++kept;
    }
  }

  // A set of n - t points whose ball is far away: no exchange of a point makes it farther (or the budget is spent).
  struct Local {
    double value;
    Mask set;
  };

  // From all points: each time, who of the support leaves the farthest ball leaves.
  Local climb(Allowance& allowance) const {
    OneCenter ball = p_.all(), next(p_.k), best(p_.k);
    Mask set(p_.n);
    for (std::int64_t left = p_.t; left > 0; --left) {
      double farthest = -1.0;
      std::int64_t who = -1;
      for (std::int64_t s = 0; s < ball.size() && (who < 0 || allowance.step(0)); ++s) {
        const std::int64_t i = ball.id(s);
        Mask rest = set;
        rest.clear(i);
        next = ball;
        p_.shrink(next, i, rest);
        if (value(next) > farthest) farthest = value(next), who = i, best = next;
      }
      set.clear(who);
      ball = best;
    }
    return exchange(ball, set, allowance);
  }

  Local climb(const Subset& from, Allowance& allowance) const {
    return exchange(p_.ball(from), p_.mask(from), allowance);
  }

 private:
  // What it may change that R leaves the support S of the ball around A, p = c_A - y, u_i = x_i - c_A: by the shares of the
  // others, which are weights of points in T, with s_R = sum_R a_i u_i / (1 - sum_R a_i),
  //   r_T^2 >= r_A^2 - |s_R|^2   and   |c_T - (c_A - s_R)|^2 <= r_T^2 - r_A^2 + |s_R|^2 <= |s_R|^2 - |c_T - c_A|^2,
  // so c_T lies in the ball with the diameter from c_A to c_A - s_R, and
  //   |c_T - y| <= |p - s_R / 2| + |s_R| / 2.
  struct Missing {
    double share;    // a_i
    double towards;  // -a_i <p, u_i>
    double square;   // a_i |u_i|^2 a_i + the most that the others may add to its row of |sum_R a_i u_i|^2
  };

  struct Worker {
    std::vector<OneCenter> balls;  // by depth
    std::vector<Mask> sets;        // that they are around
    std::vector<std::int64_t> free;  // positions in the support
    std::vector<Missing> missing;    // of the free, in the same order
    std::vector<double> row;
  };

  // What rounding may have added to the value of a node, or taken from its bound.
  static constexpr double slack = 1e-12;

  static double square(double x) { return x * x; }

  Local exchange(OneCenter ball, Mask set, Allowance& allowance) const {
    double here = value(ball);
    OneCenter shrunk(p_.k), next(p_.k), best(p_.k);
    for (bool found = true; found;) {
      found = false;
      double farthest = here * (1.0 + 1e-9);
      Mask to = set;
      for (std::int64_t s = 0; s < ball.size(); ++s) {
        Mask without = set;
        without.clear(ball.id(s));
        shrunk = ball;
        shrunk.remove(s);
        for (std::int64_t in = 0; in < p_.n; ++in) {
          if (set[in]) continue;
          if (!allowance.step(0)) return {here, set};
          Mask changed = without;
          changed.set(in);
          next = shrunk;
          p_.grow(next, changed);
          if (value(next) > farthest) farthest = value(next), to = changed, best = next, found = true;
        }
      }
      if (found) here = farthest, set = to, ball = best;
    }
    return {here, set};
  }

  // The ball around the points of a node, from that of its parent.
  const OneCenter& ball_of(const Node& node, Worker& w) {
    const std::size_t depth = static_cast<std::size_t>(p_.t - node.left);
    while (w.balls.size() <= depth) {
      w.balls.emplace_back(p_.k);
      w.sets.emplace_back();
    }
    if (!node.parent) {
      w.balls[0] = p_.all();
    } else {
      if (!(w.sets[depth - 1] == node.parent->within)) ball_of(*node.parent, w);
      w.balls[depth] = w.balls[depth - 1];
      p_.shrink(w.balls[depth], node.removed, node.within);
    }
    w.sets[depth] = node.within;
    return w.balls[depth];
  }

  // Of all that are free, and those first whose loss would change most.
  void weigh(const OneCenter& ball, std::int64_t left, Worker& w) const {
    const double radius = ball.value(), here = square_distance(ball.center().data(), y_.data(), p_.k);
    const auto towards = [&](std::int64_t s) {
      return -0.5 * ball.share(s) * (far_[ball.id(s)] - here - radius);
    };
    std::sort(w.free.begin(), w.free.end(), [&](std::int64_t a, std::int64_t b) {
      const double x = towards(a) + radius * ball.share(a), y = towards(b) + radius * ball.share(b);
      return x != y ? x > y : ball.id(a) < ball.id(b);
    });
    w.missing.clear();
    for (const std::int64_t s : w.free) {
      const double share = ball.share(s);
      double sum = radius * share;
      w.row.clear();
      for (const std::int64_t o : w.free)
        if (o != s) {
          const double both = radius - 0.5 * p_.D(ball.id(s), ball.id(o));  // <u_i, u_j>
          if (both > 0.0) w.row.push_back(both * ball.share(o));
        }
      w.missing.push_back({share, towards(s), share * (sum + largest(w.row, left - 1))});
    }
  }

  // The sum of the `count` largest, all of them positive.
  static double largest(std::vector<double>& v, std::int64_t count) {
    if (count <= 0) return 0.0;
    if (count < static_cast<std::int64_t>(v.size())) {
      std::nth_element(v.begin(), v.begin() + count, v.end(), std::greater<>());
      v.resize(static_cast<std::size_t>(count));
    }
    double sum = 0.0;
    for (const double x : v) sum += x;
    return sum;
  }

  // What T is worth at most where the free ones before `first` stay, and it leaves with up to left - 1 of those behind.
  double without(const OneCenter& ball, std::size_t first, std::int64_t left, double least, Worker& w) const {
    const auto sum = [&](auto&& part) {
      w.row.clear();
      for (std::size_t a = first + 1; a < w.missing.size(); ++a)
        if (part(w.missing[a]) > 0.0) w.row.push_back(part(w.missing[a]));
      return part(w.missing[first]) + largest(w.row, left - 1);
    };
    const double lost = sum([](const Missing& m) { return m.share; });
    if (!(lost < 1.0)) return std::numeric_limits<double>::infinity();
    const double moved = sum([](const Missing& m) { return m.square; }) / square(1.0 - lost);
    double towards = sum([](const Missing& m) { return m.towards; });
    if (towards > 0.0) towards /= 1.0 - lost;
    least = std::max(least, ball.value() - moved);
    if (!(least > 0.0)) return std::numeric_limits<double>::infinity();
    const double here = square_distance(ball.center().data(), y_.data(), p_.k);
    const double far = std::sqrt(std::max(here + towards + 0.25 * moved, 0.0)) + 0.5 * std::sqrt(moved);
    return square(far) / least + slack * (1.0 + ball.value() / least);
  }

  // What no T of a node is worth more than, without looking at its ball.
  double loose(const Node& node) const {
    double farthest = 0.0, nearest = std::numeric_limits<double>::infinity();
    node.within.each([&](std::int64_t i) { farthest = std::max(farthest, far_[i]); });
    node.kept.each([&](std::int64_t i) { nearest = std::min(nearest, far_[i]); });
    double bound = farthest / node.least - 1.0;
    if (nearest < std::numeric_limits<double>::infinity())
      bound = std::min(bound, square(1.0 + std::sqrt(nearest / node.least)));
    return bound + slack * (1.0 + std::abs(bound));
  }

  const Candidates& p_;
  const std::vector<double>& y_;
  std::vector<double> far_;  // |y - x_i|^2
  std::vector<Worker> workers_;
};

}  // namespace rc
