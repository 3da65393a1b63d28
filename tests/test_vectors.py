"""Fixed keys, claims and bytes: what they mean never changes, or a laptop and a server of two versions part.

`tests/vectors/` is made once and not made again. A second reader, in this file and on nothing but the
standard library, takes the same vectors: docs/wire.md says enough to write one.
"""

from __future__ import annotations

import ast
import base64
import hashlib
import hmac
import json
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from flask_habanero import asset, envelope, release
from flask_habanero.asset import Asset
from flask_habanero.envelope import Key, Keyring, seal, unpack, unseal
from flask_habanero.errors import ConfigError, RejectedError
from flask_habanero.release import Bundle, Report, tree_digest
from flask_habanero.source import Source
from flask_habanero.unit import Statement, Unit

VECTORS = Path(__file__).parent / "vectors"
SCHEMAS = {
    "request": envelope.REQUEST_CLAIMS,
    "response": envelope.RESPONSE_CLAIMS,
    "record": envelope.RECORD_CLAIMS,
}


def load(name: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((VECTORS / f"{name}.json").read_text("ascii"))
    return value


ENVELOPE, BUNDLE, SECRET, ASSETS = load("envelope"), load("bundle"), load("secret"), load("assets")
KEYS = {row["kid"]: Key(row["kid"], bytes.fromhex(row["secret_hex"])) for row in ENVELOPE["keys"]}


def by_name(row: dict[str, Any]) -> str:
    return str(row.get("name") or row.get("kid"))


@pytest.mark.parametrize("row", ENVELOPE["accepted"], ids=by_name)
class TestEnvelope:
    def test_claims_are_sealed_to_this_very_header(self, row):
        assert seal(row["claims"], KEYS[row["kid"]], row["context"]) == row["token"]

    def test_this_very_header_is_unsealed_to_its_claims(self, row):
        ring = Keyring(KEYS.values())
        assert unseal(row["token"], ring, row["context"], SCHEMAS[row["context"]]) == (
            row["claims"],
            row["kid"],
        )

    def test_the_standard_library_makes_the_same_header(self, row):
        salt = b"flask-habanero/1/" + row["context"].encode()
        derived = hmac.digest(KEYS[row["kid"]].secret, salt, "sha256")
        text = f"hbn1.{row['kid']}.{unpadded(row['payload'].encode())}"
        assert row["token"] == f"{text}.{unpadded(hmac.digest(derived, text.encode(), 'sha256'))}"
        assert json.loads(row["payload"]) == row["claims"]


def unpadded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@pytest.mark.parametrize("row", ENVELOPE["refused"], ids=by_name)
def test_this_header_is_refused(row):
    with pytest.raises(RejectedError):
        unseal(row["token"], Keyring(KEYS.values()), row["context"], SCHEMAS[row["context"]])


@pytest.mark.parametrize("row", SECRET["accepted"], ids=by_name)
def test_this_text_is_this_secret(row):
    key = Key.parse(row["text"])
    assert (key.kid, key.secret.hex()) == (row["kid"], row["secret_hex"])
    body, check = row["text"].split("_", 2)[2].rsplit("_", 1)
    assert unpadded(key.secret) == body
    assert f"{zlib.crc32(f'{key.kid}_{body}'.encode()):08x}" == check


@pytest.mark.parametrize("row", SECRET["refused"], ids=by_name)
def test_this_text_is_no_secret(row):
    with pytest.raises(ConfigError):
        Key.parse(row["text"])


class TestBundle:
    raw = bytes.fromhex(BUNDLE["bytes_hex"])

    @staticmethod
    def expected() -> Bundle:
        units = tuple(
            Unit(
                Source(row["name"], row["path"], row["package"], row["text"]),
                tuple(
                    Statement(s["digest"], s["line"], bytes.fromhex(s["code_hex"])) for s in row["statements"]
                ),
            )
            for row in BUNDLE["units"]
        )
        rest = (BUNDLE[key] for key in ("python", "parent", "target", "note"))
        return Bundle(units, tuple(BUNDLE["deletions"]), *rest)

    def test_a_bundle_is_encoded_to_these_very_bytes(self):
        assert self.expected().encode() == self.raw

    def test_these_very_bytes_are_decoded_to_the_bundle(self):
        assert Bundle.decode(self.raw) == self.expected()

    def test_packed_bytes_unpack(self):
        assert unpack(bytes.fromhex(BUNDLE["zlib_hex"]), "zlib", len(self.raw)) == self.raw

    def test_the_standard_library_reads_the_same(self):
        magic, length = struct.unpack_from(">4sI", self.raw)
        manifest = json.loads(self.raw[8 : 8 + length])
        at = 8 + length
        assert magic == b"HBNB"
        for unit, row in zip(manifest["units"], BUNDLE["units"], strict=True):
            assert self.raw[at : at + unit["source"]].decode() == row["text"]
            at += unit["source"]
            for (digest, line, size), statement in zip(unit["statements"], row["statements"], strict=True):
                assert [digest, line] == [statement["digest"], statement["line"]]
                assert self.raw[at : at + size].hex() == statement["code_hex"]
                at += size
        assert at == len(self.raw)
        assert hashlib.sha256(self.raw).hexdigest() == BUNDLE["sha256"]

    @pytest.mark.parametrize("row", BUNDLE["units"], ids=by_name)
    def test_a_sources_digest_is_of_its_kind_and_text(self, row):
        assert Source(row["name"], row["path"], row["package"], row["text"]).digest == row["digest"]
        kind = b"package\n" if row["package"] else b"module\n"
        assert hashlib.sha256(kind + row["text"].encode()).hexdigest() == row["digest"]

    @pytest.mark.parametrize("row", BUNDLE["trees"], ids=lambda row: str(len(row["digests"])))
    def test_a_trees_digest_is_of_its_sorted_names_and_digests(self, row):
        assert tree_digest(map(tuple, row["digests"])) == row["digest"]
        lines = "".join(f"{name}\0{digest}\n" for name, digest in sorted(map(tuple, row["digests"])))
        assert hashlib.sha256(lines.encode()).hexdigest() == row["digest"]


class TestAssets:
    raw = bytes.fromhex(ASSETS["bytes_hex"])

    @staticmethod
    def expected() -> Bundle:
        assets = tuple(Asset.of(row["name"], bytes.fromhex(row["data_hex"])) for row in ASSETS["assets"])
        rest = (ASSETS[key] for key in ("python", "parent", "target", "note"))
        return Bundle((), tuple(ASSETS["deletions"]), *rest, assets)

    def test_a_bundle_is_encoded_to_these_very_bytes(self):
        assert self.expected().encode() == self.raw

    def test_these_very_bytes_are_decoded_to_the_bundle(self):
        assert Bundle.decode(self.raw) == self.expected()

    def test_the_standard_library_reads_the_same(self):
        (length,) = struct.unpack_from(">I", self.raw, 4)
        manifest, at = json.loads(self.raw[8 : 8 + length]), 8 + length
        for (name, digest, size), row in zip(manifest["assets"], ASSETS["assets"], strict=True):
            data = self.raw[at : at + size]
            assert (name, data.hex()) == (row["name"], row["data_hex"])
            assert digest == hashlib.sha256(data).hexdigest() == row["digest"]
            at += size
        assert at == len(self.raw)
        assert manifest["deletions"] == ASSETS["deletions"]
        assert hashlib.sha256(self.raw).hexdigest() == ASSETS["sha256"]

    @pytest.mark.parametrize("row", ASSETS["trees"], ids=lambda row: str(len(row["digests"])))
    def test_a_trees_digest_is_of_modules_and_assets_sorted_together(self, row):
        lines = "".join(f"{name}\0{digest}\n" for name, digest in sorted(map(tuple, row["digests"])))
        assert tree_digest(map(tuple, row["digests"])) == row["digest"]
        assert hashlib.sha256(lines.encode()).hexdigest() == row["digest"]

    @pytest.mark.parametrize("name", ASSETS["no_names"])
    def test_this_is_no_assets_name(self, name):
        assert not asset.is_asset_name(name)


class TestTogether:
    """The vectors are one push: its header is of the bundle's bytes, its answer of the report's."""

    def test_the_header_is_of_the_body(self):
        claims, wire = ENVELOPE["accepted"][0]["claims"], bytes.fromhex(BUNDLE["zlib_hex"])
        assert (claims["len"], claims["ulen"]) == (len(wire), len(TestBundle.raw))
        assert (claims["enc"], claims["sha"]) == ("zlib", hashlib.sha256(wire).hexdigest())

    def test_the_answer_is_of_the_request_and_of_the_report(self):
        claims, body = ENVELOPE["accepted"][2]["claims"], ENVELOPE["report"].encode()
        assert claims["rn"] == ENVELOPE["accepted"][0]["claims"]["n"]
        assert (claims["len"], claims["sha"]) == (len(body), hashlib.sha256(body).hexdigest())
        assert Report.from_json(json.loads(body)).release == 42


class TestDocumented:
    page = (Path(__file__).parent.parent / "docs" / "wire.md").read_text("utf-8")

    @pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS)
    def test_each_claim_is_on_the_page(self, schema):
        assert [name for name in schema if f"`{name}`" not in self.page] == []

    def test_each_operation_is_on_the_page(self):
        assert [name for name in envelope.OPERATIONS if f"**{name}**:" not in self.page] == []

    def test_each_key_of_a_bundle_is_on_the_page(self):
        (length,) = struct.unpack_from(">I", TestBundle.raw, 4)
        manifest = json.loads(TestBundle.raw[8 : 8 + length])
        assert [key for key in (*manifest, *manifest["units"][0]) if f"| `{key}` |" not in self.page] == []

    def test_each_bound_is_on_the_page(self):
        bounds = (envelope.MAX_HEADER, release.MAX_UNITS, release.MAX_STATEMENTS, envelope.HELLO_SKEW_S)
        bounds = (*bounds, asset.MAX_ASSETS, asset.MAX_ASSET, asset.MAX_NAME)
        assert [bound for bound in bounds if f"{bound:,}" not in self.page] == []

    def test_the_secret_on_the_page_is_that_of_the_vectors(self):
        assert SECRET["accepted"][0]["text"] in self.page

    @pytest.mark.parametrize(
        "text",
        [
            "'docstring'",
            "x = [1, 'a', b'b', 1.5, 2j, None, ..., True, -0x10]",
            "def f(a, /, *b: int, c=1, **d) -> str:\n    return lambda: a",
            "class A(B, metaclass=C):\n    x: int = 1",
            "from .a import b as c, d",
        ],
    )
    @pytest.mark.parametrize("head", ["", "from __future__ import annotations\n"], ids=["now", "future"])
    def test_a_statements_digest_is_what_the_page_says(self, head, text):
        piece = Source("m", "m.py", False, head + text).parsed.pieces[-1]
        digest = short("\n".join(words(ast.parse(text).body[0])))
        if not head and text == "'docstring'":
            digest = short(f"docstring {digest}")
        if head and (": int" in text or "->" in text):
            digest = short(f"annotations {digest}")
        assert piece.digest == digest


def short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def words(item: object) -> list[str]:
    """Return the words of a node, as docs/wire.md tells it and not as source.py does it."""
    if isinstance(item, ast.AST):
        fields = [word for name in item._fields for word in words(getattr(item, name, None))]
        return [type(item).__name__, *fields]
    if isinstance(item, list):
        return [f"[{len(item)}", *(word for each in item for word in words(each))]
    return [hex(item) if type(item) is int else repr(item)]
