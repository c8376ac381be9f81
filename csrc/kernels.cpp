// One instruction set's kernels. CMake compiles this file once per instruction set, with RC_ISA naming it.
// Everything but the table at the end is in anonymous namespaces: no symbol is shared between the copies.
#include "kernels.hpp"

#include <bit>

#include "columns_kernels.hpp"
#include "farthest_kernels.hpp"
#include "nearest_kernels.hpp"
#include "simd.hpp"

namespace rc {
namespace {

// Calls f<size>() with the size, 1 .. Most, that is known only at run time.
template <int Most, class F>
void with_size(int size, F&& f) {
  if constexpr (Most > 1)
    if (size < Most) return with_size<Most - 1>(size, f);
  f.template operator()<Most>();
}

// ---- distances -----------------------------------------------------------------------------------------------
//
// Every pair of rows owns 16 float or 8 double lanes (64 bytes), and column k of a strip goes to lane k mod lanes:
//
//     run    one fma chain over the run's columns of (a[k] - b[k])^2    in the lane's own type
//     strip  run + run + ...                                            in the lane's own type
//     sums   sums + strip                                               8 float64 lanes: l, then l + 8
//
// An instruction set with narrower vectors sweeps the lanes in several groups; the order in which one lane is added
// does not notice.

template <class V>
inline constexpr int total_lanes = 64 / static_cast<int>(sizeof(typename V::scalar));

template <class V>
using Lanes = typename V::scalar[total_lanes<V>];

inline void add_strip(const float (&strip)[16], double* sums) {
  for (int l = 0; l < 8; l += F64::lanes)
    (F64::load(sums + l) + F64::load(strip + l) + F64::load(strip + l + 8)).store(sums + l);
}
inline void add_strip(const double (&strip)[8], double* sums) {
  for (int l = 0; l < 8; l += F64::lanes) (F64::load(sums + l) + F64::load(strip + l)).store(sums + l);
}

// One run of the pairs a[p], b[q]: I x J sums in registers, so that each loaded vector serves several pairs. With
// Triangle, b is a and only the pairs p < q are formed. Kept out of line: inlined into the loop over runs, the
// compiler trades the registers of the inner loop for those sums.
template <class V, int I, int J, bool Triangle>
[[gnu::noinline]] void add_run(const typename V::scalar* const* a, const typename V::scalar* const* b, int run,
                               Lanes<V> (*strip)[J]) {
  constexpr int lanes = total_lanes<V>;
  for (int sweep = 0; sweep < lanes; sweep += V::lanes) {
    V acc[I][J];
    const auto step = [&](int k, auto accumulate) {
      V x[I];
      for (int p = 0; p < I; ++p) x[p] = V::load(a[p] + k);
      for (int q = Triangle ? 1 : 0; q < J; ++q) {
        const V y = Triangle ? x[q] : V::load(b[q] + k);
        for (int p = 0; p < (Triangle ? q : I); ++p) accumulate(acc[p][q], x[p] - y);
      }
    };
    step(run + sweep, [](V& s, V t) { s = t * t; });
#pragma GCC unroll 10
    for (int k = lanes; k < run_columns; k += lanes) step(run + sweep + k, [](V& s, V t) { s = madd(t, t, s); });
    for (int q = Triangle ? 1 : 0; q < J; ++q)
      for (int p = 0; p < (Triangle ? q : I); ++p) {
        auto* sum = strip[p][q] + sweep;
        (V::load(sum) + acc[p][q]).store(sum);
      }
  }
}

// One strip of I x J pairs; meanwhile the strips behind `count` of the rows are asked for, run by run.
template <class V, int I, int J, bool Triangle>
void tile(const typename V::scalar* const* a, const typename V::scalar* const* b, double* sums, int stride,
          const void* const* ahead, int count) {
  constexpr int run_bytes = run_columns * static_cast<int>(sizeof(typename V::scalar));
  alignas(64) Lanes<V> strip[I][J] = {};
  for (int run = 0; run < strip_columns / run_columns; ++run) {
    for (int r = 0; r < count; ++r)
      for (int line = 0; line < run_bytes; line += 64)
        __builtin_prefetch(static_cast<const char*>(ahead[r]) + run * run_bytes + line, 0, 2);
    add_run<V, I, J, Triangle>(a, b, run * run_columns, strip);
  }
  for (int p = 0; p < I; ++p)
    for (int q = Triangle ? p + 1 : 0; q < J; ++q) add_strip(strip[p][q], sums + (p * stride + q) * 8);
}

// Rows and columns of a register tile, by the number of registers: 32 in AVX-512 and NEON, 16 in AVX2.
#if defined(__AVX512F__) || defined(__aarch64__)
inline constexpr int tile_rows = 5, tile_cols = 5;
#else
inline constexpr int tile_rows = 4, tile_cols = 2;
#endif

template <class V>
void distances(const typename V::scalar* const* a, int na, const typename V::scalar* const* b, int nb,
               const void* const* ahead, double* sums, int stride) {
  const bool same = a == b;
  // Each tile asks for the next strip of its share of the rows: all of them at once would queue up and stall.
  const int rows = same ? na : na + nb, pairs = same ? na * (na - 1) / 2 : na * nb;
  int formed = 0, asked = 0;
  const auto with_share = [&](int tile_pairs, auto&& form) {
    formed += tile_pairs;
    const int first = asked;
    asked = formed * rows / pairs;
    form(ahead ? ahead + first : nullptr, ahead ? asked - first : 0);
  };
  for (int i = 0; i < na; i += tile_rows)
    with_size<tile_rows>(na - i, [&]<int I>() {
      double* const row = sums + i * stride * 8;
      if (same && I > 1)
        with_share(I * (I - 1) / 2, [&](const void* const* next, int count) {
          tile<V, I, I, true>(a + i, a + i, row + i * 8, stride, next, count);
        });
      for (int j = same ? i + I : 0; j < nb; j += tile_cols)
        with_size<tile_cols>(nb - j, [&]<int J>() {
          with_share(I * J, [&](const void* const* next, int count) {
            tile<V, I, J, false>(a + i, b + j, row + j * 8, stride, next, count);
          });
        });
    });
}

void distances_f32(const float* const* a, int na, const float* const* b, int nb, const void* const* ahead,
                   double* sums, int stride) {
  distances<F32>(a, na, b, nb, ahead, sums, stride);
}
void distances_f64(const double* const* a, int na, const double* const* b, int nb, const void* const* ahead,
                   double* sums, int stride) {
  distances<F64>(a, na, b, nb, ahead, sums, stride);
}

// ---- combine -------------------------------------------------------------------------------------------------
//
// Memory is fastest along a few rows at a time, so rows are taken eight by eight and the running sums in out, which
// stay in the first-level cache, are loaded and stored once for eight rows read. Every coordinate adds its rows one
// after the other, in the order given.

template <class T, int R, bool Origin>
void add_rows(const T* const* rows, const double* weights, const T* origin, int columns, double* out) {
  F64 w[R];
  for (int r = 0; r < R; ++r) w[r] = F64::fill(weights[r]);
  for (int k = 0; k < columns; k += F64::lanes) {
    F64 sum = F64::load(out + k), o;
    if constexpr (Origin) o = F64::load(origin + k);
    for (int r = 0; r < R; ++r) {
      const F64 x = F64::load(rows[r] + k);
      if constexpr (Origin)
        sum = madd(w[r], x - o, sum);
      else
        sum = madd(w[r], x, sum);
    }
    sum.store(out + k);
  }
}

template <class T, bool Origin>
bool combine(const T* const* rows, const double* weights, int m, const T* origin, bool relative, int columns,
             double* out) {
  constexpr int most = 8;
  const F64 nothing = F64::fill(-0.0);  // x + -0.0 is x, also for x = -0.0
  for (int k = 0; k < columns; k += F64::lanes) nothing.store(out + k);
  for (int i = 0; i < m; i += most)
    with_size<most>(m - i, [&]<int R>() { add_rows<T, R, Origin>(rows + i, weights + i, origin, columns, out); });
  F64 check = F64::fill(0.0);
  for (int k = 0; k < columns; k += F64::lanes) {
    F64 sum = F64::load(out + k);
    if constexpr (Origin)
      if (!relative) sum = F64::load(origin + k) + sum;
    check = check + (sum - sum);
    sum.store(out + k);
  }
  double checks[F64::lanes];
  check.store(checks);
  bool finite = true;
  for (const double c : checks) finite = finite && c == 0.0;
  return finite;
}

template <class T>
bool combine(const T* const* rows, const double* weights, int m, const T* origin, bool relative, int columns,
             double* out) {
  return origin ? combine<T, true>(rows, weights, m, origin, relative, columns, out)
                : combine<T, false>(rows, weights, m, origin, relative, columns, out);
}

bool combine_f32(const float* const* rows, const double* weights, int m, const float* origin, bool relative,
                 int columns, double* out) {
  return combine<float>(rows, weights, m, origin, relative, columns, out);
}
bool combine_f64(const double* const* rows, const double* weights, int m, const double* origin, bool relative,
                 int columns, double* out) {
  return combine<double>(rows, weights, m, origin, relative, columns, out);
}

// ---- columns (columns_kernels.hpp) ----------------------------------------------------------------------------

// As many coordinates at a time as leave the table in a core's first-level cache: the more, the less a comparator waits
// for the one before it.
template <class V>
bool columns(const typename V::scalar* const* rows, int n, int count, Columnwise rule, int f,
             std::span<const Comparator> network, typename V::scalar* table, double* out) {
  const int room = table_bytes / (n * static_cast<int>(sizeof(typename V::scalar)));
  return room >= 160  ? columns<V, 160>(rows, n, count, rule, f, network, table, out)
         : room >= 80 ? columns<V, 80>(rows, n, count, rule, f, network, table, out)
                      : columns<V, 32>(rows, n, count, rule, f, network, table, out);
}

bool columns_f32(const float* const* rows, int n, int count, Columnwise rule, int f,
                 std::span<const Comparator> network, float* table, double* out) {
  return columns<F32>(rows, n, count, rule, f, network, table, out);
}
bool columns_f64(const double* const* rows, int n, int count, Columnwise rule, int f,
                 std::span<const Comparator> network, double* table, double* out) {
  return columns<F64>(rows, n, count, rule, f, network, table, out);
}

// ---- farthest (farthest_kernels.hpp) ---------------------------------------------------------------------------

Farthest farthest_f32(const float* points, std::int64_t count, int k, const Frame& frame, const double* weights,
                      double least) {
  return farthest<float>(points, count, k, frame, weights, least);
}
Farthest farthest_f64(const double* points, std::int64_t count, int k, const Frame& frame, const double* weights,
                      double least) {
  return farthest<double>(points, count, k, frame, weights, least);
}

// ---- nearest (nearest_kernels.hpp) -----------------------------------------------------------------------------

void nearest_f32(const float* points, std::int64_t count, int d, const double* centers, int k, double* scratch,
                 std::int32_t* labels, double* distances) {
  nearest<float>(points, count, d, centers, k, scratch, labels, distances);
}
void nearest_f64(const double* points, std::int64_t count, int d, const double* centers, int k, double* scratch,
                 std::int32_t* labels, double* distances) {
  nearest<double>(points, count, d, centers, k, scratch, labels, distances);
}

// ---- the half-width formats ----------------------------------------------------------------------------------

void widen_f16(const std::uint16_t* in, int columns, float* out) {
  for (int k = 0; k < columns; ++k) {
    const std::uint32_t h = in[k];
    // Five exponent bits read as eight are 2^112 too small, subnormals included; infinity and NaN are put right.
    const float magnitude = std::bit_cast<float>((h & 0x7fffu) << 13) * 0x1p112f;
    const std::uint32_t special = (h & 0x7c00u) == 0x7c00u ? 0x7f800000u : 0u;
    out[k] = std::bit_cast<float>(std::bit_cast<std::uint32_t>(magnitude) | special | (h & 0x8000u) << 16);
  }
}

void widen_bf16(const std::uint16_t* in, int columns, float* out) {
  for (int k = 0; k < columns; ++k) out[k] = std::bit_cast<float>(static_cast<std::uint32_t>(in[k]) << 16);
}

// x rounded to a multiple of the unit in the last place of a format with `precision` significant bits and smallest
// normal exponent `lowest`: adding 1.5 * 2^52 units leaves no room for a fraction of a unit. x must be finite and,
// as every sum of such numbers is, below 2^900.
inline double round_to(double x, int precision, int lowest) {
  const int biased = static_cast<int>(std::bit_cast<std::uint64_t>(x) >> 52 & 0x7ff) - 1023;
  const int exponent = biased < lowest ? lowest : biased;
  const double magic =
      std::bit_cast<double>(static_cast<std::uint64_t>(exponent - precision + 1 + 52 + 1023) << 52) * 1.5;
  return std::copysign(x + magic - magic, x);
}

void round_f32(const double* in, int columns, float* out) {
  for (int k = 0; k < columns; ++k) out[k] = static_cast<float>(in[k]);
}

void round_f16(const double* in, int columns, std::uint16_t* out) {
  for (int k = 0; k < columns; ++k) {
    const bool finite = in[k] - in[k] == 0.0;
    const std::uint32_t f = std::bit_cast<std::uint32_t>(static_cast<float>(finite ? round_to(in[k], 11, -14) : in[k]));
    const std::uint32_t sign = f >> 16 & 0x8000u, magnitude = f & 0x7fffffffu;
    std::uint32_t h;
    if (magnitude > 0x7f800000u) h = 0x7e00u;                                // NaN
    else if (magnitude >= 0x47800000u) h = 0x7c00u;                          // 65536 and up: infinity
    else h = std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) * 0x1p-112f) >> 13;
    out[k] = static_cast<std::uint16_t>(sign | h);
  }
}

void round_bf16(const double* in, int columns, std::uint16_t* out) {
  for (int k = 0; k < columns; ++k) {
    const bool finite = in[k] - in[k] == 0.0;
    const std::uint32_t f = std::bit_cast<std::uint32_t>(static_cast<float>(finite ? round_to(in[k], 8, -126) : in[k]));
    out[k] = static_cast<std::uint16_t>(finite || in[k] == in[k] ? f >> 16 : 0x7fc0u);
  }
}

}  // namespace

#define RC_TEXT_(x) #x
#define RC_TEXT(x) RC_TEXT_(x)
#define RC_JOIN_(a, b) a##b
#define RC_JOIN(a, b) RC_JOIN_(a, b)

extern const Kernels RC_JOIN(kernels_, RC_ISA);
const Kernels RC_JOIN(kernels_, RC_ISA) = {
    RC_TEXT(RC_ISA), distances_f32, distances_f64, combine_f32, combine_f64, columns_f32, columns_f64,
    farthest_f32,    farthest_f64,  nearest_f32,   nearest_f64, widen_f16,   widen_bf16,  round_f32,
    round_f16,       round_bf16,
};

}  // namespace rc
