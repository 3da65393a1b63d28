"""Generated edits against cold starts.

``python -m tests.properties.generated --count 2000 --seed 0 --json out.json``

One sequence: a random project starts, takes one to four releases of random edits, and is rolled back.
After each release its process is compared with a cold start of the same sources. What may be:

- live, and equal to the cold start;
- refused or failed, and exactly as before.

All else is a verdict against the engine: WRONG (live, and something differs, or a cold start fails),
DIRTY (refused or failed, and something changed), CRASH.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from .editing import edited
from .growing import grow
from .processes import Farm, Release, Sources, Started, cold, cold_imports, hot, hot_imports, late_imports


@dataclass
class Sequence:
    """Sources before, and after each release. The last one is the rollback."""

    entry: str
    sources: list[Sources]
    edits: list[str]


@dataclass
class Verdict:
    """What a sequence came to. `bad` is empty if the engine kept its word."""

    bad: str = ""
    at: int = 0
    differences: list[str] = field(default_factory=list)
    steps: tuple[str, ...] = ()
    outcomes: list[str] = field(default_factory=list)
    codes: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)


class Bench:
    """The two farms, and what is done with them. Close it.

    Args:
        ignored: differences that match this are not counted: to look behind a fault that is known.
        late: the projects import the engine themselves; else it is there before them.
    """

    def __init__(self, ignored: str = r"(?!)", *, late: bool = False) -> None:
        self._ignored = re.compile(ignored)
        self.colds = Farm(late_imports if late else cold_imports)
        self.hots = Farm(late_imports if late else hot_imports)

    def close(self) -> None:
        """End both farms."""
        self.colds.close()
        self.hots.close()

    def judge(self, sequence: Sequence) -> Verdict:
        """Run a sequence and compare."""
        first, *targets = sequence.sources
        verdict = Verdict()
        origin = self.cold(first, sequence.entry)
        if origin.error:
            verdict.outcomes.append("no start")
            return verdict
        try:
            process = self.hots.run(hot, first, sequence.entry, targets)
        except RuntimeError as error:
            return Verdict("CRASH", 0, [str(error)])
        if found := self._differences(process.started, origin):
            return Verdict("ORACLE", 0, found)
        before = process.started.found
        for index, (release, target) in enumerate(zip(process.releases, targets, strict=False), 1):
            verdict.outcomes.append(release.outcome)
            verdict.codes += sorted(set(release.codes))
            if release.outcome in ("crash", "undo"):
                return Verdict("CRASH" if release.outcome == "crash" else "UNDO", index, [release.text])
            wanted = Started(before)
            if release.outcome == "live":
                wanted = self.cold(target, sequence.entry)
            else:
                edits = [*sequence.edits, "rollback"][index - 1]
                verdict.refusals.append(f"{edits}: {release.text}")
            if wanted.error:
                return Verdict("WRONG", index, [f"live, and a cold start fails: {wanted.error}"])
            if found := self._differences(release, wanted):
                said = (release.text, *release.steps)
                return Verdict(
                    "WRONG" if release.outcome == "live" else "DIRTY", index, found, said, verdict.outcomes
                )
            before = release.found
        return verdict

    def _differences(self, found: Started | Release, wanted: Started) -> list[str]:
        from tests.oracle.process import differences

        return [line for line in differences(found.found, wanted.found) if not self._ignored.search(line)]

    def cold(self, sources: Sources, entry: str) -> Started:
        """Start sources in a process of their own."""
        started: Started = self.colds.run(cold, sources, entry)
        return started


def sequence(seed: int, *, late: bool = False) -> Sequence:
    """Return the sequence of a seed."""
    rng = Random(seed)
    project = grow(rng)
    if late:
        project.tool = rng.choice(("first", "last"))
    sources, edits = [project.files()], []
    for _ in range(rng.randrange(1, 5)):
        project, names = edited(rng, project)
        sources.append(project.files())
        edits.append("+".join(names))
    return Sequence(project.entry, [*sources, sources[0]], edits)


def main() -> int:
    """Run many; return 1 if the engine broke its word."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--stop", type=int, default=0, help="stop after so many faults")
    parser.add_argument("--shrink", action="store_true")
    parser.add_argument("--ignore", default=r"(?!)", help="a pattern of differences that are not counted")
    parser.add_argument("--late", action="store_true", help="projects import flask_habanero themselves")
    options = parser.parse_args()
    bench, began = Bench(options.ignore, late=options.late), time.monotonic()
    counts: Counter[str] = Counter()
    codes: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    refusals: list[str] = []
    faults: list[dict[str, Any]] = []
    for seed in range(options.seed, options.seed + options.count):
        one = sequence(seed, late=options.late)
        verdict = bench.judge(one)
        counts.update(verdict.outcomes)
        counts[f"sequence {verdict.bad or 'ok'}"] += 1
        codes.update(verdict.codes)
        refusals += verdict.refusals
        if verdict.bad:
            kinds[_kind(verdict)] += 1
            if options.shrink and kinds[_kind(verdict)] == 1:
                one = shrunk(one, verdict, bench.judge)
                verdict = bench.judge(one)
            faults.append({"seed": seed, "kind": _kind(verdict), **vars(verdict), **vars(one)})
            sys.stdout.write(_told(seed, one, verdict))
            sys.stdout.flush()
            if options.stop and len(faults) >= options.stop:
                break
    bench.close()
    result = {
        "counts": counts,
        "codes": codes,
        "kinds": kinds,
        "seconds": round(time.monotonic() - began, 1),
        "faults": faults,
        "refusals": refusals,
    }
    if options.json:
        options.json.write_text(json.dumps(result, indent=1))
    sys.stdout.write(
        json.dumps({k: v for k, v in result.items() if k not in ("faults", "refusals")}, indent=1) + "\n"
    )
    return bool(faults)


def _told(seed: int, one: Sequence, verdict: Verdict) -> str:
    import difflib

    lines = [f"\n=== seed {seed}: {verdict.bad} at release {verdict.at} ({one.edits}), entry {one.entry}"]
    for path, text in sorted(one.sources[0].items()):
        lines += [f"--- {path}", text.rstrip("\n")]
    for old, new in zip(one.sources, one.sources[1 : verdict.at + 1], strict=False):
        lines.append("--- release")
        for path in sorted({*old, *new}):
            was, now = old.get(path, "").splitlines(), new.get(path, "").splitlines()
            lines += list(
                difflib.unified_diff(was, now, path, path if path in new else "deleted", "", "", 1, "")
            )
    lines += ["--- said", *(line[:400] for line in verdict.steps), "--- differs"]
    told = verdict.differences[:12]
    lines += [line[-1500:] if verdict.bad == "CRASH" else line[:400] for line in told]
    return "\n".join(lines) + "\n"


def shrunk(one: Sequence, verdict: Verdict, judge: Callable[[Sequence], Verdict]) -> Sequence:
    """Return a smaller sequence with the same fault: fewer releases, then fewer statements."""
    from .shrinking import smaller

    kind = _kind(verdict)
    loose = verdict.bad in ("WRONG", "DIRTY") and "no start" not in kind  # what differs may get less

    def same(other: Sequence) -> bool:
        found = judge(other)
        return found.bad == verdict.bad and (
            _kind(found) == kind or (loose and "no start" not in _kind(found))
        )

    return smaller(one, same)


def _kind(verdict: Verdict) -> str:
    """Return what makes a fault the same one, more or less: where the first difference is, without names."""
    text = verdict.differences[0] if verdict.differences else ""
    if verdict.bad in ("CRASH", "UNDO"):
        return f"{verdict.bad} {text.strip().splitlines()[-1][:80]}"
    if "cold start fails" in text:
        return f"{verdict.bad} no start {text.partition('fails: ')[2].partition(':')[0]}"
    found = {
        re.sub(r"\w*\d+\w*", "N", line.partition(": ")[0])
        for line in verdict.differences
        if " GET " not in line
    }
    return f"{verdict.bad} {sorted(found)[:3]}"


if __name__ == "__main__":
    sys.exit(main())
