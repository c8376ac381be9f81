"""Approximate agreement: nodes that agree on a vector with no server.

n nodes have a vector each, and up to t of them are Byzantine. In each round, every node broadcasts its vector reliably,
and computes a new one from those that it receives, until all honest ones are as near to each other as is wanted::

    import robustcore as rc

    trace = rc.agree(X, "box", t=2, epsilon=1e-3, adversary="equivocate")
    trace.outputs, trace.rounds, trace.agreed, trace.validity, trace.ratio

- `messages`: what is sent, and its bytes;
- `broadcast`: Bracha's reliable broadcast, for one origin and round;
- `protocols`: the step from the vectors received to the new one, and how many rounds are needed;
- `node`: the two together, as a machine driven by messages alone, which is the same in all networks;
- `network`: a deterministic one, synchronous or asynchronous;
- `adversaries`: what Byzantine nodes do in it.
"""

from robustcore.agreement._trace import Trace, agree
from robustcore.agreement.adversaries import ADVERSARIES, Adversary
from robustcore.agreement.messages import Limits, Message, Vector, decode
from robustcore.agreement.node import Node
from robustcore.agreement.protocols import PROTOCOLS, Protocol, Setting

__all__ = [
    "ADVERSARIES",
    "PROTOCOLS",
    "Adversary",
    "Limits",
    "Message",
    "Node",
    "Protocol",
    "Setting",
    "Trace",
    "Vector",
    "agree",
    "decode",
]
