#include "minmax.hpp"

#include <algorithm>
#include <cmath>
#include <deque>

#include "../arithmetic.hpp"
#include "candidates.hpp"

namespace rc {
namespace {

// A ball around n - t points, as a constraint on y.
struct Held {
  Subset members;
  OneCenter ball;
};

class Search {
 public:
  Search(const double* x, std::int64_t n, std::int64_t k, std::int64_t t, const Budget& budget, Team& team)
      : points_(x, n, k, t), team_(team), allowance_(alone_if_few(team, n, t), budget), center_(k), y_(k) {}

  MinMax run() {
    hold(points_.subset(Oracle(points_, y_, 1).climb(allowance_).set));
    center_.start(0, held_[0].ball.center().data(), held_[0].ball.value());
    y_ = center_.center();
    for (std::int64_t rounds = 1;; ++rounds) {
      // Where balls are farther by what rounding makes of them alone, y stays, and the branching says how far they are.
      if (!allowance_.is_spent() && climb() && solve()) continue;
      const double wanted = this->wanted();
      Oracle oracle(points_, y_, team_.threads());
      Incumbent best(wanted);
      LeftOut left;
      branch(oracle, oracle.root(), allowance_, best, left);
      const double upper = std::max({wanted, best.value(), left.bound()});
      const bool found = !best.subset().empty() && !allowance_.is_spent();
      if (!found || !hold(best.subset()) || !solve()) return answer(std::sqrt(upper), rounds);
    }
  }

 private:
  double wanted() const {
    const double c = std::sqrt(center_.value()) + tolerance;
    return c * c;
  }

  // Whether going uphill, from all points and from the balls that decide, finds new balls that y is too far from.
  bool climb() {
    const Oracle oracle(points_, y_, 1);
    std::vector<Oracle::Local> locals{oracle.climb(allowance_)};
    for (std::int64_t s = 0; s < center_.size(); ++s)
      locals.push_back(oracle.climb(held_[center_.id(s)].members, allowance_));
    bool changed = false;
    for (const Oracle::Local& local : locals)
      if (local.value > wanted()) changed |= hold(points_.subset(local.set));
    return changed;
  }

  // Whether it is a new one.
  bool hold(const Subset& members) {
    for (const Held& h : held_)
      if (h.members == members) return false;
    held_.push_back({members, points_.ball(members)});
    return true;
  }

  // y for the balls that are held; false if that has not changed.
  bool solve() {
    const double before = center_.value();
    double best = before;
    for (std::size_t stalled = 0; stalled < 8 + held_.size();) {
      double farthest = center_.value() * (1.0 + 1e-14);
      std::int64_t worst = -1;
      for (std::size_t b = 0; b < held_.size(); ++b) {
        const double far = square_distance(held_[b].ball.center().data(), center_.center().data(), points_.k) / held_[b].ball.value();
        if (far > farthest && !center_.holds(static_cast<std::int64_t>(b))) farthest = far, worst = static_cast<std::int64_t>(b);
      }
      if (worst < 0) break;
      center_.add(worst, held_[worst].ball.center().data(), held_[worst].ball.value());
      stalled = center_.value() > best ? 0 : stalled + 1;
      best = std::max(best, center_.value());
    }
    center_.settle();
    y_ = center_.center();
    return center_.value() > before;
  }

  MinMax answer(double upper, std::int64_t rounds) {
    MinMax out{std::vector<double>(points_.n), upper, std::sqrt(center_.bound()), {}, rounds, allowance_.steps()};
    for (std::int64_t s = 0; s < center_.size(); ++s) {
      if (center_.share(s) == 0.0) continue;
      const Held& h = held_[center_.id(s)];
      MinMax::Binding b{h.members, std::sqrt(h.ball.value()), center_.share(s), std::vector<double>(points_.n)};
      for (std::int64_t p = 0; p < h.ball.size(); ++p) b.weights[h.ball.id(p)] = h.ball.share(p);
      for (std::int64_t i = 0; i < points_.n; ++i) out.weights[i] += b.share * b.weights[i];
      out.balls.push_back(std::move(b));
    }
    std::sort(out.balls.begin(), out.balls.end(),
              [](const MinMax::Binding& a, const MinMax::Binding& b) { return a.members < b.members; });
    return out;
  }

  Candidates points_;
  Team& team_;
  Allowance allowance_;
  std::deque<Held> held_;
  OneCenter center_;
  std::vector<double> y_;
};

}  // namespace

MinMax minmax_meb(const double* x, std::int64_t n, std::int64_t k, std::int64_t t, const Budget& budget, Team& team) {
  const StandardArithmetic standard;
  return Search(x, n, k, t, budget, team).run();
}

}  // namespace rc
