"""Real files, real events: how editors save, and when a batch goes."""

import os
import queue
import shutil
import subprocess
import threading
import time
from contextlib import closing

import pytest
from flask_habanero.client import watch as module
from flask_habanero.client.watch import (
    CAP_S,
    COMPLETE,
    PARTIAL,
    Collector,
    Folders,
    changed,
    snapshot,
    translate,
    watch,
)
from watchdog.observers.api import BaseObserver


class Watched:
    """A watched package, and its batches as they come."""

    def __init__(self, folder, polls=False):
        self.folder = folder / "shop"
        self.folder.mkdir()
        for name in ("views", "pricing", "models"):
            (self.folder / f"{name}.py").write_text(f"x = '{name}'\n")
        self.notes, self.ahead, self.stop = [], [], threading.Event()
        folders = Folders((folder,), frozenset({"shop"}), polls=polls)
        self.batches = watch(folders, self.stop, self.notes.append, self.ahead.append, queue.SimpleQueue())
        assert next(self.batches) == frozenset()  # all is watched from here on

    def path(self, name):
        return self.folder / name

    def collect(self, wanted, within_s=5.0):
        """Return the batches up to the one with which all wanted names were seen."""
        seen, batches, end = set(), [], time.monotonic() + within_s
        while not wanted <= seen:
            assert time.monotonic() < end, f"saw {seen}, not {wanted}"
            batch = {path.name for path in next(self.batches)}
            seen |= batch
            batches += [batch] if batch else []
        return batches


@pytest.fixture
def watched(tmp_path):
    made = Watched(tmp_path)
    yield made
    made.stop.set()
    made.batches.close()


def in_place(watched):
    watched.path("views.py").write_text("x = 2\n")


def atomic_replace(watched):
    fresh = watched.path("views.py.tmp")
    fresh.write_text("x = 2\n")
    fresh.replace(watched.path("views.py"))


def like_vim(watched):
    """Probe, move the file away, write it anew, remove the backup."""
    watched.path("4913").write_text("")
    watched.path("4913").unlink()
    watched.path("views.py").rename(watched.path("views.py~"))
    watched.path("views.py").write_text("x = 2\n")
    watched.path("views.py~").unlink()


def like_pycharm(watched):
    """Safe write: the file moves away, another moves in."""
    watched.path("views.py___jb_tmp___").write_text("x = 2\n")
    watched.path("views.py").rename(watched.path("views.py___jb_old___"))
    watched.path("views.py___jb_tmp___").rename(watched.path("views.py"))
    watched.path("views.py___jb_old___").unlink()


def from_outside(watched):
    """A rename from outside of the tree is only `created`."""
    fresh = watched.folder.parent / "elsewhere.py"
    fresh.write_text("x = 2\n")
    fresh.rename(watched.path("views.py"))


def like_emacs(watched):
    """A lock beside the file, a backup, a write in place."""
    watched.path(".#views.py").symlink_to("me@here.1")
    shutil.copy(watched.path("views.py"), watched.path("views.py~"))
    watched.path("views.py").write_text("x = 2\n")
    watched.path(".#views.py").unlink()


SAVES = [in_place, atomic_replace, like_vim, like_pycharm, from_outside, like_emacs]


@pytest.mark.parametrize("save", SAVES, ids=lambda f: f.__name__)
def test_every_way_to_save_is_one_batch_of_one_file(watched, save):
    save(watched)
    assert watched.collect({"views.py"}) == [{"views.py"}]
    assert watched.path("views.py").read_text() == "x = 2\n"  # the batch came when the file was whole


@pytest.mark.parametrize("save", [in_place, atomic_replace, like_vim, like_pycharm], ids=lambda f: f.__name__)
def test_a_lone_save_does_not_wait_for_silence(watched, save, monkeypatch):
    """It goes by its event alone: with a silence of an hour it still comes."""
    monkeypatch.setattr(module, "SILENCE_S", 3600)
    monkeypatch.setattr(module, "CAP_S", 3600)
    save(watched)
    assert watched.collect({"views.py"}) == [{"views.py"}]


def test_a_lone_save_is_looked_at_while_it_is_seen_whether_it_stays_alone(watched):
    atomic_replace(watched)
    watched.collect({"views.py"})
    assert watched.ahead == [watched.path("views.py")]


def test_a_deletion_is_not_looked_at_ahead(watched):
    watched.path("views.py").unlink()
    watched.collect({"views.py"})
    assert watched.ahead == []


def test_a_deletion_is_a_batch(watched):
    watched.path("views.py").unlink()
    assert watched.collect({"views.py"}) == [{"views.py"}]


def test_a_rename_is_one_batch_of_both_names(watched):
    watched.path("views.py").rename(watched.path("pages.py"))
    assert watched.collect({"views.py", "pages.py"}) == [{"views.py", "pages.py"}]


def test_a_folder_that_moves_in_brings_its_files(watched, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "deep.py").write_text("x = 1\n")
    outside.rename(watched.path("inner"))
    assert {"deep.py"} in watched.collect({"deep.py"})


def test_a_burst_is_one_batch(watched):
    """Two hundred files, as `git checkout` writes them."""
    names = {f"m{number}.py" for number in range(200)}
    for name in sorted(names):
        watched.path(name).write_text("x = 1\n")
    assert watched.collect(names) == [names]


def test_git_at_work_is_waited_for(tmp_path):
    """While the lock is there nothing goes; with its end all goes at once."""
    (tmp_path / ".git").mkdir()
    lock = tmp_path / ".git" / "index.lock"
    watched = Watched(tmp_path)
    lock.write_text("")
    timer = threading.Timer(0.4, lock.unlink)
    timer.start()
    begun = time.monotonic()
    watched.path("views.py").write_text("x = 2\n")
    assert watched.collect({"views.py"}) == [{"views.py"}]
    assert 0.4 <= time.monotonic() - begun < CAP_S
    timer.join()
    watched.stop.set()
    watched.batches.close()


def test_a_rebase_between_two_steps_is_waited_for(tmp_path):
    """It holds no lock then, and may think longer than any silence."""
    rebase = tmp_path / ".git" / "rebase-merge"
    rebase.mkdir(parents=True)
    watched = Watched(tmp_path)

    def next_step():
        watched.path("pricing.py").write_text("x = 3\n")
        rebase.rmdir()

    os.utime(rebase)
    timer = threading.Timer(0.3, next_step)
    watched.path("views.py").write_text("x = 2\n")
    timer.start()
    with closing(watched.batches):
        assert watched.collect({"views.py", "pricing.py"}) == [{"views.py", "pricing.py"}]
    timer.join()
    watched.stop.set()
    watched.batches.close()


def test_a_rebase_that_stopped_slows_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "CAP_S", 3600)
    rebase = tmp_path / ".git" / "rebase-merge"
    rebase.mkdir(parents=True)
    os.utime(rebase, (1, 1))
    watched = Watched(tmp_path)
    in_place(watched)
    assert watched.collect({"views.py"}) == [{"views.py"}]
    watched.stop.set()
    watched.batches.close()


@pytest.mark.parametrize(
    "name", ["notes.txt", "views.pyc", "__pycache__/views.py", ".hidden/x.py", "node_modules/x.py"]
)
def test_what_is_no_code_is_no_batch(watched, name):
    path = watched.path(name)
    path.parent.mkdir(exist_ok=True)
    path.write_text("x = 1\n")
    watched.path("views.py").write_text("x = 2\n")
    assert watched.collect({"views.py"}) == [{"views.py"}]


def test_reading_and_importing_cause_no_events(watched):
    """An import of every file by some process is silent; the save after it is alone in its batch."""
    for path in watched.folder.glob("*.py"):
        path.read_text()
    watched.path("views.py").write_text("x = 2\n")
    assert watched.collect({"views.py"}) == [{"views.py"}]


def test_it_ends_when_it_is_told_to(watched):
    watched.stop.set()
    assert list(watched.batches) == []
    assert not [thread for thread in threading.enumerate() if isinstance(thread, BaseObserver)]


# without events: the rescan


def collector(folder, rescan_s=0.0):
    return Collector(Folders((folder,), frozenset({"shop"})), queue.SimpleQueue(), rescan_s, lambda _: None)


def found_by(collects):
    """Return the next batch that is not empty."""
    end = time.monotonic() + 5
    while not (batch := collects.next(0.02)):
        assert time.monotonic() < end, "nothing was found"
    return batch


def test_events_that_lag_behind_git_are_one_batch(tmp_path, monkeypatch):
    """Git is done, the lock gone, and of the two files that it wrote only one event has come so far."""
    monkeypatch.setattr(module, "SILENCE_S", 0.4)  # so that a loaded machine's timer is in time
    git = tmp_path / ".git"
    git.mkdir()
    (git / "index").write_text("old")
    paths = [tmp_path / "a.py", tmp_path / "b.py"]
    for path in paths:
        path.write_text("x = 1\n")
    events = queue.SimpleQueue()
    collects = Collector(Folders((tmp_path,), frozenset({"a", "b"})), events, 60.0, lambda _: None)
    for text in ("x = 2\n", "x = 3\n"):
        (git / "index.lock").write_text("new")
        for path in paths:
            path.write_text(text)
        (git / "index.lock").replace(git / "index")
        events.put((COMPLETE, paths[0]))
        late = threading.Timer(0.03, events.put, [(COMPLETE, paths[1])])
        late.start()
        assert collects.next(5.0) == frozenset(paths)
        late.join()
    events.put((COMPLETE, paths[0]))
    begun = time.monotonic()
    assert collects.next(5.0) == frozenset(paths[:1])
    assert time.monotonic() - begun < module.SILENCE_S  # a lone save after that is one again


@pytest.fixture
def quiet(tmp_path):
    """A collector that no event ever reaches."""
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "views.py").write_text("x = 1\n")
    return tmp_path / "shop", collector(tmp_path)


def test_lost_events_heal(quiet):
    folder, collects = quiet
    assert collects.next(0) == frozenset()
    (folder / "views.py").write_text("x = 22\n")
    (folder / "new.py").write_text("x = 1\n")
    assert found_by(collects) == {folder / "views.py", folder / "new.py"}
    assert [collects.next(0.02) for _ in range(5)] == [frozenset()] * 5  # once
    (folder / "new.py").unlink()
    assert found_by(collects) == {folder / "new.py"}


def test_a_touch_is_looked_at_but_nothing_is_claimed(quiet):
    """A batch says where to look: whether something changed, the content says."""
    folder, collects = quiet
    os.utime(folder / "views.py", ns=(1, 1))
    assert found_by(collects) == {folder / "views.py"}


def test_a_file_that_is_still_written_is_left_for_later(quiet):
    """A slow writer: what the rescan finds goes only when it stands still."""
    folder, collects = quiet
    stop, wrote = threading.Event(), threading.Event()

    def write():
        with (folder / "views.py").open("w") as file:
            while not stop.wait(0.005):
                file.write("x = 1\n")
                file.flush()
                wrote.set()

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    try:
        assert wrote.wait(5)
        for _ in range(3):
            collects._next_scan = 0.0  # due: it finds the file each time
            assert collects.next(0.02) == frozenset()
    finally:
        stop.set()
        writer.join()
    assert found_by(collects) == {folder / "views.py"}


def test_an_emptied_file_waits_a_moment(tmp_path, monkeypatch):
    """Truncated is how a save begins: an empty file is complete only after a silence."""
    (tmp_path / "shop").mkdir()
    path = tmp_path / "shop" / "views.py"
    path.write_text("x = 1\n")
    events = queue.SimpleQueue()
    collects = Collector(Folders((tmp_path,), frozenset({"shop"})), events, 3600, lambda _: None)
    path.write_text("")
    events.put((COMPLETE, path))
    begun = time.monotonic()
    assert collects.next(1) == {path}
    assert time.monotonic() - begun >= module.SILENCE_S


def test_a_tree_that_never_stands_still_goes_at_the_cap(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "CAP_S", 0.3)
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "views.py").write_text("x = 1\n")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "index.lock").write_text("")
    events = queue.SimpleQueue()
    collects = Collector(Folders((tmp_path,), frozenset({"shop"})), events, 3600, lambda _: None)
    events.put((COMPLETE, tmp_path / "shop" / "views.py"))
    assert collects.next(1) == {tmp_path / "shop" / "views.py"}


def test_no_events_at_all_means_looking_often(tmp_path, monkeypatch):
    """Where the system gives no more watches, one sentence says so and saves still go."""

    def refuse(self, *args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(BaseObserver, "schedule", refuse)
    watched = Watched(tmp_path)
    assert "No space left on device" in watched.notes[0]
    watched.path("views.py").write_text("x = 2\n")
    assert watched.collect({"views.py"}) == [{"views.py"}]
    watched.batches.close()


def test_who_switches_polling_on_is_told_and_the_system_is_not_asked(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_observe", None)  # to be called would be an error
    watched = Watched(tmp_path, polls=True)
    assert watched.notes == ["polling is switched on: looking every 0.3 s instead"]
    atomic_replace(watched)
    assert watched.collect({"views.py"}) == [{"views.py"}]
    watched.path("new.py").write_text("x = 1\n")
    watched.path("models.py").unlink()
    assert watched.collect({"new.py", "models.py"})[-1] <= {"new.py", "models.py"}
    watched.batches.close()


def test_a_worktree_names_its_lock_elsewhere(tmp_path):
    """`.git` is a file there."""
    main, tree = tmp_path / "main", tmp_path / "tree"
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(main)]
    subprocess.run(["git", "init", "-q", str(main)], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "x"], check=True)
    subprocess.run([*git, "worktree", "add", "-q", str(tree)], check=True)
    found = module.git.lock_of(tree)
    assert found.parent.is_dir()
    assert found.parent.parent == main / ".git" / "worktrees"


MOUNT = "25 1 8:1 / {} rw shared:1 - {} /dev/x rw\n"


@pytest.mark.parametrize(
    ("kind", "remote"),
    [
        *(
            (kind, kind)
            for kind in ("nfs4", "9p", "fuse.sshfs", "fuse.grpcfuse", "fakeowner", "virtiofs", "drvfs")
        ),
        ("ext4", ""),
        ("btrfs", ""),
    ],
)
def test_file_systems_that_tell_nothing_are_known(tmp_path, kind, remote):
    """The mount that counts is the nearest one."""
    table = tmp_path / "mountinfo"
    table.write_text(MOUNT.format("/", "overlay") + MOUNT.format(tmp_path, kind))
    assert module.remote_mount([tmp_path / "project"], table) == remote
    assert module.remote_mount([tmp_path], tmp_path / "none") == ""


def test_a_lock_that_a_crash_left_slows_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "CAP_S", 3600)
    (tmp_path / ".git").mkdir()
    lock = tmp_path / ".git" / "index.lock"
    lock.write_text("")
    os.utime(lock, (1, 1))
    watched = Watched(tmp_path)
    in_place(watched)
    assert watched.collect({"views.py"}) == [{"views.py"}]
    watched.batches.close()


EVENTS = [
    (("closed", False, "/a.py", ""), [(COMPLETE, "/a.py")]),
    (("created", False, b"/a.py", ""), [(PARTIAL, "/a.py")]),
    (("deleted", False, "/a.py", ""), [(PARTIAL, "/a.py")]),
    (("moved", False, "/a.py", "/b.py"), [(PARTIAL, "/a.py"), (COMPLETE, "/b.py")]),
    (("moved", True, "/a", "/b"), [(module.FOLDER, "/a"), (module.FOLDER, "/b")]),
]


@pytest.mark.parametrize(("event", "meaning"), EVENTS)
def test_what_an_event_means(event, meaning):
    assert [(kind, str(path)) for kind, path in translate(*event)] == meaning


def test_snapshots_tell_what_changed(tmp_path):
    one, two = tmp_path / "one.py", tmp_path / "two.py"
    one.write_text("1")
    before = snapshot([one, two])
    two.write_text("2")
    assert changed(before, snapshot([one, two])) == {two}
