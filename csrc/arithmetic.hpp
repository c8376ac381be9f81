// The same arithmetic whatever the caller has set up.
#pragma once

#include <cstdint>

#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

namespace rc {

// Rounding to nearest, and subnormals as they are, while it lives: a caller's own settings (or those of a library built
// with -ffast-math) must not change who is elected.
class StandardArithmetic {
 public:
#if defined(__SSE2__)
  StandardArithmetic() : before_(_mm_getcsr()) { _mm_setcsr(0x1f80); }
  ~StandardArithmetic() { _mm_setcsr(before_); }

 private:
  unsigned before_;
#elif defined(__aarch64__)
  StandardArithmetic() {
    asm volatile("mrs %0, fpcr" : "=r"(before_));
    asm volatile("msr fpcr, %0" : : "r"(std::uint64_t{0}));
  }
  ~StandardArithmetic() { asm volatile("msr fpcr, %0" : : "r"(before_)); }

 private:
  std::uint64_t before_;
#else
  StandardArithmetic() {}
#endif
  StandardArithmetic(const StandardArithmetic&) = delete;
};

}  // namespace rc
