// The subset of n - f points that varies least in its widest direction (SMEA).
#pragma once

#include <cstdint>

#include "../parallel.hpp"
#include "subsets.hpp"

namespace rc {

// A lower bound on the smallest variance, and the one that was found: equal, but where the budget was spent.
struct Variance {
  double low, value;
};

// subset[m] for m = n - f, in increasing order: the points T whose covariance, sum_T (x - mu)(x - mu)' / m, has the smallest
// largest eigenvalue; of eigenvalues that agree to ten digits, the first subset in lexicographic order. D: n x n, finite
// squared distances. 0 <= f < n.
//
// The walk of subsets.hpp, those that are far from most decided first. The eigenvalue of a subset is that of its Gram matrix
// about its own mean, which only the distances inside it enter: points at 1e30 drown nothing unless they belong to it.
//
// What is left out: let all T hold S and lie in P. In any direction v, T varies at least as much as the best choice in one
// dimension: S, and of the others a run of neighbours along v. Two directions are tried, the widest of P and that of S.
// 4/3 n^3 operations for each; the number of subsets met is exponential at worst.
Variance smallest_variance(
    const double* D, std::int64_t n, std::int64_t f, const Budget& budget, Team& team, std::int64_t* subset);

}  // namespace rc
