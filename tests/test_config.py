"""Configuration: what is set wins in one order, and what is wrong says what to type."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask
from flask_habanero import config as config_module
from flask_habanero.config import KEYS, Config
from flask_habanero.envelope import Key, new_secret
from flask_habanero.errors import ConfigError

SECRET, OTHER = new_secret("k1"), new_secret("k2")
DOCS = Path(__file__).parent.parent / "docs" / "configuration.md"


def read(environ: dict[str, str] | None = None, /, **mapping: Any) -> Config:
    """Read keys given without their prefix, from app.config."""
    config = {f"HABANERO_{key}": value for key, value in mapping.items()}
    return Config.read(config, environ or {}, "shop", "/srv/shop/instance")


def secured(environ: dict[str, str] | None = None, /, **mapping: Any) -> Config:
    """Read keys beside a good secret."""
    return read(environ, **{"SECRET": SECRET} | mapping)


def wrong(key: str, environ: dict[str, str] | None = None, /, **mapping: Any) -> str:
    """Return the sentence that a wrong setting gets."""
    with pytest.raises(ConfigError) as caught:
        read(environ, **mapping)
    assert caught.value.key == f"HABANERO_{key}"
    assert caught.value.hint
    return str(caught.value)


def kids(config: Config) -> tuple[str, ...]:
    assert config.keys is not None
    return config.keys.kids


# --- defaults, and where a key is looked up ---


def test_the_defaults_are_those_that_are_documented() -> None:
    config = secured()
    assert (config.app_id, config.path, config.modules) == ("shop", "/_habanero", None)
    assert config.store == Path("/srv/shop/instance/habanero")
    assert (config.cold, config.quiesce_ms, config.max_bytes) == ("refuse", 250, 4 * 1024 * 1024)
    assert (config.build, config.disabled) == (None, False)


def test_without_a_secret_it_is_inert_and_nothing_else_is_looked_at() -> None:
    config = read(COLD="nonsense", QUIESCE_MS="x", QUIESCE="typo")
    assert config.keys is None
    assert config.cold == "refuse"
    assert not config.disabled


def test_the_kill_switch_helps_against_a_wrong_setting() -> None:
    config = read(SECRET="weak", DISABLED=True, MAX_BYTES="x")
    assert config.disabled
    assert config.keys is None


@pytest.mark.parametrize("value", ["1", "true", "YES", " on ", True, 1])
def test_the_kill_switch_is_on(value: object) -> None:
    assert secured(DISABLED=value).disabled


@pytest.mark.parametrize("value", ["0", "false", "No", "off", "", False, 0, None])
def test_the_kill_switch_is_off(value: object) -> None:
    assert secured(DISABLED=value).keys is not None


def test_the_kill_switch_is_never_guessed() -> None:
    assert "neither on nor off" in wrong("DISABLED", DISABLED="maybe")


def test_app_config_wins_and_flasks_prefix_comes_last() -> None:
    environ = {"HABANERO_PATH": "/two", "FLASK_HABANERO_PATH": "/three", "FLASK_HABANERO_BUILD": "b3"}
    assert secured(environ, PATH="/one").path == "/one"
    assert secured(environ).path == "/two"
    assert secured(environ).build == "b3"
    assert secured(environ, PATH=None).path == "/two"


def test_flasks_own_way_to_read_the_environment_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    environ = {
        "FLASK_HABANERO_SECRET": json.dumps([SECRET, OTHER]),
        "FLASK_HABANERO_QUIESCE_MS": "100",
        "FLASK_HABANERO_DISABLED": "false",
        "FLASK_HABANERO_MODULES": '["shop"]',
    }
    for key, value in environ.items():
        monkeypatch.setenv(key, value)
    app = Flask("shop")
    app.config.from_prefixed_env()
    one = Config.read(app.config, {}, "shop", "/i")
    two = Config.read({}, environ, "shop", "/i")
    for config in (one, two):
        assert (kids(config), config.quiesce_ms, config.modules) == (("k1", "k2"), 100, ("shop",))


def test_a_misspelt_key_is_not_passed_over() -> None:
    assert "did you mean HABANERO_MODULES?" in wrong("MODULE", SECRET=SECRET, MODULE=["shop"])
    assert secured(URL="https://the.client.s/own").keys is not None


# --- secrets ---


def test_a_secret_is_text_or_a_list_of_which_the_first_signs() -> None:
    assert kids(secured()) == ("k1",)
    config = read(SECRET=[OTHER, SECRET])
    assert kids(config) == ("k2", "k1")
    assert config.keys is not None
    assert config.keys.first.kid == "k2"
    assert kids(read({"HABANERO_SECRET": json.dumps([SECRET, OTHER])})) == ("k1", "k2")
    assert kids(read({"HABANERO_SECRET": f" {SECRET}\n"})) == ("k1",)


BODY = SECRET.split("_", 2)[2].rsplit("_", 1)[0]
CHANGED = SECRET[:20] + ("a" if SECRET[20] != "a" else "b") + SECRET[21:]


def flat_secret() -> str:
    """Return a well-formed secret of 32 equal bytes."""
    body = "A" * 43
    return f"hab_k1_{body}_{zlib.crc32(f'k1_{body}'.encode()):08x}"


@pytest.mark.parametrize(
    "value",
    [
        "",
        "hunter2",
        SECRET[:-1],
        SECRET + "0",
        SECRET.replace("hab_", "key_"),
        BODY,
        12345,
        b"bytes",
        {},
        [""],
        [None],
        CHANGED,
        flat_secret(),
    ],
    ids=lambda value: type(value).__name__,  # no secret in a name, and the same names in each run
)
def test_a_weak_or_malformed_secret_says_how_to_make_a_good_one(value: object) -> None:
    sentence = wrong("SECRET", SECRET=value)
    assert "flask habanero secret" in sentence
    assert BODY not in sentence
    assert "hunter2" not in sentence


def test_an_empty_variable_is_a_mistake_and_no_way_to_switch_off() -> None:
    """It is what a failed ``export HABANERO_SECRET=$(...)`` leaves."""
    assert "flask habanero secret" in wrong("SECRET", {"HABANERO_SECRET": ""})
    assert "no secret" in wrong("SECRET", SECRET=[])


def test_two_secrets_of_one_id_are_refused() -> None:
    assert "two secrets with the id 'k1'" in wrong("SECRET", SECRET=[SECRET, new_secret("k1")])


def test_a_broken_list_is_named() -> None:
    assert "looks like a JSON list and is none" in wrong("SECRET", {"HABANERO_SECRET": "[" + SECRET})


FORMS = ["text", "bytes", "body", "key"]


@pytest.mark.parametrize("name", ["SECRET_KEY", "SECRET_KEY_FALLBACKS"])
@pytest.mark.parametrize("form", [SECRET, SECRET.encode(), BODY, Key.parse(SECRET).secret], ids=FORMS)
def test_flasks_secret_key_is_no_secret_for_us(name: str, form: str | bytes) -> None:
    """Whoever may sign a session cookie could push code."""
    value = form if name == "SECRET_KEY" else ["another", form]
    for config in (
        {name: value, "HABANERO_SECRET": SECRET},
        {name: value, "HABANERO_SECRET": [OTHER, SECRET]},
    ):
        with pytest.raises(ConfigError, match=r"SECRET_KEY.*\n.*flask habanero secret"):
            Config.read(config, {}, "shop", "/i")


def test_flasks_own_key_may_be_anything_else() -> None:
    config = {"SECRET_KEY": "dev", "SECRET_KEY_FALLBACKS": None, "HABANERO_SECRET": SECRET}
    assert Config.read(config, {}, "shop", "/i").keys is not None
    assert Config.read(config | {"SECRET_KEY": None}, {}, "shop", "/i").keys is not None


# --- secrets in a file ---


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text(f"\n  {SECRET} \n\n")
    path.chmod(0o600)
    return path


def test_a_secret_may_lie_in_a_file(file: Path) -> None:
    assert kids(read(SECRET_FILE=str(file))) == ("k1",)
    assert kids(read({"HABANERO_SECRET_FILE": str(file)})) == ("k1",)
    file.chmod(0o640)
    assert kids(read(SECRET_FILE=file)) == ("k1",)


def test_a_file_holds_several_one_a_line_or_as_a_list(file: Path) -> None:
    file.write_text(f"{OTHER}\n{SECRET}\n")
    assert kids(read(SECRET_FILE=str(file))) == ("k2", "k1")
    file.write_text(json.dumps([SECRET, OTHER]))
    assert kids(read(SECRET_FILE=str(file))) == ("k1", "k2")


def mount(monkeypatch: pytest.MonkeyPatch, at: Path, *, read_only: bool = True, owner: int = 0) -> None:
    """Let a file system seem to be mounted somewhere, and files to be of somebody."""
    stat = Path.stat

    def owned(path: Path, **more: Any) -> os.stat_result:
        fields = list(stat(path, **more))
        fields[4] = owner
        return os.stat_result(fields)

    monkeypatch.setattr(os.path, "ismount", lambda path: Path(path) == at)
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_flag=os.ST_RDONLY if read_only else 0))
    monkeypatch.setattr(Path, "stat", owned)


@pytest.mark.parametrize("mode", [0o444, 0o644])
@pytest.mark.parametrize("folder", [False, True], ids=["Docker", "Kubernetes"])
def test_a_secret_that_a_container_is_given_is_taken(
    file: Path, mode: int, folder: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.chmod(mode)
    mount(monkeypatch, file.parent if folder else file)
    assert kids(read(SECRET_FILE=str(file))) == ("k1",)


@pytest.mark.parametrize(
    ("mode", "mounted"),
    [
        pytest.param(0o444, {"at": Path("/")}, id="in the image"),
        pytest.param(0o444, {"read_only": False}, id="where files may be made"),
        pytest.param(0o444, {"owner": 1000}, id="of somebody's"),
        pytest.param(0o464, {}, id="the group may write"),
        pytest.param(0o446, {}, id="others may write"),
    ],
)
def test_not_every_file_of_a_container_is_one(
    file: Path, mode: int, mounted: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    file.chmod(mode)
    mount(monkeypatch, **{"at": file, **mounted})
    assert "others may read or change it" in wrong("SECRET_FILE", SECRET_FILE=str(file))


IN_A_MOUNT = """set -e
mount -t tmpfs tmpfs "$1"
printf %s "$2" > "$1/secret"
chmod 0444 "$1/secret"
mount -o remount,ro "$1"
exec "$3" -c "$4" "$1/secret"
"""
READ = """import sys
from pathlib import Path
from flask_habanero.config import Config
given = {"HABANERO_SECRET_FILE": sys.argv[1]}
print(Config.read(given, {}, "shop", "/srv").keys.first.kid)
"""


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="only root can mount")
def test_a_real_mount_is_seen(tmp_path: Path) -> None:
    command = ["unshare", "-m", "sh", "-c", IN_A_MOUNT, "sh", str(tmp_path), SECRET, sys.executable, READ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "mount" in done.stderr and "denied" in done.stderr:
        pytest.skip("this container may not mount")
    assert (done.stdout.strip(), done.returncode) == ("k1", 0), done.stderr


@pytest.mark.parametrize("mode", [0o604, 0o644, 0o602, 0o620, 0o777])
def test_a_file_that_others_can_read_or_change_is_refused(file: Path, mode: int) -> None:
    file.chmod(mode)
    sentence = wrong("SECRET_FILE", SECRET_FILE=str(file))
    assert f"chmod o-rwx,g-w {file}" in sentence
    mode_after = mode & ~0o027 | mode & 0o050  # what that command does
    file.chmod(mode_after)
    assert kids(read(SECRET_FILE=str(file))) == ("k1",)


def test_a_file_that_can_not_be_read_is_named(file: Path, tmp_path: Path) -> None:
    assert "No such file" in wrong("SECRET_FILE", SECRET_FILE=str(tmp_path / "missing"))
    assert "directory" in wrong("SECRET_FILE", SECRET_FILE=str(tmp_path))
    assert "no readable text file" in wrong("SECRET_FILE", SECRET_FILE=7)
    assert "no readable text file" in wrong("SECRET_FILE", SECRET_FILE="a\0b")
    file.write_bytes(os.urandom(60) + b"\xff")
    assert "no readable text file" in wrong("SECRET_FILE", SECRET_FILE=str(file))
    file.write_text("")
    assert "flask habanero secret" in wrong("SECRET", SECRET_FILE=str(file))


def test_a_secret_and_a_file_of_it_are_one_too_many(file: Path) -> None:
    assert "which one holds?" in wrong("SECRET", {"HABANERO_SECRET": SECRET}, SECRET_FILE=str(file))


# --- the rest ---


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("APP_ID", "shop/production", "shop/production"),
        ("PATH", "/a/b-c/~d", "/a/b-c/~d"),
        ("MODULES", ["shop", "admin", "shop"], ("shop", "admin")),
        ("MODULES", "shop", ("shop",)),
        ("STORE", "/var/lib/shop", Path("/var/lib/shop")),
        ("STORE", Path("/var/lib/shop"), Path("/var/lib/shop")),
        ("STORE", "ledger", Path("/srv/shop/instance/ledger")),
        ("STORE", "redis://cache:6379/0", Path("/srv/shop/instance/habanero")),
        ("STORE", ["redis://cache:6379/0", "/var/lib/shop"], Path("/var/lib/shop")),
        ("STORE", ("ledger", "rediss://:hush@cache"), Path("/srv/shop/instance/ledger")),
        ("COLD", "refuse", "refuse"),
        ("QUIESCE_MS", 0, 0),
        ("QUIESCE_MS", " 2000 ", 2000),
        ("MAX_BYTES", "1048576", 1048576),
        ("BUILD", "2026-03-01.4", "2026-03-01.4"),
        ("APP", "shop.wsgi:app", "shop.wsgi:app"),
        ("APP", "shop:create_app('x', debug=True)", "shop:create_app('x', debug=True)"),
    ],
)
def test_a_good_value_is_taken(key: str, value: object, expected: object) -> None:
    assert getattr(secured(**{key: value}), key.lower()) == expected


@pytest.mark.parametrize(
    ("value", "shared"),
    [
        ("/var/lib/shop", None),
        ("redis://cache:6379/0", "redis://cache:6379/0"),
        ("valkeys://:hush@cache", "valkeys://:hush@cache"),
        ("redis+sentinel://one,two:26380/shop", "redis+sentinel://one,two:26380/shop"),
        ("unix:///run/redis.sock?db=1", "unix:///run/redis.sock?db=1"),
        (["rediss://cache", "/var/lib/shop"], "rediss://cache"),
    ],
)
def test_an_address_is_a_store_that_hosts_share(value: object, shared: str | None) -> None:
    assert secured(STORE=value).shared == shared


def test_without_its_client_an_address_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config_module, "find_spec", lambda _name: None)
    given = {"HABANERO_SECRET": SECRET, "HABANERO_STORE": "redis://cache"}
    assert "pip install 'Flask-Habanero[redis]'" in wrong("STORE", given)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("APP_ID", "", "is not 1 to 100"),
        ("APP_ID", "*", "is not 1 to 100"),
        ("APP_ID", "a" * 101, "is not 1 to 100"),
        ("APP_ID", "café", "is not 1 to 100"),
        ("PATH", "/", "is not a path"),
        ("PATH", "habanero", "is not a path"),
        ("PATH", "/a/", "is not a path"),
        ("PATH", "/a/../b", "is not a path"),
        ("PATH", "/a?b", "is not a path"),
        ("PATH", "/a\n", "is not a path"),
        ("APP", "shop", "is not MODULE:NAME"),
        ("APP", "shop:app; import os", "is not MODULE:NAME"),
        ("APP", "shop/wsgi.py:app", "is not MODULE:NAME"),
        ("MODULES", [], "nothing could change"),
        ("MODULES", ["shop.views"], "top-level package"),
        ("MODULES", "shop, admin", "top-level package"),
        ("MODULES", [1], "top-level package"),
        ("STORE", "", "is no folder"),
        ("STORE", 7, "is no folder"),
        ("STORE", "a\0b", "is no folder"),
        ("STORE", "sqlite:///x", "is no folder"),
        ("STORE", "redis://", "is no folder"),
        ("STORE", "redis+sentinel://ann:hush@cache:26379", "'redis+sentinel://cache:26379': no address"),
        ("STORE", "redis+sentinel://cache:99999/shop", "a port that is none"),
        ("STORE", "rediss+sentinel://cache:26379/shop", "is no folder"),
        ("STORE", "http://ann:hush@cache", "'http://cache' is no folder"),
        ("STORE", "redis://ann:hush@cache:high/0", "'redis://cache:high/0' has a port"),
        ("STORE", [], "neither a place"),
        ("STORE", ["redis://cache", "redis://other"], "neither a place"),
        ("STORE", ["/one", "/two"], "neither a place"),
        ("STORE", ["redis://cache", ""], "is no folder"),
        ("COLD", "force", "nothing that it can do"),
        ("QUIESCE_MS", -1, "whole number from 0 to 2000"),
        ("QUIESCE_MS", 2001, "whole number"),
        ("QUIESCE_MS", "2.5", "whole number"),
        ("QUIESCE_MS", 2.5, "whole number"),
        ("QUIESCE_MS", True, "whole number"),
        ("QUIESCE_MS", "٣", "whole number"),
        ("MAX_BYTES", 1023, "whole number from 1024 to 67108864"),
        ("MAX_BYTES", 2**27, "whole number"),
        ("MAX_BYTES", "4MiB", "whole number"),
        ("BUILD", "", "visible ASCII"),
        ("BUILD", "two words", "visible ASCII"),
        ("BUILD", 7, "visible ASCII"),
        ("WEBHOOK", "", "no address of the web"),
        ("WEBHOOK", "example.org/releases", "no address of the web"),
        ("WEBHOOK", "https://", "no address of the web"),
        ("WEBHOOK", "https:///releases", "no address of the web"),
        ("WEBHOOK", "https://[::1/releases", "no address of the web"),
        ("WEBHOOK", "https://a b/", "no address of the web"),
        ("WEBHOOK", 7, "no address of the web"),
    ],
)
def test_a_wrong_value_is_named_with_what_to_type(key: str, value: object, words: str) -> None:
    sentence = wrong(key, SECRET=SECRET, **{key: value})
    assert words in sentence
    assert "hint: " in sentence


def test_what_the_hints_say_to_type_is_right() -> None:
    """Each hint of the form KEY=VALUE is taken when it is typed."""
    tried = 0
    for key, value in {
        "APP_ID": "",
        "PATH": "",
        "COLD": "",
        "QUIESCE_MS": -1,
        "MAX_BYTES": -1,
        "BUILD": "",
        "APP": "",
        "MODULES": "1",
        "WEBHOOK": "",
    }.items():
        hint = wrong(key, SECRET=SECRET, **{key: value}).split("hint: ")[1]
        name, text = hint.split("=", 1)
        assert secured({name: text.strip("'")}).keys is not None
        tried += 1
    assert tried == 9


def test_a_webhook_is_shown_nowhere() -> None:
    """The addresses of chats are secrets."""
    config = secured({"HABANERO_WEBHOOK": "https://chat.example.org/hooks/T0/B0"})
    assert config.webhook == "https://chat.example.org/hooks/T0/B0"
    assert "T0" not in repr(config) + wrong("WEBHOOK", SECRET=SECRET, WEBHOOK="ftp://chat/T0")


def test_an_import_name_that_is_no_app_id_asks_for_one() -> None:
    with pytest.raises(ConfigError, match="HABANERO_APP_ID"):
        Config.read({"HABANERO_SECRET": SECRET}, {}, "магазин", "/i")
    assert Config.read({}, {}, "магазин", "/i").keys is None


def test_nothing_is_made_on_the_disk(tmp_path: Path) -> None:
    Config.read({"HABANERO_SECRET": SECRET}, {}, "shop", str(tmp_path / "instance"))
    assert list(tmp_path.iterdir()) == []


def test_a_secret_never_shows_itself() -> None:
    assert BODY not in repr(secured())


# --- the document ---


def test_each_key_has_its_own_section_in_the_documentation() -> None:
    sections = re.findall(r"^### `(HABANERO_\w+)`(?:, `(HABANERO_\w+)`)?$", DOCS.read_text(), re.MULTILINE)
    assert sorted(key for pair in sections for key in pair if key) == sorted(KEYS)


def test_the_documented_defaults_are_the_real_ones() -> None:
    text = DOCS.read_text()
    rows = dict(re.findall(r"^\| \[?`HABANERO_(\w+)`.*\| ([^|]+) \|$", text, re.MULTILINE))
    config = secured()
    assert rows["PATH"] == f"`{config.path}`"
    assert rows["COLD"] == f"`{config.cold}`"
    assert rows["QUIESCE_MS"] == f"`{config.quiesce_ms}`"
    assert rows["MAX_BYTES"] == f"`{config.max_bytes}` (4 MiB)"
