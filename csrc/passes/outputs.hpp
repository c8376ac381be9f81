// From float64 results to the caller's segments.
#pragma once

#include "strips.hpp"

namespace rc {

// Rounds the results of coordinates [begin, end) to the dtypes of their segments, once, and writes them there.
inline void store(const Updates& updates, std::int64_t begin, std::int64_t end, const double* results,
                  const Output* outputs) {
  for_each_piece(updates, begin, end, [&](const Segment& segment, auto index, std::int64_t offset, std::int64_t count) {
    std::byte* const out = outputs[index] + offset * size_of(segment.dtype);
    const int part = static_cast<int>(count);
    switch (segment.dtype) {
      case Dtype::f64: std::memcpy(out, results, static_cast<std::size_t>(count) * sizeof(double)); break;
      case Dtype::f32: kernels().round_f32(results, part, reinterpret_cast<float*>(out)); break;
      case Dtype::f16: kernels().round_f16(results, part, reinterpret_cast<std::uint16_t*>(out)); break;
      case Dtype::bf16: kernels().round_bf16(results, part, reinterpret_cast<std::uint16_t*>(out)); break;
    }
    results += count;
  });
}

}  // namespace rc
