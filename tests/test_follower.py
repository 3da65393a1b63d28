"""What `follow` does where there is nothing to follow. At work it is seen in e2e/test_follow.py."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask import Flask
from flask_habanero import Habanero, follow


def test_an_app_without_us_is_told_what_to_do() -> None:
    with pytest.raises(RuntimeError, match=r"call Habanero\(app\) first, then follow\(app\)"):
        follow(Flask("shop"))


def test_without_a_secret_a_task_is_just_run(tmp_path: Path) -> None:
    app = Flask("shop", instance_path=str(tmp_path))
    Habanero(app)
    following = follow(app)
    with following.task(), following.task():
        pass
    with pytest.raises(ValueError, match="of the task's own"), following.task():
        raise ValueError("of the task's own")
    assert list(tmp_path.iterdir()) == []


def test_there_is_one_for_all_apps_of_a_process(tmp_path: Path) -> None:
    apps = [Flask(name, instance_path=str(tmp_path)) for name in ("shop", "admin")]
    for app in apps:
        Habanero(app)
    assert follow(apps[0]) is follow(apps[1])
