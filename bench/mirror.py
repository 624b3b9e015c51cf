"""The mirror against tar and rsync: a first mirror of many files, and one saved file.

    .venv/bin/python bench/mirror.py [--files 10000] [--saves 200]

The target here is a folder on disk, written by a thread of this process; what a sandbox adds is measured by the
end-to-end benches. Prints medians and ratios.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from continue_exec.mirror.filter import IgnoreRules  # noqa: E402
from continue_exec.mirror.mirror import Mirror  # noqa: E402
from continue_exec.mirror.state import MirrorState  # noqa: E402
from tests.support.mirror_target import DiskTarget  # noqa: E402


def make_tree(folder: Path, files: int) -> None:
    """A tree like a project's: 10 files a folder, 1 to 8 KB each, a few large."""
    rng = random.Random(1)
    for number in range(files):
        place = folder / f"p{number // 500}" / f"m{number // 10}"
        if number % 10 == 0:
            place.mkdir(parents=True, exist_ok=True)
        size = 200_000 if number % 500 == 0 else rng.randint(500, 8000)
        (place / f"f{number}.py").write_bytes(rng.randbytes(size // 2).hex().encode())


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1000


def fresh(base: Path) -> Path:
    return Path(tempfile.mkdtemp(dir=base))


def tar(host: Path, base: Path) -> None:
    subprocess.run(f"tar -C {host} -cf - . | tar -C {fresh(base)} -xf -", shell=True, check=True)


def rsync(host: Path, base: Path) -> None:
    subprocess.run(["rsync", "-a", f"{host}/", f"{fresh(base)}/"], check=True)


async def first(host: Path, base: Path) -> float:
    mirror = Mirror(host, IgnoreRules(), MirrorState(fresh(base) / "state"))
    await mirror.start()
    started = time.perf_counter()
    await mirror.flush(DiskTarget(fresh(base)))
    took = (time.perf_counter() - started) * 1000
    await mirror.stop()
    return took


async def following(host: Path, base: Path, saves: int) -> dict[str, list[float]]:
    """Flush with nothing to do, flush of one save, and save → inside by `live`, in ms."""
    found: dict[str, list[float]] = {"idle flush": [], "flush of a save": [], "live save": [], "rescan": []}
    target = DiskTarget(fresh(base))
    state = MirrorState(fresh(base) / "state")
    mirror = Mirror(host, IgnoreRules(), state)
    await mirror.start()
    await mirror.flush(target)
    file = host / "p0" / "m0" / "f1.py"
    for number in range(saves):
        started = time.perf_counter()
        await mirror.flush(target)
        found["idle flush"].append((time.perf_counter() - started) * 1000)
        file.write_text(f"print({number})")
        started = time.perf_counter()
        await mirror.flush(target)
        found["flush of a save"].append((time.perf_counter() - started) * 1000)
    async with asyncio.TaskGroup() as group:
        live = group.create_task(mirror.live(target))
        await asyncio.sleep(0.1)
        for number in range(saves):
            target.pushed.clear()
            started = time.perf_counter()
            file.write_text(f"print({number}, 'live')")
            await target.pushed.wait()
            found["live save"].append((time.perf_counter() - started) * 1000)
        live.cancel()
    await mirror.stop()
    for _ in range(3):
        again = Mirror(host, IgnoreRules(), MirrorState(state.path))
        started = time.perf_counter()
        await again.start()
        await again.flush(target)
        found["rescan"].append((time.perf_counter() - started) * 1000)
        await again.stop()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--saves", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    base = Path(tempfile.mkdtemp(prefix="bench-mirror-"))
    try:
        host = base / "host"
        make_tree(host, args.files)
        if shutil.which("git"):
            subprocess.run(["git", "init", "-q", str(host)], check=True)
        rows: dict[str, list[float]] = {"tar | tar": [], "first mirror": []}
        if shutil.which("rsync"):
            rows["rsync -a"] = []
        os.sync()
        for _ in range(args.rounds):  # side by side, so that a busy moment hits all alike
            rows["tar | tar"].append(timed(lambda: tar(host, base)))
            if "rsync -a" in rows:
                rows["rsync -a"].append(timed(lambda: rsync(host, base)))
            rows["first mirror"].append(asyncio.run(first(host, base)))
        native = statistics.median(rows["tar | tar"])
        print(f"{args.files} files, target: a folder on disk")
        for name, values in rows.items():
            median = statistics.median(values)
            print(f"  {name:16} {median:8.0f} ms   {median / native:5.2f} x tar")
        for name, values in asyncio.run(following(host, base, args.saves)).items():
            values.sort()
            print(f"  {name:16} {statistics.median(values):8.3f} ms   p99 {values[int(len(values) * 0.99)]:.3f} ms")
    finally:
        shutil.rmtree(base)


if __name__ == "__main__":
    main()
