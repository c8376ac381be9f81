// The combine pass: weights times rows, into the structure of one update.
#pragma once

#include "../parallel.hpp"
#include "../view.hpp"

namespace rc {

// outputs[s][k] = sum_i weights[i] * x_i[k] over segment s, summed in float64 in the order of the rows and rounded once
// to the segment's dtype. Rows of weight 0 are never read.
//
// With origin >= 0 the weights are those of an affine combination: they are taken to sum to exactly 1, the row
// `origin` standing for what the others leave, and the sum is formed as x_o + sum_i weights[i] * (x_i - x_o). Equal
// rows then give that row back bit for bit, and a common offset costs no digits.
//
// Returns false if any sum came out NaN or infinite. Cost: reads each row of non-zero weight once, writes d numbers.
bool combine(const Updates& updates, const double* weights, std::int64_t origin, Team& team, const Output* outputs);

}  // namespace rc
