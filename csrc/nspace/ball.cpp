#include "ball.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <stdexcept>

namespace rc {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

// A point this much closer to the affine hull of others than to one of them counts as lying in it: what is left of it
// after the projection is rounding.
constexpr double flat = 1e-12;

template <class Term>
double in_lanes(std::int64_t k, Term&& term) {
  double lane[8] = {};
  std::int64_t i = 0;
  for (; i + 8 <= k; i += 8)
    for (int l = 0; l < 8; ++l) lane[l] += term(i + l);
  for (int l = 0; i < k; ++i, ++l) lane[l] += term(i);
  return ((lane[0] + lane[4]) + (lane[2] + lane[6])) + ((lane[1] + lane[5]) + (lane[3] + lane[7]));
}

// Where at + along x + beyond x^2 becomes negative: the first such x >= from on the way up, or the first x <= from on the
// way down to zero; infinite or negative if it does not.
double crossing(double at, double along, double beyond, double from, bool up) {
  const double none = up ? infinity : -1.0;
  const double value = at + from * (along + from * beyond), slope = along + 2.0 * from * beyond;
  if (value <= 0.0 && (up ? slope < 0.0 : slope > 0.0)) return from;
  const double square = along * along - 4.0 * at * beyond;
  if (!(square > 0.0)) return none;
  // The root where the slope is -sqrt(square) on the way up, +sqrt(square) on the way down.
  const double s = up ? -std::sqrt(square) : std::sqrt(square);
  const double root = (along > 0.0) == (s > 0.0) ? -2.0 * at / (along + s) : (s - along) / (2.0 * beyond);
  if (!std::isfinite(root)) return none;
  return up ? (root >= from ? root : none) : (root > 0.0 && root <= from ? root : none);
}

}  // namespace

double dot(const double* a, const double* b, std::int64_t k) {
  return in_lanes(k, [=](std::int64_t i) { return a[i] * b[i]; });
}

double square_distance(const double* a, const double* b, std::int64_t k) {
  return in_lanes(k, [=](std::int64_t i) { return (a[i] - b[i]) * (a[i] - b[i]); });
}

OneCenter& OneCenter::operator=(const OneCenter& other) {
  const std::int64_t columns = other.size() - 1;
  support_ = other.support_;
  center_ = other.center_;
  t_ = other.t_;
  reserve(columns);
  if (columns > 0) std::copy_n(other.Q_.data(), columns * k_, Q_.data());
  for (std::int64_t j = 0; j < columns; ++j) std::copy_n(&other.R_[j * other.capacity_], columns, &R_[j * capacity_]);
  return *this;
}

bool OneCenter::holds(std::int64_t id) const {
  return std::any_of(support_.begin(), support_.end(), [id](const Point& p) { return p.id == id; });
}

void OneCenter::start(std::int64_t id, const double* point, double square) {
  support_.clear();
  support_.push_back({id, square, 1.0, point});
  center_.assign(point, point + k_);
  t_ = 0.0;
}

double OneCenter::bound() const {
  double far = 0.0, square = 0.0;
  for (const Point& p : support_) {
    far += p.share * square_distance(p.point, center_.data(), k_);
    square += p.share * p.square;
  }
  return far / square;
}

void OneCenter::add(std::int64_t id, const double* point, double square) {
  support_.push_back({id, square, 0.0, point});
  append(size() - 2);
  travel(true);
  if (support_.back().square < support_.front().square)
    settle();
  else
    place();
}

void OneCenter::remove(std::int64_t position) {
  if (size() < 2) throw std::invalid_argument("a ball around nothing");
  to_end(position);
  travel(false);
  support_.pop_back();
  place();
}

void OneCenter::settle() {
  place();
  const OneCenter before(*this);
  std::stable_sort(support_.begin(), support_.end(), [](const Point& a, const Point& b) { return a.square < b.square; });
  for (std::int64_t m = 0; m + 1 < size();) {
    append(m);
    if (R(m, m) == 0.0)
      support_.erase(support_.begin() + m + 1);  // rounding has made it one of the others
    else
      ++m;
  }
  const std::int64_t m = size() - 1;
  const Curve c = curve(m);
  alpha_.resize(static_cast<std::size_t>(m));
  double others = 0.0;
  for (std::int64_t e = 0; e < m; ++e) {
    alpha_[e] = mu_[e] + c.least * nu_[e];
    if (e + 1 < m) others += alpha_[e] * alpha_[e];
  }
  // Beside a much larger radius, the way from the base is a small difference of large numbers. But its length is known:
  // where that says more, its part towards the largest radius, which does not notice, is changed.
  if (c.c2 > 0.0) {
    double& last = alpha_[m - 1];
    const double length = c.least * support_[0].square;
    if (length < std::abs(last) * (std::abs(mu_[m - 1]) + c.least * std::abs(nu_[m - 1])))
      last = std::copysign(std::sqrt(std::max(length - others, 0.0)), last);
  }
  solve_upper(m, alpha_);
  t_ = c.least;
  double first = 1.0;
  for (std::int64_t j = 0; j < m; ++j) {
    support_[j + 1].share = std::max(alpha_[j], 0.0);
    first -= support_[j + 1].share;
  }
  support_[0].share = std::max(first, 0.0);
  place();
  // Where the support is flat but for rounding, the path to it knew better.
  if (!(first >= -1e-9 && bound() >= before.bound() * (1.0 - 1e-9))) *this = before;
}

// ---- the factorisation -----------------------------------------------------------------------------------------

void OneCenter::reserve(std::int64_t columns) {
  if (columns <= capacity_) return;
  const std::int64_t larger = std::max<std::int64_t>(columns, 2 * capacity_);
  std::vector<double> R(static_cast<std::size_t>(larger * larger));
  for (std::int64_t j = 0; j < capacity_; ++j) std::copy_n(&R_[j * capacity_], capacity_, &R[j * larger]);
  R_ = std::move(R);
  Q_.resize(static_cast<std::size_t>(larger * k_));
  capacity_ = larger;
}

// Column m, that of point m + 1, by Gram and Schmidt, twice.
void OneCenter::append(std::int64_t m) {
  reserve(m + 1);
  double* q = &Q_[m * k_];
  const double *point = support_[m + 1].point, *origin = support_.front().point;
  for (std::int64_t i = 0; i < k_; ++i) q[i] = point[i] - origin[i];
  const double length = std::sqrt(dot(q, q, k_));
  for (std::int64_t e = 0; e < m; ++e) R(e, m) = 0.0;
  for (int round = 0; round < 2; ++round)
    for (std::int64_t e = 0; e < m; ++e) {
      const double* line = &Q_[e * k_];
      const double along = dot(line, q, k_);
      R(e, m) += along;
      for (std::int64_t i = 0; i < k_; ++i) q[i] -= along * line[i];
    }
  double height = m < k_ ? std::sqrt(dot(q, q, k_)) : 0.0;
  if (height <= flat * length) height = 0.0;
  R(m, m) = height;
  for (std::int64_t i = 0; i < k_; ++i) q[i] = height > 0.0 ? q[i] / height : 0.0;
}

// The point at this position becomes the last.
void OneCenter::to_end(std::int64_t position) {
  const std::int64_t columns = size() - 1;
  if (position == columns) return;
  std::rotate(support_.begin() + position, support_.begin() + position + 1, support_.end());
  // Without the base, all are measured from the next: R_j - R_0, and the base itself is -R_0.
  const std::int64_t first = position ? position - 1 : 0;
  std::vector<double>& moved = mu_;
  moved.assign(static_cast<std::size_t>(columns), 0.0);
  for (std::int64_t e = 0; e <= first; ++e) moved[e] = R(e, first);
  if (!position) {
    moved[0] = -moved[0];
    for (std::int64_t j = 1; j < columns; ++j) R(0, j) += moved[0];
  }
  for (std::int64_t j = first; j + 1 < columns; ++j) std::copy_n(&R(0, j + 1), j + 2, &R(0, j));
  std::copy_n(moved.data(), columns, &R(0, columns - 1));
  for (std::int64_t e = first; e + 1 < columns; ++e) {
    const double a = R(e, e), b = R(e + 1, e);
    if (b == 0.0) continue;
    const double r = std::hypot(a, b), c = a / r, s = b / r;
    const auto rotate = [c, s](double& x, double& y) {
      const double turned = c * x + s * y;
      y = c * y - s * x;
      x = turned;
    };
    for (std::int64_t j = e; j < columns; ++j) rotate(R(e, j), R(e + 1, j));
    R(e + 1, e) = 0.0;
    double *x = &Q_[e * k_], *y = x + k_;
    for (std::int64_t i = 0; i < k_; ++i) rotate(x[i], y[i]);
  }
  turn_last();
}

// The height of the last point above the others is positive.
void OneCenter::turn_last() {
  const std::int64_t m = size() - 2;
  if (m < 0 || R(m, m) >= 0.0) return;
  R(m, m) = -R(m, m);
  for (std::int64_t i = 0; i < k_; ++i) Q_[m * k_ + i] = -Q_[m * k_ + i];
}

// A point leaves, and the last stays the last.
void OneCenter::drop(std::int64_t position) {
  to_end(position);
  support_.pop_back();
  turn_last();
}

// ---- the curve -------------------------------------------------------------------------------------------------

// x <- R^-1 x for the first columns.
void OneCenter::solve_upper(std::int64_t columns, std::vector<double>& x) const {
  for (std::int64_t j = columns - 1; j >= 0; --j) {
    x[j] /= R(j, j);
    for (std::int64_t e = 0; e < j; ++e) x[e] -= R(e, j) * x[j];
  }
}

// Of the support but its last point: p_j - p_0 = Q R_j, and |y - p_j|^2 = t s_j for all of them means y - p_0 = Q zeta + h e
// with R_j' zeta = (|R_j|^2 + t (s_0 - s_j)) / 2, so zeta = mu + t nu, and |zeta|^2 + h^2 = t s_0.
OneCenter::Curve OneCenter::curve(std::int64_t columns) {
  mu_.resize(static_cast<std::size_t>(columns));
  nu_.resize(static_cast<std::size_t>(columns));
  const double s0 = support_[0].square;
  double mm = 0.0, nn = 0.0, mn = 0.0;
  for (std::int64_t j = 0; j < columns; ++j) {
    const double* r = &R(0, j);
    double length = r[j] * r[j], m = 0.0, n = 0.5 * (s0 - support_[j + 1].square);
    for (std::int64_t e = 0; e < j; ++e) {
      length += r[e] * r[e];
      m -= r[e] * mu_[e];
      n -= r[e] * nu_[e];
    }
    mu_[j] = (m + 0.5 * length) / r[j];
    nu_[j] = n / r[j];
    mm += mu_[j] * mu_[j];
    nn += nu_[j] * nu_[j];
    mn += mu_[j] * nu_[j];
  }
  if (nn == 0.0) return {mm / s0, s0, 0.0};
  double wedge = 0.0;  // |mu|^2 |nu|^2 - (mu nu)^2, which would cancel
  for (std::int64_t j = 0; j < columns; ++j)
    for (std::int64_t e = 0; e < j; ++e) {
      const double part = mu_[e] * nu_[j] - mu_[j] * nu_[e];
      wedge += part * part;
    }
  const double root = std::sqrt(std::max(s0 * (s0 - 4.0 * mn) - 4.0 * wedge, 0.0)), both = s0 - 2.0 * mn + root;
  return {both > 0.0 ? 2.0 * mm / both : 0.0, root, nn};
}

// The coefficients of all shares along the curve but that of the last point, which is h / height.
void OneCenter::find_shares(const Curve& c) {
  const std::int64_t columns = size() - 2;
  const double height = R(columns, columns);
  alpha_.assign(mu_.begin(), mu_.begin() + columns);
  beta_.assign(nu_.begin(), nu_.begin() + columns);
  gamma_.resize(static_cast<std::size_t>(columns));
  for (std::int64_t e = 0; e < columns; ++e) gamma_[e] = R(e, columns) / height;
  solve_upper(columns, alpha_);
  if (c.c2 > 0.0) solve_upper(columns, beta_);
  solve_upper(columns, gamma_);
  courses_.resize(static_cast<std::size_t>(columns + 1));
  double a = 1.0, b = 0.0, g = 1.0 / height;
  for (std::int64_t j = 0; j < columns; ++j) {
    a -= alpha_[j];
    b -= beta_[j];
    g -= gamma_[j];
    courses_[j + 1] = course(c, alpha_[j], beta_[j], gamma_[j]);
  }
  courses_[0] = course(c, a, b, g);
}

// alpha + beta t - gamma h in sigma.
OneCenter::Course OneCenter::course(const Curve& c, double alpha, double beta, double gamma) {
  const double at = alpha + beta * c.least;
  return {at, -gamma * c.c1, at * c.c2 + beta * c.c1};
}

// t and the shares at this place of the curve.
void OneCenter::look(const Curve& c, double sigma) {
  const std::int64_t columns = size() - 2;
  t_ = c.value(sigma);
  const double h = c.height(sigma), below = 1.0 + c.c2 * sigma * sigma;
  double sum = 0.0;
  for (std::int64_t j = 0; j <= columns; ++j) {
    const Course& f = courses_[j];
    support_[j].share = std::max((f.at + sigma * (f.along + sigma * f.beyond)) / below, 0.0);
    sum += support_[j].share;
  }
  sum += support_.back().share = h > 0.0 ? h / R(columns, columns) : 0.0;
  for (Point& p : support_) p.share /= sum;
}

// y for the shares as they are.
void OneCenter::place() {
  center_.assign(support_[0].point, support_[0].point + k_);
  std::vector<double>& offset = alpha_;
  offset.assign(static_cast<std::size_t>(k_), 0.0);
  for (std::int64_t j = 1; j < size(); ++j) {
    const Point& p = support_[j];
    for (std::int64_t i = 0; i < k_; ++i) offset[i] += p.share * (p.point[i] - center_[i]);
  }
  for (std::int64_t i = 0; i < k_; ++i) center_[i] += offset[i];
}

// From where y is, along the curve of the support without its last point q: up, until q is no farther away than the
// others, or down, until q has no share.
void OneCenter::travel(bool up) {
  double h = up ? 0.0 : support_.back().share * R(size() - 2, size() - 2);
  for (;;) {
    const std::int64_t m = size() - 2;
    if (m < 0) {
      t_ = 0.0;
      break;
    }
    const double height = R(m, m);
    std::int64_t leaves = -1;
    if (height == 0.0) {  // q lies in their hull: shares move towards it while y stays, until one of them vanishes
      gamma_.assign(&R(0, m), &R(0, m) + m);
      solve_upper(m, gamma_);
      double base = 1.0, step = infinity;
      for (std::int64_t j = 0; j < m; ++j) base -= gamma_[j];
      for (std::int64_t j = 0; j <= m; ++j) {
        const double g = j ? gamma_[j - 1] : base;
        if (g > 0.0 && support_[j].share / g < step) step = support_[j].share / g, leaves = j;
      }
      for (std::int64_t j = 0; j <= m; ++j)
        support_[j].share = std::max(support_[j].share - step * (j ? gamma_[j - 1] : base), 0.0);
      support_.back().share += step;
    } else {
      const Curve c = curve(m);
      find_shares(c);
      double sigma = h / c.c1;
      if (c.c2 > 0.0 && h > 0.0) {
        const double root = std::sqrt(std::max(c.c1 * c.c1 - 4.0 * c.c2 * h * h, 0.0));
        const bool early = t_ - c.least <= 0.5 * c.c1 / c.c2;
        sigma = early ? 2.0 * h / (c.c1 + root) : (c.c1 + root) / (2.0 * c.c2 * h);
      }
      double end = 0.0;
      if (up) {
        double length = height * height, wm = 0.0, wn = 0.0;
        for (std::int64_t e = 0; e < m; ++e) {
          const double w = R(e, m);
          length += w * w;
          wm += w * mu_[e];
          wn += w * nu_[e];
        }
        const Course excess = course(c, length - 2.0 * wm, support_[0].square - support_[m + 1].square - 2.0 * wn,
                                   2.0 * height);
        const bool sticks_out = excess.at + sigma * (excess.along + sigma * excess.beyond) > 0.0;
        end = sticks_out ? crossing(excess.at, excess.along, excess.beyond, sigma, true) : sigma;
      }
      for (std::int64_t j = 0; j <= m; ++j) {
        const double at = crossing(courses_[j].at, courses_[j].along, courses_[j].beyond, sigma, up);
        if (up ? at < end : at > end) end = at, leaves = j;
      }
      if (!std::isfinite(end)) end = sigma;  // rounding alone: what the shares prove says how good it is
      look(c, end);
    }
    if (leaves < 0) break;
    drop(leaves);
    h = size() > 1 ? support_.back().share * R(size() - 2, size() - 2) : 0.0;
  }
}

}  // namespace rc
