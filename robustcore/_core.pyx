# cython: language_level=3, auto_pickle=False, autotestdict=False
# distutils: language=c++
"""The only door to csrc: check what comes in, release the GIL, one call."""

from cpython.buffer cimport PyBUF_RECORDS_RO, PyBuffer_Release, PyObject_GetBuffer
from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport int64_t, uint8_t
from libcpp cimport bool as cbool
from libcpp.string cimport string
from libcpp.vector cimport vector

import numpy as np


cdef extern from *:
    """
    #include <string>
    #include "kernels.hpp"
    #include "nspace/scores.hpp"
    #include "passes/columns.hpp"
    #include "passes/combine.hpp"
    #include "passes/distances.hpp"

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

cdef extern from "view.hpp" namespace "rc" nogil:
    const int most_axes
    cdef enum class Dtype(uint8_t):
        f32
        f64
        f16
        bf16
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

cdef extern from "parallel.hpp" namespace "rc" nogil:
    void watch_forks()
    int c_default_threads "rc::default_threads"()
    const int openmp
    cppclass Team:
        Team(int threads, cbool (*poll)(void*, double) noexcept, void* context)

cdef extern from "passes/distances.hpp" namespace "rc" nogil:
    void c_sqdist "rc::sqdist"(const View&, Team&, double* out) except +
    void c_sqdist_scaled "rc::sqdist_scaled"(const View&, double scale, Team&, double* D) except +
    void c_finite_rows "rc::finite_rows"(const View&, Team&, cbool* finite) except +

cdef extern from "passes/combine.hpp" namespace "rc" nogil:
    ctypedef byte* Output "rc::Output"
    cbool c_combine "rc::combine"(
        const View&, const double* weights, int64_t origin, Team&, const Output* outputs) except +

cdef extern from "passes/columns.hpp" namespace "rc" nogil:
    cdef enum class Columnwise(uint8_t):
        pass
    cbool c_columns "rc::columns"(const View&, Columnwise, int64_t f, Team&, const Output* outputs) except +

cdef extern from "nspace/scores.hpp" namespace "rc" nogil:
    cppclass Keys "std::span<const double* const>":
        Keys(const double**, size_t)
    void c_krum_scores "rc::krum_scores"(
        const double* D, int64_t n, int64_t neighbors, double divisor, double* scores) except +
    void c_select_lowest "rc::select_lowest"(Keys, int64_t n, int64_t m, int64_t* selected) except +

cdef extern from "kernels.hpp" namespace "rc" nogil:
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
    order, of the dtype ``dtypes[s]`` and of the shape of ``rows[0][s]``; else `Mismatch`.
    """

    cdef vector[Py_buffer] buffers
    cdef vector[Row] row
    cdef vector[Segment] segment
    cdef View view

    def __cinit__(self, list rows, list dtypes):
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
            if <size_t> len(leaves) != count:
                raise Mismatch(i, min(<size_t> len(leaves), count))
            for s in range(count):
                self.buffers.resize(i * count + s + 1)
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

    def sqdist(self, int threads, progress=None):
        """(n, n) float64: squared distances; NaN in the row and column of each row that is not finite."""
        out = np.empty((self.view.n, self.view.n))
        cdef double[:, ::1] D = out
        cdef _Crew crew = _Crew(threads, progress)
        try:
            with nogil:
                c_sqdist(self.view, crew.team[0], &D[0, 0])
        except RuntimeError as error:
            raise crew.error or error from None
        return out

    def sqdist_scaled(self, out, double scale, int threads, progress=None):
        """``out`` (n, n) without NaN, as `sqdist` has it, becomes the squared distances times ``scale`` squared.

        ``scale``, a power of two, brings into range what was infinite (scale < 1) or vanished (scale > 1).
        """
        cdef double[:, ::1] D = out
        cdef _Crew crew = _Crew(threads, progress)
        if D.shape[0] != self.view.n or D.shape[1] != self.view.n:
            raise ValueError("a matrix of all rows")
        try:
            with nogil:
                c_sqdist_scaled(self.view, scale, crew.team[0], &D[0, 0])
        except RuntimeError as error:
            raise crew.error or error from None

    def finite_rows(self, int threads, progress=None):
        """(n,) bool: the rows without NaN and infinities."""
        out = np.empty(self.view.n, np.bool_)
        cdef uint8_t[::1] finite = out.view(np.uint8)
        cdef _Crew crew = _Crew(threads, progress)
        try:
            with nogil:
                c_finite_rows(self.view, crew.team[0], <cbool*> &finite[0])
        except RuntimeError as error:
            raise crew.error or error from None
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
        try:
            with nogil:
                finite = c_combine(self.view, &weights[0], origin, crew.team[0], targets.data())
        except RuntimeError as error:
            raise crew.error or error from None
        return finite

    def columns(self, str rule, Py_ssize_t f, list outputs, int threads, progress=None):
        """Writes what a coordinate-wise rule makes of the rows into ``outputs``, as `combine` does.

        Returns whether all rows are finite; if not, ``outputs`` mean nothing.
        """
        cdef vector[Output] targets = self.targets(outputs)
        cdef Columnwise which = <Columnwise> <uint8_t> COLUMNWISE.index(rule)
        cdef cbool finite
        cdef _Crew crew = _Crew(threads, progress)
        if not 0 <= 2 * f < self.view.n:
            raise ValueError("0 <= 2f < n")
        try:
            with nogil:
                finite = c_columns(self.view, which, f, crew.team[0], targets.data())
        except RuntimeError as error:
            raise crew.error or error from None
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
            if target.shape[0] != self.segment[s].length * self.buffers[s].itemsize:
                raise ValueError("an output has the size of its segment")
            targets.push_back(<Output> <void*> &target[0])
        return targets


# In the order of rc::Columnwise.
cdef list COLUMNWISE = ["median", "trimmed_mean", "meamed", "phocas", "box_midpoint"]


def krum_scores(const double[:, ::1] D, Py_ssize_t neighbors, double divisor):
    """(n,) float64: for each row of D, the sum of its smallest ``neighbors`` entries off the diagonal / divisor."""
    cdef Py_ssize_t n = D.shape[0]
    if D.shape[1] != n or not 0 <= neighbors < n:
        raise ValueError("a square matrix, and fewer neighbours than rows")
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
