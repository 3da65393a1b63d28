"""The samples: their YAML is whole, and what they type and set exists."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from flask_habanero.client.cli import cli
from flask_habanero.config import KEYS, Config
from flask_habanero.envelope import new_secret

PAGE = (Path(__file__).parents[1] / "docs" / "samples.md").read_text("utf-8")
BLOCKS = [yaml.safe_load(text) for text in re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)]
CLIENT = {"HABANERO_URL", "HABANERO_SECRET"}


def commands() -> list[tuple[str, list[str]]]:
    found = re.findall(r"flask habanero ([a-z]+)((?: --[a-z-]+)*)", PAGE)
    return [(name, options.split()) for name, options in found]


@pytest.mark.parametrize(("name", "options"), commands())
def test_what_is_typed_exists(name: str, options: list[str]) -> None:
    known = {opt for p in cli.commands[name].params if isinstance(p, click.Option) for opt in p.opts}
    assert set(options) <= known


def test_what_is_set_exists() -> None:
    assert set(re.findall(r"HABANERO_[A-Z_]+(?=[:=])", PAGE)) <= {*KEYS, *CLIENT}


def test_the_workflow_pushes_and_deploys_what_that_can_not() -> None:
    workflow = BLOCKS[0]
    steps: list[dict[str, Any]] = workflow["jobs"]["live"]["steps"]
    push, deploy = steps[-2:]
    assert push["run"].startswith("flask habanero push --sync")
    assert push["shell"] == "bash"  # with pipefail, or `tee` would hide that it failed
    assert f"steps.{push['id']}.outcome" in deploy["if"]
    assert "HABANERO_SECRET" not in workflow["jobs"]["live"]["env"]  # only for the step that needs it


def test_the_replicas_share_releases_and_no_folder(tmp_path: Path) -> None:
    services = BLOCKS[1]["services"]
    shop = services["shop"]
    assert shop["deploy"]["replicas"] == 2
    assert [volume for volume in shop["volumes"] if ":" in volume] == []  # a name would be shared
    secret = tmp_path / "habanero"
    secret.write_text(new_secret())
    secret.chmod(0o600)
    environ = {**shop["environment"], "HABANERO_SECRET_FILE": str(secret), "HABANERO_BUILD": "1a2b3c4"}
    config = Config.read({}, environ, "app", "/srv")
    assert (config.shared, str(config.store)) == tuple(json.loads(environ["HABANERO_STORE"]))
    assert str(config.store).startswith(shop["volumes"][0])
    assert {name for name in services if name in str(config.shared)} == {"redis"}
    assert set(shop["secrets"]) == set(BLOCKS[1]["secrets"])


def test_the_pods_share_releases_and_are_named_after_their_image(tmp_path: Path) -> None:
    pod = BLOCKS[2]["spec"]["template"]["spec"]
    (shop,) = pod["containers"]
    environ = {one["name"]: str(one["value"]) for one in shop["env"]}
    assert set(environ) <= set(KEYS)
    mounts = {one["name"]: one["mountPath"] for one in shop["volumeMounts"]}
    assert environ["HABANERO_SECRET_FILE"].startswith(mounts["secret"])
    assert shop["image"].endswith(f":{environ['HABANERO_BUILD']}")
    secret = tmp_path / "habanero"
    secret.write_text(new_secret())
    secret.chmod(pod["volumes"][0]["secret"]["defaultMode"])
    config = Config.read({}, environ | {"HABANERO_SECRET_FILE": str(secret)}, "app", "/srv")
    assert (config.shared, str(config.store)) == tuple(json.loads(environ["HABANERO_STORE"]))
    assert str(config.store).startswith(mounts["state"])
    assert "emptyDir" in pod["volumes"][1]  # each pod's own
    assert BLOCKS[2]["spec"]["replicas"] == 2
