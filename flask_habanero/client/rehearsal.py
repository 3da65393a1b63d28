"""What a person wishes of a rehearsal, and its words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..asked import called, is_function, is_page
from ..errors import ConfigError
from ..release import Report

REHEARSAL = "rehearsal"  # the code of a reason for which nothing was pushed
WITHIN_S = 20  # gunicorn ends a sync worker that is busy for 30 s
MOST_WITHIN_S = 300
MORE_S = 10.0  # for the way there and back, and for the worker to come to it
WIDTH = 30
SHOWN = 3  # rules that were not asked
_NAME = (
    "          hint: name some: flask habanero rehearse --get PATH, or requests in [tool.habanero.rehearse]"
)
_EXAMPLE = 'requests = ["/", "/cart"] in [tool.habanero.rehearse]'


@dataclass(frozen=True)
class Wish:
    """How to rehearse.

    Attributes:
        always: before each push, too.
        requests: paths to ask for; none: those that the change concerns.
        calls: functions of the app that are called after that, as ``module:name``.
        within_s: how long it may take.
    """

    always: bool = False
    requests: tuple[str, ...] = ()
    calls: tuple[str, ...] = ()
    within_s: int = WITHIN_S

    @classmethod
    def read(cls, settings: Mapping[str, Any], entry: Mapping[str, Any]) -> Wish:
        """Return that of a project, where its target says nothing else. Raises ConfigError."""
        wish = cls()
        for table in (settings, entry):
            value = table.get("rehearse", {})
            if isinstance(value, bool):
                value = {"always": value}
            if not isinstance(value, dict) or not value.keys() <= {"always", "calls", "requests", "within"}:
                raise ConfigError("rehearse", "is neither true, false, nor a table of ours", _EXAMPLE)
            wish = wish.with_(**value)
        return wish

    def with_(
        self, always: object = None, requests: object = None, within: object = None, calls: object = None
    ) -> Wish:
        """Return it with what is said otherwise. Raises ConfigError."""
        wish = self
        if always is not None:
            if not isinstance(always, bool):
                raise ConfigError("always", "is neither true nor false", "always = true")
            wish = replace(wish, always=always)
        if requests is not None:
            if not isinstance(requests, list | tuple) or not all(map(is_page, requests)):
                raise ConfigError("requests", "is no list of paths", _EXAMPLE)
            wish = replace(wish, requests=tuple(requests))
        if calls is not None:
            if not isinstance(calls, list | tuple) or not all(map(is_function, calls)):
                raise ConfigError("calls", "is no list of functions", 'calls = ["shop.checks:stock"]')
            wish = replace(wish, calls=tuple(calls))
        if within is not None:
            if type(within) is not int or not 1 <= within <= MOST_WITHIN_S:
                raise ConfigError(
                    "within", f"is no number of seconds from 1 to {MOST_WITHIN_S}", "within = 20"
                )
            wish = replace(wish, within_s=within)
        return wish

    def asked(self) -> bytes:
        """Return the line that goes before the bundle."""
        wanted = [*self.requests, *self.calls]
        return json.dumps({"requests": wanted, "within": self.within_s}).encode() + b"\n"


def rehearsal_lines(report: Report) -> list[str]:
    """Return what was asked in a rehearsal, what was not, and the last that the app printed if it failed."""
    pages, output = report.data.get("rehearsed") or (), report.data.get("output") or ()
    rules = report.data.get("unasked") or ()
    more = f" and {len(rules) - SHOWN} more" if len(rules) > SHOWN else ""
    return [
        *(f"          {_asked(one)}  {one['ms']:.1f} ms" for one in pages),
        *(
            [f"          not asked, for want of parameters: {', '.join(rules[:SHOWN])}{more}", _NAME]
            if rules
            else []
        ),
        *(["          the last of its output:"] if output else []),
        *(f"            {line}" for line in output),
    ]


def _asked(one: Mapping[str, Any]) -> str:
    came = one["status"] if is_page(one["path"]) else "no " if one["why"] else "yes"
    return f"{called(one['path']):<{WIDTH + len('GET ')}}  {came}"
