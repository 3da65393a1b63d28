"""Writes the tables of docs/benchmarks.md from `results/`, so that nobody copies a number by hand.

python benchmarks/tables.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "benchmarks.md"
Result = dict[str, Any]


def machine_line(result: Result) -> str:
    """Return when and on what something was measured."""
    at = result["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in at["versions"].items())
    load = f"load {at['load']} at the start"
    return f"{at['date']}, CPython {at['python']}, {at['system']}, {at['cores']} cores, {load}; {versions}."


def live_table(result: Result) -> str:
    """Return how long a save takes, and its split, one column an app; medians in ms."""
    apps = result["apps"]
    sizes = {name: app["lines"] for name, app in apps.items()}
    heads = [f"{name}: {size['app']} lines, {size['file']} in the file" for name, size in sizes.items()]
    lines = [f"| ms, median of {_n(apps)} | {' | '.join(heads)} |", f"|---|{'--:|' * len(apps)}"]
    for row in next(iter(apps.values()))["ours"]:
        cells = [f"{app['ours'][row]['median']:.1f}" for app in apps.values()]
        lines.append(f"| {'**live**' if row == 'live' else row} | {' | '.join(cells)} |")
    lines += [
        _row("gunicorn HUP", [f"{app['hup']['median']:.0f}" for app in apps.values()]),
        _row("**HUP takes so many times as long** (answered / live)", [_times(app) for app in apps.values()]),
        _row("processor's time, of a release / of a HUP", [_cpu(app) for app in apps.values()]),
    ]
    return "\n".join([*lines, *_asset_lines(apps)])


def kinds_table(result: Result) -> str:
    """Return what templates and static files take beside code, where nothing else was measured."""
    return "\n".join(_asset_lines(result["apps"])).strip()


def _asset_lines(apps: Result) -> list[str]:
    """Return what templates and static files take beside code, where that was measured."""
    lines: list[str] = []
    for name, app in apps.items():
        kinds = app.get("assets", {})
        if kinds:
            lines += [
                "",
                f"| {name}, ms, medians, in turns | {' | '.join(kinds)} |",
                f"|---|{'--:|' * len(kinds)}",
            ]
            for row in ("live", "answered"):
                lines.append(_row(row, [f"{kind[row]['median']:.1f}" for kind in kinds.values()]))
    return lines


def startup_table(result: Result) -> str:
    """Return what commands take to start, and how much more than Flask's own."""
    lines = ["| command | ms | ms more | ms more of the processor's time |", "|---|--:|--:|--:|"]
    for name, row in result["commands"].items():
        more = row["more"]
        lines.append(
            _row(f"`{name}`", [f"{row['ms']['median']:.0f}", f"{more['ms']:.0f}", f"{more['cpu']:.0f}"])
        )
    return "\n".join(lines)


def _n(apps: Result) -> int:
    return int(min(app["ours"]["live"]["n"] for app in apps.values()))


def _row(name: str, cells: list[str]) -> str:
    return f"| {name} | {' | '.join(cells)} |"


def _times(app: Result) -> str:
    return f"{app['times faster']['answered']} / {app['times faster']['live']}"


def _cpu(app: Result) -> str:
    return f"{app['cpu']['ours']:.0f} / {app['cpu']['hup']:.0f}"


def request_table(result: Result) -> str:
    """Return what a request costs more."""
    lines = [
        "| a request to | without us, µs | with us, µs | more, µs (median / least) |",
        "|---|--:|--:|--:|",
    ]
    for name, row in result.items():
        if isinstance(row, dict) and "more_us" in row:
            more = f"{row['more_us']:.1f} / {row['least_more_us']:.1f}"
            lines.append(f"| {name} | {row['without_us']:.1f} | {row['with_us']:.1f} | {more} |")
    return "\n".join(lines)


def engine_table(result: Result) -> str:
    """Return what plans and commits take against three sizes, medians in ms, and the memory over releases."""
    lines = [
        "| app and heap | function: plan / commit | constant: plan / commit | method: plan / commit |",
        "|---|--:|--:|--:|",
    ]
    usual = result["heap"]["rows"][0]["modules"]
    lines += [_engine_row(f"{row['modules']:,} modules", row) for row in result["modules"]]
    for row in result["lines"]:
        size = row["lines"]["function"]
        lines += [_engine_row(f"{usual} modules, {size:,} lines in the one", row)]
    for row in result["heap"]["rows"]:
        held = "one list" if row["held"] == "table" else "lists of a thousand"
        lines += [_engine_row(f"{usual} modules, and {row['objects']:,} objects in {held}", row)]
    if result["memory"]:
        found = result["memory"]["rss_mb"]
        told = ", ".join(f"{number:,}: {size:.0f}" for number, size in found[:: max(len(found) // 5, 1)])
        lines += ["", f"Memory of a process after so many releases, MiB: {told}."]
    return "\n".join(lines)


def _engine_row(name: str, row: Result) -> str:
    edits = (row["edits"][edit] for edit in ("function", "constant", "method"))
    return _row(name, [f"{one['plan']['median']:.1f} / {one['commit']['median']:.2f}" for one in edits])


def growth_table(result: Result) -> str:
    """Return what a start takes by the number of releases, medians in ms."""
    heads = ("releases", "ledger, MiB", "start, reading all records", "start", "of it, finding the epoch")
    lines = [_row(heads[0], [*heads[1:], "keeping a checkpoint"]), "|--:|--:|--:|--:|--:|--:|"]
    for row in result["rows"]:
        keeping = f"{row['keeping_ms']:.0f}" if row["keeping_ms"] else "none yet"
        cells = [f"{row['ledger_mib']}", f"{row['all_records_ms']:,.0f}", f"{row['start_ms']:.0f}"]
        cells += [f"{row['open_epoch_ms']:.1f}", keeping]
        lines.append(_row(f"{row['releases']:,}", cells))
    return "\n".join(lines)


def fan_out_table(result: Result) -> str:
    """Return how long after the first worker the others have a release, in ms, by the number of workers."""
    lines = [
        "| workers | half of them, median | the last, median | least | most | the whole push, median |",
        "|--:|--:|--:|--:|--:|--:|",
    ]
    for row in result["rows"]:
        last, whole = row["last"], row["total"]["median"]
        times = (row["half"]["median"], last["median"], last["min"], last["max"], whole)
        lines.append(_row(str(row["workers"]), [f"{ms:.1f}" for ms in times]))
    return "\n".join(lines)


def fan_out_redis_table(result: Result) -> str:
    """Return the same of hosts that share a Redis, and how many pushes were not in time."""
    lines = fan_out_table(result).splitlines()
    lines[0], lines[1] = lines[0].replace("workers", "hosts") + " n | not in time |", lines[1] + "--:|--:|"
    counts = [f" {row['last']['n']} | {row['not counted']} |" for row in result["rows"]]
    lines[2:] = map("".join, zip(lines[2:], counts, strict=True))
    lines += [
        "",
        "| hearers | half of them, median | the last, median | least | most | n |",
        "|--:|--:|--:|--:|--:|--:|",
    ]
    for row in result["hearing"]:
        last = row["last"]
        times = (row["half"]["median"], last["median"], last["min"], last["max"])
        lines.append(_row(str(row["workers"]), [*(f"{ms:.1f}" for ms in times), str(last["n"])]))
    return "\n".join(lines)


TABLES = {
    "save to live": ("save_to_live.json", live_table),
    "kinds": ("save_by_kind.json", kinds_table),
    "request": ("request_overhead.json", request_table),
    "engine": ("engine.json", engine_table),
    "ledger": ("ledger_growth.json", growth_table),
    "fan-out": ("fan_out.json", fan_out_table),
    "fan-out over Redis": ("fan_out_redis.json", fan_out_redis_table),
    "startup": ("startup.json", startup_table),
}


def write(page: Path, folder: Path) -> str:
    """Return a page with what stands between its markers renewed."""
    text = page.read_text("utf-8")
    for name, (file, table) in TABLES.items():
        if not (folder / file).is_file():  # not measured so far
            continue
        result = json.loads((folder / file).read_text())
        begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
        before, _, rest = text.partition(begin)
        text = (
            before + f"{begin}\n{machine_line(result)}\n\n{table(result)}\n\n{end}" + rest.partition(end)[2]
        )
    return text


if __name__ == "__main__":
    PAGE.write_text(write(PAGE, HERE / "results"))
