"""From a save to the new code in every worker: this project beside gunicorn's HUP, in one run.

    python benchmarks/save_to_live.py                       # both apps, 15 times each
    python benchmarks/save_to_live.py sample_app -n 50
    python benchmarks/save_to_live.py --kinds               # code, a template, a stylesheet; no HUP

Both servers run all the time, each with two sync workers on loopback, and are measured in turns, so that
they share the machine's noise. See README.md for what each number means.
"""

from __future__ import annotations

import argparse
import json
import signal
import statistics
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from apps import APPS, App, Edit
from flask_habanero.envelope import new_secret
from machine import machine
from servers import Server, Watcher, cpu_ms, environment, serving, watching
from spread import spread, summary

SERVER_STAGES = ("verify", "plan", "prepare", "quiesce", "commit", "record", "converge")
SETTLE_S = 0.3  # between rounds: what one leaves to do is not paid by the next


def save(edit: Edit, app: App, folder: Path, number: int) -> float:
    """Save the edit of a number in a copy of the app; return when its text was written."""
    text = (app.sources / edit.file).read_text("utf-8")
    assert text.count(edit.old) == 1
    path = folder / edit.file
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_text(text.replace(edit.old, edit.new.format(number)), "utf-8")
    written = time.monotonic()
    fresh.replace(path)  # as most editors save
    return written


def by_us(edit: Edit, server: Server, watcher: Watcher, folder: Path, number: int) -> dict[str, float]:
    """Save; return milliseconds until it is live, shown, and answered by all workers, and the split."""
    saved = time.monotonic()
    written = save(edit, server.app, folder, number)
    event = watcher.next()
    heard = time.monotonic()
    assert event["outcome"] == "live", event
    assert event["workers"]["at_head"] == 2, event
    answered = server.await_all(edit.path, edit.shown.format(number))
    ms, at = event["ms"], event["at"]
    split = {stage: ms.get(stage, 0.0) for stage in SERVER_STAGES}
    return {
        "live": (at["begun"] - saved) * 1000 + ms["build"] + ms["deliver"],
        "shown": (heard - saved) * 1000,
        "answered": (answered - saved) * 1000,
        "write": (written - saved) * 1000,
        "event": (at["event"] - written) * 1000,
        "coalesce": (at["begun"] - at["event"]) * 1000,
        "compile": ms["build"],
        "send": ms["deliver"] - ms["server"],
        **split,
        "server, rest": ms["server"] - sum(split.values()),
        "remember": (at["done"] - at["begun"]) * 1000 - ms["build"] - ms["deliver"],
        "tell": (heard - at["done"]) * 1000,
    }


def by_hup(app: App, server: Server, number: int) -> float:
    """Save on the server, send HUP; return milliseconds until all workers have answered with the new code."""
    save(app.code, app, server.folder, number)
    begun = time.monotonic()
    server.process.send_signal(signal.SIGHUP)
    return (server.await_all(app.code.path, app.code.shown.format(number)) - begun) * 1000


def measure(app: App, work: Path, rounds: int) -> dict[str, Any]:
    """Return what one app takes."""
    ours: list[dict[str, float]] = []
    hup: list[float] = []
    cpu = [0.0, 0.0]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=work)))
        environ = environment(folder, new_secret())
        server = stack.enter_context(serving(app, folder / "ours", environ))
        plain = stack.enter_context(serving(app, folder / "hup", environment(folder, "")))
        watcher = stack.enter_context(watching(app, folder / "laptop", server, environ))
        for number in range(1, rounds + 2):
            if number == 2:  # the first round warms both up
                cpu = [-cpu_ms(server.process.pid) - cpu_ms(watcher.process.pid), -cpu_ms(plain.process.pid)]
            ours.append(by_us(app.code, server, watcher, folder / "laptop", number))
            time.sleep(SETTLE_S)
            hup.append(by_hup(app, plain, number))
            time.sleep(SETTLE_S)
            print(f"  {ours[-1]['live']:8.1f} ms {ours[-1]['answered']:8.1f} ms   HUP {hup[-1]:8.1f} ms")
        cpu[0] += cpu_ms(server.process.pid) + cpu_ms(watcher.process.pid)
        cpu[1] += cpu_ms(plain.process.pid)
        assets = by_kind(app, server, watcher, folder / "laptop", rounds)
    ours, hup = ours[1:], hup[1:]
    return {
        "lines": app.lines,
        "ours": summary(ours),
        "hup": spread(hup),
        "times faster": ratios(ours, hup),
        "cpu": {"ours": round(cpu[0] / rounds, 1), "hup": round(cpu[1] / rounds, 1)},  # ms for one release
        "assets": assets,
    }


def measure_kinds(app: App, work: Path, rounds: int) -> dict[str, Any]:
    """Return what `by_kind` finds of one app, without the other server beside it."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=work)))
        environ = environment(folder, new_secret())
        server = stack.enter_context(serving(app, folder / "ours", environ))
        watcher = stack.enter_context(watching(app, folder / "laptop", server, environ))
        return {"assets": by_kind(app, server, watcher, folder / "laptop", rounds)}


def by_kind(app: App, server: Server, watcher: Watcher, folder: Path, rounds: int) -> dict[str, Any]:
    """Return what a save of code, and one of each kind of asset, takes, measured in turns."""
    edits = {"code": app.code, **app.assets} if app.assets else {}
    rows: dict[str, list[dict[str, float]]] = {kind: [] for kind in edits}
    for number in range(1, rounds + 2):
        for kind, edit in edits.items():
            rows[kind].append(by_us(edit, server, watcher, folder, 1000 + number))
            time.sleep(SETTLE_S)
    return {kind: summary(values[1:]) for kind, values in rows.items()}


def ratios(ours: list[dict[str, float]], hup: list[float]) -> dict[str, float]:
    """Return how many times as long HUP takes."""
    middle = statistics.median(hup)
    names = ("live", "answered")
    return {name: round(middle / statistics.median([row[name] for row in ours]), 1) for name in names}


def show(name: str, result: dict[str, Any]) -> None:
    """Print the results of one app."""
    ours, hup = result["ours"], result["hup"]
    print(f"\n{name}: {result['lines']['app']} lines, {result['lines']['file']} in the file that is edited")
    print(f"  {'':<14} {'median':>9} {'min':>9} {'max':>9}")
    for row, values in [*ours.items(), ("gunicorn HUP", hup)]:
        print(f"  {row:<14} {values['median']:9.2f} {values['min']:9.2f} {values['max']:9.2f}")
    show_kinds(result)
    print(f"  HUP takes {result['times faster']['answered']} times as long, both asked over HTTP")
    print(f"  processor time of a release: {result['cpu']['ours']} ms, of a HUP {result['cpu']['hup']} ms\n")


def show_kinds(result: dict[str, Any]) -> None:
    """Print what saves of each kind take."""
    for kind, row in result["assets"].items():
        times = f"live {row['live']['median']:.1f}, answered {row['answered']['median']:.1f}"
        print(f"  a save of {kind}, in turns with the others: {times} ms")


def main() -> None:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("apps", nargs="*", default=list(APPS), help=f"of {', '.join(APPS)}")
    parser.add_argument("-n", type=int, default=15, help="rounds")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "habanero-benchmarks")
    parser.add_argument("--out", type=Path, help="write the results there, as JSON")
    parser.add_argument("--kinds", action="store_true", help="only what kinds of files take, in turns")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {"machine": machine(), "apps": {}}
    for name in options.apps:
        print(name)
        app = APPS[name](options.work)
        if not options.kinds:
            results["apps"][name] = measure(app, options.work, options.n)
            show(name, results["apps"][name])
        elif app.assets:
            results["apps"][name] = measure_kinds(app, options.work, options.n)
            show_kinds(results["apps"][name])
    if options.out:
        options.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
