// The distances pass: n rows of d coordinates to the n x n matrix of squared Euclidean distances.
#pragma once

#include "../parallel.hpp"
#include "../view.hpp"

namespace rc {

// out[i*n + j] = sum_k (x_i[k] - x_j[k])^2 in float64, symmetric, zero on the diagonal.
//
// Rows. A row with a NaN or an infinity has NaN against every row, itself included. Between finite rows the result is
// never NaN; it is infinite where its value is beyond float64 (only float64 rows can be that far apart). D[i,j] depends
// on rows i and j alone: not on the other rows, the threads, the instruction set, or how the coordinates are cut into
// segments.
//
// Accuracy. Differences come before squares, so a common offset costs nothing. With u the unit roundoff, a float32
// pair is off by at most 2u (difference) + 10u (run) + 4u (strip) = 16u, and 1e-8 of underflow: below 9.7e-7. A
// float64 pair by 2u + 20u + 4u + a few blocks' worth, below 1e-14. Where a float32 block overflows or its squares
// fall towards the subnormals, the pair is formed again in float64, where they cannot. Results below 2^-900 of float64
// rows may have lost digits as subnormals do.
//
// Cost. Reads n*d numbers from memory once for n <= 128; beyond, a block is read ceil(n/128) times, from the last cache
// where it fits there. n*(n-1)/2 * d differences and multiply-adds. Memory: 4 n^2 bytes for each block of a wave, at
// most 4 MiB of them or one a thread, and up to 1.5 MiB a thread.
void sqdist(const Updates& updates, Team& team, double* out);

// The same in parts: one n x n matrix for each superblock, of which a machine that has a share of the coordinates sends
// its own. Where every share begins with a superblock, carry_parts over all of them, in order, gives what sqdist gives to
// the last bit. A row that is not finite is NaN in all parts.
void sqdist_parts(const Updates& updates, Team& team, double* parts);

// Sums under way: `size` totals, and behind them what their additions have lost. Zeros at first; carry_parts adds `count`
// parts of `size` numbers, in order, so that who has some of the parts can take over from who has those before.
void carry_parts(const double* parts, std::int64_t count, std::int64_t size, Team& team, double* carried);

// The sums themselves.
void carried_sums(const double* carried, std::int64_t size, double* out);

// Squares below this one may have lost digits as float64 subnormals do.
inline constexpr double vanishing = 0x1p-900;

// For float64 rows whose squares float64 cannot hold: D, as sqdist has it but without NaN, becomes D * scale^2, with the
// pairs that were infinite (scale < 1) or below 2^-900 (scale > 1) formed anew from scaled differences. scale is a
// power of two. Takes about a nanosecond per number of such a pair, and of mixed rows as long as mixing does.
void sqdist_scaled(const Updates& updates, double scale, Team& team, double* D);

// What sqdist_scaled forms anew, in parts as above; zero for the other pairs.
void sqdist_scaled_parts(const Updates& updates, double scale, Team& team, const double* D, double* parts);

// finite[i] = row i has no NaN and no infinity. Reads everything once; for rules that need no distances.
void finite_rows(const Updates& updates, Team& team, bool* finite);

}  // namespace rc
