// Chooses among the copies of kernels.cpp by what the processor can run.
#include <atomic>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels.hpp"

namespace rc {

extern const Kernels kernels_baseline;
#ifdef RC_X86
extern const Kernels kernels_v3;
extern const Kernels kernels_v4;
#endif

std::span<const Kernels* const> available_kernels() {
  static const std::vector<const Kernels*> available = [] {
    std::vector<const Kernels*> found{&kernels_baseline};
#ifdef RC_X86
    __builtin_cpu_init();
    const bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (v3) {
      found.push_back(&kernels_v3);
      if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
          __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
          __builtin_cpu_supports("avx512vl"))
        found.push_back(&kernels_v4);
    }
#endif
    return found;
  }();
  return available;
}

namespace {

const Kernels& find(std::string_view name) {
  std::string names;
  for (const Kernels* k : available_kernels()) {
    if (k->name == name) return *k;
    names += (names.empty() ? "" : ", ") + std::string(k->name);
  }
  throw std::invalid_argument("instruction set '" + std::string(name) + "' is not available here; choose among " +
                              names);
}

std::atomic<const Kernels*>& chosen() {
  static std::atomic<const Kernels*> in_use = [] {
    const char* wish = std::getenv("ROBUSTCORE_ISA");
    return wish && *wish ? &find(wish) : available_kernels().back();
  }();
  return in_use;
}

}  // namespace

const Kernels& kernels() { return *chosen(); }

void use_kernels(std::string_view name) { chosen() = &find(name); }

}  // namespace rc
