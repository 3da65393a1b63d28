"""Which release made each module what it is: the server's log, folded. Pure.

A rollback names no modules, only the number that it went back to. So the log is played from its
oldest record: each push makes its modules, a rollback makes again what it goes back to. What lies
before the log's oldest record has the origin 0.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

Log = Iterable[Mapping[str, Any]]
"""Records as status tells them: number, kind, who, time, note, modules."""
_BACK_TO = re.compile(r"\Aback to #(\d+)(?:\Z|: )")  # after the colon: why the server did it by itself


def makers(log: Log, first: int) -> dict[str, Mapping[str, Any]]:
    """Return module -> the record that made it what it is, for all that changed after the base.

    Args:
        log: the newest records, in any order.
        first: number of the base; older records are of another epoch.
    """
    made: dict[str, tuple[int, Mapping[str, Any]]] = {}  # module -> number of the push, record to name
    states = {first: made}
    for record in sorted(log, key=lambda r: int(r["number"])):
        number = int(record["number"])
        if number > first:
            made = _after(made, record, states)
            states[number] = made
    return {name: record for name, (_, record) in made.items()}


def had(log: Log, first: int) -> set[str]:
    """Return the modules that some release of this epoch carried."""
    return {str(name) for record in log if int(record["number"]) > first for name in record["modules"]}


def is_taken_back(record: Mapping[str, Any] | None, after: int = -1) -> bool:
    """Whether a module is what it is because a person rolled it back, by a release after a number."""
    return record is not None and record["kind"] == "rollback" and int(record["number"]) > after


_Made = dict[str, tuple[int, Mapping[str, Any]]]


def _after(made: _Made, record: Mapping[str, Any], states: Mapping[int, _Made]) -> _Made:
    number = int(record["number"])
    if record["kind"] != "rollback":
        return {**made, **{str(name): (number, record) for name in record["modules"]}}
    match = _BACK_TO.match(str(record["note"]))
    if not match:
        return made  # no evidence: then nothing counts as taken back
    old = states.get(int(match[1]), {})
    result: _Made = {}
    for name in {*made, *old}:
        origin = old[name][0] if name in old else 0
        result[name] = made[name] if name in made and made[name][0] == origin else (origin, record)
    return result
