"""What the app runs in, as the server's status tells it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..errors import EnvelopeError
from ..release import Report


@dataclass(frozen=True)
class SharedStore:
    """The store that hosts share, as it says of itself. `trouble`: why it could not be asked, or ""."""

    version: str
    keeps: str
    eviction: str
    skew_s: float
    exposed: tuple[str, ...]
    trouble: str


@dataclass(frozen=True)
class Surroundings:
    """What `docs/wire.md` calls the surroundings.

    Attributes:
        server: what the web server calls itself, or "".
        store: where the ledger rests.
        preloaded: whether the app was loaded before its worker was forked.
        reloader: whose reloader runs beside us, or "".
        unknown: names of settings that look like ours, and are none.
        overridden: keys whose environment variable does not count.
        pod: whether it runs in Kubernetes.
        crowded: folders of assets with too many files, of which none can go live.
        shared: the store that hosts share, if there are several.
        restarts: whether a cold change is to be made live by a restart.
        obstacle: why that is not possible there, and what to do; empty texts if it is.
    """

    server: str
    store: str
    preloaded: bool
    reloader: str
    unknown: tuple[str, ...]
    overridden: tuple[str, ...]
    pod: bool
    crowded: tuple[str, ...]
    shared: SharedStore | None
    restarts: bool
    obstacle: tuple[str, str]

    @classmethod
    def of(cls, report: Report) -> Surroundings:
        """Return those in the answer to status. Raises EnvelopeError: it tells none that we understand."""
        data = report.data.get("surroundings")
        if type(data) is not dict or not all(type(data.get(key)) is bool for key in ("preloaded", "pod")):
            raise EnvelopeError("a status that this version does not understand: no surroundings")
        return cls(
            server=_text(data, "server"),
            store=_text(data, "store"),
            preloaded=data["preloaded"],
            reloader=_text(data, "reloader"),
            unknown=_names(data, "unknown"),
            overridden=_names(data, "overridden"),
            pod=data["pod"],
            crowded=_names(data, "crowded"),
            shared=_shared(data.get("shared", "")),
            restarts=_text(data, "cold") == "restart",
            obstacle=(_text(data, "obstacle"), _text(data, "obstacle_hint")),
        )


def _shared(data: Any) -> SharedStore | None:
    if data is None:
        return None
    if type(data) is not dict or type(data.get("skew_s")) not in (int, float):
        raise EnvelopeError("a status that this version does not understand: shared")
    texts = {key: _text(data, key) for key in ("version", "keeps", "eviction", "trouble")}
    return SharedStore(skew_s=float(data["skew_s"]), exposed=_names(data, "exposed"), **texts)


def _text(data: dict[str, Any], key: str) -> str:
    value = data.get(key)
    if type(value) is not str or len(value) > 4096 or not value.isprintable():  # a terminal shows it
        raise EnvelopeError(f"a status that this version does not understand: {key}")
    return value


def _names(data: dict[str, Any], key: str) -> tuple[str, ...]:
    value = data.get(key)
    if type(value) is not list or len(value) > 1000:
        raise EnvelopeError(f"a status that this version does not understand: {key}")
    return tuple(_text({key: item}, key) for item in value)
