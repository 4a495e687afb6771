"""
What objects tell each other: a board of topics.

    node n1    tells   ("node", "n1"): eu-west-1a
    pod a      reads   ("node", "n1"), ("owner", "ReplicaSet", "shop", "web-5d9f")...

An object tells values under topics, and makes its claims of itself and of the
topics it reads, nothing else. So the objects that may claim something else,
after one has changed, are the readers of the topics under which another set of
values stands now; and it does not matter who came first.

Before: addresses.py. After: owners.py, pods.py, nodes.py, services.py, gateways.py.
"""

from collections.abc import Collection, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Final

import msgspec

from pipeline.inventory.sources import Claim, Key

Topic = tuple[str, ...]
Value = tuple[str, ...]

NETWORK: Final[Topic] = ("network",)
"""What the mesh calls the network of this cluster, if it has a name for it."""
MESH: Final[Topic] = ("mesh",)
"""SPIFFE trust domain of the mesh."""
_TRUST_DOMAIN: Final = "cluster.local"  # Istio's, where its configuration tells no other


def host(name: str, namespace: str) -> str:
    """Name a Service is called by."""
    return f"{name}.{namespace}.svc.cluster.local"


class Kept(msgspec.Struct, frozen=True, gc=False):
    """
    What is kept of an object; equal ones tell and claim the same.

    This one, of an object there is nothing to keep of, does neither; each kind
    of object that does says so in its own.
    """

    def reads(self) -> Sequence[Topic]:
        """Topics its claims depend on."""
        return ()

    def tells(self) -> AbstractSet[tuple[Topic, Value]]:
        """What stands on the board because of it."""
        return frozenset()

    def claims(self, here: "Here") -> list[Claim]:  # noqa: ARG002 as those of others
        """What it claims, given what the topics it reads say."""
        return []


class Board:
    """Values under topics, and who reads them."""

    def __init__(self) -> None:
        self._told: dict[Topic, dict[Value, int]] = {}  # value to how many objects tell it
        self._readers: dict[Topic, Key | set[Key]] = {}  # most topics have one: no set for it

    def values(self, topic: Topic) -> Collection[Value]:
        """What is told under a topic, each value once, in no order that means anything."""
        return self._told.get(topic, ())

    def replace(self, key: Key, old: Kept | None, new: Kept | None) -> list[Key]:
        """An object is another now; returns it, and who reads what is told newly, or no more."""
        before = old.reads() if old else ()
        now = new.reads() if new else ()
        if before != now:
            for topic in before:
                if topic not in now:
                    self._leave(topic, key)
            for topic in now:
                if topic not in before:
                    self._join(topic, key)
        dirty = {key: None}
        told = old.tells() if old else frozenset()
        telling = new.tells() if new else frozenset()
        if told != telling:
            changed = [topic for topic, value in told - telling if self._untell(topic, value)]
            changed += [topic for topic, value in telling - told if self._tell(topic, value)]
            for topic in changed:
                readers = self._readers.get(topic)
                if isinstance(readers, set):
                    dirty.update(dict.fromkeys(readers))
                elif readers is not None:
                    dirty[readers] = None
        return list(dirty)

    def _tell(self, topic: Topic, value: Value) -> bool:
        """Whether it is new."""
        values = self._told.setdefault(topic, {})
        values[value] = values.get(value, 0) + 1
        return values[value] == 1

    def _untell(self, topic: Topic, value: Value) -> bool:
        """Whether nobody tells it any more."""
        values = self._told[topic]
        values[value] -= 1
        if values[value]:
            return False
        del values[value]
        if not values:
            del self._told[topic]
        return True

    def _join(self, topic: Topic, key: Key) -> None:
        readers = self._readers.setdefault(topic, key)
        if isinstance(readers, set):
            readers.add(key)
        elif readers != key:
            self._readers[topic] = {readers, key}

    def _leave(self, topic: Topic, key: Key) -> None:
        readers = self._readers[topic]
        if isinstance(readers, set):
            readers.remove(key)
        if not isinstance(readers, set) or not readers:
            del self._readers[topic]


@dataclass(frozen=True, slots=True)
class Here:
    """
    Where claims are made.

    Attributes
    ----------
    cluster, network
        Of the agent that watches the API server.
    """

    cluster: str
    network: str
    board: Board = field(default_factory=Board)

    def network_of(self, label: str | None) -> str:
        """
        What the mesh calls a network, to the network; it reads `NETWORK`.

        Without a label, and under the mesh's name for this cluster's network, it is ours.
        """
        default = max(self.board.values(NETWORK), default=None)
        return self.network if not label or default == (label,) else label

    def identity(self, namespace: str, account: str | None) -> str | None:
        """SPIFFE ID of a service account in the mesh; it reads `MESH`."""
        if not account:
            return None
        (domain,) = max(self.board.values(MESH), default=(_TRUST_DOMAIN,))
        return f"spiffe://{domain}/ns/{namespace}/sa/{account}"
