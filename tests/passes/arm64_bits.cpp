// The two passes without Python, for processors that the tests reach only through an emulator.
// bits f32|f64 n d < rows > distances and mean
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "passes/combine.hpp"
#include "passes/distances.hpp"

int main(int, char** argument) {
  const rc::Dtype dtype = std::string(argument[1]) == "f32" ? rc::Dtype::f32 : rc::Dtype::f64;
  const std::int64_t n = std::atoll(argument[2]), d = std::atoll(argument[3]), bytes = d * rc::size_of(dtype);
  std::vector<double> data(static_cast<std::size_t>(n * bytes) / sizeof(double) + 1), D(n * n), weights(n, 1.0 / n);
  std::byte* begin = reinterpret_cast<std::byte*>(data.data());
  if (std::fread(begin, bytes, n, stdin) != static_cast<std::size_t>(n)) return 1;
  std::vector<rc::Row> rows;
  for (std::int64_t i = 0; i < n; ++i) rows.push_back({begin + i * bytes, nullptr, false});
  const rc::Segment segment{dtype, d, 1, &d, rows.data(), 0};
  const rc::Updates updates{n, d, {&segment, 1}};
  std::vector<std::byte> mean(bytes);
  std::byte* const output = mean.data();
  rc::Team first(2), second(2);
  rc::sqdist(updates, first, D.data());
  rc::combine(updates, weights.data(), 0, second, &output);
  std::fwrite(D.data(), sizeof(double), D.size(), stdout);
  std::fwrite(mean.data(), 1, mean.size(), stdout);
}
