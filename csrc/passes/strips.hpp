// How the passes walk over the coordinates.
//
// The coordinates 0 .. d-1 are cut into blocks and strips (kernels.hpp) that ignore where segments end. A full strip
// inside one segment, whose rows are native, contiguous and aligned, is handed to the kernels where it lies;
// anything else (a strip across segments, the last one, half-width formats, strides, foreign byte order) is first
// gathered into the worker's own buffer. The kernels see the same numbers in the same places either way.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <numeric>
#include <vector>

#include "../kernels.hpp"
#include "../view.hpp"

namespace rc {

// Numbers to read below which waking the other threads takes longer than the work.
inline constexpr std::int64_t worth_threads = 1 << 17;

// What a row of zeros points to, for as many columns as a pass asks for at a time.
alignas(64) inline constexpr double zeros[block_columns] = {};

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
template <class T>
void fetch(const Segment& segment, const Row& row, std::int64_t offset, std::int64_t count, std::byte* out) {
  constexpr std::int64_t size = sizeof(T);
  if (!row.data) {
    std::memset(out, 0, static_cast<std::size_t>(count * size));
  } else if (!row.strides) {
    std::memcpy(out, row.data + offset * size, static_cast<std::size_t>(count * size));
  } else {
    const int last = segment.ndim - 1;
    std::int64_t index[most_axes];
    const std::byte* from = row.data;
    for (int axis = last; axis >= 0; --axis) {
      index[axis] = offset % segment.shape[axis];
      offset /= segment.shape[axis];
      from += index[axis] * row.strides[axis];
    }
    for (std::int64_t done = 0; done < count;) {
      const std::int64_t along = std::min(count - done, segment.shape[last] - index[last]);
      for (std::int64_t k = 0; k < along; ++k, from += row.strides[last])
        std::memcpy(out + (done + k) * size, from, sizeof(T));
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

inline void fetch(const Segment& segment, const Row& row, std::int64_t offset, std::int64_t count, std::byte* out) {
  switch (size_of(segment.dtype)) {
    case 2: return fetch<std::uint16_t>(segment, row, offset, count, out);
    case 4: return fetch<std::uint32_t>(segment, row, offset, count, out);
    default: return fetch<std::uint64_t>(segment, row, offset, count, out);
  }
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

  void operator()(const Updates& updates, std::int64_t i, std::int64_t begin, std::int64_t end, double* out) {
    each(updates, i, begin, end, [&](Dtype dtype, int count) {
      switch (dtype) {
        case Dtype::f64: std::copy_n(raw_.f64, count, out); break;
        case Dtype::f16: kernels().widen_f16(raw_.u16, count, narrow_); std::copy_n(narrow_, count, out); break;
        case Dtype::bf16: kernels().widen_bf16(raw_.u16, count, narrow_); std::copy_n(narrow_, count, out); break;
        default: std::copy_n(raw_.f32, count, out);
      }
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

// Strips of some rows, as the kernels want them: either f32 or f64 is set.
struct Strips {
  const float* const* f32;
  const double* const* f64;
  const void* const* ahead;  // where the strip behind this one lies in memory, row by row; null if it is gathered
  int columns;               // a multiple of strip_columns, zeros behind the last coordinate
};

// One worker's way to the segments' own rows: pointers, and a buffer for strips that cannot be used where they lie.
class RowReader {
 public:
  explicit RowReader(const Updates& updates) : updates_(updates) {}

  // The next strips of rows[0 .. count-1] from coordinate `begin` on, before `end`, at most `limit` columns. All of
  // them are of one kind; the caller comes back for the rest.
  Strips next(const std::int64_t* rows, std::int64_t count, std::int64_t begin, std::int64_t end, std::int64_t limit) {
    const Segment* segment = direct(rows, count, begin);
    if (!segment) return gathered(rows, count, begin);
    const std::int64_t there = std::min(end, segment->begin + segment->length) - begin;
    const int columns = static_cast<int>(std::min(there, limit) / strip_columns) * strip_columns;
    const std::int64_t size = size_of(segment->dtype), skip = (begin - segment->begin) * size;
    resize(count);
    for (std::int64_t i = 0; i < count; ++i) {
      const std::byte* data = segment->rows[rows[i]].data;
      pointers_[i] = data ? data + skip : reinterpret_cast<const std::byte*>(zeros);
      ahead_[i] = data ? data + skip + columns * size : pointers_[i];
    }
    return hand_out(segment->dtype == Dtype::f64, columns, there >= columns + strip_columns);
  }

  // The same for one strip that every row will meet many others in: worth a copy to where all rows lie side by side,
  // aligned. Rows as they come may all fall into the same few lines of the cache (when d is a multiple of a large power
  // of two) and straddle two lines with each vector.
  Strips next_packed(const std::int64_t* rows, std::int64_t count, std::int64_t begin, std::int64_t end) {
    const Strips strips = next(rows, count, begin, end, strip_columns);
    const std::size_t bytes = strip_columns * (strips.f64 ? sizeof(double) : sizeof(float));
    if (count < worth_packing || pointers_[0] == buffer()) return strips;
    reserve(count);
    for (std::int64_t i = 0; i < count; ++i) {
      std::byte* to = buffer() + i * bytes;
      std::memcpy(to, pointers_[i], bytes);
      pointers_[i] = to;
    }
    return hand_out(strips.f64, strips.columns, strips.ahead);
  }

 private:
  static constexpr std::int64_t worth_packing = 24;

  // The segment that holds the whole strip at `begin` of all these rows just as the kernels read it, or null.
  const Segment* direct(const std::int64_t* rows, std::int64_t count, std::int64_t begin) const {
    const Segment* found = nullptr;
    for_each_piece(updates_, begin, begin + 1, [&](const Segment& s, auto...) { found = &s; });
    if (found->begin + found->length < begin + strip_columns) return nullptr;
    if (found->dtype != Dtype::f64 && (found->dtype != Dtype::f32 || updates_.widened)) return nullptr;
    for (std::int64_t i = 0; i < count; ++i) {
      const Row& row = found->rows[rows[i]];
      if (!row.data) continue;
      const bool aligned = reinterpret_cast<std::uintptr_t>(row.data) % size_of(found->dtype) == 0;
      if (row.strides || row.swapped || !aligned) return nullptr;
    }
    return found;
  }

  Strips gathered(const std::int64_t* rows, std::int64_t count, std::int64_t begin) {
    const std::int64_t end = std::min(begin + strip_columns, updates_.d);
    bool wide = updates_.widened;
    for_each_piece(updates_, begin, end, [&](const Segment& s, auto...) { wide = wide || s.dtype == Dtype::f64; });
    resize(count);
    reserve(count);
    for (std::int64_t i = 0; i < count; ++i)
      pointers_[i] = wide ? gather(rows[i], begin, end, reinterpret_cast<double*>(buffer()) + i * strip_columns)
                          : gather(rows[i], begin, end, reinterpret_cast<float*>(buffer()) + i * strip_columns);
    return hand_out(wide, strip_columns, false);
  }

  template <class T>
  const std::byte* gather(std::int64_t row, std::int64_t begin, std::int64_t end, T* out) {
    gather_(updates_, row, begin, end, out);
    std::fill(out + (end - begin), out + strip_columns, T(0));
    return reinterpret_cast<const std::byte*>(out);
  }

  Strips hand_out(bool wide, int columns, bool more) {
    for (std::size_t i = 0; i < pointers_.size(); ++i) {
      if (wide)
        wide_[i] = reinterpret_cast<const double*>(pointers_[i]);
      else
        narrow_[i] = reinterpret_cast<const float*>(pointers_[i]);
    }
    return {wide ? nullptr : narrow_.data(), wide ? wide_.data() : nullptr, more ? ahead_.data() : nullptr, columns};
  }

  void resize(std::int64_t count) {
    pointers_.resize(static_cast<std::size_t>(count));
    ahead_.resize(static_cast<std::size_t>(count));
    narrow_.resize(static_cast<std::size_t>(count));
    wide_.resize(static_cast<std::size_t>(count));
  }
  void reserve(std::int64_t count) {
    const auto numbers = static_cast<std::size_t>(count * strip_columns + 8);
    if (buffer_.size() < numbers) buffer_.resize(numbers);
  }
  std::byte* buffer() {
    void* start = buffer_.data();
    std::size_t space = buffer_.size() * sizeof(double);
    return static_cast<std::byte*>(std::align(64, 1, start, space));
  }

  const Updates& updates_;
  Gather gather_;
  std::vector<const std::byte*> pointers_;
  std::vector<const void*> ahead_;
  std::vector<const float*> narrow_;
  std::vector<const double*> wide_;
  std::vector<double> buffer_;
};

// One worker's way to the strips of any updates: those of mixed ones are formed here, in float64.
class StripReader {
 public:
  explicit StripReader(const Updates& updates) : updates_(updates), rows_(updates) {
    if (updates.mixing)
      for (std::int64_t r = 0; r < updates.n; ++r) blends_.push_back(blend(updates.mixing + r * updates.sources));
    for (std::int64_t i = 0; i < updates.sources; ++i) all_.push_back(i);
    narrow_.resize(all_.size());
    wide_.resize(all_.size());
  }

  // As RowReader has them.
  Strips next(const std::int64_t* rows, std::int64_t count, std::int64_t begin, std::int64_t end, std::int64_t limit) {
    return updates_.mixing ? mixed(rows, count, begin, end) : rows_.next(rows, count, begin, end, limit);
  }
  Strips next_packed(const std::int64_t* rows, std::int64_t count, std::int64_t begin, std::int64_t end) {
    return updates_.mixing ? mixed(rows, count, begin, end) : rows_.next_packed(rows, count, begin, end);
  }

 private:
  // The rows that have a weight in a mixed one. The heaviest comes last, the origin of the others: it stands for what they
  // leave of 1 (or of 0).
  struct Blend {
    std::vector<std::int64_t> rows;
    std::vector<double> weights;
  };

  Blend blend(const double* weights) const {
    Blend out;
    const auto lighter = [](double a, double b) { return std::abs(a) < std::abs(b); };
    const std::int64_t origin = std::max_element(weights, weights + updates_.sources, lighter) - weights;
    const auto add = [&](std::int64_t i) {
      out.rows.push_back(i);
      out.weights.push_back(weights[i]);
    };
    for (std::int64_t i = 0; i < updates_.sources; ++i)
      if (weights[i] != 0.0 && i != origin) add(i);
    add(origin);
    return out;
  }

  Strips mixed(const std::int64_t* rows, std::int64_t count, std::int64_t begin, std::int64_t end) {
    const Strips of = rows_.next(all_.data(), updates_.sources, begin, end, strip_columns);
    buffer_.resize(std::max(buffer_.size(), static_cast<std::size_t>(count * strip_columns)));
    pointers_.resize(static_cast<std::size_t>(count));
    for (std::int64_t i = 0; i < count; ++i) {
      double* out = buffer_.data() + i * strip_columns;
      if (of.f32)
        mix(kernels().combine_f32, of.f32, blends_[rows[i]], updates_.relative, narrow_, out);
      else
        mix(kernels().combine_f64, of.f64, blends_[rows[i]], updates_.relative, wide_, out);
      pointers_[i] = out;
    }
    return {nullptr, pointers_.data(), nullptr, strip_columns};
  }

  template <class Combine, class T>
  static void mix(Combine combine, const T* const* of, const Blend& blend, bool relative, std::vector<const T*>& chosen,
                  double* out) {
    const int m = static_cast<int>(blend.rows.size()) - 1;
    for (int k = 0; k <= m; ++k) chosen[k] = of[blend.rows[k]];
    if (!combine(chosen.data(), blend.weights.data(), m, chosen[m], relative, strip_columns, out))
      combine(chosen.data(), blend.weights.data(), m + 1, nullptr, false, strip_columns, out);  // too far apart to subtract
  }

  const Updates& updates_;
  RowReader rows_;
  std::vector<Blend> blends_;
  std::vector<std::int64_t> all_;
  std::vector<const float*> narrow_;
  std::vector<const double*> wide_, pointers_;
  std::vector<double> buffer_;
};

}  // namespace rc
