"""Ways in which people write things: the texts of `snippets.txt`, in variants between which an edit switches.

``{n}`` is the name that others use; ``{v}`` and ``{w}`` are expressions evaluated at import, ``{b}`` is in
a body; ``{t}`` is an app or a blueprint, ``{m}`` a module and ``{a}`` a name in it; ``{c}`` is what is
changed in place, and ``{g}`` the name of a constant of the same module.
"""

from __future__ import annotations

import re
from pathlib import Path


def _groups() -> dict[str, tuple[str, ...]]:
    text = Path(__file__).with_suffix(".txt").read_text()
    parts = re.split(r"^=== (\w+)\n", text, flags=re.MULTILINE)[1:]
    return {
        name: tuple(body.rstrip("\n").split("\n---\n"))
        for name, body in zip(parts[::2], parts[1::2], strict=True)
    }


GROUPS = _groups()
USES = {  # how others get a number from such a name; {e} is an expression
    "class": ("«{n}»().run() % 97",),
    "enum": ("«{n}».A.value", "len(«{n}»)"),
    "number": ("«{n}»",),
    "function": ("«{n}»({e})",),
    "reader": ("«{n}»",),
    "asked": ("«{n}»",),
}
CHANGED = {"grown": "list", "keyed": "dict", "member": "class"}  # what each of these groups changes in place
