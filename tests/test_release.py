"""A bundle's bytes, hostile ones included, and the report that every answer carries."""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest
from flask_habanero.asset import MAX_ASSET, MAX_ASSETS, MAX_NAME, Asset
from flask_habanero.errors import BundleError, Reason
from flask_habanero.release import (
    MAX_LINE,
    MAX_STATEMENTS,
    MAX_UNITS,
    Bundle,
    Report,
    WorkerCount,
    digest_of,
    loads_json,
    tree_digest,
)
from flask_habanero.source import Source
from flask_habanero.unit import Statement, Unit, build_unit

VIEWS = Source("shop.views", "shop/views.py", False, "x = 1\n\ndef index():\n    return 'caf\u00e9'\n")
EMPTY = Source("shop", "shop/__init__.py", True, "")
PAGE = Asset.of("shop/templates/page.html", "caf\u00e9 {{ x }}\n".encode())
BUNDLE = Bundle(
    (build_unit(VIEWS), build_unit(EMPTY)),
    ("shop.old", "shop/static/old.css"),
    "cb0d-cpython-312-o0-gil",
    "a" * 64,
    "b" * 64,
    "1f2e3d dirty",
    (PAGE, Asset.of("shop/static/empty.css", b"")),
)
DATA = BUNDLE.encode()


def manifest_of(data: bytes) -> tuple[dict[str, Any], bytes]:
    (length,) = struct.unpack_from(">I", data, 4)
    return json.loads(data[8 : 8 + length]), data[8 + length :]


MANIFEST, BLOBS = manifest_of(DATA)


def joined(manifest: bytes, blobs: bytes = BLOBS) -> bytes:
    return b"HBNB" + struct.pack(">I", len(manifest)) + manifest + blobs


def forged(change: dict[str, Any], unit: dict[str, Any] | None = None, blobs: bytes = BLOBS) -> bytes:
    """Return a bundle's bytes with some keys of the manifest, or of its first unit, exchanged."""
    manifest = json.loads(json.dumps(MANIFEST))
    manifest.update(change)
    if unit is not None:
        manifest["units"][0].update(unit)
    return joined(json.dumps(manifest, ensure_ascii=True).encode(), blobs)


D = "0123456789abcdef" * 2


def of_statements(rows: list[Any]) -> bytes:
    """Return the bytes of one empty module with these statements, whose code is two bytes in all."""
    unit = {
        "name": "a",
        "path": "a.py",
        "package": False,
        "source": 0,
        "sha": Source("a", "", False, "").digest,
    }
    manifest = {**MANIFEST, "units": [{**unit, "statements": rows}], "deletions": [], "assets": []}
    return joined(json.dumps(manifest).encode(), b"ab")


def refused(data: bytes) -> str:
    with pytest.raises(BundleError) as caught:
        Bundle.decode(data)
    return str(caught.value)


class TestRoundTrip:
    def test_what_is_encoded_is_what_is_decoded(self):
        assert Bundle.decode(DATA) == BUNDLE
        assert Bundle.decode(DATA).encode() == DATA

    def test_an_empty_bundle_is_one(self):
        empty = Bundle((), (), "py", "0" * 64, "0" * 64)
        assert Bundle.decode(empty.encode()) == empty

    def test_the_forge_of_these_tests_makes_good_bundles_if_it_changes_nothing(self):
        assert Bundle.decode(forged({})) == BUNDLE
        assert Bundle.decode(forged({}, {})) == BUNDLE

    def test_nothing_is_unmarshalled(self, monkeypatch):
        monkeypatch.setattr("marshal.loads", lambda *_: pytest.fail("unmarshalled"))
        unit = Unit(VIEWS, (Statement("0" * 32, 1, b"(\x00\xe1\xf5\x05"),))
        bundle = Bundle((unit,), (), "py", "0" * 64, "0" * 64)
        assert Bundle.decode(bundle.encode()).units[0].statements[0].code == b"(\x00\xe1\xf5\x05"


class TestEachByteCounts:
    def test_a_bundle_that_was_cut_off_is_none(self):
        for length in range(len(DATA)):
            refused(DATA[:length])

    def test_nothing_may_follow(self):
        assert refused(DATA + b"\0") == "bytes are left over"

    @pytest.mark.parametrize("mask", [0x01, 0x20, 0x80, 0xFF])
    def test_a_flipped_byte_is_refused_or_makes_another_bundle(self, mask):
        """Never another exception; the other bundle is not the one whose digest the header signs."""
        for at in range(len(DATA)):
            data = DATA[:at] + bytes([DATA[at] ^ mask]) + DATA[at + 1 :]
            try:
                bundle = Bundle.decode(data)
            except BundleError:
                continue
            assert bundle != BUNDLE

    def test_a_source_can_not_be_exchanged(self):
        start = BLOBS.index(b"x = 1")
        assert "digest" in refused(joined(DATA[8 : -len(BLOBS)], BLOBS[:start] + b"y" + BLOBS[start + 1 :]))

    @pytest.mark.parametrize("length", [0, 1, 2**31, 2**32 - 1])
    def test_a_manifest_of_another_length_is_none(self, length):
        refused(DATA[:4] + struct.pack(">I", length) + DATA[8:])


DEEP = 2_000

HOSTILE_MANIFESTS = [
    *(b"", b"null", b"[]", b"0", b'""', b"{}", b"{", b"\xff", b"\xef\xbb\xbf{}", b"NaN", b"-Infinity"),
    *(b"[" * DEEP, b"[" * DEEP + b"]" * DEEP, b'{"v":' * DEEP + b"1" + b"}" * DEEP),
    json.dumps(MANIFEST).replace('"v": 1', '"v": 1, "v": 1').encode(),
    json.dumps(MANIFEST).replace('"v": 1', '"v": 1, "\\u0076": 1').encode(),
    json.dumps(MANIFEST).replace('"v": 1', f'"v": {"9" * 5_000}').encode(),
    json.dumps({**MANIFEST, "more": 1}).encode(),
    json.dumps({k: v for k, v in MANIFEST.items() if k != "note"}).encode(),
    json.dumps(MANIFEST).encode("utf-16"),
    json.dumps({**MANIFEST, "note": "\u00e9"}, ensure_ascii=False).encode(),
]

WRONG: list[Any] = [
    None,
    True,
    False,
    0,
    1,
    -1,
    1.5,
    10**400,
    "",
    "x",
    [],
    {},
    [[]],
    [{}],
    [None],
    ["x", 1],
    "\ud800",
]

HARMLESS = {
    "v": ["1"],
    "python": ['""', '"x"'],
    "note": ['""', '"x"'],
    "deletions": ["[]"],
    "assets": ["[]"],
    "name": ['"x"'],
    "path": ['"x"'],
    "package": ["false"],
}
"""Of these values, those that are good for a key."""

NO_NAMES = [
    *(
        "",
        ".",
        "a.",
        ".a",
        "a..b",
        "../x",
        "a/../../b",
        "a/b",
        "a\\b",
        "a\0b",
        "a\n",
        "a b",
        "a-b",
        "1a",
        "a.1",
    ),
    *("\uff41pp", "caf\u00e9", "a\u0301", "\u0430", "a\u200b", "a" * 201, "a.*", "*"),
]


NO_ASSETS = [
    *("", "/", "t/", "/t/a", "t//a", "../a", "t/../a", "t/./a", "./t/a", "t/..", "..", "t/.a", ".t/a"),
    *("t\\a/b", "t/a\\..\\b", "t/a\0", "t/a\n", "t/\x1b[2J", "t/\u202e", "t/\ud800", "t/" + "a" * MAX_NAME),
    *("t/a.py", "t/a.pyc", "t/a.html~", "t/__pycache__/a", "node_modules/a.js", "t/a___jb_tmp___"),
]
EMPTY_DIGEST = Asset.of("", b"").digest
PAGE_DATA = PAGE.data or b""


def of_assets(row: Any) -> bytes:
    """Return the bytes of a bundle of one asset and nothing else."""
    return joined(json.dumps({**MANIFEST, "units": [], "deletions": [], "assets": [row]}).encode(), b"")


class TestHostileManifests:
    @pytest.mark.parametrize("manifest", HOSTILE_MANIFESTS, ids=range(len(HOSTILE_MANIFESTS)))
    def test_t30_what_is_no_manifest_is_refused(self, manifest):
        refused(joined(manifest))

    @pytest.mark.parametrize("key", MANIFEST)
    def test_t30_each_key_is_of_its_type(self, key):
        for value in WRONG:
            if json.dumps(value) not in HARMLESS.get(key, ()):
                refused(forged({key: value}))

    @pytest.mark.parametrize("key", MANIFEST["units"][0])
    def test_t30_each_key_of_a_unit_is_of_its_type(self, key):
        for value in WRONG:
            if json.dumps(value) not in HARMLESS.get(key, ()):
                refused(forged({}, {key: value}))

    @pytest.mark.parametrize(
        "row",
        [
            *([], [D], [D, 1], [D, 1, 2, 3], {"0": 1}, "row", None),
            *(["0" * 31, 1, 2], ["0" * 33, 1, 2], ["G" * 32, 1, 2], [D + "\n", 1, 2], [0, 1, 2]),
            *([D, 0, 2], [D, -1, 2], [D, True, 2], [D, 1.0, 2], [D, "1", 2], [D, None, 2]),
            *([D, MAX_LINE + 1, 2], [D, 10**300, 2]),
            *(
                [D, 1, True],
                [D, 1, 2.0],
                [D, 1, "2"],
                [D, 1, None],
                [D, 1, 3],
                [D, 1, 2**31],
                [D, 1, 10**300],
            ),
        ],
        ids=str,
    )
    def test_t30_a_statement_is_a_digest_a_line_and_a_size(self, row):
        refused(of_statements([row]))

    def test_t30_a_size_that_goes_back_is_refused_though_the_sum_is_right(self):
        refused(of_statements([[D, 1, 2], [D, 1, -1], [D, 1, 1]]))

    def test_the_statements_of_these_tests_are_good_but_for_what_is_wrong(self):
        made = Bundle.decode(of_statements([[D, MAX_LINE, 2]]))
        assert made.units[0].statements == (Statement(D, MAX_LINE, b"ab"),)

    def test_t30_a_unit_has_its_keys_and_no_other(self):
        refused(forged({}, {"more": 1}))
        manifest = json.loads(json.dumps(MANIFEST))
        del manifest["units"][0]["package"]
        refused(joined(json.dumps(manifest).encode()))

    @pytest.mark.parametrize("name", NO_NAMES, ids=ascii)
    def test_t14_what_is_no_modules_name_is_refused(self, name):
        assert "name" in refused(forged({}, {"name": name}))
        if name != "a/b":  # an asset's
            assert "name" in refused(forged({"deletions": [name]}))

    def test_t14_a_name_that_no_app_owns_is_the_servers_to_refuse(self):
        """A bundle does not know which modules an app has: `os` is a name like any other here."""
        assert Bundle.decode(forged({}, {"name": "os"})).units[0].name == "os"

    @pytest.mark.parametrize(
        "path",
        [
            *(
                "",
                "/etc/passwd",
                "../x.py",
                "a/../../x.py",
                "..",
                "a\0.py",
                "a\n.py",
                "a\x1b[2J.py",
                "a\x7f",
                "\x9b2J",
            ),
            *("a\\..\\b.py", "C:\\x.py", "a\u2028b", "a\u202eb.py", "\ud800.py", "a" * 501),
        ],
        ids=ascii,
    )
    def test_a_path_can_be_shown_and_lies_below_its_root(self, path):
        assert "path" in refused(forged({}, {"path": path}))

    @pytest.mark.parametrize("note", ["a\nb", "\x1b[31m", "\u202e", "\ud800", "n" * 201], ids=ascii)
    def test_t43_a_note_can_be_shown(self, note):
        assert "note" in refused(forged({"note": note}))

    @pytest.mark.parametrize("path", ["a.py", "a b/caf\u00e9.py", "..a/b..py", "a..b/\u6771.py"])
    def test_odd_paths_that_people_have_are_good(self, path):
        assert Bundle.decode(forged({}, {"path": path})).units[0].source.path == path

    def test_a_module_stands_once(self):
        assert "twice" in refused(forged({}, {"name": "shop"}))
        assert "twice" in refused(forged({"deletions": ["shop.views"]}))
        assert "twice" in refused(forged({"deletions": ["a", "a"]}))
        assert "twice" in refused(forged({"deletions": [PAGE.name]}))
        assert "twice" in refused(forged({"assets": MANIFEST["assets"][:1] * 2}, blobs=BLOBS + PAGE_DATA))

    def test_there_are_bounds(self):
        assert "units" in refused(forged({"units": [{}] * (MAX_UNITS + 1)}))
        assert "deletions" in refused(forged({"deletions": ["a"] * (MAX_UNITS + MAX_ASSETS + 1)}))
        assert "assets" in refused(forged({"assets": [[]] * (MAX_ASSETS + 1)}))
        assert "statements" in refused(forged({}, {"statements": [0] * (MAX_STATEMENTS + 1)}))

    def test_a_source_is_utf8(self):
        manifest = {"source": 3, "sha": "0" * 64, "statements": []}
        assert "UTF-8" in refused(forged({}, manifest, b"\xff\xfe\xfd"))

    @pytest.mark.parametrize("name", NO_ASSETS, ids=ascii)
    def test_t14_what_is_no_assets_name_is_refused(self, name):
        assert "name" in refused(forged({"assets": [[name, *MANIFEST["assets"][0][1:]]]}))
        assert "name" in refused(forged({"deletions": [name]}))

    @pytest.mark.parametrize(
        "name", ["t/a.html", "a b/caf\u00e9.css", "static/..a/b..", "static/jquery.min.js"]
    )
    def test_odd_names_that_people_have_are_good(self, name):
        if "/.." not in name:
            assert Bundle.decode(of_assets([name, EMPTY_DIGEST, 0])).assets[0].name == name
        else:
            assert "name" in refused(of_assets([name, EMPTY_DIGEST, 0]))

    @pytest.mark.parametrize(
        "row",
        [
            *([], ["t/a"], ["t/a", "0" * 64], {"name": "t/a"}, "t/a", None),
            *(["t/a", "0" * 64, 0], ["t/a", "", 0], ["t/a", None, 0], ["t/a", 0, 0]),
            *([0, "0" * 64, 0], [None, "0" * 64, 0], [["t/a"], "0" * 64, 0]),
        ],
        ids=str,
    )
    def test_t30_an_asset_is_a_name_a_digest_and_a_size(self, row):
        refused(of_assets(row))

    @pytest.mark.parametrize("size", [True, 0.0, "0", None, -1, 1, 2**31, 10**300, [0]], ids=str)
    def test_t30_an_assets_size_is_that_of_its_bytes(self, size):
        refused(of_assets(["t/a", EMPTY_DIGEST, size]))

    def test_an_asset_can_not_be_exchanged(self):
        start = BLOBS.index(PAGE_DATA)
        assert "digest" in refused(joined(DATA[8 : -len(BLOBS)], BLOBS[:start] + b"C" + BLOBS[start + 1 :]))

    def test_an_asset_has_a_bound(self):
        data = bytes(MAX_ASSET + 1)
        asset = Asset.of("t/a", data)
        manifest = {**MANIFEST, "units": [], "deletions": [], "assets": [["t/a", asset.digest, len(data)]]}
        assert str(MAX_ASSET) in refused(joined(json.dumps(manifest).encode(), data))


class TestTrees:
    def test_a_bundle_makes_one_tree_of_another(self):
        old = Source("shop.old", "shop/old.py", False, "")
        keep = Source("shop.keep", "shop/keep.py", False, "")
        tree = {"shop.old": old, "shop.keep": keep}
        assert BUNDLE.applied_to(tree) == {"shop.keep": keep, "shop.views": VIEWS, "shop": EMPTY}
        assert set(tree) == {"shop.old", "shop.keep"}

    def test_a_bundle_makes_assets_of_others(self):
        old, keep = Asset.of("shop/static/old.css", b"a"), Asset("shop/static/keep.css", "1" * 64, None)
        assets = {asset.name: asset for asset in (old, keep, Asset(PAGE.name, "2" * 64, None))}
        after = BUNDLE.assets_after(assets)
        assert after == {asset.name: asset for asset in (keep, *BUNDLE.assets)}
        assert old.name in assets

    def test_assets_are_of_a_trees_digest(self):
        digest = tree_digest([("shop", EMPTY.digest), (PAGE.name, PAGE.digest)])
        assert digest_of({"shop": EMPTY}, {PAGE.name: PAGE}) == digest
        assert digest_of({"shop": EMPTY}, {}) == digest_of({"shop": EMPTY}) != digest

    def test_a_trees_digest_does_not_depend_on_order_and_on_nothing_else(self):
        pairs = [("a", "1" * 64), ("b", "2" * 64)]
        assert tree_digest(pairs) == tree_digest(reversed(pairs))
        others = [[], pairs[:1], [("a", "2" * 64), ("b", "1" * 64)], [("a", "1" * 64 + "\nb\0" + "2" * 64)]]
        assert len({tree_digest(p) for p in [pairs, *others[:3]]}) == 4
        assert digest_of({"shop": EMPTY}) == tree_digest([("shop", EMPTY.digest)])


class TestJson:
    @pytest.mark.parametrize(
        "data",
        [
            b'{"a":1,"a":2}',
            b'[{"a":1,"a":1}]',
            b"NaN",
            b"[Infinity]",
            b"\xc3\xa9",
            b"[" * 100_000,
            b"1 2",
            b"",
        ],
    )
    def test_anything_but_strict_ascii_json_is_a_value_error(self, data):
        with pytest.raises(ValueError, match=r"."):
            loads_json(data)

    def test_the_rest_is_json(self):
        assert loads_json(b'{"a": [1, 2.5, null, "\\u00e9"]}') == {"a": [1, 2.5, None, "\u00e9"]}


REPORT = Report(
    "cold",
    41,
    "c" * 64,
    ("shop.views: ~index",),
    (Reason("cold-class", "shop.models:12", "Order gained a base", "restart"),),
    WorkerCount(2, 1, 4, ("host/17: busy",)),
    {"total": 12.3456},
    {"epoch": "e" * 32, "tree": {"shop": ["c" * 64, "shop.py", True]}},
)


class TestReport:
    def test_a_report_has_the_shape_of_the_outside_contract(self):
        value = REPORT.as_json()
        assert value.keys() >= {"outcome", "release", "digest", "steps", "reasons", "workers", "ms"}
        assert value["workers"].keys() == {"at_head", "asleep", "total", "behind"}
        assert value["reasons"][0].keys() == {"code", "where", "what", "hint"}
        assert value["ms"] == {"total": 12.346}

    def test_a_report_comes_back_from_its_json(self):
        value = json.loads(json.dumps(REPORT.as_json()))
        assert Report.from_json(value).as_json() == REPORT.as_json()
        assert Report.from_json(json.loads(json.dumps(Report("live").as_json()))) == Report("live")

    @pytest.mark.parametrize("key", REPORT.as_json())
    def test_what_is_no_report_is_a_type_or_key_error(self, key):
        value = REPORT.as_json()
        del value[key]
        with pytest.raises(KeyError):
            Report.from_json(value)
        for wrong in (None, 5, "x", [1], {"a": None}, float("inf")):
            try:
                Report.from_json({**REPORT.as_json(), key: wrong})
            except (KeyError, TypeError):
                continue
