"""`python -m fuzz [NAME ...] [--minutes M] [--seed S]` in the folder of the tests: changed bytes for all that reads.

Every target has its share of the time; the parser and the bundle reader are also led by coverage, where atheris is
installed. An input that brings out another error than a target may raise is kept in build/fuzz, and ends the run.
"""

from __future__ import annotations

import argparse
import importlib.util
import random
import subprocess
import sys
import time
import traceback
from pathlib import Path

from .changing import changed
from .language import instruction, stand_in, torture
from .targets import Target, targets

KEPT = Path(__file__).resolve().parents[2] / "build" / "fuzz"
LED = ("instruction", "bundle")
"""What atheris leads by coverage."""


def main(words: list[str]) -> int:
    """Run as a script; 1 when something else than an error of its own came out of a target."""
    known = targets()
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("names", nargs="*", metavar="NAME", help="the targets; all by default")
    options.add_argument("--minutes", type=float, default=10.0, help="of all targets together")
    options.add_argument("--seed", type=int, default=int(time.time()))
    chosen = options.parse_args(words)
    names = chosen.names or list(known)
    if unknown := [name for name in names if name not in known]:
        options.error(f"there is no target `{unknown[0]}`: {', '.join(known)}")
    led = [name for name in names if name in LED] if importlib.util.find_spec("atheris") else []
    seconds = chosen.minutes * 60 / (len(names) + len(led))
    bad = sum(not run(known[name](), seconds, random.Random(chosen.seed)) for name in names)
    bad += sum(not led_by_coverage(name, seconds) for name in led)
    return 1 if bad else 0


def run(target: Target, seconds: float, draw: random.Random) -> bool:
    """Throw changed seeds at a target for so many seconds; whether it held."""
    end, count, read = time.monotonic() + seconds, 0, 0
    catalog = stand_in().CATALOG
    while time.monotonic() < end or not count:
        data = changed(draw.choice(target.seeds), draw, target.words)
        try:
            read += target.judge(data)
            if target.name == "instruction":
                torture(instruction(draw), catalog, deep=count % 10 == 0)
        except Exception:
            KEPT.mkdir(parents=True, exist_ok=True)
            path = KEPT / f"{target.name}-{count}"
            path.write_bytes(data)
            sys.stderr.write(f"{target.name}: {path}\n{traceback.format_exc()}")
            return False
        count += 1
    sys.stdout.write(f"{target.name}: {count:,} inputs, {read:,} read, nothing but its own errors\n")
    sys.stdout.flush()
    return True


def led_by_coverage(name: str, seconds: float) -> bool:
    """Run atheris in a process of its own, as it ends the one that it runs in; whether the target held."""
    corpus = KEPT / f"{name}-corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    command = [
        sys.executable,
        "-m",
        "fuzz.led",
        name,
        f"-max_total_time={max(1, round(seconds))}",
        "-rss_limit_mb=6000",
    ]
    done = subprocess.run(
        [*command, f"-artifact_prefix={KEPT}/{name}-", "-verbosity=1", "-print_final_stats=1", str(corpus)],
        capture_output=True, text=True, check=False, cwd=Path(__file__).resolve().parents[1],
    )  # fmt: skip
    stats = [line for line in done.stderr.splitlines() if "number_of_executed_units" in line]
    if done.returncode:
        sys.stderr.write(done.stderr[-4000:])
        return False
    sys.stdout.write(f"{name}, led by coverage: {stats[0].split()[-1] if stats else '?'} inputs\n")
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
