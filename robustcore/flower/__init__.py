"""Flower's FedAvg around any rule: clients that lie, send garbage or never answer do not end a run.

For Flower's message API (``flwr.serverapp``), extra ``flower``. `RobustStrategy` is what a ServerApp starts::

    strategy = RobustStrategy(rule=rc.MultiKrum(f=2))
    result = strategy.start(grid=grid, initial_arrays=ArrayRecord(model), num_rounds=10)
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from robustcore._budget import Budget
from robustcore._extras import extra
from robustcore.flower._round import LOGGER, Arrays, Model, Round, Server, shown
from robustcore.rules._base import Rule

with extra("flower", "robustcore.flower needs Flower"):
    from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
    from flwr.serverapp import Grid
    from flwr.serverapp.strategy import FedAvg

__all__ = ["RobustStrategy", "Round", "median_metrics"]


class RobustStrategy(FedAvg):
    """Federated averaging with any rule in place of the average: up to f clients may lie, fail or be silent.

    n is the number of nodes that were asked to train in a round; f counts all of them that are no use: those that are
    Byzantine, that do not answer, answer with an error, twice, or with something that is not like the server's model
    (keys, shapes, dtypes, truncated bytes, several or no ArrayRecords), or is not finite. When a rule cannot do with
    what is left, the round keeps the model, says so, and the run goes on.

    The rule decides what a client weighs: numbers of examples that clients report are not looked at. Clients are in the
    order of their node ids, whatever the order of their replies.

    Parameters
    ----------
    rule : Rule or str
        A rule with its mixing, such as ``MultiKrum(f=2, mixing=NNM(f=2))``, or a name such as ``"multi_krum+nnm"``.
    f : int, optional
        How many clients may be Byzantine, for a rule that is given by name.
    certify : bool, float or Budget
        Whether to certify every new model, as `certify` does, which needs a rule with an f; a number of seconds (or a
        `Budget`) bounds the search.
    **options
        Those of ``flwr.serverapp.strategy.FedAvg``. ``min_train_nodes`` and ``min_available_nodes`` are at least what
        the rule needs: Flower waits for so many, without end. ``train_metrics_aggr_fn`` and
        ``evaluate_metrics_aggr_fn`` are `median_metrics` by default; what they raise is logged. ``weighted_by_key``
        names what they leave out.

    Attributes
    ----------
    rounds : dict of int to Round
        What became of each round. The same is in ``result.train_metrics_clientapp``, under ``robust-...``, next to what
        clients report.

    Raises
    ------
    ConstraintError
        When the rule works for no number of clients.
    TypeError, ValueError
        When rule, f and certify do not fit; at the start of a round, when the model has an array that is neither of
        floating-point numbers up to float64 nor of integers or booleans, or none of the first kind.

    Notes
    -----
    Arrays of integers and booleans, such as ``num_batches_tracked``, are not the rule's: each of their entries becomes
    the lower median of those of the clients that were not dropped, in the dtype it has. It lies between entries of
    honest clients.

    Clients send models. Rules and mixings that look at the origin (`CenteredClip`, `SignMajority`, `Clipping`, `ARC`)
    see what each client has changed, its model minus the server's, and their result is added to the server's.
    `SignMajority` moves every number by 1.

    Condition: that of the rule, for the nodes that were asked.

    Cost: that of the rule. Replies are read where they lie, layer by layer, and never stacked or copied; but for rules
    and mixings that look at the origin, which take a copy of all.

    Examples
    --------
    >>> import robustcore as rc
    >>> from robustcore.flower import RobustStrategy
    >>> strategy = RobustStrategy(rule=rc.TrimmedMean(f=2, mixing=rc.NNM(f=2)))
    >>> strategy.min_train_nodes  # n > 2f
    5
    >>> RobustStrategy("trimmed_mean+nnm", f=2).rule == strategy.rule
    True
    """

    def __init__(
        self, rule: Rule | str, *, f: int | None = None, certify: bool | float | Budget = False, **options: Any
    ) -> None:
        self._server = Server.of(rule, f, certify)
        for wanted in ("min_train_nodes", "min_available_nodes"):
            options[wanted] = max(options.get(wanted, 2), self._server.least_clients)
        for purpose in ("train", "evaluate"):
            if options.get(f"{purpose}_metrics_aggr_fn") is None:
                options[f"{purpose}_metrics_aggr_fn"] = median_metrics
        super().__init__(**options)
        self.rule = self._server.rule
        self.rounds: dict[int, Round] = {}
        self._model: Model | None = None
        self._sent: ArrayRecord | None = None
        self._asked: tuple[int, ...] = ()

    def summary(self) -> None:
        """Log the rule, and what FedAvg logs."""
        LOGGER.info("\t├──> Rule: %r, which needs %d nodes", self.rule, self._server.least_clients)
        super().summary()

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Ask nodes to train, as FedAvg does, and remember whom, and what a reply must be like."""
        self._model, self._sent = Model(arrays), arrays
        messages = list(super().configure_train(server_round, arrays, config, grid))
        self._asked = tuple(sorted(message.metadata.dst_node_id for message in messages))
        return messages

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """The rule's model, or the one that was sent where it has to stay as it is; and the metrics of the round."""
        model, asked = self._model, self._asked
        if model is None or not asked:
            return None, None
        contents = _contents(replies, asked)
        new, told = self._server.aggregate(model, asked, [_read(model, content) for content in contents])
        told.log(server_round)
        self.rounds[server_round] = told
        if new is None:
            return self._sent, MetricRecord(told.metrics())
        used = [content for node, content in zip(asked, contents, strict=True) if node not in told.dropped]
        metrics = self._of_clients(self.train_metrics_aggr_fn, used)
        arrays = ArrayRecord({key: Array(array) for key, array in new.items()})
        return arrays, MetricRecord({**metrics, **told.metrics()})

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Message]) -> MetricRecord | None:
        """What ``evaluate_metrics_aggr_fn`` makes of the replies that are no errors."""
        replies = list(replies)
        nodes = sorted({reply.metadata.src_node_id for reply in replies})
        contents = [content for content in _contents(replies, nodes) if not isinstance(content, Exception)]
        return MetricRecord(self._of_clients(self.evaluate_metrics_aggr_fn, contents)) if contents else None

    def _of_clients(
        self, aggregate: Callable[[list[RecordDict], str], MetricRecord], contents: list[Any]
    ) -> dict[str, Any]:
        try:
            return dict(aggregate(contents, self.weighted_by_key))
        except Exception:  # whatever clients report must not end the run
            LOGGER.warning("robustcore: the metrics of the clients cannot be aggregated", exc_info=True)
            return {}


def _contents(replies: Iterable[Message], asked: Iterable[int]) -> list[RecordDict | Exception]:
    """For each node what it has sent, or why there is nothing to be read."""
    sent: dict[int, list[Message]] = {}
    for reply in replies:
        sent.setdefault(reply.metadata.src_node_id, []).append(reply)

    def content(node: int) -> RecordDict | Exception:
        own = sent.get(node, [])
        if not own:
            return Exception("missing")
        if len(own) > 1:
            return Exception(f"malformed: {len(own)} replies")
        (reply,) = own
        return Exception(f"failed: {shown(reply.error.reason)}") if reply.has_error() else reply.content

    return [content(node) for node in asked]


def _read(model: Model, content: RecordDict | Exception) -> Arrays | Exception:
    """What the rule gets of a client: arrays like the model's, or why there are none."""
    if isinstance(content, Exception):
        return content
    try:
        records = list(content.array_records.values())
        if len(records) != 1:
            raise ValueError(f"{len(records)} ArrayRecords instead of one")
        return model.read(records[0])
    except Exception as error:  # there is no end to what the bytes of a client may be
        return Exception(f"malformed: {shown(error)}")


def median_metrics(records: list[RecordDict], weighted_by_key: str) -> MetricRecord:
    """For every number that clients report, the lower median over all of them: one that an honest client may report.

    Parameters
    ----------
    records : list of RecordDict
        What each client has sent.
    weighted_by_key : str
        A metric to leave out: the number of examples, by which nobody is weighed here.

    Returns
    -------
    MetricRecord
        The metrics whose median is finite; those that are not reported, and NaN, count as the largest. Lists of numbers
        are left out.

    Notes
    -----
    Between what honest clients report, wherever less than half of the clients lie.

    Condition: none.

    Cost: O(n) for each metric.

    Source: the median, coordinate by coordinate, as in Yin, Chen, Ramchandran, Bartlett, *Byzantine-robust distributed
    learning: towards optimal statistical rates*, ICML 2018, Definition 1; of an even number the lower of the two.

    Examples
    --------
    >>> from flwr.app import MetricRecord, RecordDict
    >>> from robustcore.flower import median_metrics
    >>> losses = [0.25, 0.5, float("nan"), 1e30]
    >>> records = [RecordDict({"m": MetricRecord({"loss": loss, "num-examples": 10**9})}) for loss in losses]
    >>> median_metrics(records, "num-examples")
    {'loss': 0.5}
    """
    reported = [
        {
            key: value
            for metrics in record.metric_records.values()
            for key, value in metrics.items()
            if key != weighted_by_key and not isinstance(value, list)
        }
        for record in records
    ]
    counts = Counter(key for own in reported for key in own)
    medians = {  # NaN is the largest
        key: float(
            np.sort(np.array([own.get(key, math.nan) for own in reported], np.float64))[(len(reported) - 1) // 2]
        )
        for key, count in counts.items()
        if 2 * count >= len(records)  # with fewer, it is not finite
    }
    return MetricRecord({key: median for key, median in medians.items() if math.isfinite(median)})
