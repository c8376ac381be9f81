// The point of a run of points that is farthest from a center; part of kernels.cpp.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels.hpp"

// NOLINTBEGIN: as in simd.hpp
namespace rc {
namespace {

// squares[i] = |(p_i - origin) scale - center|^2 for `count` points of k numbers. Few numbers are added one after the
// other, many points at a time; many in eight lanes. No sum is contracted, so that the compiler may choose the vectors.
template <class T, int K>
void squares_of_few(const T* points, int count, const Frame& frame, double* squares) {
  double origin[K], center[K];
  std::copy_n(frame.origin, K, origin);
  std::copy_n(frame.center, K, center);
  const double scale = frame.scale;
  for (int i = 0; i < count; ++i) {
    double sum = 0.0;
    for (int j = 0; j < K; ++j) {
      const double t = (static_cast<double>(points[i * K + j]) - origin[j]) * scale - center[j];
      sum += t * t;
    }
    squares[i] = sum;
  }
}

template <class T>
void squares_of_many(const T* points, int count, int k, const Frame& frame, double* squares) {
  const double *origin = frame.origin, *center = frame.center, scale = frame.scale;
  for (int i = 0; i < count; ++i) {
    const T* point = points + static_cast<std::int64_t>(i) * k;
    double lane[8] = {};
    const auto add = [&](int j, int l) {
      const double t = (static_cast<double>(point[j]) - origin[j]) * scale - center[j];
      lane[l] += t * t;
    };
    int j = 0;
    for (; j + 8 <= k; j += 8)
      for (int l = 0; l < 8; ++l) add(j + l, l);
    for (int l = 0; j < k; ++j, ++l) add(j, l);
    squares[i] = ((lane[0] + lane[4]) + (lane[2] + lane[6])) + ((lane[1] + lane[5]) + (lane[3] + lane[7]));
  }
}

template <class T>
Farthest farthest(const T* points, std::int64_t count, int k, const Frame& frame, const double* weights) {
  constexpr int panel = 128;
  alignas(64) double squares[panel];
  Farthest best{-1.0, 0, true};
  double finite = 0.0;
  for (std::int64_t first = 0; first < count; first += panel) {
    const int part = static_cast<int>(std::min<std::int64_t>(panel, count - first));
    const T* from = points + first * k;
    switch (k) {
      case 1: squares_of_few<T, 1>(from, part, frame, squares); break;
      case 2: squares_of_few<T, 2>(from, part, frame, squares); break;
      case 3: squares_of_few<T, 3>(from, part, frame, squares); break;
      case 4: squares_of_few<T, 4>(from, part, frame, squares); break;
      case 5: squares_of_few<T, 5>(from, part, frame, squares); break;
      case 6: squares_of_few<T, 6>(from, part, frame, squares); break;
      case 7: squares_of_few<T, 7>(from, part, frame, squares); break;
      default: squares_of_many<T>(from, part, k, frame, squares);
    }
    if (weights)
      for (int i = 0; i < part; ++i) squares[i] *= weights[first + i];
    double lanes[8] = {-1.0, -1.0, -1.0, -1.0, -1.0, -1.0, -1.0, -1.0}, checks[8] = {};
    for (int i = part; i < panel; ++i) squares[i] = -1.0;
    for (int i = 0; i < panel; i += 8)
      for (int l = 0; l < 8; ++l) {
        lanes[l] = squares[i + l] > lanes[l] ? squares[i + l] : lanes[l];
        checks[l] += squares[i + l] * 0.0;
      }
    for (int l = 0; l < 8; ++l) finite += checks[l];
    const double largest = *std::max_element(lanes, lanes + 8);
    if (largest > best.square) {
      best.square = largest;
      best.index = first + (std::find(squares, squares + part, largest) - squares);
    }
  }
  best.finite = finite == 0.0;
  return best;
}

}  // namespace
}  // namespace rc
// NOLINTEND
