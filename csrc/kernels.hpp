// The innermost loops, compiled once per instruction set (kernels.cpp) and chosen at run time (dispatch.cpp).
//
// All of them work on one strip: the same strip_columns consecutive coordinates of several rows, small enough
// to sit in a core's cache. A strip is padded with zeros, which add nothing to a distance.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "view.hpp"

namespace rc {

// The accuracy of the distances rests on these (passes/distances.hpp): of 16 float32 lanes each adds 10 squares in a
// run and 5 runs in a strip before it is widened.
inline constexpr int run_columns = 160;
inline constexpr int strip_columns = 5 * run_columns;

// What a coordinate-wise rule sorts at a time should fit in this; a table of n values for 32 coordinates is the least.
inline constexpr int table_bytes = 32 * 1024;

// Ten strips make a block, the unit that a thread takes at a time.
inline constexpr int block_columns = 10 * strip_columns;
inline std::int64_t block_count(const Updates& updates) { return (updates.d + block_columns - 1) / block_columns; }

// So many blocks make a superblock, whose share of a distance is rounded to float64 (passes/distances.hpp).
inline constexpr int superblock = 64;
inline constexpr std::int64_t superblock_columns = std::int64_t{superblock} * block_columns;
inline std::int64_t superblock_count(const Updates& updates) {
  return (updates.d + superblock_columns - 1) / superblock_columns;
}

// Rows a and b of a table, of which a keeps the smaller and b the larger value.
struct Comparator {
  std::int32_t low, high;
};

// What a coordinate-wise rule makes of the sorted values v[0] <= ... <= v[n-1] of a coordinate, at most f of them lies.
enum class Columnwise : std::uint8_t {
  median,        // the middle value, or the mean of the two
  trimmed_mean,  // the mean of v[f] .. v[n-1-f]
  meamed,        // the mean of the n - f values nearest the median
  phocas,        // the mean of the n - f values nearest the trimmed mean
  box_midpoint,  // the middle of [v[f], v[n-1-f]] cut with [mean of the n - f smallest, mean of the n - f largest]
  sign_majority,  // 1, -1 or 0, as more values are positive, negative, or neither (their order does not matter)
};

// How points are seen that a ball is looked for: as differences from an origin, in some unit, from a center.
struct Frame {
  const double* origin;
  double scale;
  const double* center;
};

// The points of a run that are farthest from the center.
struct Farthest {
  static constexpr int most = 16;
  struct Point {
    double square;  // weight * |(p - origin) scale - center|^2
    std::int64_t index;
  };
  int count;
  Point points[most];  // in no order
  double rest;         // no other square is larger
  bool finite;         // whether all squares are
};

// How points and centers are laid out for the search of the nearest center: so many points make a panel; so many centers
// are looked at together, their numbers side by side, coordinate after coordinate (what is missing in the last group does
// not matter).
struct Nearest {
  static constexpr int panel = 32, together = 4;
  static constexpr int columns = 64;  // of a panel, that are turned at a time: 16 KB
  static constexpr int groups(int k) { return (k + together - 1) / together; }
  static constexpr std::int64_t scratch(int k) { return (columns + groups(k) * together) * panel; }  // doubles
};

struct Kernels {
  std::string_view name;

  // sums[(i*stride + j)*8 ..][l] += the share of lane l (mod 8) in sum_k (a[i][k] - b[j][k])^2, for i < na, j < nb;
  // where a == b, for i < j < n alone; else b follows a in memory. Unless it is null, ahead[i] is where the strip behind
  // row i of a and b lies, which will be wanted next.
  void (*distances_f32)(const float* const* a, int na, const float* const* b, int nb, const void* const* ahead,
                        double* sums, int stride);
  void (*distances_f64)(const double* const* a, int na, const double* const* b, int nb, const void* const* ahead,
                        double* sums, int stride);

  // out[k] = origin[k] + sum_i weights[i] * (rows[i][k] - origin[k]), in float64; a null origin is zero, and one that is
  // relative is not added. Returns whether all of them are finite. columns is a multiple of 32.
  bool (*combine_f32)(const float* const* rows, const double* weights, int m, const float* origin, bool relative,
                      int columns, double* out);
  bool (*combine_f64)(const double* const* rows, const double* weights, int m, const double* origin, bool relative,
                      int columns, double* out);

  // out[k] = what the rule makes of rows[..][k]. Returns whether all values read are finite; if not, out means nothing.
  // network sorts n values as far as the rule looks at their order; table has room for table_bytes and for 32 * n values.
  // columns is strip_columns.
  bool (*columns_f32)(const float* const* rows, int n, int columns, Columnwise rule, int f,
                      std::span<const Comparator> network, float* table, double* out);
  bool (*columns_f64)(const double* const* rows, int n, int columns, Columnwise rule, int f,
                      std::span<const Comparator> network, double* table, double* out);

  // Of `count` points of k numbers each, one behind the other, the farthest whose squares are beyond `least`; without
  // weights, each has 1.
  Farthest (*farthest_f32)(const float* points, std::int64_t count, int k, const Frame& frame, const double* weights,
                           double least);
  Farthest (*farthest_f64)(const double* points, std::int64_t count, int k, const Frame& frame, const double* weights,
                           double least);

  // distances[i] = the distance of point i, d numbers each, to the nearest of k centers, and labels[i] (unless labels are
  // null) which one that is, the first of equals. centers is laid out as Nearest says.
  void (*nearest_f32)(const float* points, std::int64_t count, int d, const double* centers, int k, double* scratch,
                      std::int32_t* labels, double* distances);
  void (*nearest_f64)(const double* points, std::int64_t count, int d, const double* centers, int k, double* scratch,
                      std::int32_t* labels, double* distances);

  // Widening on the way in, exact; rounding to nearest even on the way out, once.
  void (*widen_f16)(const std::uint16_t* in, int columns, float* out);
  void (*widen_bf16)(const std::uint16_t* in, int columns, float* out);
  void (*round_f32)(const double* in, int columns, float* out);
  void (*round_f16)(const double* in, int columns, std::uint16_t* out);
  void (*round_bf16)(const double* in, int columns, std::uint16_t* out);
};

// What this build and this processor can run, slowest first.
std::span<const Kernels* const> available_kernels();

// The kernels in use: the fastest available, unless use_kernels or ROBUSTCORE_ISA (read once) says otherwise.
const Kernels& kernels();

// Throws std::invalid_argument where the name is not among the available.
void use_kernels(std::string_view name);

}  // namespace rc
