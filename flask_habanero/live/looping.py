"""Statements that go through the keys of a configuration: what they did for one that comes, goes or changes.

``for key in app.config: if key in os.environ: app.config[key] = os.environ[key]`` reads all keys, and comes
past most of them. Where it does nothing for a key, neither then nor now, another key there changes nothing.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from flask.config import Config

from . import lasting
from .effects import Judge
from .judge.values import Live

if TYPE_CHECKING:
    from .draft import Draft


def comes_past(draft: Draft, module: str, uid: int, config: Config, key: str) -> bool:
    """Whether a statement, which has read all keys of a configuration, does nothing for one of them.

    Args:
        draft: the plan in the making.
        module: the statement's module.
        uid: its identity.
        config: the configuration.
        key: what comes, goes, or is another value now.
    """
    if (id(config), key) not in draft.inner_keys:  # the last one stays bound when the loop is over
        return False
    uids = draft.program.uids(module) if module in draft.program.tree else []
    if uid not in uids or uid not in draft.uids(module):
        return False
    old = draft.program.tree[module].parsed.pieces[uids.index(uid)]
    new = draft.parsed(module).pieces[draft.uids(module).index(uid)]
    node = new.node
    if old.digest != new.digest or not isinstance(node, ast.For) or node.orelse:
        return False
    judges = draft.judge_before(module), draft.judge(module)
    return isinstance(node.target, ast.Name) and all(
        _does_nothing(draft, one, node, config, key) for one in judges
    )


def _does_nothing(draft: Draft, judge: Judge, node: ast.For, config: Config, key: str) -> bool:
    source = judge.value(node.iter)
    if not (isinstance(source, Live) and source.object is config) or not _asks_by_key(judge, node):
        return False
    read = judge.turn(node, key)
    return read is not None and not lasting.reads_state(draft.program, read)


def _asks_by_key(judge: Judge, node: ast.For) -> bool:
    """Whether a loop over a configuration asks it for single keys only: how many there are is no matter."""
    text = ast.unparse(node.iter)
    nodes = [one for statement in node.body for one in ast.walk(statement)]
    asked = {
        id(one.value) for one in nodes if isinstance(one, ast.Subscript) and ast.unparse(one.value) == text
    }
    for one in nodes:
        if id(one) in asked:
            continue
        if isinstance(one, ast.Constant) and one.value == "config":
            return False
        if isinstance(one, ast.Attribute) and one.attr == "config":
            return False
        if isinstance(one, ast.Name | ast.Attribute) and isinstance(one.ctx, ast.Load):
            found = judge.value(one)
            if isinstance(found, Live) and isinstance(found.object, Config):
                return False
    return True
