"""What the laptop remembers survives a kill, and two processes at once."""

import json
import os
import signal
import subprocess
import sys
import threading

from flask_habanero.client.memory import PAST, Held, Memory, Store, state_folder


def store(tmp_path):
    return Store(tmp_path / "state", "http://127.0.0.1:1/_habanero", tmp_path)


def test_nothing_is_on_disk_before_something_is_remembered(tmp_path):
    assert store(tmp_path).load() == Memory()
    assert not (tmp_path / "state").exists()


def test_what_was_remembered_comes_back(tmp_path):
    held = {"m": Held("d", "cold", "why")}
    memory = Memory("app", "epoch", 3).agree({"m": "a"}).agree({"m": "b", "gone": ""}).hold(held)
    store(tmp_path).update(lambda _: memory)
    assert store(tmp_path).load() == memory
    assert memory.past == {"m": ("a",)}


def test_only_the_owner_may_look(tmp_path):
    store(tmp_path).update(lambda m: m.met("app", "e", 0))
    assert (tmp_path / "state").stat().st_mode & 0o77 == 0


def test_projects_and_servers_are_remembered_apart(tmp_path):
    places = {Store(tmp_path, url, tmp_path / p).path for url in ("http://a", "http://b") for p in "xy"}
    assert len(places) == 4


def test_a_damaged_memory_is_a_first_contact(tmp_path):
    one = store(tmp_path)
    one.update(lambda m: m.met("app", "e", 0))
    for damage in (b"", b"{", b"[]", b"null", b'{"v": 2}', b"\xff\xfe", b'{"v":1,"app":1}'):
        one.path.write_bytes(damage)
        assert one.load().is_first_contact, damage


def test_agreeing_ends_holding_and_keeps_some_of_the_past():
    memory = Memory().hold({"m": Held("x", "cold", "")})
    for number in range(PAST + 5):
        memory = memory.agree({"m": str(number)})
    assert not memory.held
    assert memory.past["m"] == tuple(str(n) for n in range(4, PAST + 4))


def test_a_rollback_is_agreed_and_what_was_taken_back_is_held():
    memory = Memory().agree({"m": "old"}).agree({"m": "new"}).rolled_back({"m": "old"})
    assert memory.agreed == {"m": "old"}
    assert memory.held["m"].digest == "new"


def test_what_was_sent_is_known_until_it_is_known_to_have_arrived(tmp_path):
    """Also what was sent after it, and what is only a line in the file beside it; half a line is none."""
    kept = store(tmp_path)
    kept.update(lambda m: m.met("shop", "e", 0).agree({"a": "0", "b": "0"}))
    for digest in ("1", "2", "3"):
        kept.sends({"a": digest}, 0)
    kept.sends({"gone": ""}, 0)
    memory = kept.load()
    assert memory.arrived({"a": "2", "b": "0"}) == {"a": "2", "gone": ""}
    assert memory.arrived({"a": "0", "gone": "1"}) == {}
    assert kept.update(lambda m: m.agree({"a": "2"})).sent == {"a": ("3",), "gone": ("",)}
    with kept.path.with_suffix(".sent").open("a") as file:
        file.write('[0, {"b": "1"}]\n[0, {"b": "2')
    assert kept.load().sent == {"a": ("3",), "gone": ("",), "b": ("1",)}
    assert kept.update(lambda m: m.agree({"a": "3", "gone": "", "b": "1"})).sent == {}
    assert kept.load().sent == {}


def test_what_may_still_arrive_is_known_until_the_head_it_was_for_is_none(tmp_path):
    """It was on its way when its sender was killed: what is agreed meanwhile does not tell where it is."""
    kept = store(tmp_path)
    kept.update(lambda m: m.met("shop", "e", 7).agree({"a": "0"}))
    kept.sends({"a": "1"}, 7)
    kept.update(lambda m: m.met("shop", "e", 7).agree({"a": "0"}))
    memory = kept.load()
    assert memory.may_arrive
    assert memory.arrived({"a": "1"}) == {"a": "1"}
    later = kept.update(lambda m: m.met("shop", "e", 8).agree({"a": "0"}))
    assert (later.may_arrive, later.arrived({"a": "1"})) == (False, {})


def test_what_was_refused_is_not_on_its_way(tmp_path):
    memory = Memory("shop", "e", 7).sends({"a": "1", "b": "1"}, 7).sends({"a": "2"}, 7)
    assert memory.answered({"a": "2", "b": "1"}).sent == {"a": ("1",)}
    assert not memory.answered({"a": "2", "b": "1"}).answered({"a": "1"}).may_arrive


def test_two_writers_at_once_lose_nothing(tmp_path):
    def write(names):
        for name in names:
            store(tmp_path).update(lambda m, name=name: m.agree({name: "d"}))

    threads = [threading.Thread(target=write, args=([f"{who}{i}" for i in range(10)],)) for who in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store(tmp_path).load().agreed) == 30


def test_whoever_reads_meanwhile_reads_the_old_memory_whole(tmp_path):
    """A new file takes the old one's place; the old one is never written to."""
    one = store(tmp_path)
    old = one.update(lambda m: m.met("app", "e", 1))
    with one.path.open("rb") as reader:
        one.update(lambda m: m.met("app", "e", 2))
        assert Memory.from_json(json.loads(reader.read())) == old


def test_a_full_disk_leaves_the_old_memory(tmp_path, monkeypatch):
    one = store(tmp_path)
    old = one.update(lambda m: m.met("app", "e", 1))

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert one.update(lambda m: m.met("app", "e", 2)).release == 2
    assert one.load().release == 2  # for as long as this process runs
    assert store(tmp_path).load() == old
    assert "No space left on device" in one.problem
    monkeypatch.undo()
    one.update(lambda m: m.agree({"m": "d"}))
    assert store(tmp_path).load() == one.load() == old.met("app", "e", 2).agree({"m": "d"})


def test_a_state_folder_that_can_not_be_made_is_said(tmp_path):
    (tmp_path / "state").write_text("a file where the folder should be")
    one = store(tmp_path)
    assert one.update(lambda m: m.met("app", "e", 2)).release == 2
    assert one.problem


WRITER = """
import sys
from pathlib import Path
from flask_habanero.client.memory import Store
store = Store(Path(sys.argv[1]) / "state", "http://127.0.0.1:1/_habanero", Path(sys.argv[1]))
for number in range(10**9):
    store.update(lambda m: m.met("app", "e", number).agree({f"m{i}": str(number) for i in range(200)}))
    print(number, flush=True)
"""


def test_a_kill_at_any_moment_leaves_the_old_memory_or_the_new(tmp_path):
    """Killed while it writes, again and again: what is on disk is always whole."""
    last = -1
    for rounds in (1, 2, 5, 9):
        child = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        with child:
            for _ in range(rounds):
                last = int(child.stdout.readline())
            os.kill(child.pid, signal.SIGKILL)
        raw = json.loads(store(tmp_path).path.read_text())
        memory = Memory.from_json(raw)
        assert memory.release >= last
        assert set(memory.agreed.values()) == {str(memory.release)}


def test_the_state_folder_follows_the_xdg_rules(tmp_path):
    assert state_folder({"XDG_STATE_HOME": str(tmp_path)}) == tmp_path / "flask-habanero"
    assert state_folder({"XDG_STATE_HOME": "relative"}) == state_folder({})
