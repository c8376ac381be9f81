// The weighted one-centre of many points, and with equal weights their smallest enclosing ball, exactly.
//
// A pass finds, in each chunk of the points, the few that are farthest from where the center is. The ball is solved for
// these (nspace/ball.hpp), and again, until no point sticks out: because a pass has found none, or because those that were
// not among the farthest of the last pass cannot, as near as they were and as little as the center has moved since. The
// answer proves itself: the support alone needs a ball as large as `bound`, and all points are within `value`.
//
// A pass reads n * k numbers, for 3 n k operations; one or two suffice as a rule. The first starts from the ball around
// every 32nd point, found in the same way. The exact solver takes O(k s) for each point that joins or leaves s others.
#pragma once

#include <cstdint>
#include <vector>

#include "../parallel.hpp"
#include "../view.hpp"

namespace rc {

struct Enclosure {
  bool finite;   // whether all points are; if not, nothing else means anything
  double value;  // max_i w_i |y - p_i|; of a ball, the radius
  double gap;    // (value - least possible) / least possible, at most, with what rounding may have done to either
  std::int64_t passes;
  std::vector<std::int64_t> support;  // points whose convex combination y is: the first is the heaviest of them
  std::vector<double> shares;
  std::vector<double> center;  // y, rounded to float64 once
};

// weights: n positive numbers w_i, or null where all are 1.
Enclosure enclose(const Points& points, const double* weights, Team& team);

// finite[i] = whether all numbers of point i are.
void finite_points(const Points& points, bool* finite);

}  // namespace rc
