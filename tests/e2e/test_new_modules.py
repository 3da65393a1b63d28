"""A new module beside `app.py`: it goes live with what imports it, whatever is saved first."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import Serve
from tests.e2e.laptops import Clone

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def test_a_new_module_beside_the_app_goes_live_with_what_imports_it(serve: Serve, clone: Clone) -> None:
    server = serve("-w", "2")
    server.ask_all(2)
    laptop = clone(server)
    watch = laptop.watch().ready()
    laptop.save('def first():\n    return "of the first"\n', "first")  # nothing imports it yet
    laptop.edit('return "one"', "import first\n\n    return first.first()")
    event = watch.next()
    assert (event["outcome"], event["files"]) == ("live", ["app.py", "first.py"]), event
    assert server.texts(2) == {"of the first"}

    text = laptop.read().replace("import first\n\n    return first.first()", "return second.second()")
    laptop.save(f"import second\n{text}")
    refused = watch.next()
    assert (refused["outcome"], refused["files"]) == ("cold", ["app.py"]), refused
    laptop.save('from third import WORD\n\n\ndef second():\n    return f"of the {WORD}"\n', "second")
    refused = watch.next()
    assert refused["outcome"] == "cold", refused
    laptop.save('WORD = "third"\n', "third")
    event = watch.next()
    assert (event["outcome"], event["files"]) == ("live", ["app.py", "second.py", "third.py"]), event
    assert server.texts(2) == {"of the third"}

    laptop.save('WORD = "third, and changed"\n', "third")
    assert watch.next()["files"] == ["third.py"]
    assert server.texts(2) == {"of the third, and changed"}
    done = laptop.push()
    assert (done.code, done.last["outcome"]) == (0, "unchanged"), done.said
