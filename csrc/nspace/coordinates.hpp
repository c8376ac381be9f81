// Coordinates of points that are known by their squared distances alone.
#pragma once

#include <cstdint>
#include <vector>

#include "../parallel.hpp"

namespace rc {

// x[n][k]: points with the distances that D, stretch and reference (position.hpp) describe, the reference in the origin.
// Row i ends where the points before it, in order of their residual distance, leave nothing but rounding: k is the
// dimension of their affine hull, as far as D can tell. Returns k, at least 1.
//
// The Gram matrix about the reference, factored by Cholesky's method with the largest residual first: n^2 k
// multiply-adds, on one thread. Equal rows of D give equal points. Squared distances are off by some 1e-14 times the largest in D,
// whatever the stretch.
std::int64_t coordinates(const double* D, const double* stretch, std::int64_t n, std::int64_t reference,
                         Team& team, std::vector<double>& x);

}  // namespace rc
