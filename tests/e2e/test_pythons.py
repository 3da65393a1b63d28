"""A server of another Python than the laptop's: what goes live was compiled by one like the server's."""

from __future__ import annotations

import os
import sys
import sysconfig

import pytest
from flask_habanero.client.pythons import find, version_in

from tests.e2e.conftest import NO_CONTROL_SOCKET, Start, free_port
from tests.e2e.laptops import Clone

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
OURS = f"{sys.version_info[0]}.{sys.version_info[1]}"

# With this Python's packages: those that a server needs are plain Python, or do without their C
SERVE = """
import sys
sys.path.append({packages!r})
sys.argv[1:] = {options!r}
from gunicorn.app.wsgiapp import run
run()
"""


@pytest.mark.parametrize("version", sorted({"3.11", "3.12", "3.13"} - {OURS}))
def test_a_server_of_another_python(start: Start, clone: Clone, version: str) -> None:
    python = find(version, os.environ)
    if python is None:
        pytest.skip(f"no CPython {version} on PATH, of pyenv or of uv")
    port = free_port()
    options = ["-w", "2", "-b", f"127.0.0.1:{port}", *NO_CONTROL_SOCKET, "app:app"]
    code = SERVE.format(packages=sysconfig.get_path("purelib"), options=options)
    server = start([str(python), "-B", "-c", code], port, None)
    server.ask_all(2)
    laptop = clone(server)
    assert version_in(server.peer().head.data["python"]) == version
    assert f"{python} makes its code" in laptop.run("doctor", "--json").said
    laptop.edit('return "one"', 'return "two"')
    done = laptop.push()
    assert (done.code, done.last["outcome"]) == (0, "live"), done.said
    assert server.texts(2) == {"two"}
    watch = laptop.watch("--python", str(python)).ready()
    laptop.edit('return "two"', 'return "".join(f"{x}" for x in ("th", "ree"))')
    assert watch.expect("live")["release"] == 2
    assert server.texts(2) == {"three"}
    done = laptop.run("push", "--json", "--python", sys.executable)
    assert (done.code, done.last["reasons"][0]["code"]) == (1, "python"), done.said
