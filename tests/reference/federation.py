"""A federation in one process: Flower's own ``Strategy.start``, messages and ClientApp, without a network.

Eleven clients share scikit-learn's digits and train a softmax regression; the first two lie, as `ATTACKS` says.
"""

import logging
import random

import numpy as np
from flwr.app import Array, ArrayRecord, Context, Error, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid
from flwr.supercore.task_identity import TaskIdentity

from robustcore import demo

CLIENTS, LIARS, ROUNDS = 11, 2, 10
STEPS, RATE = 5, 0.5
TEST_IMAGES, ALPHA = 360, 1.0
FLIPPED = -10  # times the honest update
SERIALIZED = "numpy.ndarray"


class Silent(Exception):
    """The client never answers."""


class InProcess(Grid):
    """Nodes 101, 102, ... whose ClientApp is called where a SuperLink would send it messages."""

    def __init__(self, app, n=CLIENTS, **config):
        self.app, self.n, self.config = app, n, config
        TaskIdentity.run_id = TaskIdentity.node_id = TaskIdentity.task_id = 1

    run = property(lambda self: None)

    def set_run(self, run):
        pass

    def create_message(self, *args, **options):
        raise NotImplementedError

    push_messages = pull_messages = create_message

    def get_node_ids(self):
        return range(101, 101 + self.n)

    def send_and_receive(self, messages, *, timeout=None):
        return [reply for message in messages for reply in self.replies(message)]

    def replies(self, message):
        node = message.metadata.dst_node_id
        place = {"partition-id": node - 101, "num-partitions": self.n}
        context = Context(run_id=1, node_id=node, node_config=place, state=RecordDict(), run_config=self.config)
        again = self.config.get("attack") == "twice" and lies(context)
        try:
            return [self.app(message, context) for _ in range(1 + again)]
        except Silent:
            return []
        except Exception as error:
            return [Message(Error(code=0, reason=repr(error)), reply_to=message)]


def lies(context):
    return context.node_config["partition-id"] < LIARS and context.run_config.get("attack", "none") != "none"


def digits():
    """Images and labels: of a test, and a share for each of the clients, who have unequal numbers of each digit."""
    images, labels = demo._digits()
    rng = np.random.default_rng(0)
    order = rng.permutation(len(labels))
    images, labels = images[order], labels[order]
    shares = [TEST_IMAGES + share for share in demo._shares(labels[TEST_IMAGES:], CLIENTS, ALPHA, rng)]
    return (images[:TEST_IMAGES], labels[:TEST_IMAGES]), [(images[share], labels[share]) for share in shares]


TEST, SHARES = digits()


def first_model():
    return {"weight": np.zeros((64, 10), np.float32), "bias": np.zeros(10, np.float32)}


def trained(model, images, labels):
    """The model after some steps of gradient descent."""
    weight, bias = model["weight"].astype(np.float32), model["bias"].astype(np.float32)
    with np.errstate(all="ignore"):  # a ruined model stays ruined
        for _ in range(STEPS):
            scores = images @ weight + bias
            error = np.exp(scores - scores.max(axis=1, keepdims=True))
            error /= error.sum(axis=1, keepdims=True)
            error[np.arange(len(labels)), labels] -= 1
            weight = weight - np.float32(RATE / len(labels)) * images.T @ error
            bias = bias - np.float32(RATE / len(labels)) * error.sum(axis=0)
    return {"weight": weight, "bias": bias}


def accuracy(arrays):
    model = {key: array.numpy() for key, array in arrays.items()}
    if not all(np.isfinite(array).all() for array in model.values()):
        return float("nan")
    images, labels = TEST
    return float(((images @ model["weight"] + model["bias"]).argmax(axis=1) == labels).mean())


def record(arrays):
    return ArrayRecord({key: Array(np.asarray(array)) for key, array in arrays.items()})


def content(arrays, examples=100, loss=0.5):
    return RecordDict({"arrays": arrays, "metrics": MetricRecord({"num-examples": examples, "loss": loss})})


def moved(model, honest, scale):
    return {key: model[key] + np.float32(scale) * (honest[key] - model[key]) for key in model}


def with_entry(honest, value):
    return honest | {"bias": np.append(honest["bias"][:-1], np.float32(value))}


def as_bytes(honest, change):
    sent = record(honest)
    array = sent["weight"]
    sent["weight"] = Array(array.dtype, array.shape, SERIALIZED, change(array.data))
    return sent


def raising(error):
    raise error


ATTACKS = {  # what a liar sends, from the server's model and what an honest client would send
    "none": None,
    "sign": lambda model, honest: content(record(moved(model, honest, FLIPPED))),
    "nan": lambda model, honest: content(record(with_entry(honest, np.nan))),
    "inf": lambda model, honest: content(record(with_entry(honest, np.inf))),
    "1e30": lambda model, honest: content(record({key: np.full_like(honest[key], 1e30) for key in honest})),
    "shape": lambda model, honest: content(record(honest | {"weight": honest["weight"].T})),
    "keys": lambda model, honest: content(record({"w": honest["weight"], "bias": honest["bias"]})),
    "dtype": lambda model, honest: content(record({key: np.float64(honest[key]) for key in honest})),
    "objects": lambda model, honest: content(as_bytes(honest, lambda data: data.replace(b"'<f4'", b"'|O' "))),
    "truncated": lambda model, honest: content(as_bytes(honest, lambda data: data[:-8])),
    "empty": lambda model, honest: content(ArrayRecord()),
    "nothing": lambda model, honest: RecordDict(),
    "twice": lambda model, honest: content(record(moved(model, honest, FLIPPED))),
    "copies": lambda model, honest: content(record(model)),
    "1e9 examples": lambda model, honest: content(record(moved(model, honest, -0.2)), examples=10**9),
    "metrics": lambda model, honest: RecordDict(
        {"arrays": record(honest), "metrics": MetricRecord({"num-examples": 100, "loss": [float("nan")] * 3})}
    ),
    "error": lambda model, honest: raising(ValueError("no")),
    "silence": lambda model, honest: raising(Silent()),
}

app = ClientApp()


@app.train()
def train(message, context):
    (arrays,) = message.content.array_records.values()
    model = {key: array.numpy() for key, array in arrays.items()}
    honest = trained(model, *SHARES[context.node_config["partition-id"]])
    sent = ATTACKS[context.run_config["attack"]](model, honest) if lies(context) else content(record(honest))
    return Message(sent, reply_to=message)


@app.evaluate()
def evaluate(message, context):
    (arrays,) = message.content.array_records.values()
    told = {"num-examples": 100, "accuracy": accuracy(arrays)}
    if lies(context):
        told = {"accuracy": [1.0]} if context.node_config["partition-id"] else {"accuracy": float("nan")}
    return Message(RecordDict({"metrics": MetricRecord(told)}), reply_to=message)


def run(strategy, attack="none", rounds=ROUNDS):
    """Train with ``Strategy.start``; Flower's result and the accuracy of the last model."""
    logging.getLogger("flwr").setLevel(logging.CRITICAL)
    random.seed(0)
    reached = []
    result = strategy.start(
        grid=InProcess(app, attack=attack),
        initial_arrays=record(first_model()),
        num_rounds=rounds,
        evaluate_fn=lambda number, arrays: reached.append(accuracy(arrays)),
    )
    return result, reached[-1]
