"""How long a piece of work takes: wall and CPU, medians of alternating rounds."""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple


class Cost(NamedTuple):
    """Seconds of one round."""

    wall_s: float
    cpu_s: float


class Result(NamedTuple):
    """One contender: medians over its rounds."""

    name: str
    records: int
    cost: Cost

    def line(self, baseline: "Result | None" = None) -> str:
        """One line for people."""
        rate = self.records / self.cost.wall_s
        cpu = self.cost.cpu_s / self.records * 1e6
        ratio = ""
        if baseline is not None and baseline is not self:
            theirs = baseline.cost.cpu_s / baseline.records * 1e6
            ratio = f"  {cpu / theirs:8.1f} x the CPU of {baseline.name}"
        return f"  {self.name:<42}{rate:>14,.0f} records/s{cpu:>10.3f} CPU-s per million{ratio}"


def clock() -> Cost:
    """Wall and CPU clocks of this process, all threads."""
    return Cost(time.perf_counter(), time.process_time())


def measure(work: Callable[[], object]) -> Cost:
    """Cost of one call."""
    before = clock()
    work()
    after = clock()
    return Cost(after.wall_s - before.wall_s, after.cpu_s - before.cpu_s)


def alternate(
    contenders: Mapping[str, tuple[int, Callable[[], object]]], rounds: int = 5
) -> list[Result]:
    """
    Run contenders in turn, once unmeasured and then ``rounds`` times.

    Parameters
    ----------
    contenders
        Name to (records a call handles, the call). The first is ours.
    """
    costs: dict[str, list[Cost]] = {name: [] for name in contenders}
    for number in range(rounds + 1):
        for name, (_, work) in contenders.items():
            cost = measure(work)
            if number:
                costs[name].append(cost)
    return [
        Result(
            name,
            records,
            Cost(
                statistics.median(cost.wall_s for cost in costs[name]),
                statistics.median(cost.cpu_s for cost in costs[name]),
            ),
        )
        for name, (records, _) in contenders.items()
    ]


def report(title: str, results: list[Result]) -> None:
    """Print a comparison; the first result is ours and the others are set against it."""
    print(title)
    for result in results:
        print(result.line(results[0]))
    print()
