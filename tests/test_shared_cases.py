"""The live edits that lie beside the project, each against its own cold start, when they are there."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

CASES = Path(__file__).parents[2] / "shared" / "cases"
ADAPTER = Path(__file__).parent / "shared" / "adapter.py"
# Cold in this version, with a reason. Each is meant to become hot; none may become wrong.
COLD_SO_FAR = {
    "d10_template_file",
    "d12_signal_receiver",
    "d19_flask_ctor_changed",
    "e05_base_class_changed",
    "e07_slots_change",
    "e10_dataclass_field",
    "e12_enum_member_added",
    "e17_namedtuple_typing",
    "f16_singledispatch",
    "f17_global_stmt_in_if",
    "h06_prometheus_counter_changed",
    "h07_pydantic_field",
}
# A request is inside for as long as the push tries again: it ends just in time, or holds the push up.
MAY_BE_BUSY = {"f10_request_in_flight"}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CASES.exists(), reason="the shared cases are not beside this checkout"),
]


def _names() -> list[str]:
    return sorted(path.stem for path in (CASES / "cases").glob("*.py"))


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"_shared_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _call(mode: str, case: Path, *more: str) -> dict:
    command = [sys.executable, str(CASES / "worker.py"), mode, str(case), *more]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("@@")]
    assert lines, done.stdout + done.stderr
    return json.loads(lines[-1][2:])


@pytest.mark.parametrize("name", _names())
def test_a_case_is_live_or_refused_with_nothing_changed(name: str) -> None:
    """What is called live equals the cold start, state kept; what is refused left the process as it was."""
    path = CASES / "cases" / f"{name}.py"
    case = _load(path)
    missing = [r for r in getattr(case, "REQUIRES", []) if importlib.util.find_spec(r) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")
    cold, before, live = _call("cold", path), _call("before", path), _call("live", path, str(ADAPTER))
    assert "crash" not in live, live["crash"]
    wrong = {key: pair for key, pair in live.get("live", {}).items() if pair[0] != pair[1]}
    if live["apply"] == "ok":
        assert not getattr(case, "MUST_REJECT", False)
        assert live["probe"] == cold["probe"]
        assert not wrong
        assert name not in COLD_SO_FAR, "it is hot now: take it off the list"
    else:
        assert live["probe"] == before["probe"]
        allowed = (
            name in COLD_SO_FAR | MAY_BE_BUSY
            or getattr(case, "MUST_REJECT", False)
            or getattr(case, "REFUSE_OK", False)
        )
        assert allowed, live.get("detail")
