// The subset of n - f points with the smallest diameter (MDA), exactly.
#pragma once

#include <cstdint>

#include "../parallel.hpp"
#include "subsets.hpp"

namespace rc {

// Bounds on the smallest diameter, as entries of D: equal, but where the budget was spent.
struct Diameter {
  double low, high;
};

// subset[n - f] in increasing order: points none of which are farther apart than `high`; once low = high, the first such
// subset in lexicographic order, if the budget allows that too. D: n x n, symmetric, no NaN, zeros on the diagonal; only the
// order of its entries counts. 0 <= f < n.
//
// n - f points lie within T of each other if and only if f points cover the graph of pairs farther than T (cover.hpp), and
// that can only become easier as T grows: bisection over the entries of D between a bound by nearest neighbours and the
// diameter of a ball. Then the lowest indices are taken in, one after the other, as long as a cover is left.
// O(n^2 log n), and the covers: exponential at worst, 10 to 50 ms for n = 500 points that are drawn at random.
Diameter smallest_diameter(
    const double* D, std::int64_t n, std::int64_t f, const Budget& budget, Team& team, std::int64_t* subset);

}  // namespace rc
