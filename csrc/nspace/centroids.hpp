// The smallest ball around the centroids of all subsets of n - f points, Ball(S_Cent) of Cambus and Melnyk, "Centroid
// approximation with multidimensional approximate agreement protocols", Definitions 3.4 and 3.7.
//
// There are C(n, f) centroids, and few of them decide. A ball around some is grown by those that stick out of it: as
// long as exchanges find any (`local_maxima`), all of these; then the farthest that there is (`largest_quadratic`), which
// proves in the end that none is left. All that were ever found stay inside, so each round finds others; and what the
// shares of the one-centre prove (ball.hpp) is a lower bound in each round.
//
// With s the sum of all points, the centroid without T is (s - sum_{i in T} x_i) / (n - f): the sums of f points lie as
// the centroids do, but for scale and a reflection. So it is the ball of the sums of r = min(f, n - f) points that is
// looked for, and of a sum seen from y
//     |sum_{i in T} x_i - y|^2 = |sum_{i in T} g_i|^2  with g_i = x_i - y / r,
// a quadratic form in which nothing cancels.
#pragma once

#include <cstdint>
#include <vector>

#include "subsets.hpp"

namespace rc {

struct CentroidBall {
  // Those on the sphere that decide: the n - f points of each, the subsets in lexicographic order.
  std::vector<Subset> subsets;
  // The centre is the combination of their centroids with these: positive, summing to 1.
  std::vector<double> shares;
  // The distance of the farthest centroid from there; where the budget was spent, what no centroid's distance exceeds.
  double radius;
  // By what share it is above the smallest possible radius, at most, were a centroid that was overlooked to stick out.
  double gap;
};

// x[n][k], finite, the origin in one of the points; 0 <= f < n.
//
// The gap is 1e-12 and what the bound of `largest_quadratic` is off, unless the budget is spent.
//
// Building a form costs n^2 k / 2 multiply-adds; how many nodes the search has is up to the points. A start of the local
// search, a centroid that is added and a node are a step of the budget each.
CentroidBall centroid_ball(const double* x, std::int64_t n, std::int64_t k, std::int64_t f, const Budget& budget,
                           Team& team);

// The centroid that is farthest from y[k]: the n - f points it is of, and how far it is at least (as it is) and at most,
// which are the same but for rounding and the tolerance above, unless the budget is spent.
Worst farthest_centroid(const double* x, std::int64_t n, std::int64_t k, std::int64_t f, const double* y,
                        const Budget& budget, Team& team);

}  // namespace rc
