// The largest value of a quadratic form on the subsets of t indices: which t points to leave out so that the mean of
// the others is farthest from a point y, and every certificate that asks for a worst subset.
//
//   q(T) = sum_{i in T} h_i + 2 sum_{i < j in T} G_ij,   |T| = t,
//
// G symmetric n x n (indefinite is fine; the diagonal and what is below it are not read), h of length n, all finite.
//
// For the centroids of n - t points (S_Cent of Cambus and Melnyk, "Centroid approximation with multidimensional
// approximate agreement protocols"): with mu any point, g_i = x_i - mu and b = sum_i x_i - (n - t) y - t mu, the
// centroid without T has (n - t)^2 |c - y|^2 = |b|^2 + q(T) for G_ij = <g_i, g_j>, h_i = |g_i|^2 - 2 <g_i, b>.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "../parallel.hpp"
#include "subsets.hpp"

namespace rc {

struct Quadratic {
  const double* G;
  const double* h;
  std::int64_t n;
  std::int64_t t;  // 0 <= t <= n
};

// q(T) as the form is given; T increasing.
double value_of(const Quadratic& q, const Subset& T);

// A subset that no exchange of one index improves, the best from up to 64 starts, each grown greedily from one index.
// An exchange costs t (n - t) to find and 2n to make. Often the largest there is.
Subset local_search(const Quadratic& q, Team& team);

// All that these starts lead to, each once, the best first. A start is a step of the allowance; there is one at least.
std::vector<Subset> local_maxima(const Quadratic& q, Allowance& allowance);

struct Largest {
  Subset subset;  // empty if no subset is worth more than the threshold (or t is 0)
  double value;   // of the subset; -infinity where there is none
  double bound;   // no subset is worth more
};

// The subset with the largest value above the threshold. Branch and bound, starting from the local search: certain, and
// bound == value but for rounding, unless the budget is spent.
//
// The form is rounded to whole multiples of a unit so small that all sums are exact: at most 2^-50 of what the sizes
// of the entries for a subset can add up to. A value may be off by t^2 / 2 units. Of subsets that are equal then, the
// first in lexicographic order wins, on any number of threads. A node of the search costs about m (m + n) operations
// for m candidates.
Largest largest_quadratic(const Quadratic& q, const Budget& budget, Team& team,
                          double threshold = -std::numeric_limits<double>::infinity());

// The same as one of several searches that share an allowance.
Largest largest_quadratic(const Quadratic& q, Allowance& allowance, double threshold);

}  // namespace rc
