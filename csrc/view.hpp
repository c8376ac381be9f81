// Non-owning views of what the caller holds. Nothing here allocates, copies or frees.
//
// An update is d numbers cut into segments (layers, shards); all n clients share the cuts. Coordinates are
// numbered 0 .. d-1 through the segments in order, and inside a segment in C order, whatever the memory order
// of a client's own array: the coordinate number alone decides which lane and which strip a number is added in,
// so the structure that carries an update never changes a bit of the result.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace rc {

enum class Dtype : std::uint8_t { f32, f64, f16, bf16 };

constexpr std::int64_t size_of(Dtype dtype) {
  return dtype == Dtype::f64 ? 8 : dtype == Dtype::f32 ? 4 : 2;
}

inline constexpr int most_axes = 64;  // as in numpy

// One client's share of one segment.
struct Row {
  const std::byte* data;        // null for a row of zeros, the origin
  const std::int64_t* strides;  // bytes per axis; null when C-contiguous
  bool swapped;                 // stored in the other byte order
};

// One segment of every client: rows[n], all of the same shape and dtype.
struct Segment {
  Dtype dtype;
  std::int64_t length;  // product of shape
  int ndim;  // at most most_axes
  const std::int64_t* shape;
  const Row* rows;
  std::int64_t begin;  // number of the segment's first coordinate
};

struct Updates {
  std::int64_t n;
  std::int64_t d;
  std::span<const Segment> segments;  // none of them empty, in order of begin
  // For mixed updates: weights[n][sources]. Row r is then the combination of the segments' rows with the weights of its
  // line, formed in float64 whenever a pass reads it. Either each line sums to 1 and the rows are points, or, where they
  // are relative, to 0: differences, whose last digits do not depend on how far away the points are. Null where the rows
  // are the segments' own.
  const double* mixing = nullptr;
  std::int64_t sources = 0;
  bool relative = false;
  bool widened = false;  // whether all strips are float64, whatever the rows are
};

// Where one segment of the result goes: C-contiguous, native byte order, the dtype of its segment.
using Output = std::byte*;

// n points of k numbers, C-contiguous, f32 or f64.
struct Points {
  const std::byte* data;
  Dtype dtype;
  std::int64_t n, k;
};

}  // namespace rc
