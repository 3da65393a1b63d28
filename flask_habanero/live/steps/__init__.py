"""The steps of a plan: what each does to the live program, and how it is taken back.

The only place that assigns ``__code__`` or sets attributes of the user's objects. `apply`
returns the inverse, ready to run; nothing else in the package changes the program.
"""

from .classes import ClassFacts, Derive, Members, Put
from .entries import Arrange, Assign, Items, Remember, TakeOut, fill
from .functions import RAW, ClearCache, Conform, Decorate, SwapCode
from .growth import CreateTables, Grow
from .mappings import Memory
from .namespaces import DropModule, Forget, OrderHints, Run, ShowSource, Unhint
from .parts import EndRuns, Part, Unbind
from .undo import Inverse, modules_before, remember

__all__ = [
    "RAW",
    "Arrange",
    "Assign",
    "ClassFacts",
    "ClearCache",
    "Conform",
    "CreateTables",
    "Decorate",
    "Derive",
    "DropModule",
    "EndRuns",
    "Forget",
    "Grow",
    "Inverse",
    "Items",
    "Members",
    "Memory",
    "OrderHints",
    "Part",
    "Put",
    "Remember",
    "Run",
    "ShowSource",
    "SwapCode",
    "TakeOut",
    "Unbind",
    "Unhint",
    "fill",
    "modules_before",
    "remember",
]
