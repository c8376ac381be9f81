// Vectors of 2 to 16 numbers, one small type per instruction set, and nothing else.
//
// Included only by kernels.cpp, which is compiled once for each instruction set. The types differ in width; the
// kernels above them fix which lane a number belongs to and in what order lanes are added, so that every width
// gives the same bits. madd(a, b, c) rounds once: in hardware, or through std::fma where there is none. min and max
// give b where a == b, as x86 does: what becomes of -0.0 beside 0.0 is the same everywhere.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#if defined(__AVX2__) || defined(__AVX512F__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

// NOLINTBEGIN: the anonymous namespace keeps one instruction set's inlines out of another's object file.
namespace {

#if defined(__AVX512F__)

struct F32 {
  using scalar = float;
  static constexpr int lanes = 16;
  __m512 v;
  static F32 load(const float* p) { return {_mm512_loadu_ps(p)}; }
  static F32 fill(float x) { return {_mm512_set1_ps(x)}; }
  void store(float* p) const { _mm512_storeu_ps(p, v); }
};
inline F32 operator+(F32 a, F32 b) { return {_mm512_add_ps(a.v, b.v)}; }
inline F32 operator-(F32 a, F32 b) { return {_mm512_sub_ps(a.v, b.v)}; }
inline F32 operator*(F32 a, F32 b) { return {_mm512_mul_ps(a.v, b.v)}; }
inline F32 min(F32 a, F32 b) { return {_mm512_min_ps(a.v, b.v)}; }
inline F32 max(F32 a, F32 b) { return {_mm512_max_ps(a.v, b.v)}; }
inline F32 madd(F32 a, F32 b, F32 c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }

struct F64 {
  using scalar = double;
  static constexpr int lanes = 8;
  __m512d v;
  static F64 load(const double* p) { return {_mm512_loadu_pd(p)}; }
  static F64 load(const float* p) { return {_mm512_cvtps_pd(_mm256_loadu_ps(p))}; }
  static F64 fill(double x) { return {_mm512_set1_pd(x)}; }
  void store(double* p) const { _mm512_storeu_pd(p, v); }
};
inline F64 operator+(F64 a, F64 b) { return {_mm512_add_pd(a.v, b.v)}; }
inline F64 operator-(F64 a, F64 b) { return {_mm512_sub_pd(a.v, b.v)}; }
inline F64 operator*(F64 a, F64 b) { return {_mm512_mul_pd(a.v, b.v)}; }
inline F64 min(F64 a, F64 b) { return {_mm512_min_pd(a.v, b.v)}; }
inline F64 max(F64 a, F64 b) { return {_mm512_max_pd(a.v, b.v)}; }
inline F64 madd(F64 a, F64 b, F64 c) { return {_mm512_fmadd_pd(a.v, b.v, c.v)}; }
inline F64 root(F64 a) { return {_mm512_sqrt_pd(a.v)}; }

#elif defined(__AVX2__) && defined(__FMA__)

struct F32 {
  using scalar = float;
  static constexpr int lanes = 8;
  __m256 v;
  static F32 load(const float* p) { return {_mm256_loadu_ps(p)}; }
  static F32 fill(float x) { return {_mm256_set1_ps(x)}; }
  void store(float* p) const { _mm256_storeu_ps(p, v); }
};
inline F32 operator+(F32 a, F32 b) { return {_mm256_add_ps(a.v, b.v)}; }
inline F32 operator-(F32 a, F32 b) { return {_mm256_sub_ps(a.v, b.v)}; }
inline F32 operator*(F32 a, F32 b) { return {_mm256_mul_ps(a.v, b.v)}; }
inline F32 min(F32 a, F32 b) { return {_mm256_min_ps(a.v, b.v)}; }
inline F32 max(F32 a, F32 b) { return {_mm256_max_ps(a.v, b.v)}; }
inline F32 madd(F32 a, F32 b, F32 c) { return {_mm256_fmadd_ps(a.v, b.v, c.v)}; }

struct F64 {
  using scalar = double;
  static constexpr int lanes = 4;
  __m256d v;
  static F64 load(const double* p) { return {_mm256_loadu_pd(p)}; }
  static F64 load(const float* p) { return {_mm256_cvtps_pd(_mm_loadu_ps(p))}; }
  static F64 fill(double x) { return {_mm256_set1_pd(x)}; }
  void store(double* p) const { _mm256_storeu_pd(p, v); }
};
inline F64 operator+(F64 a, F64 b) { return {_mm256_add_pd(a.v, b.v)}; }
inline F64 operator-(F64 a, F64 b) { return {_mm256_sub_pd(a.v, b.v)}; }
inline F64 operator*(F64 a, F64 b) { return {_mm256_mul_pd(a.v, b.v)}; }
inline F64 min(F64 a, F64 b) { return {_mm256_min_pd(a.v, b.v)}; }
inline F64 max(F64 a, F64 b) { return {_mm256_max_pd(a.v, b.v)}; }
inline F64 madd(F64 a, F64 b, F64 c) { return {_mm256_fmadd_pd(a.v, b.v, c.v)}; }
inline F64 root(F64 a) { return {_mm256_sqrt_pd(a.v)}; }

#elif defined(__aarch64__)

struct F32 {
  using scalar = float;
  static constexpr int lanes = 4;
  float32x4_t v;
  static F32 load(const float* p) { return {vld1q_f32(p)}; }
  static F32 fill(float x) { return {vdupq_n_f32(x)}; }
  void store(float* p) const { vst1q_f32(p, v); }
};
inline F32 operator+(F32 a, F32 b) { return {vaddq_f32(a.v, b.v)}; }
inline F32 operator-(F32 a, F32 b) { return {vsubq_f32(a.v, b.v)}; }
inline F32 operator*(F32 a, F32 b) { return {vmulq_f32(a.v, b.v)}; }
inline F32 min(F32 a, F32 b) { return {vbslq_f32(vcltq_f32(a.v, b.v), a.v, b.v)}; }
inline F32 max(F32 a, F32 b) { return {vbslq_f32(vcgtq_f32(a.v, b.v), a.v, b.v)}; }
inline F32 madd(F32 a, F32 b, F32 c) { return {vfmaq_f32(c.v, a.v, b.v)}; }

struct F64 {
  using scalar = double;
  static constexpr int lanes = 2;
  float64x2_t v;
  static F64 load(const double* p) { return {vld1q_f64(p)}; }
  static F64 load(const float* p) { return {vcvt_f64_f32(vld1_f32(p))}; }
  static F64 fill(double x) { return {vdupq_n_f64(x)}; }
  void store(double* p) const { vst1q_f64(p, v); }
};
inline F64 operator+(F64 a, F64 b) { return {vaddq_f64(a.v, b.v)}; }
inline F64 operator-(F64 a, F64 b) { return {vsubq_f64(a.v, b.v)}; }
inline F64 operator*(F64 a, F64 b) { return {vmulq_f64(a.v, b.v)}; }
inline F64 min(F64 a, F64 b) { return {vbslq_f64(vcltq_f64(a.v, b.v), a.v, b.v)}; }
inline F64 max(F64 a, F64 b) { return {vbslq_f64(vcgtq_f64(a.v, b.v), a.v, b.v)}; }
inline F64 madd(F64 a, F64 b, F64 c) { return {vfmaq_f64(c.v, a.v, b.v)}; }
inline F64 root(F64 a) { return {vsqrtq_f64(a.v)}; }

#else  // any processor: plain C++, as slow as the library's fma where the hardware has none

template <class T, int L>
struct Plain {
  using scalar = T;
  static constexpr int lanes = L;
  T v[L];
  template <class S>
  static Plain load(const S* p) {
    Plain a;
    for (int l = 0; l < L; ++l) a.v[l] = static_cast<T>(p[l]);
    return a;
  }
  static Plain fill(T x) {
    Plain a;
    for (int l = 0; l < L; ++l) a.v[l] = x;
    return a;
  }
  void store(T* p) const { std::memcpy(p, v, sizeof v); }
  template <class Op>
  static Plain each(Op op) {
    Plain a;
    for (int l = 0; l < L; ++l) a.v[l] = op(l);
    return a;
  }
};
template <class T, int L>
inline Plain<T, L> operator+(Plain<T, L> a, Plain<T, L> b) {
  return Plain<T, L>::each([&](int l) { return a.v[l] + b.v[l]; });
}
template <class T, int L>
inline Plain<T, L> operator-(Plain<T, L> a, Plain<T, L> b) {
  return Plain<T, L>::each([&](int l) { return a.v[l] - b.v[l]; });
}
template <class T, int L>
inline Plain<T, L> operator*(Plain<T, L> a, Plain<T, L> b) {
  return Plain<T, L>::each([&](int l) { return a.v[l] * b.v[l]; });
}
template <class T, int L>
inline Plain<T, L> min(Plain<T, L> a, Plain<T, L> b) {
  return Plain<T, L>::each([&](int l) { return a.v[l] < b.v[l] ? a.v[l] : b.v[l]; });
}
template <class T, int L>
inline Plain<T, L> max(Plain<T, L> a, Plain<T, L> b) {
  return Plain<T, L>::each([&](int l) { return a.v[l] > b.v[l] ? a.v[l] : b.v[l]; });
}
template <class T, int L>
inline Plain<T, L> madd(Plain<T, L> a, Plain<T, L> b, Plain<T, L> c) {
  return Plain<T, L>::each([&](int l) { return std::fma(a.v[l], b.v[l], c.v[l]); });
}
template <class T, int L>
inline Plain<T, L> root(Plain<T, L> a) {
  return Plain<T, L>::each([&](int l) { return std::sqrt(a.v[l]); });
}
using F32 = Plain<float, 4>;
using F64 = Plain<double, 2>;

#endif

}  // namespace
// NOLINTEND
