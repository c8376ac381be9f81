// How the passes walk over the coordinates.
//
// The coordinates 0 .. d-1 are cut into blocks and strips (kernels.hpp) that ignore where segments end. A full strip
// inside one segment, whose rows are native, contiguous and aligned, is handed to the kernels where it lies;
// anything else (a strip across segments, the last one, half-width formats, strides, foreign byte order) is first
// gathered into the worker's own buffer. The kernels see the same numbers in the same places either way.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <vector>

#include "../kernels.hpp"
#include "../view.hpp"

namespace rc {

// Calls f(segment, index, offset, count) for each piece of a segment within coordinates [begin, end).
template <class F>
void for_each_piece(const Updates& updates, std::int64_t begin, std::int64_t end, F&& f) {
  const auto& segments = updates.segments;
  auto it = std::upper_bound(segments.begin(), segments.end(), begin,
                             [](std::int64_t k, const Segment& s) { return k < s.begin; }) - 1;
  for (; it != segments.end() && it->begin < end; ++it) {
    const std::int64_t first = std::max(begin, it->begin), last = std::min(end, it->begin + it->length);
    f(*it, it - segments.begin(), first - it->begin, last - first);
  }
}

// Copies elements [offset, offset + count) of one row of a segment, in C order, to native contiguous storage.
inline void fetch(const Segment& segment, const Row& row, std::int64_t offset, std::int64_t count, std::byte* out) {
  const std::int64_t size = size_of(segment.dtype);
  const auto copy = [&](std::byte* to, const std::byte* from, std::int64_t elements) {
    std::memcpy(to, from, static_cast<std::size_t>(elements * size));
  };
  if (!row.strides) {
    copy(out, row.data + offset * size, count);
  } else {
    const int last = segment.ndim - 1;
    std::vector<std::int64_t> index(static_cast<std::size_t>(segment.ndim));
    const std::byte* from = row.data;
    for (int axis = last; axis >= 0; --axis) {
      index[axis] = offset % segment.shape[axis];
      offset /= segment.shape[axis];
      from += index[axis] * row.strides[axis];
    }
    for (std::int64_t done = 0; done < count;) {
      const std::int64_t along = std::min(count - done, segment.shape[last] - index[last]);
      for (std::int64_t k = 0; k < along; ++k, from += row.strides[last]) copy(out + (done + k) * size, from, 1);
      done += along;
      index[last] += along;
      for (int axis = last; axis > 0 && index[axis] == segment.shape[axis]; --axis) {  // carry to the next axis
        from += row.strides[axis - 1] - index[axis] * row.strides[axis];
        index[axis] = 0;
        ++index[axis - 1];
      }
    }
  }
  if (row.swapped)
    for (std::int64_t k = 0; k < count; ++k) std::reverse(out + k * size, out + (k + 1) * size);
}

// The coordinates of one row as float32 (which holds every dtype but float64 exactly) or as float64.
class Gather {
 public:
  void operator()(const Updates& updates, std::int64_t i, std::int64_t begin, std::int64_t end, float* out) {
    each(updates, i, begin, end, [&](Dtype dtype, int count) {
      switch (dtype) {
        case Dtype::f16: kernels().widen_f16(raw_.u16, count, out); break;
        case Dtype::bf16: kernels().widen_bf16(raw_.u16, count, out); break;
        default: std::copy_n(raw_.f32, count, out);
      }
      out += count;
    });
  }

  // Times `scale`, a power of two that brings the squares of very large and very small numbers into range.
  void operator()(const Updates& updates, std::int64_t i, std::int64_t begin, std::int64_t end, double* out,
                  double scale = 1.0) {
    each(updates, i, begin, end, [&](Dtype dtype, int count) {
      switch (dtype) {
        case Dtype::f64: std::copy_n(raw_.f64, count, out); break;
        case Dtype::f16: kernels().widen_f16(raw_.u16, count, narrow_); std::copy_n(narrow_, count, out); break;
        case Dtype::bf16: kernels().widen_bf16(raw_.u16, count, narrow_); std::copy_n(narrow_, count, out); break;
        default: std::copy_n(raw_.f32, count, out);
      }
      if (scale != 1.0)
        for (int k = 0; k < count; ++k) out[k] *= scale;
      out += count;
    });
  }

 private:
  static constexpr int chunk = 256;

  template <class F>
  void each(const Updates& updates, std::int64_t i, std::int64_t begin, std::int64_t end, F&& f) {
    for_each_piece(updates, begin, end, [&](const Segment& segment, auto, std::int64_t offset, std::int64_t count) {
      for (std::int64_t k = 0; k < count; k += chunk) {
        const int part = static_cast<int>(std::min<std::int64_t>(chunk, count - k));
        fetch(segment, segment.rows[i], offset + k, part, raw_.bytes);
        f(segment.dtype, part);
      }
    });
  }

  union {
    alignas(64) std::byte bytes[chunk * 8];
    std::uint16_t u16[chunk];
    float f32[chunk];
    double f64[chunk];
  } raw_;
  float narrow_[chunk];
};

// Strips [begin, end) of some rows, as the kernels want them: either f32 or f64 is set.
struct Strips {
  const float* const* f32;
  const double* const* f64;
  int columns;  // a multiple of strip_columns, zeros behind the last coordinate
  bool more;    // another such strip lies behind each row
};

// One worker's way to the strips: pointers, and a buffer for those that must be gathered.
class StripReader {
 public:
  explicit StripReader(const Updates& updates, double scale = 1.0) : updates_(updates), scale_(scale) {}

  // The next strips of rows[0 .. count-1] from coordinate `begin` on, before `end`, at most `limit` columns. All of
  // them are of one kind; the caller comes back for the rest.
  Strips next(const std::int64_t* rows, std::int64_t count, std::int64_t begin, std::int64_t end, std::int64_t limit) {
    if (const Segment* segment = scale_ == 1.0 ? direct(rows, count, begin) : nullptr) {
      const std::int64_t there = std::min(end, segment->begin + segment->length) - begin;
      const int columns = static_cast<int>(std::min(there, limit) / strip_columns) * strip_columns;
      pointers_.resize(static_cast<std::size_t>(count));
      const std::int64_t skip = (begin - segment->begin) * size_of(segment->dtype);
      for (std::int64_t i = 0; i < count; ++i) pointers_[i] = segment->rows[rows[i]].data + skip;
      return hand_out(segment->dtype == Dtype::f64, columns, there >= columns + strip_columns);
    }
    const std::int64_t stop = std::min(begin + strip_columns, updates_.d);
    bool wide = scale_ != 1.0;
    for_each_piece(updates_, begin, stop, [&](const Segment& s, auto...) { wide = wide || s.dtype == Dtype::f64; });
    return wide ? gathered<double>(rows, count, begin, stop) : gathered<float>(rows, count, begin, stop);
  }

 private:
  // The segment that holds the whole strip at `begin` of all these rows just as the kernels read it, or null.
  const Segment* direct(const std::int64_t* rows, std::int64_t count, std::int64_t begin) const {
    const Segment* found = nullptr;
    for_each_piece(updates_, begin, begin + 1, [&](const Segment& s, auto...) { found = &s; });
    if (found->begin + found->length < begin + strip_columns) return nullptr;
    if (found->dtype != Dtype::f32 && found->dtype != Dtype::f64) return nullptr;
    for (std::int64_t i = 0; i < count; ++i) {
      const Row& row = found->rows[rows[i]];
      const bool aligned = reinterpret_cast<std::uintptr_t>(row.data) % size_of(found->dtype) == 0;
      if (row.strides || row.swapped || !aligned) return nullptr;
    }
    return found;
  }

  template <class T>
  Strips gathered(const std::int64_t* rows, std::int64_t count, std::int64_t begin, std::int64_t end) {
    buffer_.resize(static_cast<std::size_t>(count * strip_columns) * sizeof(T) / sizeof(double) + 1);
    pointers_.resize(static_cast<std::size_t>(count));
    for (std::int64_t i = 0; i < count; ++i) {
      T* out = reinterpret_cast<T*>(buffer_.data()) + i * strip_columns;
      if constexpr (std::is_same_v<T, double>)
        gather_(updates_, rows[i], begin, end, out, scale_);
      else
        gather_(updates_, rows[i], begin, end, out);
      std::fill(out + (end - begin), out + strip_columns, T(0));
      pointers_[i] = out;
    }
    return hand_out(std::is_same_v<T, double>, strip_columns, false);
  }

  Strips hand_out(bool wide, int columns, bool more) const {
    const auto* pointers = pointers_.data();
    return {wide ? nullptr : reinterpret_cast<const float* const*>(pointers),
            wide ? reinterpret_cast<const double* const*>(pointers) : nullptr, columns, more};
  }

  const Updates& updates_;
  double scale_;
  Gather gather_;
  std::vector<const void*> pointers_;
  std::vector<double> buffer_;
};

}  // namespace rc
