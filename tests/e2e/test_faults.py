"""One host under fire: its store fails, fills up, is somebody else's; its master dies. The app serves on."""

from __future__ import annotations

import os
import resource
import shutil
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.e2e.conftest import APP, TEXTS, Serve, Server, accepts, descendants
from tests.e2e.laptops import Clone, Done, restart
from tests.hosts import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def store_of(server: Server) -> Path:
    return server.folder / "instance" / "habanero"


def is_refused_for_its_store(done: Done) -> bool:
    return (done.code, [reason["code"] for reason in done.last["reasons"]]) == (1, ["store"])


def give_away(store: Path) -> Callable[[], object]:
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder away")
    os.chown(store, 12345, -1)
    return lambda: os.chown(store, os.geteuid(), -1)


def open_to_all(store: Path) -> Callable[[], object]:
    store.chmod(0o777)
    return lambda: store.chmod(0o700)


def take_away(store: Path) -> Callable[[], object]:
    store.rename(store.with_name("elsewhere"))
    return lambda: shutil.rmtree(store, ignore_errors=True) or store.with_name("elsewhere").rename(store)


def kinds(*each_time: Callable[[Path], object]) -> pytest.MarkDecorator:
    """Parametrize with what can be wrong with a store; what does not run each time is `long`."""
    return pytest.mark.parametrize(
        "spoil",
        [
            pytest.param(spoil, marks=() if spoil in each_time else pytest.mark.long)
            for spoil in (give_away, open_to_all, take_away)
        ],
    )


@kinds(give_away)
def test_r15_a_store_that_fails_while_the_app_serves_refuses_pushes_until_it_is_back(
    serve: Serve, clone: Clone, spoil: Callable[[Path], Callable[[], object]]
) -> None:
    server = serve("-w", "2")
    server.ask_all(2)
    laptop = clone(server)
    laptop.edit('"one"', '"two"')
    assert laptop.push().code == 0
    repair = spoil(store_of(server))
    laptop.edit('"two"', '"three"')
    done = laptop.push()
    assert is_refused_for_its_store(done), done.said
    assert server.texts(2) == {"two"}
    repair()
    eventually(lambda: laptop.push().code == 0, 30)
    assert server.texts(2) == {"three"}


@kinds(take_away)
def test_r17_an_app_that_starts_without_a_store_serves_what_is_on_disk(
    serve: Serve, clone: Clone, spoil: Callable[[Path], Callable[[], object]]
) -> None:
    server = serve("-w", "2")
    server.ask_all(2)
    laptop = clone(server)
    laptop.edit('"one"', '"two"')
    assert laptop.push().code == 0
    repair = spoil(store_of(server))
    if spoil is take_away:
        store_of(server).write_text("in the way")
    server.stop()
    restart(server)
    eventually(lambda: accepts(server.port), 30)
    assert server.texts(2) == {"one"}
    laptop.edit('"two"', '"three"')
    assert is_refused_for_its_store(laptop.push())
    store_of(server).unlink() if spoil is take_away else None
    repair()
    eventually(lambda: server.texts(2) == {"two"}, 30)  # the store is asked again by itself
    assert laptop.push().code == 0
    assert server.texts(2) == {"three"}


def test_r17_an_app_that_starts_on_a_read_only_store_serves_and_takes_no_push(
    serve: Serve, clone: Clone
) -> None:
    server = serve("-w", "2")
    server.ask_all(2)
    laptop = clone(server)
    laptop.edit('"one"', '"two"')
    assert laptop.push().code == 0
    server.stop()
    store_of(server).chmod(0o500)
    assert isinstance(server.process.args, list)
    server.process.args = [*without_roots_power(), *map(str, server.process.args)]
    restart(server)
    eventually(lambda: accepts(server.port), 30)
    assert server.texts(2) == {"one"}  # going to head leaves a note first, and that can't be written
    laptop.edit('"two"', '"three"')
    assert is_refused_for_its_store(laptop.push())
    store_of(server).chmod(0o700)
    eventually(lambda: laptop.push().code == 0, 30)
    assert server.texts(2) == {"three"}


def without_roots_power() -> list[str]:
    """Return what to start a command with, so that also root is bound by a folder's mode."""
    if os.geteuid() != 0:
        return []
    if not shutil.which("setpriv"):
        pytest.skip("root may write anywhere, and setpriv is not here to take that away")
    return ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]


def test_r16_a_full_disk_fails_the_push_and_the_next_one_works(serve: Serve, clone: Clone) -> None:
    server = serve("-w", "2")
    workers = server.ask_all(2)
    laptop = clone(server)
    laptop.edit('"one"', '"two"')
    assert laptop.push().code == 0
    full = store_of(server).joinpath("ledger.sqlite").stat().st_size
    for pid in workers:  # a file that may not grow is a disk that is full
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (full, resource.RLIM_INFINITY))
    laptop.edit('"two"', f'"three{os.urandom(40_000).hex()}"')
    for _ in range(3):
        done = laptop.push()
        assert is_refused_for_its_store(done), done.said
        assert server.texts(2) == {"two"}
    for pid in workers:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert laptop.push().code == 0
    assert {str(text)[:5] for text in server.texts(2)} == {"three"}
    assert server.ask_all(2).keys() == workers.keys()


def test_r04_a_killed_master_is_started_again_at_head_and_leaves_no_sockets(
    serve: Serve, clone: Clone
) -> None:
    server = serve("-w", "2")
    server.ask_all(2)
    laptop = clone(server)
    laptop.edit('"one"', '"two"')
    assert laptop.push().code == 0
    old = descendants(server.process.pid)
    os.kill(server.process.pid, signal.SIGKILL)
    server.process.wait(10)
    eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in old), 30)  # gunicorn's notice it
    for pid in old:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    restart(server)
    eventually(lambda: accepts(server.port), 30)
    assert server.get()["text"] == "two"
    assert server.texts(2) == {"two"}
    laptop.edit('"two"', '"three"')
    done = laptop.push()
    assert (done.code, done.last["workers"]["total"]) == (0, 2), done.said
    names = [path.name for path in (store_of(server) / "run").glob("*.sock")]
    assert {int(name.partition("-")[0]) for name in names} == server.workers()


def test_r49_of_two_apps_with_one_folder_the_second_serves_and_takes_no_push(
    serve: Serve, clone: Clone
) -> None:
    one = serve("-w", "1")
    one.ask_all(1)
    laptop = clone(one)
    laptop.edit('"one"', '"two"')
    assert laptop.push().code == 0
    other = APP.replace("Habanero(app)", 'app.config["HABANERO_APP_ID"] = "other"\nHabanero(app)')
    two = serve("-w", "1", files={"app": other, "texts": TEXTS})
    assert two.texts(1) == {"one"}
    done = clone(two, "ben").run("push", "--json", "--yes")
    assert is_refused_for_its_store(done), done.said
    assert "belongs to the app" in done.said
    laptop.edit('"two"', '"three"')
    assert laptop.push().code == 0
    assert one.texts(1) == {"three"}
    assert two.texts(1) == {"one"}
