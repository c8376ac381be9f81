// What clustering by distances (k-medians) does to n points of d numbers: the nearest of k centers, what a further center
// would be worth, and the weighted geometric median of each cluster.
//
// Few dimensions and many points, unlike the rules: points are read themselves, not their distances to each other. Each
// point has a lane of its own and each cluster is added up in the order of its points, so that neither threads nor
// instruction sets can be told from the results.
#pragma once

#include <cstdint>

#include "../parallel.hpp"
#include "../view.hpp"

namespace rc {

// labels[i] = the nearest of the k centers (C-contiguous, d numbers each), the first of equals; distances[i] = how far
// that is. Reads the points once, for 2 n k d operations.
void nearest_centers(const Points& points, const double* centers, std::int64_t k, Team& team, std::int32_t* labels,
                     double* distances);

// sums[c] = sum_i w_i min(distances[i], |point i - candidate c|): what the cost would be with that center beside those
// that distances are from. weights may be null, where all are 1. Reads the points once, for 2 n d operations a candidate.
void costs_with(const Points& points, const double* weights, const double* distances, const double* candidates,
                std::int64_t count, Team& team, double* sums);

// centers[c] (a start on the way in) = the weighted geometric median of the points with label c, up to a sum of distances
// that is larger than the smallest by the share of `tolerance`, or by what rounding leaves; a cluster without weight keeps
// its center. Weiszfeld's steps from point to point (Vardi and Zhang's where one is met), made longer by Aitken's method
// while that leads down. Where a point is the median, the center is that point bit for bit.
//
// At y, with g = sum w_i u_i the pull of the points and W the sum of weights, no sum of distances is smaller than
// f(y) (1 - 2 |g| / W): |y - y*| <= 2 f(y) / W, and f is convex. Each step reads the cluster once, for 6 d operations a
// point; about ten suffice.
void cluster_medians(const Points& points, const double* weights, const std::int32_t* labels, std::int64_t k,
                     double tolerance, Team& team, double* centers);

}  // namespace rc
