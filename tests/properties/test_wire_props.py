"""Whatever a bundle or a header holds, it comes back as it was or is refused by one of our errors."""

from __future__ import annotations

import contextlib
import json
import struct
from typing import Any

import pytest
from flask_habanero.asset import Asset, is_asset_name
from flask_habanero.envelope import REQUEST, REQUEST_CLAIMS, Key, Keyring, pack, seal, unpack, unseal
from flask_habanero.errors import BundleError, EnvelopeError, RejectedError, SignatureError
from flask_habanero.release import Bundle, Report, loads_json
from flask_habanero.source import Source
from flask_habanero.unit import Statement, Unit
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

calm = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # machines are busy
KEY = Key("k1", bytes(range(32)))
RING = Keyring([KEY])

_words = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,8}", fullmatch=True)
names = st.lists(_words, min_size=1, max_size=4).map(".".join)
digests = st.text("0123456789abcdef", min_size=64, max_size=64)
asset_names = st.lists(_words, min_size=2, max_size=4).map("/".join).map(lambda name: name + ".html")
texts = st.text(st.characters(exclude_categories=()), max_size=60)
shown = st.text(st.characters(exclude_categories=("C", "Z")), max_size=60)
statements = st.builds(
    Statement,
    st.text("0123456789abcdef", min_size=32, max_size=32),
    st.integers(1, 2**31 - 1),
    st.binary(max_size=40),
)


@st.composite
def units(draw: st.DrawFn, name: str) -> Unit:
    path = name.replace(".", "/") + draw(st.sampled_from((".py", "/__init__.py", " \u00e9.py")))
    source = Source(name, path, draw(st.booleans()), draw(texts))
    return Unit(source, tuple(draw(st.lists(statements, max_size=3))))


@st.composite
def bundles(draw: st.DrawFn) -> Bundle:
    chosen = draw(st.lists(names, max_size=6, unique=True))
    cut = draw(st.integers(0, len(chosen)))
    made = tuple(draw(units(name)) for name in chosen[:cut])
    files = draw(st.lists(asset_names, max_size=4, unique=True))
    kept = draw(st.integers(0, len(files)))
    assets = tuple(Asset.of(name, draw(st.binary(max_size=40))) for name in files[:kept])
    gone = (*chosen[cut:], *files[kept:])
    return Bundle(made, gone, draw(shown), draw(digests), draw(digests), draw(shown), assets)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


class TestBundles:
    @calm
    @given(bundles())
    def test_a_bundle_comes_back(self, bundle):
        assert Bundle.decode(bundle.encode()) == bundle

    @calm
    @given(bundles(), st.data())
    def test_a_changed_bundle_is_refused_or_another_one(self, bundle, data):
        raw = bundle.encode()
        start = data.draw(st.integers(0, len(raw)))
        end = data.draw(st.integers(start, min(len(raw), start + 8)))
        changed = raw[:start] + data.draw(st.binary(max_size=8)) + raw[end:]
        assume(changed != raw)
        try:
            other = Bundle.decode(changed)
        except BundleError:
            return
        assert other != bundle or other.encode() == raw  # the second: another spelling of the manifest

    @calm
    @given(st.binary(max_size=400))
    def test_bytes_are_no_bundle(self, raw):
        with pytest.raises(BundleError):
            Bundle.decode(raw)

    @calm
    @given(json_values, st.binary(max_size=20))
    def test_json_is_no_manifest(self, value, blobs):
        head = json.dumps(value).encode()
        with pytest.raises(BundleError):
            Bundle.decode(b"HBNB" + struct.pack(">I", len(head)) + head + blobs)

    @calm
    @given(bundles(), st.data())
    def test_a_manifest_with_one_other_value_is_refused_or_a_bundle(self, bundle, data):
        raw = bundle.encode()
        (length,) = struct.unpack_from(">I", raw, 4)
        manifest: Any = json.loads(raw[8 : 8 + length])
        spot = manifest["units"][0] if manifest["units"] and data.draw(st.booleans()) else manifest
        spot[data.draw(st.sampled_from(sorted(spot)))] = data.draw(json_values)
        head = json.dumps(manifest).encode()
        try:
            other = Bundle.decode(b"HBNB" + struct.pack(">I", len(head)) + head + raw[8 + length :])
        except BundleError:
            return
        assert Bundle.decode(other.encode()) == other
        json.dumps(other.note + other.python).encode("utf-8")
        assert all(unit.source.path.isprintable() for unit in other.units)
        assert all(is_asset_name(asset.name) for asset in other.assets)


claims = st.fixed_dictionaries(
    {
        "v": st.just(1),
        "op": st.sampled_from(sorted(REQUEST_CLAIMS["op"])),
        "app": st.from_regex(r"[A-Za-z0-9_.:@/-]{1,100}", fullmatch=True),
        "epoch": st.one_of(st.just(""), st.text("0123456789abcdef", min_size=32, max_size=32)),
        "py": st.from_regex(r"[a-z0-9.-]{1,64}", fullmatch=True),
        "enc": st.sampled_from(("id", "zlib")),
        "sha": digests,
        "n": st.text("0123456789abcdef", min_size=32, max_size=32),
        "cid": st.from_regex(r"[A-Za-z0-9._@+-]{1,64}", fullmatch=True),
        **{name: st.integers(0, 2**40 - 1) for name in ("base", "rel", "len", "ulen", "iat", "exp")},
    }
)


class TestHeaders:
    @calm
    @given(claims)
    def test_claims_come_back(self, made):
        assert unseal(seal(made, KEY, REQUEST), RING, REQUEST, REQUEST_CLAIMS) == (made, "k1")

    @calm
    @given(claims, st.data())
    def test_a_changed_header_is_never_believed(self, made, data):
        token = seal(made, KEY, REQUEST)
        start = data.draw(st.integers(0, len(token)))
        end = data.draw(st.integers(start, min(len(token), start + 4)))
        changed = token[:start] + data.draw(st.text(max_size=4)) + token[end:]
        assume(changed != token)
        with pytest.raises((EnvelopeError, SignatureError)):
            unseal(changed, RING, REQUEST, REQUEST_CLAIMS)

    @calm
    @given(claims, st.sampled_from(sorted(REQUEST_CLAIMS)), json_values)
    def test_a_signed_claim_of_any_other_kind_is_refused_or_fits(self, made, name, value):
        try:
            opened, _ = unseal(seal({**made, name: value}, KEY, REQUEST), RING, REQUEST, REQUEST_CLAIMS)
        except RejectedError:
            return
        assert opened[name] == value
        assert type(value) is type(made[name])

    @calm
    @given(st.one_of(st.text(), st.binary(), json_values))
    def test_what_is_no_header_is_refused(self, token):
        with pytest.raises(RejectedError):
            unseal(token, RING, REQUEST, REQUEST_CLAIMS)


class TestBodies:
    @calm
    @given(st.binary(max_size=20_000))
    def test_a_body_comes_back(self, body):
        data, encoding = pack(body)
        assert unpack(data, encoding, len(body)) == body

    @calm
    @given(st.binary(max_size=200), st.sampled_from(("id", "zlib")), st.integers(0, 300))
    def test_bytes_unpack_to_the_signed_length_or_not_at_all(self, data, encoding, length):
        with contextlib.suppress(EnvelopeError):
            assert len(unpack(data, encoding, length)) == length

    @calm
    @given(json_values)
    def test_strict_json_reads_what_json_writes(self, value):
        assert loads_json(json.dumps(value).encode()) == value

    @calm
    @given(st.binary(max_size=50))
    def test_strict_json_refuses_with_one_error(self, data):
        with contextlib.suppress(ValueError):
            loads_json(data)

    @calm
    @given(st.dictionaries(st.sampled_from(sorted(Report("live").as_json())), json_values))
    def test_a_report_of_any_json_is_one_or_a_key_or_type_error(self, over):
        try:
            report = Report.from_json({**Report("live").as_json(), **over})
        except (KeyError, TypeError):
            return
        assert Report.from_json(report.as_json()).outcome == report.outcome
