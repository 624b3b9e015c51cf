"""How a benchmark says what it measured. A library, not a benchmark.

A benchmark is a file `bench/bench_NAME.py` with a docstring whose first line is its title, and

    def measure(quick: bool) -> Iterable[Row]: ...

    if __name__ == "__main__":
        report.main(__doc__, measure)

`scripts/bench` runs each as a process of its own, prints one table and writes bench/results/latest.json.
Rows are yielded as they are measured. What a row is compared with is measured in the same process, alternating,
on the same machine: absolute times depend on the machine, ratios much less.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from math import nan
from statistics import median, quantiles


@dataclass(frozen=True)
class Row:
    """One thing measured."""

    name: str
    samples: Sequence[float]
    """The median is what counts. None: it was not measured, and `note` says why."""
    unit: str = "ms"
    against: str = ""
    """Name of the row of this benchmark that this one is compared with."""
    at_most: float | None = None
    """Target: median / median of `against` is at most this."""
    at_least: float | None = None
    """Target: median / median of `against` is at least this."""
    note: str = ""
    extra: dict[str, float] = field(default_factory=dict)

    @property
    def p50(self) -> float:
        return median(self.samples) if self.samples else nan

    @property
    def p99(self) -> float:
        return quantiles(self.samples, n=100, method="inclusive")[98] if len(self.samples) > 1 else self.p50


def unmeasured(name: str, why: object) -> Row:
    """A row that says in words why there is nothing to say in numbers."""
    return Row(name, (), note=f"not measured: {why}")


def table(rows: Sequence[Row]) -> list[str]:
    """Lines for people: median, p99, ratio, target."""
    by_name = {row.name: row for row in rows}
    lines = [f"  {'':44} {'p50':>10} {'p99':>10}       ratio"]
    for row in rows:
        if not row.samples:
            lines.append(f"  {row.name:44} {row.note}")
            continue
        line = f"  {row.name:44} {number(row.p50):>10} {number(row.p99):>10} {row.unit:5}"
        if row.against in by_name and by_name[row.against].samples:
            value = row.p50 / by_name[row.against].p50
            line += f" {value:5.2f} x {row.against}{verdict(row, value)}"
        if row.note:
            line += f"  ({row.note})"
        lines.append(line.rstrip())
    return lines


def verdict(row: Row, ratio: float) -> str:
    """Whether a row's target is met, in words; empty without one."""
    if row.at_most is not None:
        return f"; target ≤ {row.at_most:g}: {'met' if ratio <= row.at_most else 'MISSED'}"
    if row.at_least is not None:
        return f"; target ≥ {row.at_least:g}: {'met' if ratio >= row.at_least else 'MISSED'}"
    return ""


def number(value: float) -> str:
    """Three significant digits, as people write them."""
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def alternate(count: int, *acts: Callable[[], object]) -> list[list[float]]:
    """Milliseconds of each of `acts`, `count` times in turn, so that a busy moment hits all alike."""
    samples: list[list[float]] = [[] for _ in acts]
    for _ in range(count):
        for kept, act in zip(samples, acts, strict=True):
            began = time.perf_counter()
            act()
            kept.append((time.perf_counter() - began) * 1000)
    return samples


def main(doc: str | None, measure: Callable[[bool], Iterable[Row]]) -> None:
    """Run one benchmark from the command line."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer repetitions: does it work at all?")
    parser.add_argument("--json", metavar="FILE", help="also write the rows there")
    words = parser.parse_args()
    title = (doc or "").strip().splitlines()[0]
    print(title, flush=True)
    rows = list(measure(words.quick))
    print("\n".join(table(rows)), flush=True)
    if words.json:
        with open(words.json, "w") as file:
            json.dump({"title": title, "rows": [asdict(row) for row in rows]}, file)
    sys.exit(3 if any("MISSED" in line for line in table(rows)) else 0)
