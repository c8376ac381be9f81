// What a point y is worth when any t of the n points may be lies: the largest, over all subsets of n - t points, of what
// it is wrong by if these are the honest ones, in units of how far they are apart themselves. (The third, the farthest
// centroid, is in centroids.hpp.)
//
// Where the budget is spent, `high` is what is proved by then.
#pragma once

#include <cstdint>

#include "../parallel.hpp"
#include "subsets.hpp"

namespace rc {

// The largest |y - c_T| / r_T over the smallest balls (c_T, r_T) around n - t points: y is in all of the balls, were they
// that many times larger (Cambus, Melnyk, Milentijevic, Schmid, "Practical validity conditions for Byzantine-tolerant
// federated learning", Definition 3.4). By the oracle of candidates.hpp, to a share of 1e-10.
//
// x[n][k], no n - t of them equal, n <= most_points; y[k]. A step of the budget is a ball.
Worst meb_factor(const double* x, std::int64_t n, std::int64_t k, std::int64_t t, const double* y, const Budget& budget,
                 Team& team);

// The largest |y - mean(S)|^2 / variance(S) over the subsets S of n - t points that are not all equal (Bareilles, Bouaziz,
// Fageot, El-Mhamdi, "Byzantine machine learning: MultiKrum and an optimal notion of robustness", Definition 2).
//
// By Dinkelbach's method: `low` is the largest quotient, if |y - mean(S)|^2 - low variance(S) is positive for no S. With
// s = n - t, that is, times s^2,
//   (1 + low) |sum_S x_i|^2 - 2 s <y, sum_S x_i> + s^2 |y|^2 - low s sum_S |x_i|^2,
// a quadratic form of S, and of the points that S leaves out (quadratic.hpp), which a branch and bound maximises.
//
// A form has no more digits than its largest entries. So the points are taken in the order of their distance from the
// origin: those not `near` times farther than n - t of them reach, first; and for each that is, the subsets in which it is
// the last.
//
// Point i is x[i] times 2^exponents[i], for x[n][k], and y[k] times 2^exponents[n]; the origin in one of the points, that
// is near n - t; where n - t of them are equal, y is one of these. -infinity where all S are of equal points, and infinity
// where a form overflows, at 1e290 and more. To a share of 1e-10; `high` has what rounding may have done. A form costs
// n^2 k / 2 multiply-adds; a start of the local search and a node are a step of the budget.
Worst robustness(const double* x, const std::int32_t* exponents, std::int64_t n, std::int64_t k, std::int64_t t,
                 const double* y, const Budget& budget, Team& team);

}  // namespace rc
