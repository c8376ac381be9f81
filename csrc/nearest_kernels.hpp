// The nearest of a few centers for each of many points; part of kernels.cpp.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels.hpp"
#include "simd.hpp"

// NOLINTBEGIN: as in simd.hpp
namespace rc {
namespace {

// Coordinates of a panel of points are turned, so that a vector holds one coordinate of several points: each point has
// a lane of its own, in which its square is added up coordinate after coordinate, whatever the width of the vectors.
#if defined(__AVX512F__) || defined(__aarch64__)
inline constexpr int panel_vectors = 4;  // in registers, beside as many for each of the centers that go together
#else
inline constexpr int panel_vectors = 2;
#endif

// squares[c][p] += the share of these columns in |point p - center c|^2, for the first Count centers of one group.
template <int Count>
void add_squares(const double* turned, const double* group, int columns, double* squares) {
  for (int sweep = 0; sweep < Nearest::panel; sweep += panel_vectors * F64::lanes) {
    F64 sum[Count][panel_vectors];
    for (int c = 0; c < Count; ++c)
      for (int v = 0; v < panel_vectors; ++v)
        sum[c][v] = F64::load(squares + c * Nearest::panel + sweep + v * F64::lanes);
    for (int j = 0; j < columns; ++j) {
      F64 x[panel_vectors];
      for (int v = 0; v < panel_vectors; ++v) x[v] = F64::load(turned + j * Nearest::panel + sweep + v * F64::lanes);
      for (int c = 0; c < Count; ++c) {
        const F64 y = F64::fill(group[j * Nearest::together + c]);
        for (int v = 0; v < panel_vectors; ++v) {
          const F64 t = x[v] - y;
          sum[c][v] = madd(t, t, sum[c][v]);
        }
      }
    }
    for (int c = 0; c < Count; ++c)
      for (int v = 0; v < panel_vectors; ++v)
        sum[c][v].store(squares + c * Nearest::panel + sweep + v * F64::lanes);
  }
}

template <class T>
void nearest(const T* points, std::int64_t count, int d, const double* centers, int k, double* scratch,
             std::int32_t* labels, double* distances) {
  constexpr int panel = Nearest::panel;
  const int groups = Nearest::groups(k);
  double *const turned = scratch, *const squares = scratch + Nearest::columns * panel;
  for (std::int64_t first = 0; first < count; first += panel) {
    const int part = static_cast<int>(std::min<std::int64_t>(panel, count - first));
    std::fill_n(squares, groups * Nearest::together * panel, 0.0);
    for (int from = 0; from < d; from += Nearest::columns) {
      const int columns = std::min(Nearest::columns, d - from);
      for (int p = 0; p < part; ++p) {
        const T* point = points + (first + p) * d + from;
        for (int j = 0; j < columns; ++j) turned[j * panel + p] = static_cast<double>(point[j]);
      }
      for (int g = 0; g < groups; ++g) {
        const double* const group = centers + (static_cast<std::int64_t>(g) * d + from) * Nearest::together;
        const bool one = k - g * Nearest::together == 1;
        (one ? add_squares<1> : add_squares<Nearest::together>)(turned, group, columns,
                                                                squares + g * Nearest::together * panel);
      }
    }
    alignas(64) double least[panel], label[panel] = {};
    std::copy_n(squares, panel, least);
    for (int c = 1; c < k; ++c) {
      const double* const of = squares + c * panel;
      for (int p = 0; p < panel; ++p) {
        label[p] = of[p] < least[p] ? static_cast<double>(c) : label[p];
        least[p] = of[p] < least[p] ? of[p] : least[p];
      }
    }
    for (int p = 0; p < panel; p += F64::lanes) root(F64::load(least + p)).store(least + p);
    std::copy_n(least, part, distances + first);
    if (labels)
      for (int p = 0; p < part; ++p) labels[first + p] = static_cast<std::int32_t>(label[p]);
  }
}

}  // namespace
}  // namespace rc
// NOLINTEND
