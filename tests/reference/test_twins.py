"""The twins themselves, on cases worked by hand."""

import math
from fractions import Fraction

import numpy as np
import pytest
import twins

LINE = np.array([[0.0], [1.0], [3.0], [7.0], [20.0]])
#  squared distances, row by row:   0   1   9  49 400
#                                   1   0   4  36 361
#                                   9   4   0  16 289
#                                  49  36  16   0 169
#                                 400 361 289 169   0


@pytest.mark.parametrize("sqdist", [twins.pairwise_sqdist, twins.exact_sqdist])
def test_squared_distances_of_a_right_triangle(sqdist):
    # (0, 0) to (3, 4): 9 + 16 = 25; (0, 0) to (3, 0): 9; (3, 4) to (3, 0): 16.
    assert sqdist(np.array([[0.0, 0.0], [3.0, 4.0], [3.0, 0.0]])).tolist() == [[0, 25, 9], [25, 0, 16], [9, 16, 0]]


def test_squared_distances_without_error_where_naive_addition_has_some():
    # 1 + 2^-54 + 2^-54 = 1 + 2^-53 is half way between two float64 and goes to the even one, 1; with 2^-54 three
    # times it is above and goes up. Adding one after the other to 1 stays at 1.
    x = np.array([1.0, 2.0**-27, 2.0**-27, 2.0**-27])
    assert twins.pairwise_sqdist([x[:3], np.zeros(3)])[0, 1] == 1.0
    assert twins.pairwise_sqdist([x, np.zeros(4)])[0, 1] == 1.0 + 2.0**-52
    assert twins.exact_sqdist([x, np.zeros(4)])[0, 1] == 1 + Fraction(3, 2**54)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_row_that_is_not_finite_is_nan_against_every_row_and_itself(bad):
    D = twins.pairwise_sqdist([[0.0, 1.0], [0.0, bad], [2.0, 1.0]])
    assert np.isnan(D).tolist() == [[False, True, False], [True, True, True], [False, True, False]]
    assert D[0, 2] == 4.0


def test_squares_beyond_float64_are_infinite():
    assert twins.pairwise_sqdist([[1e200], [0.0]])[0, 1] == np.inf


def test_krum_scores_on_a_line():
    # theory, f = 1, the 4 nearest with the point itself: (0+1+9+49)/4, (0+1+4+36)/4, (0+4+9+16)/4, (0+16+36+49)/4,
    # (0+169+289+361)/4. classic, the 2 nearest others: 1+9, 1+4, 4+9, 16+36, 169+289.
    D = twins.pairwise_sqdist(LINE)
    assert twins.krum_scores(D, 1, "theory") == [59 / 4, 41 / 4, 29 / 4, 101 / 4, 819 / 4]
    assert twins.krum_scores(D, 1, "classic") == [10, 5, 13, 52, 458]
    assert twins.krum_scores(twins.exact_sqdist(LINE), 1)[0] == Fraction(59, 4)


def test_krum_on_a_line():
    # The lowest of the scores above: 29/4 at index 2; 5 at index 1.
    D = twins.pairwise_sqdist(LINE)
    assert twins.krum(D, 1, "theory") == 2
    assert twins.krum(D, 1, "classic") == 1


def test_multi_krum_on_a_line():
    # theory: 29/4, 41/4, 59/4, 101/4 are indices 2, 1, 0, 3. classic: 5, 10 are indices 1, 0.
    D = twins.pairwise_sqdist(LINE)
    assert twins.multi_krum(D, 1, 2, "theory") == [1, 2]
    assert twins.multi_krum(D, 1, 4, "theory") == [0, 1, 2, 3]
    assert twins.multi_krum(D, 1, 2, "classic") == [0, 1]


def test_ties_go_to_the_lowest_index():
    # The corners of a square have the same scores: f = 1, two sides of 1 and itself, (0 + 1 + 1)/3 each.
    D = twins.pairwise_sqdist([[0, 0], [0, 1], [1, 0], [1, 1]])
    assert twins.krum_scores(D, 1) == [2 / 3] * 4
    assert twins.krum(D, 1) == 0
    assert twins.multi_krum(D, 1, 3) == [0, 1, 2]


def test_mean_and_combine():
    # (1 + 2 + 6)/3 = 3 and (0 - 1 + 1)/3 = 0; 1/2 of (1, 0) and 1/4 of (2, -1) and none of (6, 1) is (1, -1/4).
    X = [[1.0, 0.0], [2.0, -1.0], [6.0, 1.0]]
    assert twins.mean(X).tolist() == [3.0, 0.0]
    assert twins.combine(X, [0.5, 0.25, 0.0]).tolist() == [1.0, -0.25]


def test_mean_is_rounded_once():
    # 1e16 + 1 + 1 = 10000000000000002 is even in its last place and exact; adding one by one stays at 1e16.
    assert twins.combine([[1e16], [1.0], [1.0]], [1.0, 1.0, 1.0])[0] == 1e16 + 2
    assert twins.mean([[1e308], [1e308]])[0] == 1e308
    assert math.isclose(twins.mean([[0.1], [0.2], [0.6]])[0], 0.3, rel_tol=1e-15)
