#include "cover.hpp"

#include <algorithm>

namespace rc {

using Word = Bits::Word;

void Graph::reset(std::int32_t vertices) {
  n = count = vertices;
  words = Bits::words(n);
  rows.assign(static_cast<std::size_t>(n) * words, 0);
  degree.assign(static_cast<std::size_t>(n), 0);
  to.assign(static_cast<std::size_t>(n), -1);
  from.assign(static_cast<std::size_t>(n), -1);
  alive.assign(n);
  alive.fill(n);
  touched = alive;
}

void Graph::join(std::int32_t u, std::int32_t v) {
  row(u)[v >> 6] |= Word{1} << (v & 63);
  row(v)[u >> 6] |= Word{1} << (u & 63);
  ++degree[u];
  ++degree[v];
}

void Graph::remove(std::int32_t v) {
  neighbours(v, [&](std::int32_t u) {
    row(u)[v >> 6] &= ~(Word{1} << (v & 63));
    --degree[u];
    touched.insert(u);
  });
  std::fill_n(row(v), words, 0);
  alive.erase(v);
  touched.erase(v);
  --count;
  if (to[v] >= 0) from[to[v]] = -1;
  if (from[v] >= 0) to[from[v]] = -1;
  to[v] = from[v] = -1;
}

CoverSearch::Level& CoverSearch::level(std::size_t depth) {
  while (levels_.size() <= depth) levels_.emplace_back();
  return levels_[depth];
}

// The graph on the vertices in `keep`, numbered anew; touched are those that lose neighbours, and what was touched before.
void CoverSearch::induce(const Graph& graph, const Bits& keep, Level& into) {
  into.label.clear();
  into.via.assign(static_cast<std::size_t>(graph.n), -1);
  for_each(graph.words, [&](std::int32_t i) { return keep.data()[i]; }, [&](std::int32_t v) {
    into.via[v] = static_cast<std::int32_t>(into.label.size());
    into.label.push_back(v);
  });
  Graph& made = into.graph;
  made.reset(static_cast<std::int32_t>(into.label.size()));
  const auto number = [&](std::int32_t v) { return v < 0 ? -1 : into.via[v]; };
  for (std::int32_t i = 0; i < made.n; ++i) {
    const std::int32_t v = into.label[i];
    const Word* row = graph.row(v);
    for_each(graph.words, [&](std::int32_t w) { return row[w] & keep.data()[w]; }, [&](std::int32_t u) {
      const std::int32_t j = into.via[u];
      made.row(i)[j >> 6] |= Word{1} << (j & 63);
      ++made.degree[i];
    });
    made.to[i] = number(graph.to[v]);
    made.from[i] = number(graph.from[v]);
    if (made.degree[i] == graph.degree[v] && !graph.touched.has(v)) made.touched.erase(i);
  }
  into.steps.clear();
}

bool CoverSearch::covers(const Graph& graph, const Bits& keep, std::int64_t k, Bits& rest) {
  rest.assign(graph.n);
  if (k < 0) return false;
  induce(graph, keep, level(0));
  if (!solve(0, k)) return false;
  const Level& at = levels_[0];
  for_each(at.graph.words, [&](std::int32_t i) { return at.rest.data()[i]; },
           [&](std::int32_t v) { rest.insert(at.label[v]); });
  return true;
}

// The graph of the level; if it has a cover of size k, `rest` of the level becomes what it leaves.
bool CoverSearch::solve(std::size_t depth, std::int64_t k) {
  if (!allowance_.step(0)) return false;
  Level& at = level(depth);
  at.rest.assign(at.graph.n);
  std::int32_t widest = -1;
  if (!reduce(at, k, widest)) return false;
  if (widest >= 0) {
    component(at.graph, widest, at, at.keep);
    if (at.keep.count() < at.graph.count) {
      if (!solve_components(depth, k)) return false;
    } else {
      at.keep = at.graph.alive;
      at.keep.erase(widest);
      bool found = solve_below(depth, at.keep, k - 1);
      if (!found) {
        std::int64_t left = k;
        leave_out(at, widest, left);
        found = left >= 0 && !allowance_.is_spent() && solve_below(depth, at.graph.alive, left);
      }
      if (!found) return false;
    }
  }
  for (auto step = at.steps.rbegin(); step != at.steps.rend(); ++step) {
    if (step->b < 0)
      at.rest.insert(step->v);
    else
      at.rest.insert(at.rest.has(step->a) ? step->b : step->v);
  }
  return true;
}

bool CoverSearch::solve_below(std::size_t depth, const Bits& keep, std::int64_t k) {
  if (k < 0) return false;
  Level& below = level(depth + 1);
  induce(levels_[depth].graph, keep, below);
  if (!solve(depth + 1, k)) return false;
  Level& at = levels_[depth];
  for_each(below.graph.words, [&](std::int32_t i) { return below.rest.data()[i]; },
           [&](std::int32_t v) { at.rest.insert(below.label[v]); });
  return true;
}

// The smaller components first, each with as few as it can do with; the largest gets what is left.
bool CoverSearch::solve_components(std::size_t depth, std::int64_t k) {
  Level& at = level(depth);
  struct Component {
    Bits vertices;
    std::int64_t size, bound;
  };
  std::vector<Component> parts;
  Bits left = at.graph.alive;
  std::int64_t slack = k;
  for (std::int32_t v = left.first(); v >= 0; v = left.first()) {
    Component part;
    component(at.graph, v, at, part.vertices);
    std::int64_t matched = 0;
    part.size = 0;
    for_each(at.graph.words, [&](std::int32_t i) { return part.vertices.data()[i]; }, [&](std::int32_t u) {
      ++part.size;
      matched += at.graph.to[u] >= 0;
      left.erase(u);
    });
    part.bound = (matched + 1) / 2;
    slack -= part.bound;
    parts.push_back(std::move(part));
  }
  if (slack < 0) return false;
  std::stable_sort(parts.begin(), parts.end(), [](const Component& a, const Component& b) { return a.size < b.size; });
  for (const Component& part : parts) {
    const bool last = &part == &parts.back();
    std::int64_t more = last ? slack : 0;
    while (more <= slack && !solve_below(depth, part.vertices, part.bound + more)) {
      if (allowance_.is_spent()) return false;
      ++more;
    }
    slack -= more;
    if (slack < 0) return false;
  }
  return true;
}

// v stays out of the cover: its neighbours are in it.
void CoverSearch::leave_out(Level& at, std::int32_t v, std::int64_t& k) {
  Graph& graph = at.graph;
  k -= graph.degree[v];
  at.steps.push_back({v, -1, -1});
  while (graph.degree[v] > 0) {
    std::int32_t u = -1;
    const Word* row = graph.row(v);
    for (std::int32_t i = 0; u < 0; ++i)
      if (row[i]) u = 64 * i + std::countr_zero(row[i]);
    graph.remove(u);
  }
  graph.remove(v);
}

// v has two neighbours, which are not adjacent: either both are in the cover or, as well as anything else, v alone. They
// become one vertex, a, which is in the cover if both are.
void CoverSearch::fold(Level& at, std::int32_t v, std::int32_t a, std::int32_t b, std::int64_t& k) {
  Graph& graph = at.graph;
  at.steps.push_back({v, a, b});
  graph.remove(v);
  at.keep = Bits(graph.n);
  std::copy_n(graph.row(b), graph.words, at.keep.data());
  graph.remove(b);
  for_each(graph.words, [&](std::int32_t i) { return at.keep.data()[i] & ~graph.row(a)[i]; },
           [&](std::int32_t u) {
             graph.join(a, u);
             graph.touched.insert(u);
           });
  graph.touched.insert(a);
  --k;
}

// What needs no choice; false if k is too small. `widest` becomes a vertex of largest degree, of the lowest number, or -1
// where nothing is left.
bool CoverSearch::reduce(Level& at, std::int64_t& k, std::int32_t& widest) {
  Graph& graph = at.graph;
  for (;;) {
    for (std::int32_t v = graph.touched.first(); v >= 0; v = graph.touched.first()) {
      graph.touched.erase(v);
      if (k < 0) return false;
      const std::int32_t degree = graph.degree[v];
      if (degree > k) {
        graph.remove(v);
        --k;
      } else if (degree < 2) {
        leave_out(at, v, k);
      } else if (degree == 2) {
        std::int32_t ends[2], found = 0;
        graph.neighbours(v, [&](std::int32_t u) { ends[found++] = u; });
        if (graph.adjacent(ends[0], ends[1]))
          leave_out(at, v, k);
        else
          fold(at, v, ends[0], ends[1], k);
      }
    }
    if (k < 0) return false;
    widest = -1;
    std::int64_t ends = 0;
    for_each(graph.words, [&](std::int32_t i) { return graph.alive.data()[i]; }, [&](std::int32_t v) {
      ends += graph.degree[v];
      if (widest < 0 || graph.degree[v] > graph.degree[widest]) widest = v;
    });
    if (widest < 0) return true;
    if (graph.degree[widest] > k) {
      graph.touched.insert(widest);
      continue;
    }
    if (ends > 2 * k * graph.degree[widest]) return false;
    if (match(at) > 2 * k) return false;
    if (relax(at, k)) continue;
    return clique_bound(at, k) <= k;
  }
}

// Completes the matching of the double cover; its size. `seen` becomes the right copies that no path leads on from.
std::int64_t CoverSearch::match(Level& at) {
  Graph& graph = at.graph;
  at.seen.assign(graph.n);
  at.via.assign(static_cast<std::size_t>(graph.n), -1);
  std::int64_t size = 0;
  const auto lengthen = [&](std::int32_t start) {  // breadth first; who was seen in vain is not looked at again
    at.queue.assign(1, start);
    for (std::size_t head = 0; head < at.queue.size(); ++head) {
      const std::int32_t u = at.queue[head];
      const Word* row = graph.row(u);
      for (std::int32_t i = 0; i < graph.words; ++i)
        for (Word w = row[i] & ~at.seen.data()[i]; w; w &= w - 1) {
          std::int32_t right = 64 * i + std::countr_zero(w);
          at.seen.insert(right);
          at.via[right] = u;
          if (graph.from[right] >= 0) {
            at.queue.push_back(graph.from[right]);
            continue;
          }
          while (right >= 0) {
            const std::int32_t left = at.via[right], before = graph.to[left];
            graph.to[left] = right;
            graph.from[right] = left;
            right = left == start ? -1 : before;
          }
          return true;
        }
    }
    return false;
  };
  for_each(graph.words, [&](std::int32_t i) { return graph.alive.data()[i]; }, [&](std::int32_t v) {
    if (graph.to[v] < 0) {
      at.scratch = at.seen;
      if (!lengthen(v)) return;
      std::swap(at.seen, at.scratch);
    }
    ++size;
  });
  return size;
}

// After match(): vertices that are 0 in an optimum of the linear programme are left out (and their neighbours, which are 1,
// go into the cover). By Koenig, from the left copies that are free: those reached are 0 but if their right copy is, too.
bool CoverSearch::relax(Level& at, std::int64_t& k) {
  Graph& graph = at.graph;
  at.keep.assign(graph.n);
  for_each(graph.words, [&](std::int32_t i) { return graph.alive.data()[i]; }, [&](std::int32_t v) {
    if ((graph.to[v] < 0 || at.seen.has(graph.to[v])) && !at.seen.has(v)) at.keep.insert(v);
  });
  bool found = false;
  for_each(graph.words, [&](std::int32_t i) { return at.keep.data()[i]; }, [&](std::int32_t v) {
    leave_out(at, v, k);
    found = true;
  });
  return found;
}

// All vertices but one of each clique are in a cover: cliques taken greedily, until that is more than `enough`.
std::int64_t CoverSearch::clique_bound(Level& at, std::int64_t enough) {
  const Graph& graph = at.graph;
  Bits& left = at.keep;
  Bits& common = at.scratch;
  left = graph.alive;
  common.assign(graph.n);
  std::int64_t bound = 0;
  for (std::int32_t v = left.first(); v >= 0 && bound <= enough; v = left.first()) {
    left.erase(v);
    for (std::int32_t i = 0; i < graph.words; ++i) common.data()[i] = left.data()[i] & graph.row(v)[i];
    for (std::int32_t u = common.first(); u >= 0; u = common.first()) {
      left.erase(u);
      for (std::int32_t i = 0; i < graph.words; ++i) common.data()[i] &= graph.row(u)[i];
      ++bound;
    }
  }
  return bound;
}

void CoverSearch::component(const Graph& graph, std::int32_t v, Level& at, Bits& found) {
  found.assign(graph.n);
  found.insert(v);
  at.queue.assign(1, v);
  for (std::size_t head = 0; head < at.queue.size(); ++head)
    for_each(graph.words,
             [&, row = graph.row(at.queue[head])](std::int32_t i) { return row[i] & ~found.data()[i]; },
             [&](std::int32_t u) {
               found.insert(u);
               at.queue.push_back(u);
             });
}

}  // namespace rc
