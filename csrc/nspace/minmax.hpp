// MinMax-MEB (Algorithm 1 of Cambus, Melnyk, Milentijevic, Schmid, "Practical validity conditions for Byzantine-tolerant
// federated learning"): the y that minimises the largest |y - c_T| / r_T over all T of n - t points, where (c_T, r_T) is the
// smallest ball around T. That is the one-centre of all c_T with weights 1 / r_T, of which few decide.
//
// So a few balls are held, y is their one-centre (ball.hpp), and an oracle (candidates.hpp) is asked for a T whose ball y
// is too far from; until there is none. What the held balls prove is a lower bound on c*, what the oracle proves an upper
// one.
#pragma once

#include <cstdint>
#include <vector>

#include "candidates.hpp"

namespace rc {

struct MinMax {
  // A ball that y is as far from, in its radii, as from the others: without one of them, y would move.
  struct Binding {
    Subset members;               // T
    double radius, share;         // y = sum share * center
    std::vector<double> weights;  // n: center = sum weights * x
  };
  std::vector<double> weights;  // n: y = sum weights * x
  double value;                 // y is within this many radii of every ball
  double bound;                 // no point is within fewer of all of them
  std::vector<Binding> balls;
  std::int64_t rounds, steps;
};

// x: n points of k numbers, no n - t of which are equal; n > 2t, n <= most_points. A step of the budget is a ball: up to
// about n k operations, for each point that joins or leaves its support.
MinMax minmax_meb(const double* x, std::int64_t n, std::int64_t k, std::int64_t t, const Budget& budget, Team& team);

}  // namespace rc
