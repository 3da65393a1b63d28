"""Replays the histories of real apps: what a release makes live is compared with a cold start.

For each step of a history that changes shipped Python files::

    hot   boots the old tree, is pushed the new modules, is looked at
    cold  boots the new tree, is looked at
    both looks are equal, or the step is silently different: the worst there is

Run ``python -m benchmarks.replay.replay run`` for all of `apps.toml`,
``… step APP COMMIT`` for one step in full.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask_habanero.source import decode_source

from .histories import App, Git, Published, Step, Tree, history, read_apps

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
_PATIENCE = 200  # seconds: a little more than the worker's own
_SHOWN = 12  # differences that are kept in the results
PINNED = {"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1", "TZ": "UTC", "LC_ALL": "C.UTF-8"}

Result = dict[str, Any]


@dataclass(frozen=True)
class Bench:
    """Where and with what an app is replayed.

    Attributes:
        python: the interpreter that has what the app needs.
        scratch: a folder for the app's tree; both processes see it under the same path.
        engine: the folder that holds `flask_habanero` and `tests/oracle`.
        push: how a release is made live, as ``module:function``; the engine's way, if not said.
    """

    python: Path
    scratch: Path
    engine: Path = ROOT
    push: str = "worker:push"

    def run(self, role: str, tree: Tree, job: Result) -> Result:
        """Run one process over a tree; return what it wrote."""
        root = self.scratch / "tree"
        shutil.rmtree(root, ignore_errors=True)
        for path, data in tree.items():
            file = root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
        asked, out = self.scratch / "job.json", self.scratch / f"{role}.json"
        out.unlink(missing_ok=True)
        asked.write_text(json.dumps({**job, "root": str(root.resolve()), "push": self.push}))
        kept = {key: value for key, value in os.environ.items() if key in ("PATH", "HOME")}
        env = {**kept, **PINNED, "PYTHONPATH": str(self.engine)}
        command = [str(self.python), str(HERE / "worker.py"), role, str(asked), str(out)]
        with (self.scratch / f"{role}.log").open("w") as log:
            subprocess.run(command, env=env, stdout=log, stderr=log, timeout=_PATIENCE, check=False)
        if not out.exists():
            tail = (self.scratch / f"{role}.log").read_text(errors="replace")[-2000:]
            return {"outcome": "died", "error": f"the process ended without an answer: {tail}"}
        result: Result = json.loads(out.read_text())
        return result


def module_name(path: str) -> str:
    """Return the name of the module in a file."""
    parts = path.removesuffix(".py").split("/")
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def release(app: App, old: Tree, new: Tree) -> tuple[list[Result], list[str]]:
    """Return the changed modules and the names of the deleted ones.

    Raises:
        SyntaxError: a changed file is no text.
    """
    ours = {path for path in {**old, **new} if app.ships(path)}
    names = {module_name(path): path for path in sorted(ours) if path in new}
    units = []
    for name, path in names.items():
        if old.get(path) != new[path]:
            package = path.rpartition("/")[2] == "__init__.py"
            units.append({"name": name, "path": path, "package": package, "text": decode_source(new[path])})
    return units, sorted({module_name(path) for path in ours if path in old} - set(names))


def differences(found: dict[str, str], wanted: dict[str, str]) -> dict[str, tuple[str, str]]:
    """Return what differs: path -> (found, wanted)."""
    paths = [path for path in {**wanted, **found} if found.get(path) != wanted.get(path)]
    return {path: (found.get(path, "nothing"), wanted.get(path, "nothing")) for path in paths}


def replay_step(app: App, trees: Git | Published, step: Step, bench: Bench) -> Result:
    """Replay one step; return its outcome and all that is to be known of it."""
    told: Result = {"old": step.old[:12], "new": step.new[:12], "dependencies": step.dependencies}
    if not any(map(app.ships, step.paths)):
        return {**told, "outcome": "skipped-asset"}
    old, new = trees.tree(step.old), trees.tree(step.new)
    around = {path: data for path, data in new.items() if not app.ships(path)}
    before = {**around, **{path: data for path, data in old.items() if app.ships(path)}}
    try:
        units, deletions = release(app, old, new)
    except SyntaxError as error:
        return {**told, "outcome": "child-no-text", "error": str(error)}
    if not units and not deletions:
        return {**told, "outcome": "skipped-asset"}
    keys = ("tops", "entries", "prepare", "setup", "warm", "ask", "env")
    job = {**{key: getattr(app, key) for key in keys}, "units": units, "deletions": deletions}
    told["modules"] = [unit["name"] for unit in units] + [f"-{name}" for name in deletions]
    judge = lambda: judged(bench.run("hot", before, job), lambda: bench.run("cold", new, job))  # noqa: E731  # twice
    return {**told, **confirmed(judge)}


def confirmed(judge: Callable[[], Result]) -> Result:
    """Return an outcome; differences count only if they show again: clocks go on between two processes."""
    first = judge()
    if "paths" not in first:
        return first
    again = judge()
    kept = first if first["paths"] & again.get("paths", set()) else again
    return {key: value for key, value in kept.items() if key != "paths"}


def judged(hot: Result, cold: Callable[[], Result]) -> Result:
    """Return a step's outcome from what its processes wrote. A second cold start tells what is chance."""
    told = {key: hot[key] for key in ("reasons", "steps", "ms", "trace", "error") if key in hot}
    if hot["outcome"] == "does-not-boot":
        return {"outcome": "parent-does-not-boot", "error": hot["error"]}
    if hot["outcome"] in ("died", "crash", "undo"):
        return {**told, "outcome": f"CRASH-{hot['outcome']}"}
    wanted = cold()
    if wanted["outcome"] == "died":
        return {**told, "outcome": "child-died", "error": wanted["error"]}
    if hot["outcome"] != "live":
        changed = differences(hot["found"], hot["before"])
        lame = wanted["outcome"] == "does-not-boot"
        told = {**told, "child": wanted["error"]} if lame else told
        name = f"{hot['outcome']}-DIRTY" if changed else ("child-does-not-boot" if lame else hot["outcome"])
        return {**told, "outcome": name, **_shown(changed)}
    if wanted["outcome"] == "does-not-boot":
        return {**told, "outcome": "live-UNBOOTABLE", "error": wanted["error"]}
    found = differences(hot["found"], wanted["found"])
    chance = differences(cold()["found"], wanted["found"]) if found else {}
    real = {path: words for path, words in found.items() if path not in chance}
    return {
        **told,
        "outcome": "live-DIFFERENT" if real else "live-equal",
        "chance": len(chance),
        **_shown(real),
    }


def _shown(found: dict[str, tuple[str, str]]) -> Result:
    if not found:
        return {}
    first: Result = {path: (have[:600], want[:600]) for path, (have, want) in list(found.items())[:_SHOWN]}
    return {"different": len(found), "differences": first, "paths": set(found)}


def replay(app: App, bench: Bench, mirrors: Path, out: Path) -> Result:
    """Replay all steps of an app, writing results as they come."""
    trees = history(app, mirrors, bench.scratch)
    result: Result = {
        "app": app.name,
        "style": app.style,
        "url": app.url or app.package,
        "newest": app.newest,
    }
    result |= {
        "engine": version(bench.engine),
        "python": asked(bench.python, "import platform; print(platform.python_version())"),
        "skipped-asset": 0,
        "steps": [],
    }
    for step in trees.steps():
        one = replay_step(app, trees, step, bench)
        if one["outcome"] == "skipped-asset":
            result["skipped-asset"] += 1
            continue
        result["steps"].append({key: value for key, value in one.items() if _is_kept(one, key)})
        codes = sorted({reason["code"] for reason in one.get("reasons", ())})
        print(app.name, one["old"], one["new"], one["outcome"], *codes, flush=True)
        result["counts"] = dict(Counter(step["outcome"] for step in result["steps"]))
        out.write_text(without_paths(json.dumps(result, indent=1), bench) + "\n")
    return result


def _is_kept(step: Result, key: str) -> bool:
    """Whether the results keep a field of a step: all of what needs a look, little of what went well."""
    return key not in ("steps", "trace") or step["outcome"] not in ("live-equal", "refused")


def without_paths(text: str, bench: Bench) -> str:
    """Return results without the names of this machine's folders."""
    base = asked(bench.python, "import sys; print(sys.base_prefix)")
    folders = {"<scratch>": bench.scratch, "<venv>": bench.python.parents[1], "<python>": base}
    for name, folder in {**folders, "<engine>": bench.engine, "<replay>": HERE}.items():
        text = text.replace(str(folder), name)
    return text


def version(engine: Path) -> str:
    """Return the commit of an engine."""
    command = ["git", "-C", str(engine), "describe", "--always", "--dirty", "--exclude=*"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or engine.name


@functools.cache
def asked(python: Path, code: str) -> str:
    """Return what an interpreter prints."""
    return subprocess.run(
        [str(python), "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()


def environment(app: App, scratch: Path, base: str) -> Path:
    """Return the interpreter of an app's environment, made with today's versions if there is none."""
    name = app.name.removesuffix("-published")
    python = scratch / "venvs" / name / "bin" / "python"
    if not python.exists():
        subprocess.run([base, "-m", "venv", str(python.parents[1])], check=True)
        # what is built from source is built with what it was written for: old packages want an old setuptools
        bounds = scratch / "venvs" / f"{name}.txt"
        bounds.write_text("".join(f"{one}\n" for one in app.requires if one.startswith("setuptools")))
        env = {**os.environ, "PIP_CONSTRAINT": str(bounds)}
        subprocess.run([str(python), "-m", "pip", "install", "-q", *app.requires], check=True, env=env)
    return python


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=["run", "step"])
    parser.add_argument("app", nargs="?", help="one app; all, if not said")
    parser.add_argument("commit", nargs="?", help="step: how the newer commit or version begins")
    parser.add_argument("--apps", type=Path, default=HERE / "apps.toml")
    parser.add_argument("--scratch", type=Path, default=Path(".replay"), help="environments and trees")
    parser.add_argument(
        "--mirrors", type=Path, default=Path(".replay/mirrors"), help="git repositories: OWNER+NAME/repo"
    )
    parser.add_argument("--out", type=Path, default=HERE / "results")
    parser.add_argument("--engine", type=Path, default=ROOT)
    parser.add_argument("--base", default=sys.executable, help="the Python of the environments")
    options = parser.parse_args()
    for app in read_apps(options.apps):
        if options.app in (None, app.name):
            one(app, options)


def one(app: App, options: argparse.Namespace) -> None:
    """Do what the command line says with one app."""
    scratch = options.scratch.resolve()
    folder = scratch / "run" / app.name
    folder.mkdir(parents=True, exist_ok=True)
    bench = Bench(environment(app, scratch, options.base), folder, options.engine.resolve())
    if options.command == "run":
        started = time.monotonic()
        result = replay(app, bench, options.mirrors, options.out / f"{app.name}.json")
        print(app.name, result["counts"], f"{time.monotonic() - started:.0f} s", flush=True)
        return
    trees = history(app, options.mirrors, folder)
    for step in trees.steps():
        if step.new.startswith(options.commit or ""):
            print(json.dumps(replay_step(app, trees, step, bench), indent=1))


if __name__ == "__main__":
    main()
