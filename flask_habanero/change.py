"""What a believed request asks the program to become.

The coordinator of a push and every other worker come to the same answer with the same functions:
a worker believes the sealed request itself, not the worker that tells it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .asked import is_function, is_page
from .asset import Assets
from .envelope import REQUEST, REQUEST_CLAIMS, Keyring, same, sha256, unpack, unseal
from .errors import BundleError, ConflictError, EnvelopeError, PythonMismatchError, Reason, RefusedError
from .release import Bundle, digest_of, loads_json
from .source import Source
from .unit import Unit, build_unit, python_tag

if TYPE_CHECKING:
    from .record import State

MOST_REQUESTS = 50  # of one rehearsal
MOST_WITHIN_S = 300  # for one rehearsal: it holds a worker for so long


@dataclass(frozen=True)
class Request:
    """A request whose header and body are believed.

    Attributes:
        claims: what its header says.
        kid: id of the key that sealed it, which also seals the answer.
        header: the sealed header as it came.
        body: the bytes on the wire, of the length and digest that the header says.
        server: what the web server that it came through calls itself; nobody signed that.
        by_reader: whether its key may only read.
    """

    claims: Mapping[str, Any]
    kid: str
    header: str
    body: bytes
    server: str = ""
    by_reader: bool = False

    @property
    def op(self) -> str:
        """Which operation is asked for."""
        return str(self.claims["op"])

    @property
    def nonce(self) -> str:
        """The same on each retry of one push."""
        return str(self.claims["n"])

    @classmethod
    def verified(cls, header: str, body: bytes, keys: Keyring) -> Request:
        """Return a request that another process of ours staged, verified again.

        Its times are not looked at: they were right when it came in.

        Raises:
            RejectedError: it is not one that a holder of the secret sealed.
        """
        claims, kid = unseal(header, keys, REQUEST, REQUEST_CLAIMS)
        if len(body) != claims["len"] or not same(sha256(body), claims["sha"]):
            raise EnvelopeError("body is not the one that the header was made for")
        return cls(claims, kid, header, body)

    def unpacked(self) -> bytes:
        """Return the body unpacked. Raises BundleError if it is not what the header says."""
        try:
            return unpack(self.body, self.claims["enc"], self.claims["ulen"])
        except EnvelopeError as error:
            raise BundleError(str(error)) from None  # its sender is believed, and must learn what is wrong


@dataclass(frozen=True)
class Change:
    """Where a request leads: all modules and assets after it, and what was shipped for it."""

    tree: Mapping[str, Source]
    units: Mapping[str, Unit]
    digest: str
    note: str = ""
    assets: Assets = field(default_factory=dict)

    def from_(self, tree: Mapping[str, Source]) -> tuple[tuple[Unit, ...], tuple[str, ...]]:
        """Return the units and deletions that lead there from some tree.

        Raises:
            BuildError: a source that is in no release no longer compiles here.
        """
        units = tuple(
            self.units.get(name) or build_unit(source)
            for name, source in sorted(self.tree.items())
            if name not in tree or tree[name].digest != source.digest
        )
        return units, tuple(sorted(tree.keys() - self.tree.keys()))


def change_to(state: State, note: str = "") -> Change:
    """Return the change that leads to a state of the ledger."""
    return Change(state.tree, state.units, state.digest, note, state.assets)


def change_of(request: Request, head: State, state_at: Callable[[int], State]) -> Change:
    """Return where a push, a plan or a rollback leads from head. Nothing is unmarshalled here.

    Raises:
        RejectedError: the body is not what its header or its kind says.
        RefusedError: compiled for another Python; nothing to roll back to.
    """
    if request.op == "rollback":
        return _rolled_back(request, head, state_at)
    check_python(request.claims["py"])
    bundle = Bundle.decode(bundle_bytes(request))
    check_python(bundle.python)
    if not same(bundle.parent, head.digest):
        raise ConflictError(request.claims["epoch"], head.number)
    tree, assets = bundle.applied_to(head.tree), bundle.assets_after(head.assets)
    if not same(digest_of(tree, assets), bundle.target):
        raise BundleError("applied to head it leads to another tree than it says")
    units = {**head.units, **{unit.name: unit for unit in bundle.units}}
    return Change(tree, units, bundle.target, bundle.note, assets)


def bundle_bytes(request: Request) -> bytes:
    """Return the bundle in a request's body; in a rehearsal's it follows a line of what to ask then."""
    body = request.unpacked()
    return body.partition(b"\n")[2] if request.op == "rehearse" else body


def check_python(tag: str) -> None:
    """Check that code of some Python may be loaded into this one.

    Raises:
        PythonMismatchError: it may not; another Python's marshal can crash this one.
    """
    if tag != python_tag():
        raise PythonMismatchError(python_tag(), tag)


def _rolled_back(request: Request, head: State, state_at: Callable[[int], State]) -> Change:
    target = wishes(request, "to")["to"]
    if target is not None and (type(target) is not int or target < 0):
        raise BundleError("rollback: no release number")
    number = head.number - 1 if target is None else target
    try:
        state = state_at(number)
    except (LookupError, ValueError):
        raise NothingThereError(None if target is None else number) from None
    return change_to(state, f"back to #{state.number}")


def wishes(request: Request, *keys: str) -> dict[str, Any]:
    """Return the JSON object in a request's body, which has these keys and no other.

    Raises:
        BundleError: it is anything else.
    """
    return _object(request.op, request.unpacked(), keys)


def _object(op: str, data: bytes, keys: Collection[str]) -> dict[str, Any]:
    try:
        body = loads_json(data)
    except ValueError:
        raise BundleError(f"{op}: no JSON") from None
    if type(body) is not dict or body.keys() != set(keys):
        raise BundleError(f"{op}: wrong keys")
    return body


def rehearsal_asked(request: Request) -> tuple[list[str], int]:
    """Return what a rehearsal is to ask for, or to call, and within how many seconds it must end.

    Raises:
        BundleError: the line before the bundle says something else.
    """
    told = _object(request.op, request.unpacked().partition(b"\n")[0], ("requests", "within"))
    requests, within = told["requests"], told["within"]
    if type(within) is not int or not 1 <= within <= MOST_WITHIN_S:
        raise BundleError(f"rehearse: within is no whole number from 1 to {MOST_WITHIN_S}")
    if type(requests) is not list or len(requests) > MOST_REQUESTS or not all(map(_is_asked, requests)):
        raise BundleError(f"rehearse: requests are no list of at most {MOST_REQUESTS} paths and functions")
    return requests, within


def _is_asked(one: object) -> bool:
    if type(one) is not str or len(one) > 2_000 or not one.isprintable():
        return False
    return is_page(one) or is_function(one)


def nonce_asked(request: Request) -> str:
    """Return the nonce that an outcome request asks about.

    Raises:
        BundleError: there is none.
    """
    nonce = wishes(request, "nonce")["nonce"]
    if type(nonce) is not str:
        raise BundleError("outcome: no nonce")
    return nonce


class NothingThereError(RefusedError):
    """The release that a request names does not exist."""

    slug = "no-such-release"

    def __init__(self, number: int | None, wish: str = "to go back to") -> None:
        what = "there is no release yet to take back" if number is None else f"there is no #{number} {wish}"
        super().__init__(f"{what} in this epoch")

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """The error as a reason, with the way to see what there is."""
        return (Reason(self.slug, "", str(self), "flask habanero log"),)


class NotAllowedError(RefusedError):
    """A module or an asset outside the names that may change here."""

    slug = "not-allowed"

    def __init__(self, names: list[str], allowed: tuple[str, ...]) -> None:
        super().__init__(f"{', '.join(names[:10])}: this server lets only {', '.join(allowed)} change")
        self.names, self.allowed = tuple(names), allowed

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """One reason for each module or asset."""
        what, allowed = "may not be changed here", ", ".join(self.allowed)
        of_module = f"HABANERO_MODULES on the server allows: {allowed}"
        of_asset = f"the app's folders of templates and static files there are: {allowed or 'none'}"
        return tuple(Reason(self.slug, n, what, of_asset if "/" in n else of_module) for n in self.names)
