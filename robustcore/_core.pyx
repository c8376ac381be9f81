# cython: language_level=3, auto_pickle=False, autotestdict=False
# distutils: language=c++
"""The only door to csrc: check what comes in, release the GIL, one call."""

from cpython.buffer cimport PyBUF_RECORDS_RO, PyBuffer_Release, PyObject_GetBuffer
from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from libcpp cimport bool as cbool
from libcpp.string cimport string
from libcpp.vector cimport vector

import numpy as np


cdef extern from *:
    """
    #include <string>
    #include "kernels.hpp"
    #include "nspace/certificate.hpp"
    #include "nspace/centroids.hpp"
    #include "nspace/clip.hpp"
    #include "nspace/coordinates.hpp"
    #include "nspace/diameter.hpp"
    #include "nspace/filter.hpp"
    #include "nspace/median.hpp"
    #include "nspace/minmax.hpp"
    #include "nspace/mixing.hpp"
    #include "nspace/quadratic.hpp"
    #include "nspace/scores.hpp"
    #include "nspace/variance.hpp"
    #include "passes/clusters.hpp"
    #include "passes/columns.hpp"
    #include "passes/combine.hpp"
    #include "passes/distances.hpp"
    #include "passes/enclosing.hpp"

    static_assert(sizeof(Py_ssize_t) == sizeof(std::int64_t), "robustcore needs a 64-bit machine");

    namespace {
    const std::byte* as_bytes(const void* p) { return static_cast<const std::byte*>(p); }
    std::string kernels_in_use() { return std::string(rc::kernels().name); }
    std::string kernels_available() {
      std::string names;
      for (const rc::Kernels* k : rc::available_kernels()) (names += names.empty() ? "" : " ") += k->name;
      return names;
    }
    #ifdef __clang__
    const char* const compiler = "clang " __clang_version__;
    #else
    const char* const compiler = "gcc " __VERSION__;
    #endif
    }
    """
    cppclass byte "std::byte":
        pass
    const byte* as_bytes(const void*) nogil
    string kernels_in_use() except +
    string kernels_available()
    const char* compiler

cdef extern from "<algorithm>" namespace "std" nogil:
    double* copy_n(const double*, int64_t, double*)

cdef extern from "view.hpp" namespace "rc" nogil:
    const int most_axes
    cdef enum class Dtype(uint8_t):
        f32
        f64
        f16
        bf16
    int64_t size_of(Dtype)
    cppclass Points:
        const byte* data
        Dtype dtype
        int64_t n
        int64_t k
    cppclass Row:
        const byte* data
        const int64_t* strides
        cbool swapped
    cppclass Segment:
        Dtype dtype
        int64_t length
        int ndim
        const int64_t* shape
        const Row* rows
        int64_t begin
    cppclass Segments "std::span<const rc::Segment>":
        Segments()
        Segments(const Segment*, size_t)
    cppclass View "rc::Updates":
        int64_t n
        int64_t d
        Segments segments
        const double* mixing
        int64_t sources
        cbool relative
        cbool widened

cdef extern from "parallel.hpp" namespace "rc" nogil:
    void watch_forks()
    int c_default_threads "rc::default_threads"()
    const int openmp
    cppclass Team:
        Team(int threads, cbool (*poll)(void*, double) noexcept, void* context)

cdef extern from "passes/distances.hpp" namespace "rc" nogil:
    void c_sqdist "rc::sqdist"(const View&, Team&, double* out) except +
    void c_sqdist_scaled "rc::sqdist_scaled"(const View&, double scale, Team&, double* D) except +
    void c_sqdist_parts "rc::sqdist_parts"(const View&, Team&, double* parts) except +
    void c_sqdist_scaled_parts "rc::sqdist_scaled_parts"(
        const View&, double scale, Team&, const double* D, double* parts) except +
    void c_carry_parts "rc::carry_parts"(const double* parts, int64_t count, int64_t size, Team&, double* carried) except +
    void c_carried_sums "rc::carried_sums"(const double* carried, int64_t size, double* out)
    const double vanishing
    void c_finite_rows "rc::finite_rows"(const View&, Team&, cbool* finite) except +

cdef extern from "passes/combine.hpp" namespace "rc" nogil:
    ctypedef byte* Output "rc::Output"
    cbool c_combine "rc::combine"(
        const View&, const double* weights, int64_t origin, Team&, const Output* outputs) except +

cdef extern from "passes/columns.hpp" namespace "rc" nogil:
    cdef enum class Columnwise(uint8_t):
        pass
    cbool c_columns "rc::columns"(const View&, Columnwise, int64_t f, Team&, const Output* outputs) except +

cdef extern from "passes/enclosing.hpp" namespace "rc" nogil:
    cppclass Enclosure:
        cbool finite
        double value
        double gap
        int64_t passes
        vector[int64_t] support
        vector[double] shares
        vector[double] center
    Enclosure c_enclose "rc::enclose"(const Points&, const double* weights, Team&) except +
    void c_finite_points "rc::finite_points"(const Points&, cbool* finite)

cdef extern from "passes/clusters.hpp" namespace "rc" nogil:
    void c_nearest_centers "rc::nearest_centers"(
        const Points&, const double* centers, int64_t k, Team&, int32_t* labels, double* distances) except +
    void c_costs_with "rc::costs_with"(
        const Points&, const double* weights, const double* distances, const double* candidates, int64_t count, Team&,
        double* sums) except +
    void c_cluster_medians "rc::cluster_medians"(
        const Points&, const double* weights, const int32_t* labels, int64_t k, double tolerance, Team&,
        double* centers) except +

cdef extern from "nspace/scores.hpp" namespace "rc" nogil:
    cppclass Keys "std::span<const double* const>":
        Keys(const double**, size_t)
    void c_krum_scores "rc::krum_scores"(
        const double* D, int64_t n, int64_t neighbors, double divisor, double* scores) except +
    void c_select_lowest "rc::select_lowest"(Keys, int64_t n, int64_t m, int64_t* selected) except +
    void c_bulyan_select "rc::bulyan_select"(
        const double* D, int64_t n, int64_t f, int64_t count, Team&, int64_t* chosen, double* scores) except +

cdef extern from "nspace/mixing.hpp" namespace "rc" nogil:
    cbool c_mixed_sqdist "rc::mixed_sqdist"(
        const double* D, int64_t n, const double* M, int64_t k, Team&, double* out) except +
    void c_product "rc::product"(
        const double* A, int64_t a, const double* B, int64_t b, int64_t c, double* out) except +

cdef extern from "nspace/median.hpp" namespace "rc" nogil:
    cppclass Median:
        double gap
        int steps
        int64_t nearest
    Median c_geometric_median "rc::geometric_median"(
        const double* D, const double* stretch, int64_t n, int64_t reference, int64_t medoid, double smoothing,
        double tolerance, double* weights) except +
    void c_sums_of_distances "rc::sums_of_distances"(
        const double* D, const double* stretch, int64_t n, int64_t reference, double* sums) except +

cdef extern from "nspace/coordinates.hpp" namespace "rc" nogil:
    int64_t c_coordinates "rc::coordinates"(
        const double* D, const double* stretch, int64_t n, int64_t reference, Team&, vector[double]& x) except +

cdef extern from "nspace/clip.hpp" namespace "rc" nogil:
    void c_centered_clip "rc::centered_clip"(
        const double* D, const double* stretch, int64_t n, int64_t reference, double tau, int64_t iterations,
        double* weights) except +

cdef extern from "nspace/subsets.hpp" namespace "rc" nogil:
    ctypedef vector[int32_t] Subset
    cppclass Worst:
        Subset subset
        double low
        double high
    cppclass Budget:
        int64_t steps
        double seconds
    cppclass Walked:
        Subset best
        double value
        double left_out
        vector[uint64_t] visited
    uint64_t c_binomial "rc::binomial"(int64_t n, int64_t k) except +
    uint64_t c_rank "rc::rank"(const Subset&) except +
    Subset c_unrank "rc::unrank"(uint64_t rank, int32_t k) except +
    Walked c_walk_table "rc::walk_table"(const double* values, int32_t n, int32_t k, const Budget&, Team&) except +

cdef extern from "nspace/diameter.hpp" namespace "rc" nogil:
    cppclass Diameter:
        double low
        double high
    Diameter c_smallest_diameter "rc::smallest_diameter"(
        const double* D, int64_t n, int64_t f, const Budget&, Team&, int64_t* subset) except +

cdef extern from "nspace/variance.hpp" namespace "rc" nogil:
    cppclass Variance:
        double low
        double value
    Variance c_smallest_variance "rc::smallest_variance"(
        const double* D, int64_t n, int64_t f, const Budget&, Team&, int64_t* subset) except +

cdef extern from "nspace/filter.hpp" namespace "rc" nogil:
    void c_filter "rc::filter"(const double* D, int64_t n, int64_t f, Team&, double* weights) except +
    double c_top_eigenpair "rc::top_eigenpair"(double* A, int64_t n, double* vector) except +

cdef extern from "nspace/quadratic.hpp" namespace "rc" nogil:
    cppclass Quadratic:
        const double* G
        const double* h
        int64_t n
        int64_t t
    cppclass Largest:
        Subset subset
        double value
        double bound
    double value_of(const Quadratic&, const Subset& T)
    Subset c_local_search "rc::local_search"(const Quadratic&, Team&) except +
    Largest c_largest_quadratic "rc::largest_quadratic"(
        const Quadratic&, const Budget&, Team&, double threshold) except +

cdef extern from "nspace/minmax.hpp" namespace "rc" nogil:
    const int64_t most_points
    cppclass Binding "rc::MinMax::Binding":
        Subset members
        double radius
        double share
        vector[double] weights
    cppclass MinMax:
        vector[double] weights
        double value
        double bound
        vector[Binding] balls
        int64_t rounds
        int64_t steps
    MinMax c_minmax_meb "rc::minmax_meb"(
        const double* x, int64_t n, int64_t k, int64_t t, const Budget&, Team&) except +

cdef extern from "nspace/centroids.hpp" namespace "rc" nogil:
    cppclass CentroidBall:
        vector[Subset] subsets
        vector[double] shares
        double radius
        double gap
    CentroidBall c_centroid_ball "rc::centroid_ball"(
        const double* x, int64_t n, int64_t k, int64_t f, const Budget&, Team&) except +
    Worst c_farthest_centroid "rc::farthest_centroid"(
        const double* x, int64_t n, int64_t k, int64_t f, const double* y, const Budget&, Team&) except +

cdef extern from "nspace/certificate.hpp" namespace "rc" nogil:
    Worst c_meb_factor "rc::meb_factor"(
        const double* x, int64_t n, int64_t k, int64_t t, const double* y, const Budget&, Team&) except +
    Worst c_robustness "rc::robustness"(
        const double* x, const int32_t* exponents, int64_t n, int64_t k, int64_t t, const double* y, const Budget&,
        Team&) except +

cdef extern from "kernels.hpp" namespace "rc" nogil:
    const int64_t superblock_columns
    const int block_columns
    int64_t superblocks "rc::superblock_count"(const View&)
    void c_use_kernels "rc::use_kernels"(string) except +


cdef class _Crew:
    """The threads of one call, who hear Ctrl-C, tell how far they are, and keep what was raised meanwhile."""

    cdef Team* team
    cdef object progress
    cdef object error

    def __cinit__(self, int threads, progress):
        self.team = new Team(threads, go_on, <void*> self)
        self.progress = progress

    def __dealloc__(self):
        del self.team

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        """What was raised meanwhile stands for the core's own word that it was interrupted."""
        if self.error is not None and isinstance(error, RuntimeError):
            raise self.error from None

cdef cbool go_on(void* context, double fraction) noexcept with gil:
    cdef _Crew crew = <_Crew> context
    try:
        PyErr_CheckSignals()
        if crew.progress is not None:
            crew.progress(fraction)
        return True
    except BaseException as error:
        crew.error = error
        return False


watch_forks()


class Mismatch(ValueError):
    """Segment ``segment`` of row ``row`` is not what row 0 and the dtypes promise."""

    def __init__(self, row, segment):
        super().__init__(f"row {row}, segment {segment}")
        self.row = row
        self.segment = segment


# Format letters of the buffer protocol; bfloat16 has none, its bits come as uint16.
cdef dict DTYPES = {"float32": (0, b"f"), "float64": (1, b"d"), "float16": (2, b"e"), "bfloat16": (3, b"H")}

cdef cbool is_contiguous(const Py_buffer* buffer) noexcept:
    cdef Py_ssize_t expected = buffer.itemsize
    cdef int axis
    for axis in range(buffer.ndim - 1, -1, -1):
        if buffer.shape[axis] != 1 and buffer.strides[axis] != expected:
            return False
        expected *= buffer.shape[axis]
    return True

cdef cbool agrees(const Py_buffer* buffer, const Py_buffer* first, char letter, cbool* swapped) noexcept:
    """Whether a buffer has this element type, and the shape of the first, which has no empty axis."""
    cdef const char* format = buffer.format
    cdef int axis
    swapped[0] = format[0] == c'>'
    if format[0] in (c'<', c'>', c'=', c'@'):
        format += 1
    if format[0] != letter or format[1] != 0 or buffer.ndim != first.ndim or buffer.ndim > most_axes:
        return False
    for axis in range(buffer.ndim):
        if buffer.shape[axis] != first.shape[axis] or buffer.shape[axis] == 0:
            return False
    return True


cdef class Updates:
    """n rows of the same segments: views of the callers' own memory, held until this object goes.

    ``rows[i][s]`` is segment s of row i: anything with the buffer protocol, not empty, of any strides and either byte
    order, of the dtype ``dtypes[s]`` and of the shape of ``rows[0][s]``; else `Mismatch`. A row may be None, the origin,
    all of whose coordinates are zero.
    """

    cdef Updates source  # whose buffers mixed rows are made of
    cdef vector[double] weights
    cdef vector[Py_buffer] buffers
    cdef vector[Row] row
    cdef vector[Segment] segment
    cdef View view

    def __cinit__(self, rows=None, list dtypes=None):
        if rows is None:  # `mixed` fills it
            return
        cdef size_t n = len(rows), count = len(dtypes), i, s
        cdef Py_buffer* buffer
        cdef Py_buffer* first
        cdef Row* row
        cdef vector[char] letter
        cdef list leaves
        self.buffers.reserve(n * count)
        self.row.resize(n * count)
        self.segment.resize(count)
        for s in range(count):
            code, name = DTYPES[dtypes[s]]
            self.segment[s].dtype = <Dtype> <uint8_t> code
            letter.push_back((<bytes> name)[0])
        for i in range(n):
            leaves = rows[i]
            if leaves is None and i:
                continue  # the vectors' own zeros say so
            if <size_t> len(leaves) != count:
                raise Mismatch(i, min(<size_t> len(leaves), count))
            for s in range(count):
                self.buffers.resize(self.buffers.size() + 1)
                buffer = &self.buffers.back()
                PyObject_GetBuffer(leaves[s], buffer, PyBUF_RECORDS_RO)
                first = &self.buffers[s]
                row = &self.row[s * n + i]
                if not agrees(buffer, first, letter[s], &row.swapped):
                    raise Mismatch(i, s)
                row.data = as_bytes(buffer.buf)
                if not is_contiguous(buffer):
                    row.strides = <const int64_t*> buffer.strides
        self.view.n = n
        self.view.d = 0
        for s in range(count if n else 0):
            first = &self.buffers[s]
            self.segment[s].length = first.len // first.itemsize
            self.segment[s].ndim = first.ndim
            self.segment[s].shape = <const int64_t*> first.shape
            self.segment[s].rows = &self.row[s * n]
            self.segment[s].begin = self.view.d
            self.view.d += self.segment[s].length
        if not self.view.d:
            raise ValueError("no coordinates")
        self.view.segments = Segments(self.segment.data(), count)

    def __dealloc__(self):
        cdef size_t b
        for b in range(self.buffers.size()):
            PyBuffer_Release(&self.buffers[b])

    @property
    def n(self):
        """The number of rows."""
        return self.view.n

    @property
    def d(self):
        """The number of coordinates."""
        return self.view.d

    def mixed(self, const double[:, ::1] M, cbool relative=False):
        """k rows that are combinations of these: line r of M (k, n) holds the weights of row r.

        They sum to 1, or, where the rows are differences, ``relative``, to 0. The rows are formed in float64 wherever a
        pass reads them; what a row without a weight holds does not matter.
        """
        cdef Updates out = Updates.__new__(Updates)
        cdef int64_t n = self.view.n, k = M.shape[0]
        if M.shape[1] != n or not k or self.source is not None:
            raise ValueError("one weight for each row that is not mixed itself")
        out.source = self
        out.weights.assign(&M[0, 0], &M[0, 0] + k * n)
        out.segment = self.segment
        out.view = self.view
        out.view.n = k
        out.view.mixing = out.weights.data()
        out.view.sources = n
        out.view.relative = relative
        return out

    def sqdist(self, int threads, progress=None, cbool exact=False):
        """(n, n) float64: squared distances; NaN in the row and column of each row that is not finite.

        With ``exact`` they are formed in float64 from float32 rows too.
        """
        out = np.empty((self.view.n, self.view.n))
        cdef double[:, ::1] D = out
        cdef View view = self.view
        view.widened = exact
        cdef _Crew crew = _Crew(threads, progress)
        with crew:
            with nogil:
                c_sqdist(view, crew.team[0], &D[0, 0])
        return out

    def sqdist_parts(self, int threads, progress=None, cbool exact=False):
        """(superblocks, n, n) float64: what each superblock of the coordinates adds to `sqdist`; see `carry_parts`."""
        out = np.empty((superblocks(self.view), self.view.n, self.view.n))
        cdef double[:, :, ::1] parts = out
        cdef View view = self.view
        view.widened = exact
        cdef _Crew crew = _Crew(threads, progress)
        with crew:
            with nogil:
                c_sqdist_parts(view, crew.team[0], &parts[0, 0, 0])
        return out

    def sqdist_scaled_parts(self, const double[:, ::1] D, double scale, int threads, progress=None):
        """(superblocks, n, n) float64: what each superblock adds to the pairs that `sqdist_scaled` forms anew."""
        out = np.empty((superblocks(self.view), self.view.n, self.view.n))
        cdef double[:, :, ::1] parts = out
        cdef _Crew crew = _Crew(threads, progress)
        if D.shape[0] != self.view.n or D.shape[1] != self.view.n:
            raise ValueError("a matrix of all rows")
        with crew:
            with nogil:
                c_sqdist_scaled_parts(self.view, scale, crew.team[0], &D[0, 0], &parts[0, 0, 0])
        return out

    def sqdist_scaled(self, out, double scale, int threads, progress=None):
        """``out`` (n, n) without NaN, as `sqdist` has it, becomes the squared distances times ``scale`` squared.

        ``scale``, a power of two, brings into range what was infinite (scale < 1) or vanished (scale > 1).
        """
        cdef double[:, ::1] D = out
        cdef _Crew crew = _Crew(threads, progress)
        if D.shape[0] != self.view.n or D.shape[1] != self.view.n:
            raise ValueError("a matrix of all rows")
        with crew:
            with nogil:
                c_sqdist_scaled(self.view, scale, crew.team[0], &D[0, 0])

    def finite_rows(self, int threads, progress=None):
        """(n,) bool: the rows without NaN and infinities."""
        out = np.empty(self.view.n, np.bool_)
        cdef uint8_t[::1] finite = out.view(np.uint8)
        cdef _Crew crew = _Crew(threads, progress)
        with crew:
            with nogil:
                c_finite_rows(self.view, crew.team[0], <cbool*> &finite[0])
        return out

    def combine(self, const double[::1] weights, Py_ssize_t origin, list outputs, int threads, progress=None):
        """Writes sum_i weights[i] * row i into ``outputs``, one C-contiguous native array per segment.

        With ``origin`` >= 0, that row stands for what the other weights leave of 1. Returns whether all sums are
        finite.
        """
        cdef vector[Output] targets = self.targets(outputs)
        cdef cbool finite
        cdef _Crew crew = _Crew(threads, progress)
        if weights.shape[0] != self.view.n or not -1 <= origin < self.view.n:
            raise ValueError("one weight for each row, and an origin among them")
        with crew:
            with nogil:
                finite = c_combine(self.view, &weights[0], origin, crew.team[0], targets.data())
        return finite

    def columns(self, str rule, Py_ssize_t f, list outputs, int threads, progress=None):
        """Writes what a coordinate-wise rule makes of the rows into ``outputs``, as `combine` does.

        Returns whether all rows are finite; if not, ``outputs`` mean nothing.
        """
        cdef vector[Output] targets = self.targets(outputs)
        cdef Columnwise which = <Columnwise> <uint8_t> COLUMNWISE.index(rule)
        cdef cbool finite
        cdef _Crew crew = _Crew(threads, progress)
        if not 0 <= f * (1 if rule == "meamed" else 2) < self.view.n:
            raise ValueError("0 <= 2f < n (meamed: f < n)")
        with crew:
            with nogil:
                finite = c_columns(self.view, which, f, crew.team[0], targets.data())
        return finite

    cdef vector[Output] targets(self, list outputs) except *:
        cdef vector[Output] targets
        cdef uint8_t[::1] target
        cdef size_t s
        if <size_t> len(outputs) != self.segment.size():
            raise ValueError("one output for each segment")
        for s in range(self.segment.size()):
            if not outputs[s].flags.c_contiguous:
                raise ValueError("outputs are C-contiguous")
            target = outputs[s].reshape(-1).view(np.uint8)
            if target.shape[0] != self.segment[s].length * size_of(self.segment[s].dtype):
                raise ValueError("an output has the size of its segment")
            targets.push_back(<Output> <void*> &target[0])
        return targets


# In the order of rc::Columnwise.
cdef list COLUMNWISE = ["median", "trimmed_mean", "meamed", "phocas", "box_midpoint", "sign_majority"]

VANISHING = vanishing
SUPERBLOCK = superblock_columns
BLOCK = block_columns


def carry_parts(const double[:, :, ::1] parts, const double[:, :, ::1] carried=None, int threads=1):
    """(2, n, n) float64: sums under way, and what their additions have lost, after these parts (superblocks, n, n).

    ``carried`` is what there was before. One after the other, as in a single pass; see `carried_sum`.
    """
    if not parts.size or parts.shape[1] != parts.shape[2]:
        raise ValueError("at least one part, of square matrices")
    if carried is not None and (carried.shape[0], carried.shape[1], carried.shape[2]) != (2, parts.shape[1], parts.shape[2]):
        raise ValueError("what is carried has the size of the parts")
    out = np.zeros((2, parts.shape[1], parts.shape[2])) if carried is None else np.array(carried)
    cdef double[:, :, ::1] sums = out
    cdef _Crew crew = _Crew(threads, None)
    with crew:
        with nogil:
            c_carry_parts(
                &parts[0, 0, 0], parts.shape[0], parts.shape[1] * parts.shape[2], crew.team[0], &sums[0, 0, 0])
    return out


def carried_sum(const double[:, :, ::1] carried):
    """(n, n) float64: what has been carried, at its end."""
    if carried.shape[0] != 2 or not carried.size:
        raise ValueError("sums, and what their additions have lost")
    out = np.empty((carried.shape[1], carried.shape[2]))
    cdef double[:, ::1] total = out
    with nogil:
        c_carried_sums(&carried[0, 0, 0], carried.shape[1] * carried.shape[2], &total[0, 0])
    return out


cdef Points as_points(points) except *:
    cdef Points view
    cdef const uint8_t[::1] raw
    if points.ndim != 2 or not points.size or not points.flags.c_contiguous or points.dtype.name not in ENCLOSABLE:
        raise ValueError("points are a C-contiguous matrix of float32 or float64")
    raw = points.reshape(-1).view(np.uint8)
    view.data = as_bytes(&raw[0])
    view.dtype = <Dtype> <uint8_t> ENCLOSABLE.index(points.dtype.name)
    view.n, view.k = points.shape
    return view

cdef list ENCLOSABLE = ["float32", "float64"]


def enclose(points, weights, int threads, progress=None):
    """The weighted one-centre of the points (n, k): value, gap, support, shares, center, passes; None if not finite.

    Without weights, all are 1.
    """
    cdef Points view = as_points(points)
    cdef const double[::1] w = weights
    cdef const double* first = NULL
    cdef Enclosure found
    cdef _Crew crew = _Crew(threads, progress)
    if weights is not None:
        if w.shape[0] != view.n:
            raise ValueError("one weight for each point")
        first = &w[0]
    with crew:
        with nogil:
            found = c_enclose(view, first, crew.team[0])
    if not found.finite:
        return None
    return (found.value, found.gap, np.array(found.support, np.int64), np.array(found.shares), np.array(found.center),
            found.passes)


def finite_points(points):
    """(n,) bool: the points without NaN and infinities."""
    cdef Points view = as_points(points)
    out = np.empty(view.n, np.bool_)
    cdef uint8_t[::1] finite = out.view(np.uint8)
    with nogil:
        c_finite_points(view, <cbool*> &finite[0])
    return out


def nearest_centers(points, const double[:, ::1] centers, int threads):
    """The nearest of the centers (k, d) for each of the points (n, d), the first of equals: labels, distances."""
    cdef Points view = as_points(points)
    cdef Py_ssize_t k = centers.shape[0]
    check_width(view, centers)
    out, away = np.empty(view.n, np.int32), np.empty(view.n)
    cdef int32_t[::1] labels = out
    cdef double[::1] distances = away
    cdef _Crew crew = _Crew(threads, None)
    with crew:
        with nogil:
            c_nearest_centers(view, &centers[0, 0], k, crew.team[0], &labels[0], &distances[0])
    return out, away


def costs_with(points, weights, const double[::1] distances, const double[:, ::1] candidates, int threads):
    """The weighted sum of what is smaller, the distance of a point or that to a candidate, for each candidate.

    Without weights, all are 1.
    """
    cdef Points view = as_points(points)
    cdef Py_ssize_t count = candidates.shape[0]
    cdef const double[::1] w = weights
    check_width(view, candidates)
    if distances.shape[0] != view.n or (weights is not None and w.shape[0] != view.n):
        raise ValueError("one distance and one weight for each point")
    out = np.empty(count)
    cdef double[::1] sums = out
    cdef const double* first = &w[0] if weights is not None else NULL
    cdef _Crew crew = _Crew(threads, None)
    with crew:
        with nogil:
            c_costs_with(view, first, &distances[0], &candidates[0, 0], count, crew.team[0], &sums[0])
    return out


def cluster_medians(
    points, weights, const int32_t[::1] labels, const double[:, ::1] centers, double tolerance, int threads
):
    """The weighted geometric medians (k, d) of the points with each label, looked for from the centers (k, d) on.

    Without weights, all are 1. A cluster without points or weight keeps its center.
    """
    cdef Points view = as_points(points)
    cdef Py_ssize_t k = centers.shape[0]
    cdef const double[::1] w = weights
    check_width(view, centers)
    if labels.shape[0] != view.n or (weights is not None and w.shape[0] != view.n):
        raise ValueError("one label and one weight for each point")
    if np.min(labels) < 0 or np.max(labels) >= k:
        raise ValueError("labels are 0 .. k - 1")
    out = np.array(centers)
    cdef double[:, ::1] found = out
    cdef const double* first = &w[0] if weights is not None else NULL
    cdef _Crew crew = _Crew(threads, None)
    with crew:
        with nogil:
            c_cluster_medians(view, first, &labels[0], k, tolerance, crew.team[0], &found[0, 0])
    return out


cdef int check_width(const Points& points, const double[:, ::1] centers) except -1:
    if not centers.shape[0] or centers.shape[1] != points.k:
        raise ValueError("centers with as many numbers as the points have")
    return 0


def krum_scores(const double[:, ::1] D, Py_ssize_t neighbors, double divisor):
    """(n,) float64: for each row of D, the sum of its smallest ``neighbors`` entries off the diagonal / divisor."""
    cdef Py_ssize_t n = square(D)
    if not 0 <= neighbors < n:
        raise ValueError("fewer neighbours than rows")
    out = np.empty(n)
    cdef double[::1] scores = out
    with nogil:
        c_krum_scores(&D[0, 0], n, neighbors, divisor, &scores[0])
    return out


def select_lowest(list keys, Py_ssize_t m):
    """(m,) int64, increasing: the indices of lowest ``keys[0]``; ``keys[1]`` tells apart the infinite, and so on."""
    cdef vector[const double*] pointers
    cdef const double[::1] key
    cdef Py_ssize_t n = len(keys[0])
    if not 1 <= m <= n:
        raise ValueError("1 <= m <= n")
    for k in keys:
        key = k
        if key.shape[0] != n:
            raise ValueError("keys of one length")
        pointers.push_back(&key[0])
    out = np.empty(m, np.int64)
    cdef int64_t[::1] selected = out
    with nogil:
        c_select_lowest(Keys(pointers.data(), pointers.size()), n, m, &selected[0])
    return out


def bulyan_select(const double[:, ::1] D, Py_ssize_t f, Py_ssize_t count, progress=None):
    """(count,) int64 and (n,) float64: whom Bulyan chooses, in the order of choice, and everybody's last score."""
    cdef Py_ssize_t n = square(D)
    if not 1 <= count <= n or f < 0:
        raise ValueError("1 <= count <= n and f >= 0")
    chosen, scores = np.empty(count, np.int64), np.empty(n)
    cdef int64_t[::1] c = chosen
    cdef double[::1] s = scores
    cdef _Crew crew = _Crew(1, progress)
    with crew:
        with nogil:
            c_bulyan_select(&D[0, 0], n, f, count, crew.team[0], &c[0], &s[0])
    return chosen, scores


def mixed_sqdist(const double[:, ::1] D, const double[:, ::1] M, int threads=1, progress=None):
    """(k, k) float64: squared distances of the points mixed by M (k, n), or None where too many digits cancel."""
    cdef Py_ssize_t n = square(D), k = M.shape[0]
    cdef cbool accurate
    if M.shape[1] != n or not k:
        raise ValueError("one weight for each point")
    out = np.empty((k, k))
    cdef double[:, ::1] mixed = out
    cdef _Crew crew = _Crew(threads, progress)
    with crew:
        with nogil:
            accurate = c_mixed_sqdist(&D[0, 0], n, &M[0, 0], k, crew.team[0], &mixed[0, 0])
    return out if accurate else None


def product(const double[:, ::1] A, const double[:, ::1] B):
    """(a, c) float64: A (a, b) times B (b, c), the same bits everywhere."""
    if A.shape[1] != B.shape[0] or not A.shape[0] or not A.shape[1] or not B.shape[1]:
        raise ValueError("as many columns as rows")
    out = np.empty((A.shape[0], B.shape[1]))
    cdef double[:, ::1] C = out
    with nogil:
        c_product(&A[0, 0], A.shape[0], &B[0, 0], A.shape[1], B.shape[1], &C[0, 0])
    return out


def coordinates(const double[:, ::1] D, const double[::1] stretch, Py_ssize_t reference):
    """(n, k) float64: points with these distances, the reference in the origin, in as few dimensions as they need."""
    cdef Py_ssize_t n = square(D)
    cdef vector[double] x
    cdef int64_t k
    cdef _Crew crew = _Crew(1, None)
    if stretch.shape[0] != n or not 0 <= reference < n:
        raise ValueError("a stretch for each point, and a reference among them")
    with crew:
        with nogil:
            k = c_coordinates(&D[0, 0], &stretch[0], n, reference, crew.team[0], x)
    out = np.empty((n, k))
    cdef double[:, ::1] points = out
    with nogil:
        copy_n(x.data(), n * k, &points[0, 0])
    return out


def sums_of_distances(const double[:, ::1] D, const double[::1] stretch, Py_ssize_t reference):
    """(n,) float64: for each point its sum of distances; of stretched points, what they exceed the reference's."""
    cdef Py_ssize_t n = square(D)
    if stretch.shape[0] != n or not 0 <= reference < n:
        raise ValueError("a stretch for each point, and a reference among them")
    out = np.empty(n)
    cdef double[::1] sums = out
    with nogil:
        c_sums_of_distances(&D[0, 0], &stretch[0], n, reference, &sums[0])
    return out


def geometric_median(
    const double[:, ::1] D,
    const double[::1] stretch,
    Py_ssize_t reference,
    Py_ssize_t medoid,
    double smoothing,
    double tolerance,
):
    """(n,) weights of the geometric median, its gap, the number of steps, a nearest point."""
    cdef Py_ssize_t n = square(D)
    cdef Median found
    if stretch.shape[0] != n or not 0 <= reference < n or not 0 <= medoid < n:
        raise ValueError("a stretch for each point, and reference and medoid among them")
    out = np.empty(n)
    cdef double[::1] weights = out
    with nogil:
        found = c_geometric_median(
            &D[0, 0], &stretch[0], n, reference, medoid, smoothing, tolerance, &weights[0])
    return out, found.gap, found.steps, found.nearest


def centered_clip(
    const double[:, ::1] D, const double[::1] stretch, Py_ssize_t reference, double tau, Py_ssize_t iterations
):
    """(n,) weights of the points in D in the centered clipping of all but the reference, where it begins."""
    cdef Py_ssize_t n = square(D)
    if stretch.shape[0] != n or n < 2 or not 0 <= reference < n:
        raise ValueError("a stretch for each point, and a reference among them")
    out = np.empty(n)
    cdef double[::1] weights = out
    with nogil:
        c_centered_clip(&D[0, 0], &stretch[0], n, reference, tau, iterations, &weights[0])
    return out


def covariance_filter(const double[:, ::1] D, Py_ssize_t f, progress=None):
    """(n,) weights of the covariance-bound agnostic filter."""
    cdef Py_ssize_t n = square(D)
    if not 0 <= 2 * f < n:
        raise ValueError("0 <= 2f < n")
    out = np.empty(n)
    cdef double[::1] weights = out
    cdef _Crew crew = _Crew(1, progress)
    with crew:
        with nogil:
            c_filter(&D[0, 0], n, f, crew.team[0], &weights[0])
    return out


def subset_rank(list subset):
    """The place of the increasing numbers in revolving-door order."""
    return c_rank(subset)


def subset_unrank(uint64_t rank, int32_t k):
    """The k numbers, increasing, that have this place in revolving-door order."""
    return c_unrank(rank, k)


def walk_subsets(
    int32_t n, int32_t k, values=None, int threads=1, int64_t steps=0, double seconds=0.0, progress=None
):
    """The k-subset of n of largest value, that value, a bound on what was left out, and the ranks that were met.

    ``values`` go by rank; of equal ones the lowest rank wins. Without, all are worth 0, and nobody knows before. For
    tests: see csrc/nspace/subsets.hpp.
    """
    cdef const double[::1] table = values
    cdef const double* pointer = NULL
    cdef Walked walked
    cdef Budget budget
    if not 0 < k < n:
        raise ValueError("0 < k < n")
    if values is not None:
        if <uint64_t> table.shape[0] != c_binomial(n, k):
            raise ValueError("a value for each subset")
        pointer = &table[0]
    budget.steps, budget.seconds = steps, seconds
    cdef _Crew crew = _Crew(threads, progress)
    with crew:
        with nogil:
            walked = c_walk_table(pointer, n, k, budget, crew.team[0])
    return walked.best, walked.value, walked.left_out, walked.visited


def smallest_diameter(
    const double[:, ::1] D, Py_ssize_t f, int64_t steps=0, double seconds=0.0, progress=None
):
    """(n - f,) int64, the points of a smallest diameter, and bounds on it, low and high, as entries of D.

    They are equal unless ``steps`` or ``seconds`` (0: no limit) were not enough.
    """
    cdef Py_ssize_t n = square(D)
    cdef Diameter found
    cdef Budget budget
    if not 0 <= f < n:
        raise ValueError("0 <= f < n")
    budget.steps, budget.seconds = steps, seconds
    out = np.empty(n - f, np.int64)
    cdef int64_t[::1] subset = out
    cdef _Crew crew = _Crew(1, progress)
    with crew:
        with nogil:
            found = c_smallest_diameter(&D[0, 0], n, f, budget, crew.team[0], &subset[0])
    return out, found.low, found.high


def smallest_variance(
    const double[:, ::1] D, Py_ssize_t f, int threads=1, int64_t steps=0, double seconds=0.0, progress=None
):
    """(n - f,) int64, the points whose covariance has the smallest largest eigenvalue, a lower bound on it, and it."""
    cdef Py_ssize_t n = square(D)
    cdef Variance found
    cdef Budget budget
    if not 0 <= f < n:
        raise ValueError("0 <= f < n")
    budget.steps, budget.seconds = steps, seconds
    out = np.empty(n - f, np.int64)
    cdef int64_t[::1] subset = out
    cdef _Crew crew = _Crew(threads, progress)
    with crew:
        with nogil:
            found = c_smallest_variance(&D[0, 0], n, f, budget, crew.team[0], &subset[0])
    return out, found.low, found.value


def top_eigenpair(A):
    """The largest eigenvalue of the symmetric matrix A, and a unit vector (n,) that belongs to it."""
    cdef double[:, ::1] work = np.array(A, np.float64, order="C")
    cdef Py_ssize_t n = square(work)
    cdef double value
    out = np.empty(n)
    cdef double[::1] vector = out
    with nogil:
        value = c_top_eigenpair(&work[0, 0], n, &vector[0])
    return value, out


def local_search(const double[:, ::1] G, const double[::1] h, Py_ssize_t t, progress=None):
    """(t,) int64, increasing: a subset with a large sum of h over it and of G over its ordered pairs; and its value."""
    cdef Quadratic q = quadratic(G, h, t)
    cdef Subset T
    cdef _Crew crew = _Crew(1, progress)
    with crew:
        with nogil:
            T = c_local_search(q, crew.team[0])
    return np.array(T, np.int64), value_of(q, T)


def largest_quadratic(
    const double[:, ::1] G,
    const double[::1] h,
    Py_ssize_t t,
    int threads=1,
    double threshold=-np.inf,
    int64_t steps=0,
    double seconds=0.0,
    progress=None,
):
    """The (t,) int64 subset T, increasing, with the largest sum of h over T and of G over its ordered pairs.

    With its value, and a bound that no subset exceeds, even where ``steps`` or ``seconds`` (0: no limit) were not
    enough. T is None if no subset that was found is worth more than ``threshold``; the value is -inf then.
    """
    cdef Quadratic q = quadratic(G, h, t)
    cdef Budget budget
    cdef Largest found
    cdef _Crew crew = _Crew(threads, progress)
    budget.steps, budget.seconds = steps, seconds
    with crew:
        with nogil:
            found = c_largest_quadratic(q, budget, crew.team[0], threshold)
    return None if found.value == -np.inf else np.array(found.subset, np.int64), found.value, found.bound


MOST_POINTS = most_points


def minmax_meb(const double[:, ::1] x, Py_ssize_t t, int threads=1, int64_t steps=0, double seconds=0.0, progress=None):
    """The point that minimises the largest distance in radii from the balls around n - t of the points x (n, k).

    Its (n,) weights, what the largest is at most, what it is at least for any point, the binding balls (members, radius,
    share, weights of the center), rounds and steps.
    """
    cdef Py_ssize_t n = x.shape[0], k = x.shape[1]
    cdef Budget budget
    cdef MinMax found
    cdef _Crew crew = _Crew(threads, progress)
    if not 0 <= 2 * t < n <= most_points or not k:
        raise ValueError("0 <= 2t < n, no more points than there are bits for, and coordinates")
    budget.steps, budget.seconds = steps, seconds
    with crew:
        with nogil:
            found = c_minmax_meb(&x[0, 0], n, k, t, budget, crew.team[0])
    balls = [(np.array(b.members, np.int64), b.radius, b.share, np.array(b.weights)) for b in found.balls]
    return np.array(found.weights), found.value, found.bound, balls, found.rounds, found.steps
def centroid_ball(
    const double[:, ::1] x, Py_ssize_t f, int threads=1, int64_t steps=0, double seconds=0.0, progress=None
):
    """The smallest ball around the centroids of all n - f of the points x (n, k).

    (s, n - f) int64 subsets and (s,) shares, by which their centroids make its center; the radius and the gap, which is
    larger than rounding only where ``steps`` or ``seconds`` (0: no limit) were not enough.
    """
    cdef CentroidBall found
    cdef Budget budget
    if not x.shape[1] or not 0 <= f < x.shape[0]:
        raise ValueError("0 <= f < n")
    budget.steps, budget.seconds = steps, seconds
    cdef _Crew crew = _Crew(threads, progress)
    with crew:
        with nogil:
            found = c_centroid_ball(&x[0, 0], x.shape[0], x.shape[1], f, budget, crew.team[0])
    return np.array(found.subsets, np.int64), np.array(found.shares), found.radius, found.gap


def worst_subset(
    str of,
    const double[:, ::1] x,
    Py_ssize_t t,
    const double[::1] y,
    const int32_t[::1] exponents=None,
    int threads=1,
    int64_t steps=0,
    double seconds=0.0,
    progress=None,
):
    """The (n - t,) int64 subset of the points x (n, k) that y (k,) is worst for, how much so, and a bound for any subset.

    ``of``: "meb_factor", "kappa" or "centroid"; see nspace/certificate.hpp and centroids.hpp. ``exponents``: for kappa, (n +
    1,): of two, the powers that points and y are to be multiplied by.
    """
    cdef Py_ssize_t n = x.shape[0], k = x.shape[1]
    cdef Budget budget
    cdef Worst found
    cdef int what = ("meb_factor", "kappa", "centroid").index(of)
    if not 0 <= 2 * t < n <= most_points or not k or y.shape[0] != k:
        raise ValueError("0 <= 2t < n, no more points than there are bits for, and coordinates")
    if exponents is None:
        exponents = np.zeros(n + 1, np.int32)
    if exponents.shape[0] != n + 1:
        raise ValueError("an exponent for each point")
    budget.steps, budget.seconds = steps, seconds
    cdef _Crew crew = _Crew(threads, progress)
    with crew:
        with nogil:
            if what == 0:
                found = c_meb_factor(&x[0, 0], n, k, t, &y[0], budget, crew.team[0])
            elif what == 1:
                found = c_robustness(&x[0, 0], &exponents[0], n, k, t, &y[0], budget, crew.team[0])
            else:
                found = c_farthest_centroid(&x[0, 0], n, k, t, &y[0], budget, crew.team[0])
    return np.array(found.subset, np.int64), found.low, found.high


cdef Quadratic quadratic(const double[:, ::1] G, const double[::1] h, Py_ssize_t t) except *:
    cdef Quadratic q
    q.n, q.t = square(G), t
    if h.shape[0] != q.n or not 0 <= t <= q.n:
        raise ValueError("one value for each row, and 0 <= t <= n")
    q.G, q.h = &G[0, 0], &h[0]
    return q


cdef Py_ssize_t square(const double[:, ::1] D) except -1:
    if D.shape[0] != D.shape[1] or not D.shape[0]:
        raise ValueError("a square matrix")
    return D.shape[0]


def default_threads():
    """How many threads OpenMP would use: the cores this process may run on, or OMP_NUM_THREADS."""
    return c_default_threads()


def isa():
    """The instruction set of the kernels in use."""
    return kernels_in_use().decode()


def use_isa(str name):
    """Uses the kernels of this instruction set from now on, in this process; for tests."""
    c_use_kernels(name.encode())


def available_isas():
    """The instruction sets that this build and this processor can run, slowest first."""
    return kernels_available().decode().split()


def build_facts():
    """What the compiler knew: its own name and the date of its OpenMP."""
    return {"compiler": compiler.decode(), "openmp": openmp}
