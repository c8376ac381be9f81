"""A federated training under attack: who still learns when 4 of 20 clients lie.

Twenty clients share scikit-learn's handwritten digits and train one small network. Each round, every client takes some
steps of SGD on its own images and sends the difference; the server adds what a rule makes of the twenty. The Byzantine
clients know what the others send, and the rule. Every training starts from the same weights and draws the same batches,
so that only attack and rule differ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from robustcore._extras import extra
from robustcore._geometry import Progress
from robustcore.attacks import ATTACKS, make_attack
from robustcore.rules import RULES, make_rule
from robustcore.rules._base import Rule

if TYPE_CHECKING:
    from rich.console import Console

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Server = Callable[[Floats], Floats]

PIXELS, HIDDEN, DIGITS = 64, 32, 10  # the layers of the network
STEPS, BATCH, RATE = 5, 32, np.float32(0.3)
LONGEST_GRADIENT = 100.0  # far above what honest training meets; keeps a ruined model finite
BOOST = np.float32(3)  # label flippers enlarge what they send: at its own size it costs the mean little
TAU = 1.0  # centered_clip: about the length of an honest update in the first rounds
TEST_IMAGES = 360
FEWEST_IMAGES = 8  # of a client, however skewed the labels are
HARMED = 0.1  # an attack that costs more than this is marked

MIXED = ("krum+nnm", "trimmed_mean+nnm")  # how a rule with a mixing is written
EVERY_RULE = (*RULES, *MIXED)
EVERY_ATTACK = ("none", "label_flip", *ATTACKS)
NOTES = (
    "mean is FedAvg without the updates that are not finite; monna trusts the last client, who is honest; "
    f"centered_clip clips at tau = {TAU:g} around zero; sign_majority takes steps as long as the median client's mean "
    f"absolute entry. label_flip trains on 9 - label and sends {BOOST:g} times the update. "
    "More: robustcore rules NAME."
)


@dataclass(frozen=True)
class DemoResult:
    """How the trainings went.

    Attributes
    ----------
    rounds, clients, byzantine, seed, alpha
        As given to `run`.
    accuracies : dict of str to dict of str to list of float
        ``accuracies[attack][rule]``: share of the test images recognised after each round, from 0 to 1.
    """

    rounds: int
    clients: int
    byzantine: int
    seed: int
    alpha: float | None
    accuracies: dict[str, dict[str, list[float]]]


def run(
    rounds: int = 30,
    clients: int = 20,
    byzantine: int = 4,
    seed: int = 0,
    progress: Progress = None,
    *,
    alpha: float | None = None,
    rules: Sequence[str] = EVERY_RULE,
    attacks: Sequence[str] = EVERY_ATTACK,
) -> DemoResult:
    """Train once for every attack and rule.

    Parameters
    ----------
    rounds, clients : int
        At least 1.
    byzantine : int
        How many of the clients lie, and the f of the rules, whose conditions it must meet.
    seed : int
        Decides the split of the data, the first weights, the batches and the noise.
    progress : callable, optional
        Called after every round with the share of the work that is done, from 0 to 1. What it raises stops
        the run.
    alpha : float, optional
        How alike the clients' images are: each client's share of each digit is drawn from Dirichlet(alpha), so that
        with 0.1 most clients know about three digits. Without it, all hold equal random shares.
    rules : sequence of str
        Names in ``robustcore.RULES``, with mixings behind a plus: ``"krum+nnm"``. All, by default.
    attacks : sequence of str
        Names in ``robustcore.attacks.ATTACKS``, ``"none"`` and ``"label_flip"``. All, by default.

    Returns
    -------
    DemoResult
        The same numbers for the same arguments on the same machine.

    Raises
    ------
    ImportError
        When scikit-learn is not installed.
    ValueError
        When there are no rounds, too few or too many clients, no such rule or attack, alpha is not in (0, 1e6], or
        (ConstraintError) a rule cannot stand as many Byzantine clients.

    Notes
    -----
    Cost: a training for every attack and rule, 216 by default: half a minute or a minute.
    """
    images, labels = _digits()
    most = (len(labels) - TEST_IMAGES) // FEWEST_IMAGES
    if rounds < 1 or not 1 <= clients <= most:
        needs = f"rounds >= 1 and 1 <= clients <= {most}"
        raise ValueError(f"the demo needs {needs}; here rounds = {rounds} and clients = {clients}")
    for attack in attacks:
        if attack not in EVERY_ATTACK:
            raise ValueError(f"there is no attack {attack!r}; there are {', '.join(sorted(EVERY_ATTACK))}")
    if not rules or not attacks or (alpha is not None and not 0 < alpha <= 1e6):
        raise ValueError(f"the demo needs a rule, an attack and 0 < alpha <= 1e6; here alpha = {alpha}")
    servers = {name: _server(name, clients, byzantine) for name in rules}

    rng = np.random.default_rng(seed)
    order = rng.permutation(len(labels))
    images, labels = images[order], labels[order]
    model = _first_model(rng)
    shares = _shares(labels[TEST_IMAGES:], clients, alpha, rng)
    batches = TEST_IMAGES + np.stack([rng.choice(share, (rounds, STEPS, BATCH)) for share in shares], axis=2)

    accuracies: dict[str, dict[str, list[float]]] = {attack: {name: [] for name in rules} for attack in attacks}
    result = DemoResult(rounds, clients, byzantine, seed, alpha, accuracies)
    trainings = [(attack, name) for attack, by_rule in accuracies.items() for name in by_rule]
    for i, (attack, name) in enumerate(trainings):
        noise = np.random.default_rng([seed, 1])
        for accuracy in _train(model, images, labels, batches, attack, byzantine, servers[name], noise):
            accuracies[attack][name].append(accuracy)
            if progress is not None:
                progress((i + len(accuracies[attack][name]) / rounds) / len(trainings))
    return result


def _server(name: str, clients: int, byzantine: int) -> Server:
    """What the server adds to the model, as a function of what the clients have sent."""
    name, *mixing = name.split("+")
    own: dict[str, dict[str, Any]] = {"centered_clip": {"tau": TAU}, "monna": {"pivot": clients - 1}}
    rule = make_rule(name, f=byzantine, mixing=mixing, **own.get(name, {}))
    rule.check(clients)
    return _scaled(rule) if name == "sign_majority" else rule


def _scaled(rule: Rule) -> Server:
    """Signs alone are no step: each becomes one as long as the median client's mean absolute entry."""

    def server(updates: Floats) -> Floats:
        lengths = np.abs(updates[np.isfinite(updates).all(axis=1)]).mean(axis=1, dtype=np.float64)
        step: Floats = np.float32(np.median(lengths)) * rule(updates)
        return step

    return server


def _train(
    model: Floats,
    images: Floats,
    labels: Ints,
    batches: Ints,
    attack: str,
    byzantine: int,
    server: Server,
    noise: np.random.Generator,
) -> Iterator[float]:
    """After each round: the accuracy on the test images, which are the first."""
    liars = 0 if attack == "none" else byzantine  # the first clients: they win the ties
    for batch in batches:  # (steps, clients, batch)
        taught = labels[batch]
        if attack == "label_flip":
            taught[:, :liars] = DIGITS - 1 - taught[:, :liars]
        updates = _local_updates(model, images, taught, batch)
        if attack == "label_flip":
            updates[:liars] *= BOOST
        elif attack in ATTACKS:
            updates[:liars] = make_attack(attack)(updates[liars:], liars, noise, rule=server)
        model = model + server(updates)
        recognised = _forward(_layers(model), images[:TEST_IMAGES])[1].argmax(axis=1) == labels[:TEST_IMAGES]
        yield float(recognised.mean())


def _digits() -> tuple[Floats, Ints]:
    """1797 images of 64 pixels from 0 to 1, and the digits they show."""
    with extra("demo", "robustcore demo needs extras"):
        from sklearn.datasets import load_digits
    images, labels = load_digits(return_X_y=True)
    return np.asarray(images / 16, np.float32), np.asarray(labels, np.int64)


def _shares(labels: Ints, clients: int, alpha: float | None, rng: np.random.Generator) -> list[Ints]:
    """Which images each client has: all of them are dealt out, none twice, and everyone has FEWEST_IMAGES or more."""
    if alpha is None:
        return np.array_split(np.arange(len(labels)), clients)
    parts: list[list[Ints]] = [[] for _ in range(clients)]
    for digit in range(DIGITS):
        (same,) = (labels == digit).nonzero()
        ends = np.cumsum(rng.dirichlet(np.full(clients, alpha)))[:-1]
        for part, dealt in zip(parts, np.split(same, (ends * len(same)).astype(np.int64)), strict=True):
            part.append(dealt)
    shares = [np.concatenate(part) for part in parts]
    for i in range(clients):
        while len(shares[i]) < FEWEST_IMAGES:  # the client with the most images gives them
            richest = max(range(clients), key=lambda j: len(shares[j]))
            missing = FEWEST_IMAGES - len(shares[i])
            given = rng.permutation(shares[richest])
            shares[i], shares[richest] = np.append(shares[i], given[:missing]), given[missing:]
    return shares


def _first_model(rng: np.random.Generator) -> Floats:
    """The weights of both layers, drawn, and their biases, 0, in one vector."""
    model = np.zeros(PIXELS * HIDDEN + HIDDEN + HIDDEN * DIGITS + DIGITS, np.float32)
    for weight in _layers(model)[::2]:
        weight[:] = rng.standard_normal(weight.shape) * np.sqrt(2 / len(weight))
    return model


def _layers(models: NDArray[Any]) -> list[NDArray[Any]]:
    """Weight and bias of both layers, for each of the (..., d) models; they share its memory."""
    shapes = ((PIXELS, HIDDEN), (1, HIDDEN), (HIDDEN, DIGITS), (1, DIGITS))
    parts = np.split(models, np.cumsum([rows * columns for rows, columns in shapes])[:-1], axis=-1)
    return [part.reshape(*models.shape[:-1], *shape) for part, shape in zip(parts, shapes, strict=True)]


def _forward(layers: list[NDArray[Any]], x: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """What the hidden layer says of each image, and the output layer."""
    hidden = np.maximum(x @ layers[0] + layers[1], 0)
    return hidden, hidden @ layers[2] + layers[3]


def _gradients(models: NDArray[Any], x: NDArray[Any], y: Ints) -> NDArray[Any]:
    """(clients, d): for each client's model the gradient of its mean cross entropy on its (batch,) images."""
    layers = _layers(models)
    hidden, output = _forward(layers, x)
    error = np.exp(output - output.max(axis=-1, keepdims=True))
    error /= error.sum(axis=-1, keepdims=True)
    error -= y[..., None] == np.arange(DIGITS)
    error /= y.shape[-1]
    behind = (error @ layers[2].swapaxes(-1, -2)) * (hidden > 0)
    gradients = np.empty_like(models)
    of = _layers(gradients)
    of[0][:], of[1][:] = x.swapaxes(-1, -2) @ behind, behind.sum(axis=-2, keepdims=True)
    of[2][:], of[3][:] = hidden.swapaxes(-1, -2) @ error, error.sum(axis=-2, keepdims=True)
    return gradients


def _local_updates(model: Floats, images: Floats, taught: Ints, batches: Ints) -> Floats:
    """(clients, d): how SGD on the (steps, clients, batch) images with the labels taught changes the model."""
    local = np.repeat(model[None], batches.shape[1], axis=0)
    for batch, y in zip(batches, taught, strict=True):
        gradients = _gradients(local, images[batch], y)
        norms = np.sqrt(np.einsum("ij,ij->i", gradients, gradients))
        rates = RATE * np.minimum(1, LONGEST_GRADIENT / np.maximum(norms, 1e-30)).astype(np.float32)
        local -= rates[:, None] * gradients
    return local - model


def print_table(result: DemoResult, console: Console) -> None:
    """Print the final accuracies, a row for every attack and a column for every rule, as many abreast as fit.

    Parameters
    ----------
    result : DemoResult
        What `run` returned. What an attack has cost more than ten points is red.
    console : rich.console.Console
        Where to print.

    Raises
    ------
    ImportError
        When rich is not installed.
    """
    with extra("demo", "robustcore demo needs extras"):
        from rich.box import SIMPLE_HEAD
        from rich.table import Table
    console.print(f"[bold]{_title(result)}[/bold]")
    attack_width = max(map(len, result.accuracies))
    rules = list(next(iter(result.accuracies.values())))
    while rules:
        table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
        table.add_column("attack", min_width=attack_width, no_wrap=True)
        abreast: list[str] = []
        left = console.width - attack_width - 2
        while rules and (not abreast or left >= _width(rules[0])):
            left -= _width(rules[0])
            abreast.append(rules.pop(0))
            table.add_column(_lines(abreast[-1]), justify="right", no_wrap=True)
        for attack, by_rule in result.accuracies.items():
            cells = [f"{100 * by_rule[rule][-1]:.0f}" for rule in abreast]
            harmed = [_unharmed(result, rule) - by_rule[rule][-1] > HARMED for rule in abreast]
            table.add_row(attack, *[f"[red]{c}[/red]" if h else c for c, h in zip(cells, harmed, strict=True)])
        console.print(table)
        console.print()
    console.print(NOTES, style="dim", highlight=False)


def plot(result: DemoResult, path: str | Path = "demo.png") -> None:
    """Draw the final accuracies as a heat map: a row for every attack, a column for every rule.

    Parameters
    ----------
    result : DemoResult
        What `run` returned.
    path : str or Path
        Where to write; the ending decides the format.

    Raises
    ------
    ImportError
        When matplotlib is not installed.
    """
    with extra("demo", "robustcore demo needs extras"):
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

    attacks, rules = list(result.accuracies), list(next(iter(result.accuracies.values())))
    shares = np.array([[100 * result.accuracies[attack][rule][-1] for rule in rules] for attack in attacks])
    figure = Figure(figsize=(max(2 + 0.45 * len(rules), 6), 2 + 0.36 * len(attacks)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    # Cividis: the colour-blind see what others see, and in grey it still goes from dark to bright.
    axes.imshow(shares, cmap="cividis", vmin=0, vmax=100, aspect="auto")
    for (i, j), share in np.ndenumerate(shares):
        color = "white" if share < 50 else "black"
        axes.text(j, i, f"{share:.0f}", ha="center", va="center", color=color, fontsize=11)
    axes.set_xticks(range(len(rules)), rules, rotation=45, ha="left", rotation_mode="anchor", fontsize=11)
    axes.set_yticks(range(len(attacks)), attacks, fontsize=11)
    axes.set_xticks(np.arange(len(rules) - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(len(attacks) - 1) + 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1)
    axes.tick_params(which="both", length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
    axes.spines[:].set_visible(False)
    figure.suptitle(_title(result), fontsize=11, fontweight="bold", wrap=True)
    figure.savefig(path, dpi=150)


def _title(result: DemoResult) -> str:
    images = "equal random shares" if result.alpha is None else f"labels by Dirichlet({result.alpha:g})"
    liars = f"{result.byzantine} of {result.clients} clients Byzantine"
    return f"Percent of test images recognised after {result.rounds} rounds; {liars}, {images}"


def _lines(rule: str) -> str:
    """The name of a rule, in lines, for a narrow column."""
    return rule.replace("_", "\n").replace("+", "\n+")


def _width(rule: str) -> int:
    return max(3, *map(len, _lines(rule).split("\n"))) + 2


def _unharmed(result: DemoResult, rule: str) -> float:
    """The final accuracy without an attack, where that was asked for."""
    return result.accuracies["none"][rule][-1] if "none" in result.accuracies else 0.0
