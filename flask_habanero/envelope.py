"""Seal and unseal the short signed header; knows nothing of what the body means.

- The header carries the body's length and SHA-256, so it is believed or not before one
  byte of the body is read.
- One key, chosen by its id; an unknown id costs the same HMAC with a dummy key.
- Claims are signed as the bytes that were sent and never serialised again.
- Each direction has a salt of its own: an answer can't be replayed as a request.
- Nothing that an unverified envelope says is put into an error but its key id, which is at
  most 16 of ``a-z0-9``.

The only place that imports `itsdangerous` and compares MACs. Written down in docs/wire.md.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import secrets
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from itsdangerous import BadSignature, Signer

from .errors import ConfigError, EnvelopeError, SignatureError, StaleError
from .strict import loads_json

PREFIX = "hbn1"
MAX_HEADER = 2_048  # characters; proxies pass 4 KiB and more
WINDOW_S = 60  # longest life of a request that changes something
SKEW_S = 30  # tolerance on both sides of the window
HELLO_SKEW_S = 24 * 3600  # hello is how the client learns the server's clock

REQUEST, RESPONSE, RECORD, MESSAGE = "request", "response", "record", "message"
WEBHOOK, CHECKPOINT, NOTE = "webhook", "checkpoint", "note"

_SHAPE = re.compile(r"\Ahbn1\.([a-z0-9]{1,16})\.([A-Za-z0-9_-]{1,1900})\.([A-Za-z0-9_-]{43})\Z")
_MESSAGE = re.compile(rb"\A([a-z0-9]{1,16})\.([ -~]*)\.([A-Za-z0-9_-]{43})\Z")
_SECRET = re.compile(r"\Ahab_([a-z0-9]{1,16})_([A-Za-z0-9_-]{43})_([0-9a-f]{8})\Z")
MIN_DISTINCT = 12  # different bytes in a secret; 32 random ones have fewer once in 10**24 times
_MAKE = "make a good one with:  flask habanero secret"
_DUMMY = secrets.token_bytes(32)


def _hex(length: int) -> re.Pattern[str]:
    return re.compile(rf"\A[0-9a-f]{{{length}}}\Z")


READING = frozenset({"log", "tree", "sources"})  # the ledger is read back; nothing else happens
FOR_READERS = READING | {"hello", "status", "outcome"}  # no `plan`: what is planned is unmarshalled
OPERATIONS = READING | {
    "hello",
    "status",
    "plan",
    "rehearse",
    "push",
    "rollback",
    "trial",
    "confirm",
    "freeze",
    "thaw",
    "resync",
    "outcome",
}

Schema = Mapping[str, Any]
"""Claim -> `int`, a set of words, or a pattern of the whole text."""

REQUEST_CLAIMS: Schema = {
    "v": int,
    "op": OPERATIONS,
    "app": re.compile(r"\A[A-Za-z0-9_.:@/-]{1,100}\Z|\A\*\Z"),  # "*": any, only in hello
    "epoch": re.compile(r"\A[0-9a-f]{32}\Z|\A\Z"),  # empty in hello
    "base": int,  # the head that the sender built on
    "rel": int,  # base + 1 for push and rollback, else equal to base
    "py": re.compile(r"\A[a-z0-9.-]{1,64}\Z"),
    "len": int,  # bytes on the wire
    "ulen": int,  # bytes unpacked
    "enc": frozenset({"id", "zlib"}),
    "sha": _hex(64),  # of the bytes on the wire
    "n": _hex(32),  # nonce; the same on each retry of one push
    "iat": int,  # seconds, by the server's clock as hello told it
    "exp": int,
    "cid": re.compile(r"\A[A-Za-z0-9._@+-]{1,64}\Z"),  # who, for people
}

RESPONSE_CLAIMS: Schema = {
    "v": int,
    "rn": _hex(32),  # nonce of the request that this answers
    "st": int,  # HTTP status, signed
    "sha": _hex(64),
    "len": int,
    "t": int,  # the server's clock
}

RECORD_CLAIMS: Schema = {
    "v": int,
    "app": re.compile(r"\A[A-Za-z0-9_.:@/-]{1,100}\Z"),
    "epoch": _hex(32),
    "rel": int,
    "prev": re.compile(r"\A[0-9a-f]{64}\Z|\A\Z"),  # hash of the record before, the chain
    "sha": _hex(64),  # of the whole row: body, header, kind, nonce, digest, who, note
    "t": int,
}

CHECKPOINT_CLAIMS: Schema = {
    "v": int,
    "app": re.compile(r"\A[A-Za-z0-9_.:@/-]{1,100}\Z"),
    "epoch": _hex(32),
    "rel": int,  # where it stands
    "at": _hex(64),  # hash of the record there, the chain
    "kids": re.compile(r"\A[a-z0-9]{1,16}(?: [a-z0-9]{1,16})*\Z"),  # of all records up to there
    "sha": _hex(64),  # of the body
}


NOTE_CLAIMS: Schema = {
    "v": int,
    "app": re.compile(r"\A[A-Za-z0-9_.:@/-]{1,100}\Z"),
    "epoch": _hex(32),
    "sha": _hex(64),  # of the body
}


@dataclass(frozen=True, repr=False)
class Key:
    """One secret with its id. Never shows itself."""

    kid: str
    secret: bytes

    def __repr__(self) -> str:
        return f"<Key {self.kid}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key is not pickled")

    @classmethod
    def parse(cls, text: object) -> Key:
        """Return the key in ``hab_<kid>_<43 url-safe characters>_<check>``.

        Raises:
            ConfigError: it is anything else. The text is not repeated in the error, nor held by its frames.
        """
        key = _parse(text)
        del text  # error reporters show the locals of each frame
        if isinstance(key, str):
            raise ConfigError("HABANERO_SECRET", key, _MAKE)
        return key

    @property
    def spellings(self) -> tuple[bytes, ...]:
        """The secret as bytes, as their base64, and as the text with id and check."""
        body = _b64(self.secret)
        return self.secret, body.encode(), _text(self.kid, body).encode()


def _parse(text: object) -> Key | str:
    """Return the key in a text, or what is wrong with it."""
    match = _SECRET.match(text.strip()) if isinstance(text, str) else None
    if match is None:
        return "not a secret that this tool made (hab_<id>_<43 characters>_<check>)"
    kid, body, check = match.groups()
    if not hmac.compare_digest(_check(kid, body), check):
        return "the check at its end does not fit: a character was lost or changed"
    secret = base64.urlsafe_b64decode(body + "=")
    if len(set(secret)) < MIN_DISTINCT:
        return "not random: too few different bytes"
    return Key(kid, secret)


class Keyring:
    """Keys by id. The first signs, all verify.

    Raises:
        ConfigError: no key, or two of one id.
    """

    def __init__(self, keys: Iterable[Key]) -> None:
        self._keys: dict[str, Key] = {}
        for key in keys:
            if key.kid in self._keys:
                raise ConfigError("HABANERO_SECRET", f"two secrets with the id {key.kid!r}", _MAKE)
            self._keys[key.kid] = key
        if not self._keys:
            raise ConfigError("HABANERO_SECRET", "no secret", _MAKE)

    @property
    def first(self) -> Key:
        """The key that signs."""
        return next(iter(self._keys.values()))

    @property
    def kids(self) -> tuple[str, ...]:
        """The ids, the one that signs first."""
        return tuple(self._keys)

    def and_(self, other: Keyring | None) -> Keyring:
        """Return the keys of both, this ring's first. Raises ConfigError: two have one id."""
        return Keyring([*self._keys.values(), *(other._keys.values() if other else ())])

    def get(self, kid: str) -> Key | None:
        """Return the key with an id, if it is in the ring."""
        return self._keys.get(kid)

    def has_bytes(self, data: bytes) -> bool:
        """Whether some key's bytes or text equal `data` (a Flask SECRET_KEY must not)."""
        return any(hmac.compare_digest(x, data) for key in self._keys.values() for x in key.spellings)


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _check(kid: str, body: str) -> str:
    return f"{zlib.crc32(f'{kid}_{body}'.encode()):08x}"


def _text(kid: str, body: str) -> str:
    return f"hab_{kid}_{body}_{_check(kid, body)}"


def new_secret(kid: str | None = None) -> str:
    """Return a fresh secret of 256 random bits, as text with an id and a check."""
    kid = kid or "k" + secrets.token_hex(3)
    return _text(kid, _b64(secrets.token_bytes(32)))


def _signer(secret: bytes, context: str) -> Signer:
    salt = f"flask-habanero/1/{context}".encode()
    return Signer(secret, salt, b".", key_derivation="hmac", digest_method=hashlib.sha256)


def seal(claims: Mapping[str, Any], key: Key, context: str) -> str:
    """Return the header that carries the claims, signed for one context."""
    data = json.dumps(claims, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()
    return _signer(key.secret, context).sign(f"{PREFIX}.{key.kid}.{_b64(data)}").decode("ascii")


def unseal(token: object, keys: Keyring, context: str, schema: Schema) -> tuple[dict[str, Any], str]:
    """Return the claims of a header and the id of the key that sealed it.

    Every claim of the schema is there, no other, and each is of its type. Time, audience and
    lengths are the caller's to check.

    Raises:
        EnvelopeError: no header of ours, or its claims are not of the schema.
        SignatureError: no key in the ring made it for this context.
    """
    match = _SHAPE.match(token) if isinstance(token, str) and len(token) <= MAX_HEADER else None
    if match is None:
        raise EnvelopeError("shape")
    kid, payload, signature = match.groups()
    _verify(f"{PREFIX}.{kid}.{payload}".encode(), signature.encode(), kid, keys.get(kid), context)
    return _claims(payload, schema), kid


def _verify(signed: bytes, signature: bytes, kid: str, key: Key | None, context: str) -> None:
    signer = _signer(key.secret if key else _DUMMY, context)
    try:
        signer.unsign(signed + b"." + signature)
    except BadSignature:
        raise SignatureError(kid) from None  # its payload is the sender's text: never chained
    if key is None or not hmac.compare_digest(signer.get_signature(signed), signature):
        raise SignatureError(kid)  # the second: base64 has several spellings of one signature, we take one


def _claims(payload: str, schema: Schema) -> dict[str, Any]:
    try:
        claims = loads_json(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except ValueError:
        raise EnvelopeError("claims are no JSON") from None
    if type(claims) is not dict or claims.keys() != schema.keys():
        raise EnvelopeError("claims have the wrong keys")
    for name, rule in schema.items():
        if not _fits(claims[name], rule):
            raise EnvelopeError(f"claim {name} is wrong")
    if claims["v"] != 1:
        raise EnvelopeError("another version")
    return claims


def _fits(value: object, rule: Any) -> bool:
    if rule is int:
        return type(value) is int and 0 <= value < 2**40  # bounds every sum that is made of them
    if type(value) is not str:
        return False
    return value in rule if isinstance(rule, frozenset) else rule.match(value) is not None


def seal_message(message: Mapping[str, Any], key: Key) -> bytes:
    """Return the bytes of a short message between the workers of one host, signed.

    Its own salt: a datagram can't be used as a request, nor a request as a datagram.
    """
    data = json.dumps(message, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return _signer(key.secret, MESSAGE).sign(f"{key.kid}.{data}")


def unseal_message(data: bytes, keys: Keyring) -> dict[str, Any]:
    """Return the message in a datagram. Who may write to the socket is not enough: it is verified.

    Raises:
        EnvelopeError: no message of ours.
        SignatureError: no key in the ring made it.
    """
    match = _MESSAGE.match(data)
    if match is None:
        raise EnvelopeError("shape")
    kid = match[1].decode()
    _verify(match[1] + b"." + match[2], match[3], kid, keys.get(kid), MESSAGE)
    try:
        message = loads_json(match[2])
    except ValueError:
        raise EnvelopeError("message is no JSON") from None
    if type(message) is not dict:
        raise EnvelopeError("message is no object")
    return message


def webhook_key(key: Key) -> bytes:
    """Return the key for news of releases, which their receivers have, too: they can't push with it."""
    return _signer(key.secret, WEBHOOK).derive_key()


def sign_webhook(data: bytes, key: Key) -> str:
    """Return the signature of news, in hex."""
    return hmac.new(webhook_key(key), data, hashlib.sha256).hexdigest()


def check_fresh(claims: Mapping[str, Any], now: int) -> None:
    """Check a request's times against the server's clock, in seconds.

    Raises:
        StaleError: outside its window.
    """
    skew = HELLO_SKEW_S if claims["op"] == "hello" else SKEW_S
    made, ends = claims["iat"], claims["exp"]
    if not (0 <= ends - made <= WINDOW_S and made - skew <= now <= ends + skew):
        raise StaleError(now - made)


def pack(body: bytes) -> tuple[bytes, str]:
    """Return the bytes for the wire and how they are packed ("id" or "zlib")."""
    if len(body) <= 8_192:  # below, zlib's time costs more than the bytes
        return body, "id"
    return zlib.compress(body, 1), "zlib"


def packed(body: bytes, now: int) -> tuple[bytes, dict[str, Any]]:
    """Return a request's bytes for the wire, and the claims on what they are and how long they count.

    Args:
        body: before packing.
        now: seconds, by the server's clock.
    """
    wire, encoding = pack(body)
    size = {"len": len(wire), "ulen": len(body), "enc": encoding, "sha": sha256(wire)}
    return wire, {**size, "iat": now, "exp": now + WINDOW_S}


def unpack(data: bytes, encoding: str, length: int) -> bytes:
    """Return the unpacked body, of exactly `length` bytes; never makes more.

    Raises:
        EnvelopeError: it is not what the header said.
    """
    if encoding == "id":
        body = data
    else:
        inflate = zlib.decompressobj()
        try:
            body = inflate.decompress(data, length + 1)
        except zlib.error:
            raise EnvelopeError("body is no zlib stream") from None
        if not inflate.eof or inflate.unused_data:
            raise EnvelopeError("body unpacks to another length")
    if len(body) != length:
        raise EnvelopeError("body unpacks to another length")
    return body


def sha256(data: bytes) -> str:
    """Return the SHA-256 of some bytes, in hex."""
    return hashlib.sha256(data).hexdigest()


def same(a: str, b: str) -> bool:
    """Compare two digests in constant time."""
    return hmac.compare_digest(a.encode(), b.encode())
