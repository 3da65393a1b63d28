r"""Two versions of some files as one patch that `git apply` takes. Pure.

A *source* has been read: it has no encoding, its lines end in ``\n``. A patch is of bytes. So a source is
*dressed* as another version of its file is: in its encoding, with its line ends and its mark, and its
lines that did not change as they stand there.

What is no text goes whole, as `git diff --binary` writes it: the bytes of both sides, compressed, in base 85.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
import string
import tokenize
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher

from ..errors import RefusedError
from ..source import decode_source

CONTEXT = 3  # lines around a change, as git has them
MODE = "100644"
_LOOKED_AT = 8000  # bytes in which git looks for a zero
_LINE_OF_BYTES = 52  # in a patch of what is no text
_LENGTHS = b"?" + (string.ascii_uppercase + string.ascii_lowercase).encode()  # how long such a line is
_MARK = "utf-8-sig"  # what `tokenize` calls UTF-8 with a byte order mark
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")


@dataclass(frozen=True)
class FileChange:
    """One file of a patch: its path in the repository, and its bytes before and after; None is no file."""

    path: str
    old: bytes | None
    new: bytes | None
    mode: str = MODE

    @property
    def mark(self) -> str:
        """What became of it: ``+`` new, ``~`` changed, ``-`` gone."""
        return "+" if self.old is None else "-" if self.new is None else "~"

    @property
    def is_binary(self) -> bool:
        """Whether it is no text on one of its sides, by git's own rule."""
        return any(b"\0" in (data or b"")[:_LOOKED_AT] for data in (self.old, self.new))


def unified(changes: Iterable[FileChange], *, shown: bool = False) -> bytes:
    """Return the patch that makes the old files the new ones; nothing for those that are equal.

    Args:
        changes: one for each file.
        shown: it is for a person, so that of what is no text only the sizes are told.
    """
    differ = (change for change in changes if change.old != change.new)
    return b"".join(piece for change in differ for piece in _pieces(change, shown=shown))


def _pieces(change: FileChange, *, shown: bool) -> Iterator[bytes]:
    ours, theirs = _quoted(f"a/{change.path}"), _quoted(f"b/{change.path}")
    yield b"diff --git %s %s\n" % (ours, theirs)
    if change.old is None:
        yield f"new file mode {change.mode}\n".encode()
    elif change.new is None:
        yield f"deleted file mode {change.mode}\n".encode()
    if change.is_binary:
        yield from _told_in_short(change, ours, theirs) if shown else _whole(change)
    elif change.old or change.new:  # git writes no names where there is no line
        yield b"--- %s\n" % (b"/dev/null" if change.old is None else _ended(ours))
        yield b"+++ %s\n" % (b"/dev/null" if change.new is None else _ended(theirs))
        yield from _hunks(_lines(change.old or b""), _lines(change.new or b""))


def _told_in_short(change: FileChange, ours: bytes, theirs: bytes) -> Iterator[bytes]:
    sizes = " -> ".join(_size(data) for data in (change.old, change.new) if data is not None)
    yield b"Binary files %s and %s differ: %s\n" % (ours, theirs, sizes.encode())


def _size(data: bytes) -> str:
    return f"{len(data)} bytes" if len(data) < 1024 else f"{len(data) / 1024:.1f} KB"


def _whole(change: FileChange) -> Iterator[bytes]:
    """Yield both sides, the new one first: git applies no such patch without the names of both blobs."""
    old, new = (_blob(data) for data in (change.old, change.new))
    mode = f" {change.mode}" if change.mark == "~" else ""
    yield f"index {old}..{new}{mode}\nGIT binary patch\n".encode()
    for data in (change.new or b"", change.old or b""):
        yield b"literal %d\n" % len(data)
        packed = zlib.compress(data)
        for at in range(0, len(packed), _LINE_OF_BYTES):
            piece = packed[at : at + _LINE_OF_BYTES]
            yield b"%c%s\n" % (_LENGTHS[len(piece)], base64.b85encode(piece, pad=True))
        yield b"\n"


def _blob(data: bytes | None) -> str:
    """Return the id that git gives a file's content."""
    if data is None:
        return "0" * 40
    return hashlib.sha1(b"blob %d\0%s" % (len(data), data), usedforsecurity=False).hexdigest()


def _hunks(old: list[bytes], new: list[bytes]) -> Iterator[bytes]:
    for group in SequenceMatcher(None, old, new).get_grouped_opcodes(CONTEXT):
        (_, i1, _, j1, _), (_, _, i2, _, j2) = group[0], group[-1]
        yield f"@@ -{_span(i1, i2)} +{_span(j1, j2)} @@\n".encode()
        for kind, a1, a2, b1, b2 in group:
            if kind == "equal":
                yield from (_told(b" ", line) for line in old[a1:a2])
            else:
                yield from (_told(b"-", line) for line in old[a1:a2])
                yield from (_told(b"+", line) for line in new[b1:b2])


def _lines(data: bytes) -> list[bytes]:
    return re.findall(rb"[^\n]*\n|[^\n]+", data)


def _told(sign: bytes, line: bytes) -> bytes:
    return sign + (line if line.endswith(b"\n") else line + b"\n\\ No newline at end of file\n")


def _span(start: int, stop: int) -> str:
    length = stop - start
    return f"{start + 1}" if length == 1 else f"{start + (length > 0)},{length}"


def _quoted(path: str) -> bytes:
    """Return a path as git writes it: in quotes where a byte is not plain."""
    data = path.encode("utf-8", "surrogateescape")
    if not re.search(rb"[^ !#-\[\]-~]", data):
        return data
    return b'"%s"' % re.sub(rb"[^ !#-\[\]-~]", lambda m: b"\\%03o" % ord(m[0]), data)


def _ended(path: bytes) -> bytes:
    return path + b"\t" if b" " in path and not path.startswith(b'"') else path  # else a space would end it


def dressed(text: str, like: bytes | None) -> bytes:
    """Return a source's text as the bytes of a file, in the form of another version of it, if there is one.

    Raises:
        RefusedError: no file has this text (it has characters that its own declared encoding has not).
    """
    encoding = _encoding(text.encode("utf-8", "surrogatepass"))
    try:
        data = _like(text, encoding, like) if like else text.encode(encoding)
        if decode_source(data) == text:
            return data
    except (UnicodeError, LookupError, SyntaxError):  # the second: "rot13" is a codec, but not one of text
        pass  # said below
    raise RefusedError(f"its text can't be written as {encoding}, which it declares")


def _encoding(data: bytes) -> str:
    """Return the encoding that a file declares; of one that declares none that there is, UTF-8."""
    try:
        return tokenize.detect_encoding(io.BytesIO(data).readline)[0]
    except SyntaxError:
        return "utf-8"


def _like(text: str, encoding: str, like: bytes) -> bytes:
    known = _encoding(like)
    try:
        there = _LINE.findall(like.decode(known))
    except (UnicodeError, LookupError):
        return text.encode(encoding)  # no form to keep
    end = "\r\n" if sum(line.endswith("\r\n") for line in there) * 2 > len(there) else "\n"
    plain = [line.rstrip("\r\n") + ("\n" if line[-1] in "\r\n" else "") for line in there]
    lines = _LINE.findall(text)
    made: list[str] = []
    for kind, a1, a2, b1, b2 in SequenceMatcher(None, plain, lines).get_opcodes():
        made += there[a1:a2] if kind == "equal" else (line.replace("\n", end) for line in lines[b1:b2])
    mark = _MARK if known == _MARK and encoding == "utf-8" else encoding
    return "".join(made).encode(mark)
