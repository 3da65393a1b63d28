"""Every error of the project, one class per stage of a release.

::

    HabaneroError                   catch this to catch us
    ├── ConfigError                 set-up is wrong                    key, hint
    ├── BuildError                  a source does not compile          path, line, column, text
    ├── RejectedError               NOT BELIEVED
    │   ├── EnvelopeError           no envelope of ours, or malformed
    │   ├── SignatureError          no key in the ring made it         kid
    │   ├── StaleError              too old, or from the future        age_s
    │   ├── AudienceError           made for another app               expected, actual
    │   └── BundleError             sealed by us, yet not a bundle
    ├── RefusedError                BELIEVED, NOT POSSIBLE; nothing changed
    │   ├── ConflictError           built on another head              epoch, head
    │   ├── PythonMismatchError     compiled for another Python        expected, actual
    │   ├── TooLargeError           larger than the server takes       limit, actual
    │   ├── ReadOnlyError           the secret may only read           kid, op
    │   ├── ColdChangeError         needs a restart                    reasons
    │   ├── AssetError              a template or static file is wrong reasons
    │   └── UndecidedError          client: a person must say first    reasons
    ├── CommitError                 TRIED, FAILED, UNDONE              where, cause_text
    │   ├── BusyError               requests did not drain in time     holders
    │   └── UndoError               ... and not undone: end this worker
    ├── UnansweredError             client: the server says why not    outcome, reasons
    ├── StoreError                  the ledger can't be read or written
    └── DeliveryError               client: no believable answer       url, maybe_live

Each class has a ``slug``, which is its anchor in ``docs/errors.md``, and an ``outcome``,
the word that a person sees. The errors carry fields; the sentence is made here, once.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something can't be hot: a stable code, where, what, and what to do about it."""

    code: str  # stable, documented in docs/reasons.md
    where: str  # "shop.views:12", or "" when it concerns the whole release
    what: str
    hint: str = ""

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{place}{self.what} [{self.code}]{hint}"


class HabaneroError(Exception):
    """Base of all our errors."""

    slug = "error"
    outcome = "failed"

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """The error as reasons, the one shape in which reports carry it."""
        return (Reason(self.slug, "", str(self)),)


class ReasonedError(Exception):
    """A part of those of our errors that carry every reason, not just the first."""

    def __init__(self, reasons: tuple[Reason, ...]) -> None:
        super().__init__("; ".join(map(str, reasons)))
        self._reasons = reasons

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """All of them."""
        return self._reasons


class ConfigError(HabaneroError):
    """The set-up is wrong: says which key, and what to type instead."""

    slug = "config"

    def __init__(self, key: str, why: str, hint: str) -> None:
        super().__init__(f"{key}: {why}\nhint: {hint}")
        self.key, self.why, self.hint = key, why, hint


class BuildError(HabaneroError):
    """A source does not compile; nothing is sent."""

    slug = "build"
    outcome = "refused"

    def __init__(self, path: str, line: int, column: int, text: str, why: str) -> None:
        super().__init__(f"{path}:{line}:{column}: {why}")
        self.path, self.line, self.column, self.text, self.why = path, line, column, text, why

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """One, with the place in the file."""
        return (Reason(self.slug, f"{self.path}:{self.line}:{self.column}", self.why),)


class RejectedError(HabaneroError):
    """Not believed. The sender learns nothing; the server's log learns the slug."""

    slug = "rejected"
    outcome = "rejected"


class EnvelopeError(RejectedError):
    """Not an envelope of ours, or one that is malformed."""

    slug = "envelope"


class SignatureError(RejectedError):
    """No key in the ring made this signature."""

    slug = "signature"

    def __init__(self, kid: str) -> None:
        super().__init__(f"no key {kid!r} in the ring made this signature")
        self.kid = kid


class StaleError(RejectedError):
    """Signed too long ago, or in the future."""

    slug = "stale"

    def __init__(self, age_s: int) -> None:
        super().__init__(f"signed {age_s} s ago by the server's clock")
        self.age_s = age_s


class AudienceError(RejectedError):
    """Made for another app."""

    slug = "audience"

    def __init__(self, expected: str, actual: str) -> None:
        super().__init__(f"made for app {actual!r}, this is {expected!r}")
        self.expected, self.actual = expected, actual


class BundleError(RejectedError):
    """Sealed by a holder of the secret, and yet no bundle that we can read."""

    slug = "bundle"
    outcome = "refused"


class RefusedError(HabaneroError):
    """Believed, but not possible. Nothing was changed."""

    slug = "refused"
    outcome = "refused"


class ConflictError(RefusedError):
    """The bundle was built on another head than the server's."""

    slug = "conflict"
    outcome = "conflict"

    def __init__(self, epoch: str, head: int) -> None:
        super().__init__(f"the server is at #{head} of epoch {epoch[:8]}")
        self.epoch, self.head = epoch, head


class PythonMismatchError(RefusedError):
    """The bundle was compiled for another Python."""

    slug = "python"

    def __init__(self, expected: str, actual: str) -> None:
        super().__init__(f"compiled for Python {actual}, the server runs {expected}")
        self.expected, self.actual = expected, actual


class TooLargeError(RefusedError):
    """The body is larger than the server takes."""

    slug = "too-large"

    def __init__(self, limit: int, actual: int) -> None:
        hint = "raise HABANERO_MAX_BYTES or send less at once"
        super().__init__(f"{actual} bytes, the server takes {limit}; {hint}")
        self.limit, self.actual = limit, actual


class ReadOnlyError(RefusedError):
    """The secret is one that may only read."""

    slug = "read-only"

    def __init__(self, kid: str, op: str) -> None:
        super().__init__(f"the secret {kid!r} may only read here, and {op} is more than that")
        self.kid, self.op = kid, op

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """One, with what else is needed."""
        return (Reason(self.slug, "", str(self), "export HABANERO_SECRET=...   (one that may push)"),)


class ColdChangeError(ReasonedError, RefusedError):
    """The change needs a restart: carries every reason, not just the first."""

    slug = "cold"
    outcome = "cold"


class AssetError(ReasonedError, RefusedError):
    """A template or a static file that can't be served. Nothing was changed."""

    slug = "asset"


class UndecidedError(ReasonedError, RefusedError):
    """Client: a person must say whose edit wins, and said no, or nobody is there to ask."""

    slug = "undecided"
    outcome = "conflict"


class CommitError(HabaneroError):
    """Tried, failed, undone: the program is as it was before."""

    slug = "commit"
    outcome = "failed"

    def __init__(self, where: str, cause_text: str) -> None:
        super().__init__(f"{where}: {cause_text}" if where else cause_text)
        self.where, self.cause_text = where, cause_text

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """One, with the module and line that raised."""
        return (Reason(self.slug, self.where, self.cause_text),)


class BusyError(CommitError):
    """Running requests did not end within the bound. Nothing was changed."""

    slug = "busy"

    def __init__(self, holders: tuple[str, ...]) -> None:
        super().__init__("", "busy: " + ("; ".join(holders) or "a worker did not answer in time"))
        self.holders = holders


class UndoError(CommitError):
    """A failed commit could not be undone: this worker must end."""

    slug = "undo"


class UnansweredError(ReasonedError, HabaneroError):
    """Client: the server was asked for something that it has, and says why it does not tell it.

    Its outcome and its reasons are the server's.
    """

    slug = "unanswered"

    def __init__(self, outcome: str, reasons: tuple[Reason, ...]) -> None:
        super().__init__(reasons)
        self.outcome = outcome


class StoreError(HabaneroError):
    """The ledger can't be read or written. The app serves on; pushes are refused."""

    slug = "store"


class DeliveryError(HabaneroError):
    """Client: no believable answer came back."""

    slug = "delivery"

    def __init__(self, url: str, why: str, *, maybe_live: bool) -> None:
        super().__init__(f"{url}: {why}")
        self.url, self.why, self.maybe_live = url, why, maybe_live

    @property
    def outcome(self) -> str:  # type: ignore[override]  # depends on whether bytes left the machine
        """`unknown` if bytes may have arrived, else `unreachable`."""
        return "unknown" if self.maybe_live else "unreachable"


class AbandonedError(KeyboardInterrupt):
    """Client: a person ended a command while a push or rollback was on its way.

    No HabaneroError: nobody who handles those, and goes on, is to go on after it.

    Attributes:
        delivery: what can be said of it: it may be live.
    """

    def __init__(self, delivery: DeliveryError) -> None:
        super().__init__(str(delivery))
        self.delivery = delivery
