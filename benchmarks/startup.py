"""What the command line takes to start, beside Flask's own.

    python benchmarks/startup.py

Each row is a process from its start to its end, in turns. Flask's own is `flask --help` without us: it looks
for no commands of other packages.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from machine import machine
from spread import summary

AIM_MS = 100.0
ALONE = (
    "import sys; from flask import cli; cli.FlaskGroup._load_plugin_commands = lambda self: None;"
    "sys.argv = ['flask', '--help']; cli.main()"
)
OWN = "flask --help, without us"
COMMANDS = {
    OWN: ["-c", ALONE],
    "flask --help": ["-m", "flask", "--help"],
    "flask habanero --help": ["-m", "flask", "habanero", "--help"],
    "flask habanero secret": ["-m", "flask", "habanero", "secret"],
}


def took(words: list[str], folder: str) -> dict[str, float]:
    """Return the milliseconds of a process, and of the processor in it."""
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("FLASK_", "HABANERO_"))}
    begun, cpu = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env=environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    end, done = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    used = done.ru_utime + done.ru_stime - cpu.ru_utime - cpu.ru_stime
    return {"ms": (end - begun) * 1000, "cpu": used * 1000}


def measure(rounds: int) -> dict[str, dict[str, Any]]:
    """Return what each command takes, and how much more than Flask's own in the same round."""
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in COMMANDS}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds + 1):
            for name, words in COMMANDS.items():
                rows[name].append(took(words, folder))
    rows = {name: values[1:] for name, values in rows.items()}  # the first round writes what is compiled
    return {name: {**summary(values), "more": more(values, rows[OWN])} for name, values in rows.items()}


def more(rows: list[dict[str, float]], own: list[dict[str, float]]) -> dict[str, float]:
    """Return the medians of how much longer it took in the same round."""
    pairs = list(zip(rows, own, strict=True))
    return {
        name: round(statistics.median(mine[name] - theirs[name] for mine, theirs in pairs), 1)
        for name in own[0]
    }


def main() -> None:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-n", type=int, default=40, help="rounds")
    parser.add_argument("--out", type=Path, help="write the results there, as JSON")
    options = parser.parse_args()
    results: dict[str, Any] = {"machine": machine(), "commands": measure(options.n)}
    for name, row in results["commands"].items():
        time_ms, cpu_ms = row["more"]["ms"], row["more"]["cpu"]
        print(
            f"{name:<26} {row['ms']['median']:8.1f} ms {time_ms:+8.1f} ms  {cpu_ms:+8.1f} ms of the processor"
        )
    print(f"aim: {AIM_MS:.0f} ms more than Flask's own")
    if options.out:
        options.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
