// The points of a run of points that are farthest from a center; part of kernels.cpp.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels.hpp"
#include "simd.hpp"

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

// k >= 8. The last numbers, fewer than eight, come with those before them, which are multiplied by zero.
template <class T>
void squares_of_many(const T* points, int count, int k, const Frame& frame, double* squares) {
  constexpr int vectors = 8 / F64::lanes;
  const double *origin = frame.origin, *center = frame.center;
  const F64 scale = F64::fill(frame.scale);
  const int last = k - 8, left = k % 8;
  double last_ones[8];
  for (int l = 0; l < 8; ++l) last_ones[l] = l < 8 - left ? 0.0 : 1.0;
  for (int i = 0; i < count; ++i) {
    const T* point = points + static_cast<std::int64_t>(i) * k;
    alignas(64) double lane[8];
    for (int v = 0; v < vectors; ++v) {
      const int l = v * F64::lanes;
      const auto from_center = [&](int j) {
        return (F64::load(point + j) - F64::load(origin + j)) * scale - F64::load(center + j);
      };
      F64 t = from_center(l), sum = t * t;
      for (int j = l + 8; j <= last + l; j += 8) {
        t = from_center(j);
        sum = sum + t * t;
      }
      if (left) {
        t = from_center(last + l) * F64::load(last_ones + l);
        sum = sum + t * t;
      }
      sum.store(lane + l);
    }
    squares[i] = ((lane[0] + lane[4]) + (lane[2] + lane[6])) + ((lane[1] + lane[5]) + (lane[3] + lane[7]));
  }
}

// Those of squares[0 .. count-1] that belong among the farthest join them, a heap whose top is the nearest.
inline void keep(const double* squares, int count, std::int64_t first, double least, Farthest& far) {
  const auto farther = [](const Farthest::Point& a, const Farthest::Point& b) { return a.square > b.square; };
  Farthest::Point* points = far.points;
  for (int i = 0; i < count; ++i) {
    double square = squares[i];
    if (square > least && (far.count < Farthest::most || square > points[0].square)) {
      if (far.count == Farthest::most) {
        std::pop_heap(points, points + far.count, farther);
        std::swap(square, points[far.count - 1].square);
      } else {
        points[far.count++].square = square;
        square = -1.0;
      }
      points[far.count - 1].index = first + i;
      std::push_heap(points, points + far.count, farther);
    }
    if (square > far.rest) far.rest = square;
  }
}

template <class T>
Farthest farthest(const T* points, std::int64_t count, int k, const Frame& frame, const double* weights, double least) {
  constexpr int panel = 128;
  alignas(64) double squares[panel];
  Farthest far;
  far.count = 0;
  far.rest = -1.0;
  double finite = 0.0;
  const F64 zero = F64::fill(0.0);
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
    for (int i = part; i < panel; ++i) squares[i] = -1.0;
    double lanes[8], checks[8];
    for (int l = 0; l < 8; l += F64::lanes) {
      F64 most = F64::load(squares + l), check = most * zero;
      for (int i = l + 8; i < panel; i += 8) {
        const F64 square = F64::load(squares + i);
        most = max(square, most);
        check = check + square * zero;
      }
      most.store(lanes + l);
      check.store(checks + l);
    }
    for (int l = 0; l < 8; ++l) finite += checks[l];
    const double largest = *std::max_element(lanes, lanes + 8);
    if (largest > (far.count == Farthest::most ? far.points[0].square : least))
      keep(squares, part, first, least, far);
    else
      far.rest = std::max(far.rest, largest);
  }
  far.finite = finite == 0.0;
  return far;
}

}  // namespace
}  // namespace rc
// NOLINTEND
