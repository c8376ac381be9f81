// Vertex cover: whether k vertices of a graph touch all its edges. The others are then pairwise not adjacent.
#pragma once

#include <bit>
#include <cstdint>
#include <deque>
#include <vector>

#include "subsets.hpp"

namespace rc {

// A set of the numbers 0 .. n-1.
class Bits {
 public:
  using Word = std::uint64_t;
  static std::int32_t words(std::int32_t n) { return (n + 63) / 64; }

  explicit Bits(std::int32_t n = 0) : word_(static_cast<std::size_t>(words(n))) {}
  void assign(std::int32_t n) { word_.assign(static_cast<std::size_t>(words(n)), 0); }
  void fill(std::int32_t n) {
    for (std::int32_t v = 0; v < n; ++v) insert(v);
  }

  bool has(std::int32_t v) const { return word_[v >> 6] >> (v & 63) & 1; }
  void insert(std::int32_t v) { word_[v >> 6] |= Word{1} << (v & 63); }
  void erase(std::int32_t v) { word_[v >> 6] &= ~(Word{1} << (v & 63)); }

  std::int32_t count() const {
    std::int32_t sum = 0;
    for (const Word w : word_) sum += std::popcount(w);
    return sum;
  }
  std::int32_t first() const {  // -1 where there is none
    for (std::size_t i = 0; i < word_.size(); ++i)
      if (word_[i]) return static_cast<std::int32_t>(64 * i) + std::countr_zero(word_[i]);
    return -1;
  }

  Word* data() { return word_.data(); }
  const Word* data() const { return word_.data(); }

 private:
  std::vector<Word> word_;
};

// body(v) for every v that is in the set of `words` words given by word(i).
template <class At, class Body>
void for_each(std::int32_t words, At&& word, Body&& body) {
  for (std::int32_t i = 0; i < words; ++i)
    for (Bits::Word w = word(i); w; w &= w - 1) body(64 * i + std::countr_zero(w));
}

// A graph whose vertices can go; those that are left are `alive`. `degree` counts neighbours that are alive. `touched`
// holds those whose neighbours have changed since somebody has looked at them.
//
// `to` is a matching of its bipartite double cover (a left and a right copy of every vertex, an edge uv as u-v' and v-u'):
// to[v] is the right partner of the left copy of v, from[v] the left partner of the right one, -1 for none. It survives what
// happens to the graph, less the edges that vanish.
struct Graph {
  std::int32_t n = 0, words = 0, count = 0;
  std::vector<Bits::Word> rows;  // n x words
  std::vector<std::int32_t> degree, to, from;
  Bits alive, touched;

  void reset(std::int32_t vertices);  // without an edge, all alive and touched
  const Bits::Word* row(std::int32_t v) const { return rows.data() + static_cast<std::size_t>(v) * words; }
  Bits::Word* row(std::int32_t v) { return rows.data() + static_cast<std::size_t>(v) * words; }
  bool adjacent(std::int32_t u, std::int32_t v) const { return row(u)[v >> 6] >> (v & 63) & 1; }
  void join(std::int32_t u, std::int32_t v);
  void remove(std::int32_t v);
  template <class Body>
  void neighbours(std::int32_t v, Body&& body) const {
    for_each(words, [at = row(v)](std::int32_t i) { return at[i]; }, body);
  }
};

// Whether there is a vertex cover of size k, by branching on a vertex of largest degree, after
//   - who has more than k neighbours is in the cover; degrees 0 and 1; degree 2, where two neighbours that are adjacent are
//     in the cover, and others become one vertex (folding); the linear programme's integral part (Nemhauser and Trotter),
//   - components, each with a smallest cover of its own, the largest with what is left of k,
// unless k is less than a bound: the edges by degrees, half of the matching of the double cover (the value of the linear
// programme, which is met again vertex by vertex and not solved anew), and the cliques that hold all vertices.
//
// A branch on a graph of minimum degree 3 raises the linear programme on both sides in most cases, so that the tree is
// narrow where k is near it: less than 4^(k - LP) leaves if it were so in all. n^2 / 64 words per level of the tree.
class CoverSearch {
 public:
  explicit CoverSearch(Allowance& allowance) : allowance_(allowance) {}

  // Whether k vertices cover the edges between the vertices of `graph` in `keep`. If so, `rest` becomes the others in
  // `keep`. False as well when the budget is spent: ask the allowance.
  bool covers(const Graph& graph, const Bits& keep, std::int64_t k, Bits& rest);

 private:
  struct Step {  // a vertex that is in no smallest cover but one; or b >= 0: v, between a and b, which became a
    std::int32_t v, a, b;
  };
  struct Level {
    Graph graph;
    std::vector<std::int32_t> label;  // what its vertices are called one level up
    std::vector<Step> steps;
    Bits keep, rest, seen, scratch;
    std::vector<std::int32_t> queue, via;
  };

  Level& level(std::size_t depth);
  void induce(const Graph& graph, const Bits& keep, Level& into);
  bool solve(std::size_t depth, std::int64_t k);
  bool solve_below(std::size_t depth, const Bits& keep, std::int64_t k);
  bool solve_components(std::size_t depth, std::int64_t k);
  bool reduce(Level& at, std::int64_t& k, std::int32_t& widest);
  void leave_out(Level& at, std::int32_t v, std::int64_t& k);
  void fold(Level& at, std::int32_t v, std::int32_t a, std::int32_t b, std::int64_t& k);
  std::int64_t match(Level& at);
  bool relax(Level& at, std::int64_t& k);
  std::int64_t clique_bound(Level& at, std::int64_t enough);
  void component(const Graph& graph, std::int32_t v, Level& at, Bits& found);

  Allowance& allowance_;
  std::deque<Level> levels_;
};

}  // namespace rc
