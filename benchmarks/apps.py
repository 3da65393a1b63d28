"""The apps that are measured: the sample app, and two larger ones that are published on PyPI."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]

WRAPPER = """\
import os

{imports}

from flask_habanero import Habanero


def name_worker(response):
    response.headers["X-Worker"] = str(os.getpid())
    return response


app = {create}
app.after_request(name_worker)
Habanero(app)
"""
PRIVACYIDEA_CONFIG = """\
SECRET_KEY = PI_PEPPER = "of a benchmark"
PI_ENCFILE = "{0}/encryption.key"
PI_AUDIT_KEY_PRIVATE = "{0}/private.pem"
PI_AUDIT_KEY_PUBLIC = "{0}/public.pem"
SQLALCHEMY_DATABASE_URI = "sqlite:///{0}/privacyidea.db"
"""


@dataclass(frozen=True)
class Edit:
    """One edit of a file.

    Attributes:
        file: what is edited, below the app's folder.
        old: text in it.
        new: what stands in its place, with ``{}`` for the number of the edit.
        path: page that shows it.
        shown: how, in headers or body.
    """

    file: str
    old: str
    new: str
    path: str
    shown: str


@dataclass(frozen=True)
class App:
    """An app in a folder, and edits of it.

    Attributes:
        python: the interpreter that has what it needs.
        sources: folder that is copied to server and laptop.
        code: an edit of a view.
        assets: edits of a template and of static files, by what they are.
    """

    name: str
    python: Path
    sources: Path
    code: Edit
    assets: Mapping[str, Edit] = field(default_factory=dict)

    @property
    def lines(self) -> dict[str, int]:
        """Lines of Python: of the whole app, and of the file that is edited."""
        files = [f for f in self.sources.rglob("*.py") if "tests" not in f.parts]
        return {"app": sum(map(count, files)), "file": count(self.sources / self.code.file)}


def count(path: Path) -> int:
    """Return how many lines a file has."""
    return len(path.read_text("utf-8").splitlines())


def sample(_work: Path) -> App:
    """Return the sample app."""
    return App(
        name="sample_app",
        python=Path(sys.executable),
        sources=ROOT / "sample_app",
        code=Edit(
            file="shop/views.py",
            old='title="The Pepper Shop"',
            new='title="Peppers {}"',
            path="/",
            shown="<h1>Peppers {}</h1>",
        ),
        assets={
            "template": Edit(
                file="shop/templates/base.html",
                old=">Catalog</a>",
                new=">Catalog {}</a>",
                path="/",
                shown=">Catalog {}</a>",
            ),
            "stylesheet": Edit(
                file="shop/static/shop.css",
                old="max-width: 40rem",
                new="max-width: 40.{}rem",
                path="/static/shop.css",
                shown="max-width: 40.{}rem",
            ),
        },
    )


def ihatemoney(work: Path) -> App:
    """Return ihatemoney, installed into a virtual environment of its own below `work`."""
    wrapper = WRAPPER.format(imports="from ihatemoney.run import create_app", create="create_app()")
    python, sources = _installed("ihatemoney", work, wrapper)
    # Once, and alone: workers that make the same database at the same moment get in each other's way
    subprocess.run([str(python), "-W", "ignore", "-c", "import wsgi"], cwd=sources, check=True)
    return App(
        name="ihatemoney",
        python=python,
        sources=sources,
        code=Edit(
            file="ihatemoney/web.py",
            old='return render_template("download_mobile_app.html")',
            new='return render_template("download_mobile_app.html"), 200, {{"X-Release": "number {}"}}',
            path="/mobile",
            shown="X-Release: number {}",
        ),
    )


def privacyidea(work: Path) -> App:
    """Return privacyIDEA, installed into an environment of its own below `work`, with an empty database."""
    config = work / "privacyidea-config" / "pi.cfg"
    imports = f'os.environ["PRIVACYIDEA_CONFIGFILE"] = "{config}"\n\nfrom privacyidea.app import create_app'
    create = 'create_app("production", silent=True)'
    wrapper = WRAPPER.format(imports=imports, create=create)
    python, sources = _installed("privacyidea", work, wrapper, without=("static", "static_old"))
    if not (config.parent / "done").exists():
        config.parent.mkdir(exist_ok=True)
        config.write_text(PRIVACYIDEA_CONFIG.format(config.parent))
        for command in ("create_enckey", "create_audit_keys", "create_tables"):
            subprocess.run(
                [str(python.parent / "pi-manage"), "setup", command],
                env={**os.environ, "PRIVACYIDEA_CONFIGFILE": str(config)},
                cwd=config.parent,  # it logs into the folder that it is in
                check=True,
            )
        (config.parent / "done").touch()
    return App(
        name="privacyidea",
        python=python,
        sources=sources,
        code=Edit(
            file="privacyidea/api/healthcheck.py",
            old="""return send_result({"status": "OK"}), 200""",
            new="""return send_result({{"status": "OK", "number": {}}}), 200""",
            path="/healthz/livez",
            shown='"number": {},',
        ),
    )


def _installed(name: str, work: Path, wrapper: str, *, without: Sequence[str] = ()) -> tuple[Path, Path]:
    """Install an app, once. Return its interpreter, and a folder with most of its sources and a `wsgi.py`."""
    venv, sources = work / f"{name}-venv", work / f"{name}-sources"
    if not (venv / "done").exists():
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
        install = [str(venv / "bin" / "python"), "-m", "pip", "install", "-q", "--no-warn-script-location"]
        subprocess.run([*install, name, "gunicorn>=22", "-e", str(ROOT)], check=True)
        (venv / "done").touch()
    (package,) = venv.glob(f"lib/python*/site-packages/{name}")
    if not sources.exists():
        ignored = shutil.ignore_patterns("tests", "__pycache__", "translations", *without)
        shutil.copytree(package, sources / name, ignore=ignored)
    (sources / "wsgi.py").write_text(wrapper)
    return venv / "bin" / "python", sources


APPS = {"sample_app": sample, "ihatemoney": ihatemoney, "privacyidea": privacyidea}
