"""Patches: whatever the two sides are, `git apply` makes the one the other."""

import subprocess

import pytest
from flask_habanero.client.patch import FileChange, dressed, unified
from flask_habanero.errors import RefusedError
from flask_habanero.source import decode_source
from hypothesis import example, given, settings
from hypothesis import strategies as st


def applied(folder, changes):
    """Return what `git apply` makes of the old files: path -> bytes."""
    for change in changes:
        path = folder / change.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        if change.old is not None:
            path.write_bytes(change.old)
    patch = unified(changes)
    if patch:
        done = subprocess.run(
            ["git", "apply", "--whitespace=nowarn", "-"],
            cwd=folder,
            input=patch,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, (done.stderr, patch)
    paths = ((change.path, folder / change.path) for change in changes)
    return {name: path.read_bytes() if path.exists() else None for name, path in paths}


def test_what_git_itself_would_write():
    old = b"".join(b"line %d\n" % n for n in range(1, 13))
    new = old.replace(b"line 6\n", b"line six\n").replace(b"line 12\n", b"line 12")
    assert unified([FileChange("shop/views.py", old, new)]).decode() == (
        "diff --git a/shop/views.py b/shop/views.py\n"
        "--- a/shop/views.py\n"
        "+++ b/shop/views.py\n"
        "@@ -3,10 +3,10 @@\n"
        " line 3\n line 4\n line 5\n-line 6\n+line six\n line 7\n line 8\n line 9\n line 10\n line 11\n"
        "-line 12\n+line 12\n\\ No newline at end of file\n"
    )
    assert unified([FileChange("a.py", None, b"x = 1\n")]).decode() == (
        "diff --git a/a.py b/a.py\nnew file mode 100644\n--- /dev/null\n+++ b/a.py\n@@ -0,0 +1 @@\n+x = 1\n"
    )
    assert unified([FileChange("a.py", b"", None)]).decode() == (
        "diff --git a/a.py b/a.py\ndeleted file mode 100644\n"
    )
    assert unified([FileChange("a.py", b"x\n", b"x\n")]) == b""


NAMES = [
    "app.py",
    "src/shop/views.py",
    "my code/app.py",
    "straße/app.py",
    'odd "name"\\/a.py',
    "tab\there.py",
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("old", "new"),
    [(b"x = 1\n", b"x = 2\n"), (None, b"x = 1\n"), (b"x = 1", None), (None, b""), (b"", None), (b"", b"x")],
)
def test_git_takes_any_name_and_any_end(tmp_path, name, old, new):
    assert applied(tmp_path, [FileChange(name, old, new)]) == {name: new}


PICTURES = [b"\x89PNG\0" + bytes(range(256)) * 3, b"\0", b"\0" * 5000 + b"end", bytes(range(256)) * 20]


@pytest.mark.parametrize("name", [*NAMES, "static/logo.png"])
@pytest.mark.parametrize(
    ("old", "new"),
    [
        (PICTURES[0], PICTURES[1]),
        (None, PICTURES[2]),
        (PICTURES[3], None),
        (b"text\n", PICTURES[0]),
        (b"", b"\0"),
    ],
)
def test_git_takes_what_is_no_text(tmp_path, name, old, new):
    assert applied(tmp_path, [FileChange(name, old, new), FileChange("a.py", b"x\n", b"y\n")]) == {
        name: new,
        "a.py": b"y\n",
    }


def test_a_person_is_told_the_sizes_of_what_is_no_text():
    changes = [
        FileChange("a.png", PICTURES[0], PICTURES[3]),
        FileChange("new.png", None, b"\0"),
        FileChange("b.css", b"x\n", b"y\n"),
    ]
    assert unified(changes, shown=True).decode() == (
        "diff --git a/a.png b/a.png\nBinary files a/a.png and b/a.png differ: 773 bytes -> 5.0 KB\n"
        "diff --git a/new.png b/new.png\nnew file mode 100644\n"
        "Binary files a/new.png and b/new.png differ: 1 bytes\n"
        "diff --git a/b.css b/b.css\n--- a/b.css\n+++ b/b.css\n@@ -1 +1 @@\n-x\n+y\n"
    )


lines = st.lists(
    st.sampled_from(["a", "b", "", "\t", "\x0c", "\x1c", "ä = 'ü'", "# \U0001f336", "x\x0by", "\u2028"]),
    max_size=12,
)
ends = st.sampled_from(["\n", "\r\n"])


@st.composite
def files(draw):
    """Bytes of a file, or None: any mixture of line ends, with and without a last one."""
    if draw(st.integers(0, 6)) == 0:
        return None
    text = "".join(line + draw(ends) for line in draw(lines))
    return (text if draw(st.booleans()) else text.rstrip("\r\n")).encode()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(files(), files()), min_size=1, max_size=6))
def test_git_makes_the_old_files_the_new_ones(tmp_path_factory, pairs):
    changes = [FileChange(f"m{n}.py", old, new) for n, (old, new) in enumerate(pairs)]
    folder = tmp_path_factory.mktemp("patched")
    assert applied(folder, changes) == {change.path: change.new for change in changes}


LATIN = "# -*- coding: latin-1 -*-\nname = 'Zoë'\n"
FORMS = [
    (b"x = 1\r\ny = 2\r\n", "x = 1\ny = 3\n", b"x = 1\r\ny = 3\r\n"),
    (b"x = 1\r\ny = 2\n", "x = 1\ny = 2\nz = 3\n", b"x = 1\r\ny = 2\nz = 3\n"),
    (b"\xef\xbb\xbfx = 1\n", "x = 2\n", b"\xef\xbb\xbfx = 2\n"),
    (LATIN.encode("latin-1"), LATIN + "city = 'Köln'\n", (LATIN + "city = 'Köln'\n").encode("latin-1")),
    (b"name = 'x'\n", LATIN, LATIN.encode("latin-1")),
    (LATIN.encode("latin-1"), "name = 'Zoë'\n", "name = 'Zoë'\n".encode()),
    (b"x = 1\n", "x = 1", b"x = 1"),
    (b"\xff\xfe", "x = 1\n", b"x = 1\n"),
    (None, "x = 'ü'\n", "x = 'ü'\n".encode()),
    (b"", "x = 1\n", b"x = 1\n"),
    (b"# coding: rot13\nk = 1\n", "x = 1\n", b"x = 1\n"),
    (b"x = 1\ry = 2\r", "x = 1\ny = 3\n", b"x = 1\ry = 3\n"),
]


@pytest.mark.parametrize(("like", "text", "wanted"), FORMS)
def test_a_source_is_dressed_as_its_file_is(like, text, wanted):
    assert dressed(text, like) == wanted
    assert decode_source(wanted) == text


@given(files().filter(bool), st.text(st.sampled_from("ab \n#ü\U0001f336"), max_size=40))
@example(b"a\r\n", "")
def test_whatever_it_is_dressed_as_is_read_as_the_same_source(like, text):
    assert decode_source(dressed(text, like)) == text


@given(files().filter(bool))
def test_a_file_is_its_own_form(data):
    """So what did not change is in no patch, whatever its line ends are."""
    assert dressed(decode_source(data), data) == data


@pytest.mark.parametrize("encoding", ["ascii", "rot13"])
def test_a_text_that_no_file_can_have_is_refused(encoding):
    with pytest.raises(RefusedError, match=f"can't be written as {encoding}"):
        dressed(f"# -*- coding: {encoding} -*-\nx = 'ü'\n", None)
