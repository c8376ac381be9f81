// The weighted one-centre of points: the y that minimises max_i |y - p_i| / r_i; with equal r, the centre of the
// smallest enclosing ball.
//
// Few points decide. A set S of them (the support) is optimal by itself if y is equally far from all of them, in units
// of r, and a convex combination of them: y = sum a_i p_i. Then no y' is better for S, because
//     max |y' - p_i|^2 / r_i^2 >= sum_i a_i |y' - p_i|^2 / sum_i a_i r_i^2 >= sum_i a_i |y - p_i|^2 / sum_i a_i r_i^2.
// So S and a prove a lower bound for whatever other points there are, and where none of those sticks out, the optimum.
//
// Points come and go one at a time, and y moves along a curve that is known in closed form: that of all positions in the
// affine hull of S and q which are equally far from all points of S. When q comes, y moves towards it, where the radius
// grows, until it is as near to q as to S; when q goes, it moves away, until q has no share in it. On the way, a point
// whose share vanishes leaves S. (Dearing and Zeck 2009 for balls; Dearing and Cawood 2023 with weights.)
#pragma once

#include <cstdint>
#include <vector>

namespace rc {

// sum_k a[k] b[k] and sum_k (a[k] - b[k])^2 in eight lanes.
double dot(const double* a, const double* b, std::int64_t k);
double square_distance(const double* a, const double* b, std::int64_t k);

class OneCenter {
 public:
  explicit OneCenter(std::int64_t dimension) : k_(dimension) {}
  OneCenter(const OneCenter& other) : k_(other.k_) { *this = other; }
  OneCenter& operator=(const OneCenter& other);  // what is in use alone, without allocating anew

  // The ball around one point; id is the caller's name for it, square is r^2. Points stay where they are, in the caller's
  // memory.
  void start(std::int64_t id, const double* point, double square);

  // The optimum with one more point, which sticks out (excess > 0).
  void add(std::int64_t id, const double* point, double square);

  // The optimum without the point of support at this position.
  void remove(std::int64_t position);

  // Solves for the support anew, from the points themselves, without what rounding has left of the path to it.
  void settle();

  // The same support elsewhere in memory, or seen from another origin: point(id) is where each is now.
  template <class Where>
  void measure(Where&& point) {
    for (Point& p : support_) p.point = point(p.id);
    settle();
  }

  std::int64_t size() const { return static_cast<std::int64_t>(support_.size()); }
  std::int64_t id(std::int64_t position) const { return support_[position].id; }
  double share(std::int64_t position) const { return support_[position].share; }  // a, >= 0, summing to 1
  const double* point(std::int64_t position) const { return support_[position].point; }
  bool holds(std::int64_t id) const;

  // (max |y - p_i| / r_i)^2 over the support, as it is solved.
  double value() const { return t_; }
  // What the shares prove: no y has less.
  double bound() const;
  const std::vector<double>& center() const { return center_; }
  // Position of the support point with the smallest radius, from which all others are measured.
  static constexpr std::int64_t base = 0;

 private:
  struct Point {
    std::int64_t id;
    double square, share;
    const double* point;
  };
  // The curve for the support but its last point, q: h is the height above their affine hull, sigma runs along it,
  //   h = sigma c1 / (1 + c2 sigma^2),   t = least + sigma^2 c1 / (1 + c2 sigma^2).
  struct Curve {
    double least, c1, c2;
    double height(double sigma) const { return sigma * c1 / (1.0 + c2 * sigma * sigma); }
    double value(double sigma) const { return least + sigma * height(sigma); }
  };
  // A share, or how far q sticks out, along it: (at + along sigma + beyond sigma^2) / (1 + c2 sigma^2).
  struct Course {
    double at, along, beyond;
  };

  double& R(std::int64_t row, std::int64_t column) { return R_[column * capacity_ + row]; }
  double R(std::int64_t row, std::int64_t column) const { return R_[column * capacity_ + row]; }
  void reserve(std::int64_t columns);
  void append(std::int64_t column);
  void to_end(std::int64_t position);
  void turn_last();
  void drop(std::int64_t position);
  void solve_upper(std::int64_t columns, std::vector<double>& x) const;
  Curve curve(std::int64_t columns);
  static Course course(const Curve& c, double alpha, double beta, double gamma);
  void find_shares(const Curve& c);
  void look(const Curve& c, double sigma);
  void place();
  void travel(bool up);

  std::int64_t k_, capacity_ = 0;
  std::vector<Point> support_;
  std::vector<double> Q_, R_;  // p_j - p_0 = Q R_j: orthonormal lines of Q, one triangular column for each j >= 1
  std::vector<double> mu_, nu_, alpha_, beta_, gamma_;
  std::vector<Course> courses_;
  std::vector<double> center_;
  double t_ = 0.0;
};

}  // namespace rc
