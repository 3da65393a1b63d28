"""Which lines of the app's functions ran at the start, told line by line."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.properties.processes import Farm, Sources, folder, hot_imports, start, write

pytestmark = pytest.mark.skipif(
    sys.version_info < (3, 12), reason="the interpreter tells no lines before 3.12"
)

# "#" ends the lines that run
KINDS = """import contextlib

def every(turns):
    found = []  #
    for turn in range(turns):  #
        if turn == 1:  #
            continue  #
        if turn == 3:  #
            break  #
        elif turn > 7:  #
            found.append(
                turn,
            )
        else:
            pass  #
        try:  #
            found.append(int("1"))  #
        except ValueError:
            found.append(0)
        else:
            found.append(2)  #
        finally:
            found.append(3)  #
        with contextlib.suppress(ValueError):  #
            int("x")  #
            found.append(4)
        while len(found) > 99:  #
            found.clear()
        match turn:  #
            case 0:  #
                found.append(5)  #
            case 2 if turn > 5:  #
                found.append(6)
            case _:  #
                found.append(7)  #
    else:
        found.append(8)
    try:  #
        raise KeyError(1)  #
    except (ValueError, TypeError):  #
        found.append(9)
    except KeyError:  #
        found.append(10)  #
    if not found:  #
        return None
    return [one for one in found if one]  #

RESULT = every(9)
"""
FILES: Sources = {
    "app.py": """from flask import Flask
import kinds
import threads
app = Flask(__name__)
""",
    "kinds.py": KINDS,
    "threads.py": """import threading
go, begun = threading.Event(), threading.Event()
def waits(flag):
    begun.set()
    go.wait()
    if flag:
        return 1
    return 2
WAITING = threading.Thread(target=waits, args=(True,), daemon=True)
WAITING.start()
begun.wait()
""",
}


Found = dict[tuple[str, str, int], list[int]]


def _record(entry: str) -> tuple[Found, Found, int]:
    """Return which lines ran until the start was over, what is told after more ran, and who listens."""
    from flask_habanero.live import startup

    def told() -> Found:
        return {key: sorted(lines) for key, lines in startup.lines.items()}

    with folder() as root:
        write(root, FILES)
        start(root, entry)
        startup.stop()
        found, threads = told(), sys.modules["threads"]
        threads.go.set()
        threads.WAITING.join()
        sys.modules["kinds"].every(0)
        sys.monitoring.use_tool_id(4, "a test")  # the place that the record had
        return found, told(), sys.monitoring.get_local_events(4, sys.modules["kinds"].every.__code__)


@pytest.fixture(scope="module")
def recorded() -> Iterator[tuple[Found, Found, int]]:
    farm = Farm(hot_imports)
    try:
        yield farm.run(_record, "app:app")
    finally:
        farm.close()


def test_each_kind_of_statement_tells_whether_it_ran(recorded):
    found, *_ = recorded
    lines = KINDS.splitlines()
    first = lines.index("def every(turns):") + 1
    wanted = [at - first + 1 for at, line in enumerate(lines, 1) if line.endswith("#")]
    assert found["kinds", "every", first] == wanted


def test_of_what_still_runs_when_the_start_is_over_nothing_is_told(recorded):
    found, later, _ = recorded
    assert not any(module == "threads" for module, _, _ in found)
    assert found == later


def test_functions_that_ran_are_as_fast_as_others_when_the_start_is_over(recorded):
    assert recorded[2] == 0
