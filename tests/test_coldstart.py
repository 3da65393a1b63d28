"""What a process imports that `flask habanero run` started: the disk, or the release that is head."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask_habanero import bootnote, cold, guard, leaving
from flask_habanero.asset import Asset
from flask_habanero.boot import finder, folder_in
from flask_habanero.bootnote import Note
from flask_habanero.clock import Clock
from flask_habanero.envelope import Key, Keyring, new_secret
from flask_habanero.errors import ColdChangeError, StoreError
from flask_habanero.ledger import Ledger
from flask_habanero.manager import Manager

from tests.fakes import tree_of as fake_tree
from tests.hosts import Host
from tests.ledgers import APP, ROOT, TREE, Author

SECRET = new_secret("k1")
KEYS = Keyring([Key.parse(SECRET)])
FIRST = ROOT / "flask_habanero" / "bootstrap"
TELL = """
import json, sys
try:
    import shop
    told = shop.index()
except ImportError as error:
    told = str(error)
print(json.dumps([told, "flask" in sys.modules, getattr(sys.modules.get("shop"), "__file__", "")]))
"""


class Site:
    """A folder with modules, and the ledger of what was released over them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.store = folder / "site", folder / "store"
        self.folder.mkdir()
        for source in TREE.values():
            (self.folder / source.path).write_text(source.text)
        self.author = Author(Ledger(self.store, APP, KEYS), KEYS.first).begin()
        self.note = Note(APP, self.author.epoch, (), self.folders("shop", "vat"), str(self.folder), (), "")

    def folders(self, *names: str) -> dict[str, str]:
        return dict.fromkeys(names, str(self.folder))

    def release(self, **texts: str) -> None:
        """Record a release that was made by a restart."""
        record = self.author.push(**texts)
        self.note = replace(self.note, releases=((record.number, record.nonce),))
        bootnote.write(self.store, self.note, KEYS)

    def start(self, code: str = TELL, **environ: str) -> tuple[Any, str]:
        """Run some code, or shop.py, as `run` does; return what it printed as JSON, and what it logged."""
        ours = {"HABANERO_SECRET": SECRET, "HABANERO_STORE": str(self.store), "PYTHONPATH": f"{FIRST}:{ROOT}"}
        words = ["-c", code] if code else ["shop.py"]
        env = {**os.environ, **ours, **environ}
        ended = subprocess.run(
            [sys.executable, *words], cwd=self.folder, env=env, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout), ended.stderr


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


NEW = "import extra\n\n\ndef index():\n    return 'new ' + extra.WORD\n"


def test_where_nothing_was_released_by_a_restart_the_disk_is_imported_and_nothing_loaded(site: Site) -> None:
    site.author.push(shop="def index():\n    return 'hot'\n")
    assert site.start()[0] == ["base", False, str(site.folder / "shop.py")]


@pytest.mark.slow
def test_head_is_imported_with_modules_that_are_new_and_without_those_that_are_gone(site: Site) -> None:
    site.release(shop=NEW, extra="WORD = 'word'\n")
    assert site.start()[0] == ["new word", True, str(site.folder / "shop.py")]
    site.author.push(shop="import vat\n", vat="")
    told, _ = site.start()
    assert told[0] == "No module named 'vat' (a release deleted it)"
    site.author.roll_back(0)
    assert site.start()[0][0] == "base"


@pytest.mark.slow
def test_each_process_that_is_forked_before_imports_what_is_head_then(site: Site) -> None:
    site.release(shop="def index():\n    return 'one'\n")
    forks = f"""
import json, os, sys
import flask_habanero
sys.path.append({str(ROOT)!r})
said = []
for text in ("one", "two"):
    if text == "two":
        os.system({_pushes(site)!r})
    theirs, ours = os.pipe()
    if not os.fork():
        import shop
        os.write(ours, shop.index().encode())
        os._exit(0)
    os.wait()
    said.append(os.read(theirs, 9).decode())
print(json.dumps(said))
"""
    assert site.start(forks)[0] == ["one", "two"]


def _pushes(site: Site) -> str:
    """Return a shell's line that pushes another text on top of the author's release."""
    code = (
        "from pathlib import Path; import tests.ledgers as l, flask_habanero.envelope as e;"
        f"keys = e.Keyring([e.Key.parse('{SECRET}')]);"
        f"a = l.Author(l.Ledger(Path('{site.store}'), l.APP, keys), keys.first).begin();"
        "a.number = 1; a.tree = a.ledger.state_at(a.epoch, 1).tree;"
        "a.push(shop='def index():\\n    return \\'two\\'\\n')"
    )
    return f'cd {ROOT} && PYTHONPATH={ROOT} {sys.executable} -c "{code}"'


def spoil(site: Site, case: str) -> dict[str, str]:
    """Make something such that head must not be imported; return what is in the environment then."""
    path = site.store / "cold"
    if case == "never recorded":
        bootnote.write(site.store, replace(site.note, releases=((1, "0" * 32),)), KEYS)
    elif case == "of another epoch":
        bootnote.write(site.store, replace(site.note, epoch="0" * 32), KEYS)
    elif case == "deployed":
        (site.folder / "vat.py").write_text("RATE = 7\n")
    elif case == "superseded":
        (site.folder / "vat.py").write_text("RATE = 7\n")
        later = {**TREE, "vat": replace(TREE["vat"], text="RATE = 7\n")}
        site.author.ledger.open_epoch(later, None, 0)
    elif case == "tampered with":
        path.write_bytes(path.read_bytes().replace(b'"beside":"/', b'"beside":"//'))
    elif case == "a link":
        path.rename(site.store / "real")
        path.symlink_to(site.store / "real")
    elif case == "damaged":
        (site.store / "ledger.sqlite").write_bytes(b"no database")
    return {
        "another secret": {"HABANERO_SECRET": new_secret("k1")},
        "other modules": {"HABANERO_MODULES": "shop"},
        "another build": {"HABANERO_BUILD": "7"},
    }.get(case, {})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("never recorded", ""),
        ("of another epoch", ""),
        ("deployed", ""),
        ("superseded", ""),
        ("another build", ""),
        ("tampered with", "its seal is of another content"),
        ("a link", "symbolic links"),
        ("damaged", "the ledger is damaged"),
        ("another secret", "no key 'k1' in the ring made this signature"),
        ("other modules", "HABANERO_MODULES"),
    ],
)
def test_the_disk_is_imported_where_head_can_not_be_had_or_believed(site: Site, case: str, said: str) -> None:
    site.release(shop="def index():\n    return 'new'\n")
    environ = spoil(site, case)
    (told, _, _), log = site.start(**environ)
    assert told == "base"
    assert (said in log) if said else (log == "")


@pytest.mark.slow
def test_a_template_that_is_deployed_is_a_deploy_too(site: Site) -> None:
    page = site.folder / "templates" / "page.html"
    page.parent.mkdir()
    page.write_text("one")
    site.author.begin(assets={"templates/page.html": Asset.of("templates/page.html", b"one")})
    area = ("templates", str(page.parent), True)
    site.note = replace(site.note, epoch=site.author.epoch, areas=(area,))
    site.release(shop="def index():\n    return 'new'\n")
    assert site.start()[0][0] == "new"
    page.write_text("two")
    assert site.start()[0][0] == "base"


@pytest.mark.slow
def test_who_runs_a_changed_module_as_main_imports_the_disk(site: Site) -> None:
    main = "import json\nimport vat\n\nprint(json.dumps(vat.RATE))\n"
    (site.folder / "shop.py").write_text(main)
    site.author.tree = {**TREE, "shop": replace(TREE["shop"], text=main)}
    site.note = replace(site.note, epoch=site.author.begin().epoch)
    site.release(vat="RATE = 7\n")
    assert site.start("")[0] == 7
    site.author.push(shop="import vat\n")
    told, log = site.start("")
    assert (told, "python shop.py runs what is on the disk" in log) == (20, True)


def test_the_kill_switch_means_the_disk_and_says_nothing(site: Site) -> None:
    site.release(shop="def index():\n    return 'new'\n")
    (told, _, _), log = site.start(HABANERO_DISABLED="1")
    assert (told, log) == ("base", "")


@pytest.mark.slow
def test_who_began_with_the_disk_goes_on_with_it(site: Site) -> None:
    """A release is made while the app is imported: half of one and half of another would be neither."""
    site.release(shop="def index():\n    return 'new'\n")
    (site.store / "cold").rename(site.store / "later")
    note = f"import os, vat; os.rename({str(site.store / 'later')!r}, {str(site.store / 'cold')!r})\n"
    assert site.start(note + TELL)[0][0] == "base"
    assert site.start()[0][0] == "new"


def test_another_sitecustomize_is_run_too(site: Site, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "sitecustomize.py").write_text("import sys\nsys.other = __file__\n")
    tell = "import json, sys, sitecustomize; print(json.dumps([sys.other, sitecustomize.__file__]))"
    there = str(other / "sitecustomize.py")
    assert site.start(tell, PYTHONPATH=f"{FIRST}:{other}:{ROOT}")[0] == [there, there]


def test_a_python_that_does_not_have_us_starts_as_ever(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("print('the other')")
    env = {"PYTHONPATH": f"{FIRST}:{tmp_path}", "HABANERO_STORE": str(tmp_path)}
    command = [str(getattr(sys, "_base_executable", "")), "-c", "import flask_habanero"]
    ended = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.stdout == "the other\n"
    assert ended.stderr.splitlines()[-1] == "ModuleNotFoundError: No module named 'flask_habanero'"
    assert "sitecustomize" not in ended.stderr


def test_deaths_of_who_imports_a_release_are_counted_and_forgotten_when_one_comes_through(
    tmp_path: Path,
) -> None:
    def dies() -> None:
        if not (pid := os.fork()):
            with guard.importing(tmp_path, 2):
                os._exit(1)
        os.waitpid(pid, 0)

    dies()
    guard.check_imports(tmp_path, 2)
    with guard.importing(tmp_path, 3):
        guard.check_imports(tmp_path, 3)
        dies()
        with pytest.raises(guard.DeadlyError, match="#2 ended 2 workers"):
            guard.check_imports(tmp_path, 2)
    guard.check_imports(tmp_path, 2)
    assert list(tmp_path.iterdir()) == []


# The note


def test_a_note_is_read_as_it_was_written_and_by_no_other_key(site: Site) -> None:
    assert bootnote.read(site.store, KEYS) is None
    site.release(vat="RATE = 7\n")
    assert bootnote.read(site.store, KEYS) == site.note
    assert site.note.counts(site.author.ledger)
    with pytest.raises(StoreError, match="signature"):
        bootnote.read(site.store, Keyring([Key.parse(new_secret("k1"))]))


@pytest.mark.parametrize("value", [None, [], {}, {"releases": [[1]]}, {"releases": 1, "folders": {}}])
def test_what_is_no_note_is_told(value: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        Note.of_json(value)


# A worker that a release reaches by a restart


def test_a_worker_that_is_to_be_replaced_serves_on_and_ends_when_nobody_replaces_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finder, "folder", tmp_path)
    host = Host(tmp_path)
    config = replace(host.config(), cold="restart")
    monkeypatch.setattr(host, "config", lambda: config)
    try:
        leads, other = host.workers(2, fake_tree(shop="x = 0"))
        assert (leads.get(), other.get()) == ("x = 0", "x = 0")
        request = host.peer(leads).request_for("push", {"shop": "x = 1  #cold"})
        with pytest.raises(ColdChangeError):
            leads.deployer._leader.release(request, leads.worker.change_of(request), Clock(), _cold)
        note = Note(config.app_id, leads.worker.epoch, ((1, request.nonce),), {}, "", (), "")
        bootnote.write(config.store, note, host.keys)
        leads.record(request)
        assert other.get() == "x = 0"
        assert (other.worker.leaving.begun, other.worker.ending, other.ended) == (True, False, False)
        assert "#1 is made live by a restart" in other.worker.trouble
        other.worker.tick()
        assert not other.ended
        monkeypatch.setattr(leaving, "LEAVE_S", 0.0)
        other.worker.leave(1)
        other.worker.tick()
        assert (other.get(), other.ended) == ("x = 0", True)
    finally:
        host.close()


def test_where_several_hosts_share_the_store_uwsgi_restarts_none_and_no_canary_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cold.fresh, "run", lambda *_: pytest.fail("a canary runs"))
    monkeypatch.setattr(finder, "folder", tmp_path)
    monkeypatch.setattr(Manager, "why_not_all", lambda _self, preloaded: "")
    monkeypatch.setattr(Manager, "waits_for_all", True)
    host = Host(tmp_path)
    config = replace(host.config(), cold="restart", shared="redis://cache")
    monkeypatch.setattr(host, "config", lambda: config)
    try:
        one = host.worker(fake_tree(shop="x = 0"))
        restarts, peer = one.deployer.restarts, host.peer(one)
        assert (restarts.are_possible, restarts.obstacles()[0].code) == (False, "no-restart")
        assert peer.hello().data["cold"] == "refuse"
        report = peer.push({"shop": "x = 1  #cold"})
        assert (report.outcome, report.release, report.reasons[-1].code) == ("cold", 0, "no-restart")
        assert (one.get(), (config.store / "cold").exists()) == ("x = 0", False)
    finally:
        host.close()


@pytest.mark.parametrize(
    ("text", "folder"),
    [
        ("/var/lib/shop", "/var/lib/shop"),
        ('["redis://cache:6379/0", "/var/lib/shop"]', "/var/lib/shop"),
        ('["/var/lib/shop", "rediss://cache"]', "/var/lib/shop"),
        ("redis://cache:6379/0", None),
        ('["redis://cache:6379/0"]', None),
        ("", None),
    ],
)
def test_the_folder_is_found_before_the_app_is_there(text: str, folder: str | None) -> None:
    assert folder_in(text) == (None if folder is None else Path(folder))


def _cold() -> Any:
    raise ColdChangeError(())
