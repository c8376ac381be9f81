"""What Byzantine clients send: shapes and dtypes, and what each attack promises."""

import inspect

import numpy as np
import pytest

import robustcore as rc
from robustcore import attacks
from robustcore.attacks import ATTACKS

DTYPES = [np.float16, np.float32, np.float64]


def honest_updates(dtype=np.float64, h=16, d=20_000):
    """Updates near a common direction, of norms near 3."""
    rng = np.random.default_rng(5)
    return ((2 + rng.standard_normal((h, d))) * 3 / np.sqrt(5 * d)).astype(dtype)


def norms(X):
    return np.linalg.norm(X.astype(np.float64), axis=1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("f", [0, 1, 4])
@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_makes_f_finite_updates_like_the_honest_ones_which_it_leaves_alone(name, f, dtype):
    honest = honest_updates(dtype)
    before = honest.copy()
    byzantine = ATTACKS[name](honest, f, np.random.default_rng(0))
    assert byzantine.shape == (f, honest.shape[1])
    assert byzantine.dtype == honest.dtype
    assert np.isfinite(byzantine).all()
    assert np.array_equal(honest, before)


@pytest.mark.parametrize("name", ATTACKS)
def test_all_attacks_are_called_alike(name):
    first, second, third, *strengths = inspect.signature(ATTACKS[name]).parameters.values()
    assert [first.name, second.name, third.name] == ["honest", "f", "rng"]
    assert all(p.kind is p.KEYWORD_ONLY and p.default is not p.empty for p in strengths)


def test_the_registry_knows_every_attack_by_the_name_of_its_function():
    functions = {
        name: function
        for name, function in inspect.getmembers(attacks, inspect.isfunction)
        if function.__module__ == attacks.__name__ and not name.startswith("_")
    }
    assert functions == ATTACKS


@pytest.mark.parametrize("name", ATTACKS)
def test_the_same_generator_state_gives_the_same_updates(name):
    honest = honest_updates()
    one, again = (ATTACKS[name](honest, 3, np.random.default_rng(7)) for _ in range(2))
    assert np.array_equal(one, again)


@pytest.mark.parametrize("name", ATTACKS)
def test_the_mean_is_fooled_and_multi_krum_is_not(name):
    honest = honest_updates(np.float32)
    byzantine = ATTACKS[name](honest, 4, np.random.default_rng(0))
    everyone = np.concatenate([byzantine, honest])
    truth = honest.mean(axis=0)
    assert np.linalg.norm(rc.mean(everyone) - truth) > np.linalg.norm(truth)
    assert rc.MultiKrum(f=4).aggregate(everyone).selected.tolist() == list(range(4, 20))


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize("shape", [(0, 5), (5,), (2, 2, 2)])
def test_an_attack_needs_rows_of_honest_updates(name, shape):
    with pytest.raises(ValueError, match=rf"{name} needs honest updates .* here it is \({shape[0]},"):
        ATTACKS[name](np.ones(shape), 1, np.random.default_rng(0))


@pytest.mark.parametrize("name", ATTACKS)
def test_a_negative_f_is_an_error(name):
    with pytest.raises(rc.ConstraintError, match=f"{name} needs f >= 0"):
        ATTACKS[name](np.ones((2, 2)), -1, np.random.default_rng(0))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scale", [0.5, 20.0])
def test_random_has_the_norm_of_the_honest_updates_times_scale(scale, dtype):
    honest = honest_updates(dtype)
    byzantine = attacks.random(honest, 5, np.random.default_rng(0), scale=scale)
    # The norm of d normal draws deviates by 1 / sqrt(2 d) = 0.5 % of itself.
    np.testing.assert_allclose(norms(byzantine), scale * norms(honest).mean(), rtol=0.02)


def test_random_is_a_hundred_times_the_honest_norm_by_default():
    honest = honest_updates()
    byzantine = attacks.random(honest, 5, np.random.default_rng(0))
    np.testing.assert_allclose(norms(byzantine), 100 * norms(honest).mean(), rtol=0.02)


def test_random_knows_honest_norms_whose_squares_overflow_a_float32():
    honest = np.full((3, 1000), 1e30, np.float32)
    byzantine = attacks.random(honest, 2, np.random.default_rng(0), scale=10)
    np.testing.assert_allclose(norms(byzantine), 10 * norms(honest).mean(), rtol=0.1)


def test_random_rows_are_independent_of_each_other_and_of_the_honest_direction():
    honest = honest_updates()
    byzantine = attacks.random(honest, 4, np.random.default_rng(0))
    rows = np.vstack([byzantine, honest.mean(axis=0)])
    cosines = rows @ rows.T / np.outer(norms(rows), norms(rows))
    # Cosines of independent normal vectors deviate by 1 / sqrt(d) = 0.7 %.
    assert np.abs(cosines - np.eye(5)).max() < 0.04


def test_random_goes_on_where_the_generator_stands():
    honest, rng = honest_updates(), np.random.default_rng(0)
    first, second = attacks.random(honest, 2, rng), attacks.random(honest, 2, rng)
    together = attacks.random(honest, 4, np.random.default_rng(0))
    assert np.array_equal(np.vstack([first, second]), together)


def test_sign_flip_on_a_hand_worked_case():
    honest = np.array([[1.0, -2.0, 0.0], [3.0, -4.0, 6.0]])
    assert attacks.sign_flip(honest, 2).tolist() == [[-20.0, 30.0, -30.0]] * 2
    assert attacks.sign_flip(honest, 1, scale=0.5).tolist() == [[-1.0, 1.5, -1.5]]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scale", [1.0, 10.0])
def test_sign_flip_points_against_the_honest_mean(scale, dtype):
    honest = honest_updates(dtype)
    byzantine = attacks.sign_flip(honest, 3, scale=scale).astype(np.float64)
    mean = honest.astype(np.float64).mean(axis=0)
    error = norms(byzantine + scale * mean) / (scale * np.linalg.norm(mean))
    assert error.max() < np.finfo(dtype).eps


def test_sign_flip_turns_the_mean_round_when_scale_is_above_h_over_f():
    honest = honest_updates()  # h / f = 4
    truth = honest.mean(axis=0)
    for scale, sign in [(3.9, 1), (4.1, -1)]:
        everyone = np.concatenate([attacks.sign_flip(honest, 4, scale=scale), honest])
        assert np.sign(rc.mean(everyone) @ truth) == sign


def test_sign_flip_leaves_the_generator_alone():
    rng = np.random.default_rng(0)
    attacks.sign_flip(honest_updates(), 3, rng)
    assert rng.bit_generator.state == np.random.default_rng(0).bit_generator.state
