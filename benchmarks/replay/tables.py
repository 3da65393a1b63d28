"""Writes the tables of docs/replay.md from the results, so that nobody copies a number by hand."""

from __future__ import annotations

import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
Result = dict[str, Any]

BOOTED = ("live-equal", "live-DIFFERENT", "refused", "failed", "child-does-not-boot")  # and what is a fault
LEFT_OUT = ("parent-does-not-boot", "child-no-text")


def faults(counts: Counter[str]) -> int:
    """Return how many steps broke a promise: silently wrong, not as before, or a crash of the engine."""
    kept = {*BOOTED, *LEFT_OUT} - {"live-DIFFERENT"}
    return sum(count for name, count in counts.items() if name not in kept)


def apps_table(results: Iterable[Result]) -> str:
    """Return one line an app: steps, and what became of them."""
    heads = ("steps", "live, equal", "refused", "failed, undone", "does not start: kept out", "**faults**")
    more = ("live of those without dependencies", "not replayed")
    lines = [f"| app | {' | '.join([*heads, *more])} |", "|---|--:|--:|--:|--:|--:|--:|--:|--:|"]
    total: Counter[str] = Counter()
    plain: Counter[str] = Counter()
    for result in results:
        counts = Counter(step["outcome"] for step in result["steps"])
        own = Counter(step["outcome"] for step in result["steps"] if not step["dependencies"])
        total, plain = total + counts, plain + own
        lines.append(_app_line(result["app"], counts, own))
    lines.append(_app_line("**all**", total, plain))
    return "\n".join(lines)


def _app_line(name: str, counts: Counter[str], own: Counter[str]) -> str:
    left = sum(counts[key] for key in LEFT_OUT)
    wanted = sum(own.values()) - sum(own[key] for key in (*LEFT_OUT, "child-does-not-boot"))
    share = f"{own['live-equal']} of {wanted} ({100 * own['live-equal'] // max(wanted, 1)} %)"
    cells = [sum(counts.values()) - left, *(counts[key] for key in BOOTED if key != "live-DIFFERENT")]
    return f"| {name} | " + " | ".join(map(str, [*cells, faults(counts), share, left])) + " |"


def reasons_table(results: Iterable[Result]) -> str:
    """Return one line a reason code: how many steps it stood in, in how many alone, and an example."""
    steps: Counter[str] = Counter()
    alone: Counter[str] = Counter()
    examples: dict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
    for result in results:
        for step in result["steps"]:
            if step["outcome"] not in ("refused", "failed"):
                continue
            codes = {reason["code"] for reason in step["reasons"]}
            steps.update(codes)
            alone.update(codes if len(codes) == 1 else ())
            for reason in step["reasons"]:
                where = f"{result['app']} {step['new'][:8]}"
                examples[reason["code"]][where, f"{reason['where']}: {reason['what']}"] += 1
    lines = ["| code | steps | alone | for example |", "|---|--:|--:|---|"]
    for code, count in steps.most_common():
        (where, what), _ = examples[code].most_common(1)[0]
        lines.append(f"| `{code}` | {count} | {alone[code]} | {where}: {_plain(what)} |")
    return "\n".join(lines)


def _plain(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")[:160]


def steps_table(results: Iterable[Result]) -> str:
    """Return one line each step that did not become live."""
    lines = ["| app | commit | outcome | codes |", "|---|---|---|---|"]
    for result in results:
        for step in result["steps"]:
            if step["outcome"] in ("live-equal", *LEFT_OUT):
                continue
            codes = ", ".join(sorted({f"`{reason['code']}`" for reason in step.get("reasons", ())}))
            lines.append(f"| {result['app']} | {step['new'][:10]} | {step['outcome']} | {codes} |")
    return "\n".join(lines)


def read(folder: Path) -> list[Result]:
    """Return all results of a folder."""
    return [json.loads(file.read_text()) for file in sorted(folder.glob("*.json"))]


def published_table(results: Iterable[Result]) -> str:
    """Return both tables of versions from the package index: what became of them, and why not."""
    told = list(results)
    return f"{apps_table(told)}\n\n{steps_table(told)}"


def write(page: Path, results: list[Result]) -> str:
    """Return a page with the tables between its markers renewed."""
    text = page.read_text()
    published = [result for result in results if result["app"].endswith("-published")]
    commits = [result for result in results if result not in published]
    tables = {
        "apps": apps_table(commits),
        "reasons": reasons_table(commits),
        "steps": steps_table(commits),
        "published": published_table(published),
    }
    for name, table in tables.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
        before, _, rest = text.partition(begin)
        text = before + f"{begin}\n{table}\n\n{end}" + rest.partition(end)[2]
    return text


PAGE = HERE.parents[1] / "docs" / "replay.md"

if __name__ == "__main__":
    found = read(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "results")
    if len(sys.argv) > 1:
        print(apps_table(found), reasons_table(found), steps_table(found), sep="\n\n")
    else:
        PAGE.write_text(write(PAGE, found))
