"""Which names a change may touch: modules and assets of this app, and no others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .asset import changed_assets
from .change import Change, NotAllowedError

if TYPE_CHECKING:
    from .live.program import Program
    from .record import State


def check_names(program: Program, head: State, change: Change) -> None:
    """Check what a change does to head. Raises NotAllowedError."""
    units, deletions = change.from_(head.tree)
    strange = [n for n in (*(u.name for u in units), *deletions) if not program.belongs.allows(n)]
    if strange:
        raise NotAllowedError(strange, program.modules)
    files = changed_assets(head.assets, change.assets)
    folders = program.overlay.folders if files else ()
    coming = [one for one in files if one in change.assets]  # what goes may have had a folder that went
    elsewhere = [name for name in coming if not name.startswith(tuple(f"{one}/" for one in folders))]
    if elsewhere:
        raise NotAllowedError(elsewhere, folders)
