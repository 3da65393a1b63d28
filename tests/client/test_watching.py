"""What counts may change while it is watched: nothing that is saved meanwhile is lost."""

import queue
import threading
import time

from flask_habanero.client.watch import WOKEN, Folders
from flask_habanero.client.watching import watch_all
from watchdog.observers.api import BaseObserver


def observers():
    return sum(isinstance(thread, BaseObserver) for thread in threading.enumerate())


def test_what_comes_to_count_is_watched_with_all_that_lies_there_and_nothing_is_lost(tmp_path):
    for name in ("shop/views.py", "admin/static/a.css", "admin/static/b.css"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x = 1\n")
    wanted = [Folders((tmp_path,), frozenset({"shop"}))]
    events, notes = queue.SimpleQueue(), []
    batches = watch_all(lambda: wanted[-1], threading.Event(), notes.append, lambda _: None, events)
    assert next(batches) == frozenset()

    def seen_until(*names):
        seen, end = set(), time.monotonic() + 20
        while not set(names) <= seen:
            assert time.monotonic() < end, f"saw {seen}, not {names}"
            seen |= {path.relative_to(tmp_path).as_posix() for path in next(batches)}
        return seen

    (tmp_path / "admin/static/a.css").write_text("x = 2\n")
    (tmp_path / "shop/views.py").write_text("x = 2\n")
    assert seen_until("shop/views.py") == {"shop/views.py"}
    wanted.append(Folders((tmp_path,), frozenset({"shop"}), ("admin/static",)))
    (tmp_path / "shop/views.py").write_text("x = 3\n")  # heard by the one that ends
    events.put(WOKEN)
    assert seen_until("shop/views.py", "admin/static/a.css", "admin/static/b.css")
    (tmp_path / "admin/static/b.css").write_text("x = 4\n")
    assert seen_until("admin/static/b.css") == {"admin/static/b.css"}
    assert observers() == 1
    batches.close()
    assert (observers(), notes) == (0, [])
