"""From text to statements: what the values say of themselves, and what bad input gives."""

from __future__ import annotations

import contextlib
import importlib.util
import marshal
import os
import subprocess
import sys
from pathlib import Path

import pytest
from flask_habanero.envelope import REQUEST_CLAIMS
from flask_habanero.errors import BuildError
from flask_habanero.piece import digest_node
from flask_habanero.source import Source, decode_source
from flask_habanero.unit import build_unit, compile_nodes, compile_piece, dump_code, python_tag


def source(text: str, *, name: str = "shop.views", package: bool = False) -> Source:
    return Source(name, "shop/views.py", package, text)


def run_python(program: str, **environment: str) -> str:
    """Return what a program prints in a process of its own."""
    root = str(Path(__file__).parent.parent)
    env = {**os.environ, "PYTHONPATH": root, **environment}
    done = subprocess.run(
        [sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True
    )
    return done.stdout


def digests(text: str) -> list[str]:
    return [piece.digest for piece in source(text).parsed.pieces]


class TestDecoding:
    @pytest.mark.parametrize(
        ("data", "text"),
        [
            (b"x = 1\n", "x = 1\n"),
            (b"x = 1\r\ny = 2\r\n", "x = 1\ny = 2\n"),
            (b"x = 1\ry = 2", "x = 1\ny = 2"),
            (b"\xef\xbb\xbfx = 'caf\xc3\xa9'\n", "x = 'café'\n"),
            (b"# -*- coding: latin-1 -*-\nx = 'caf\xe9'\n", "# -*- coding: latin-1 -*-\nx = 'café'\n"),
            (
                b"#!/bin/sh\n# vim: set fileencoding=cp1252 :\n'\x80'",
                "#!/bin/sh\n# vim: set fileencoding=cp1252 :\n'€'",
            ),
            (b"", ""),
        ],
    )
    def test_a_file_is_read_as_python_reads_it(self, data, text):
        assert decode_source(data) == text

    @pytest.mark.parametrize(
        "data",
        [
            b"x = '\xe9'\n",
            b"# coding: nope\n",
            b"# coding: rot13\nk = 1\n",
            b"# coding: hex\n",
            b"# coding: undefined\n",
            b"# coding: utf-32\nx = 1\n",
            b"\xef\xbb\xbf# coding: latin-1\n",
        ],
    )
    def test_what_has_no_text_is_a_syntax_error(self, data):
        with pytest.raises(SyntaxError):
            decode_source(data)

    def test_line_ends_bom_and_encoding_do_not_change_what_a_source_is(self):
        plain = decode_source("# coding: utf-8\nx = 'é'\n".encode())
        other = decode_source(b"\xef\xbb\xbf# coding: utf-8\r\nx = '\xc3\xa9'\r\n")
        assert source(plain).digest == source(other).digest


class TestSourceDigest:
    def test_it_is_of_kind_and_text_and_of_nothing_else(self):
        one = Source("a", "a.py", False, "x = 1\n")
        assert one.digest == Source("b", "other/b.py", False, "x = 1\n").digest
        assert one.digest != Source("a", "a.py", True, "x = 1\n").digest
        assert one.digest != Source("a", "a.py", False, "x = 2\n").digest


class TestStatements:
    def test_lines_count_from_the_first_decorator(self):
        pieces = source("import a\n\n@a.b\n@a.c\ndef f():\n    pass\n").parsed.pieces
        assert [(p.index, p.line, p.end_line) for p in pieces] == [(0, 1, 1), (1, 3, 6)]

    def test_place_comments_and_layout_do_not_change_a_digest(self):
        assert digests("def f(a,b): return 'x'\n") == digests(
            "\n# c\ndef f(a, b):\n    return (\n  'x')  # d"
        )

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("x = 1", "x = 1.0"),
            ("x = 1", "x = True"),
            ("x = 'a'", "x = b'a'"),
            ("x = a.b", "x = a['b']"),
            ("x = [a, [b]]", "x = [a, b]"),
            ("x = [a], b", "x = [a, b],"),
            ("def f(): pass", "async def f(): pass"),
            ("def f(a): pass", "def f(*, a): pass"),
            ("def f(a, b=1): pass", "def f(a=1, b=None): pass"),
            ("import a.b", "import a"),
            ("from . import a", "from .. import a"),
            ("x: int", "x: int = 1"),
            ("x = 0xffff", "x = 0xfffe"),
            ("x = 1e400", "x = 1e300"),
            ("x = 0.0", "x = -0.0"),
            ("x = ''", "x = None"),
        ],
    )
    def test_what_means_something_else_has_another_digest(self, one, other):
        assert digests(one) != digests(other)

    def test_a_first_string_is_another_statement_than_the_same_string_later(self):
        assert digests("'text'\nx = 1\n")[0] != digests("x = 1\n'text'\n")[1]
        assert digests("x = 1\n'text'\n")[1] == digests("x = 1\ny = 2\n'text'\n")[2]

    def test_annotations_from_the_future_change_what_is_annotated_and_nothing_else(self):
        body = (
            "x = 1\ny: int = 2\ndef f(a: int): pass\ndef g(a): pass\ndef h(): z: int\ndef k() -> int: pass\n"
        )
        now, later = digests(body), digests("from __future__ import annotations\n" + body)[1:]
        assert [a == b for a, b in zip(now, later, strict=True)] == [True, False, False, True, False, False]

    def test_long_chains_and_long_numbers_have_digests(self):
        many = "if a: pass\n" + "elif b: pass\n" * 900 + "x = 0x" + "f" * 5_000 + "\n"
        assert len(digests(many)) == 2

    def test_a_digest_is_32_hex_digits_and_does_not_change(self):
        (piece,) = source("x = 1\n").parsed.pieces
        assert piece.digest == digest_node(piece.node) == "31d6ef262ed1845db9b34b84887b43ff"


class TestErrors:
    @pytest.mark.parametrize(
        ("text", "line", "column", "shown"),
        [
            ("x = 1\ndef f(:\n", 2, 7, "def f(:"),
            ("x = (1,\n", 1, 5, "x = (1,"),
            ("def f():\n\treturn 1\n    x = 2\n", 3, 10, "    x = 2"),
            ("pass\nreturn 1\n", 2, 1, "return 1"),
            ("for i in x: pass\nbreak\n", 2, 1, "break"),
            ("def f():\n    x = 1\n    global x\n", 3, 5, "    global x"),
            ("x = 'é' +\n", 1, 10, "x = 'é' +"),
            ("import x\nfrom __future__ import annotations\n", 2, 1, "from __future__ import annotations"),
            ("from __future__ import braces\n", 1, 1, "from __future__ import braces"),
        ],
    )
    def test_a_build_error_says_where_and_shows_the_line(self, text, line, column, shown):
        with pytest.raises(BuildError) as caught:
            build_unit(source(text))
        error = caught.value
        assert (error.path, error.line, error.text) == ("shop/views.py", line, shown)
        assert error.column == column
        assert str(error) == f"shop/views.py:{line}:{column}: {error.why}"
        assert error.reasons[0].where == f"shop/views.py:{line}:{column}"

    @pytest.mark.parametrize(
        "text",
        ["x = '\0'", "x = '\ud800'", "x = " + "(" * 1_000 + ")" * 1_000, "x = " + "-" * 100_000 + "1"],
        ids=["null", "surrogate", "parentheses", "minus"],
    )
    def test_what_the_compiler_cannot_take_is_a_build_error(self, text):
        with pytest.raises(BuildError) as caught:
            build_unit(source(text))
        assert (caught.value.path, caught.value.line >= 1, bool(caught.value.why)) == (
            "shop/views.py",
            True,
            True,
        )

    def test_a_depth_that_only_text_survives_is_a_build_error_or_compiles(self):
        text = "pass\nx = " + "+".join(["a"] * 2_900) + "\n"
        with contextlib.suppress(BuildError):
            assert len(build_unit(source(text)).statements) == 2

    def test_the_shown_line_is_not_one_of_a_file_in_the_current_folder(self, tmp_path, monkeypatch):
        (tmp_path / "shop").mkdir()
        (tmp_path / "shop" / "views.py").write_text("another = 'file'\n")
        monkeypatch.chdir(tmp_path)
        with pytest.raises(BuildError) as caught:
            build_unit(source("return 1\n"))
        assert caught.value.text == "return 1"


class TestUnits:
    def test_a_unit_has_one_statement_for_each_of_the_source(self):
        unit = build_unit(source("'doc'\nx = 1\n\ndef f(): pass\n"))
        assert unit.name == "shop.views"
        assert [(s.digest, s.line) for s in unit.statements] == [
            (p.digest, p.line) for p in unit.source.parsed.pieces
        ]
        namespace: dict[str, object] = {}
        for statement in unit.statements:
            exec(marshal.loads(statement.code), namespace)
        assert (namespace["__doc__"], namespace["x"], "f" in namespace) == ("doc", 1, True)

    def test_code_knows_the_display_path_and_the_true_lines(self):
        unit = build_unit(source("\n\ndef f():\n    return 1\n"))
        code = marshal.loads(unit.statements[0].code)
        (function,) = [const for const in code.co_consts if hasattr(const, "co_name")]
        assert (function.co_filename, function.co_firstlineno) == ("shop/views.py", 3)

    def test_the_same_source_gives_the_same_bytes_in_another_process(self):
        text = "x = a in {'u', 'v'}\nclass A:\n    def f(self):\n        self.b = self.a = self.c = 300\n"
        program = (
            "import sys, hashlib\n"
            "from flask_habanero.source import Source\n"
            "from flask_habanero.unit import build_unit\n"
            f"unit = build_unit(Source('m', 'm.py', False, {text!r}))\n"
            "data = b''.join(s.digest.encode() + s.code for s in unit.statements)\n"
            "print(hashlib.sha256(data).hexdigest())\n"
        )
        assert len({run_python(program, PYTHONHASHSEED=seed) for seed in ("1", "2", "3")}) == 1

    def test_bytes_of_code_that_was_unmarshalled_are_the_same_again(self):
        text = "x = 1e999 - 1e999\ndef f(a=('k', 'k', 300)): return a in {'u', 'v', 1j}, 'k', 300, f.k\n"
        for statement in build_unit(source(text)).statements:
            assert dump_code(marshal.loads(statement.code)) == statement.code

    def test_bytes_tell_what_equality_of_code_does_not(self):
        one, other = (compile(f"def {n}():\n def g(): 1\n", "m.py", "exec").co_consts[0] for n in "ab")
        assert one.co_consts[1] == other.co_consts[1]
        assert dump_code(one.co_consts[1]) != dump_code(other.co_consts[1])

    def test_a_level_of_optimisation_can_be_chosen(self):
        made = source("'doc'\nassert x\n\ndef f():\n    'doc'\n")
        lean = [compile_piece(p, made.parsed, made.path, 2) for p in made.parsed.pieces]
        assert lean[0].co_names == ()
        assert "x" not in lean[1].co_names
        assert lean[2].co_consts[0].co_consts[:1] != ("doc",)

    def test_nodes_without_the_rest_of_their_statement_compile_in_their_source(self):
        made = source("import os\n\nclass A:\n    def f(self): return os.stat(self)\n")
        (code,) = compile_nodes(made.parsed.pieces[1].node.body, made.parsed, made.path).co_consts[:1]
        assert code.co_name == "f"
        whole = compile(made.text, made.path, "exec").co_consts
        (of_class,) = [const for const in whole if hasattr(const, "co_name")]
        (method,) = [const for const in of_class.co_consts if hasattr(const, "co_name")]
        assert code.co_code == method.co_code

    def test_a_string_that_is_not_first_makes_no_docstring(self):
        made = source("x = 1\n'not a docstring'\n")
        namespace: dict[str, object] = {"__doc__": None}
        for piece in made.parsed.pieces:
            exec(compile_piece(piece, made.parsed, made.path), namespace)
        assert namespace["__doc__"] is None


class TestPythonTag:
    def test_it_fits_a_claim_and_names_magic_version_level_and_gil(self):
        assert REQUEST_CLAIMS["py"].match(python_tag())
        tag = f"cpython-3{sys.version_info[1]}-o{sys.flags.optimize}-gil"
        assert python_tag() == f"{importlib.util.MAGIC_NUMBER[:2].hex()}-{tag}"

    def test_the_level_may_be_another_one(self):
        assert python_tag(2) == python_tag(0).replace("-o0-", "-o2-")
