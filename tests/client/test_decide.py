"""Whose edit wins."""

import pytest
from flask_habanero.client.decide import ABSENT, Decision, decide, disputed, hold
from flask_habanero.client.history import is_taken_back, makers
from flask_habanero.client.memory import Memory
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

TABLE = [
    # mine, theirs, agreed -> place
    ("a", "a", "a", "same"),
    ("a", "a", None, "same"),
    ("b", "b", "a", "same"),
    ("b", "a", "a", "send"),
    ("b", "", None, "send"),
    ("b", "", "", "send"),
    ("", "a", "a", "delete"),
    ("a", "b", "a", "newer"),
    ("a", "", "a", "newer"),
    ("", "b", "", "newer"),
    ("b", "c", "a", "conflicts"),
    ("", "c", "a", "conflicts"),
    ("b", "", "a", "conflicts"),
    ("a", "b", None, "differs"),
    ("", "b", None, "foreign"),
]


@pytest.mark.parametrize(("mine", "theirs", "agreed", "place"), TABLE)
def test_each_case_has_its_place(mine, theirs, agreed, place):
    def one(digest):
        return {} if digest in ("", None) else {"m": digest}

    remembered = {} if agreed is None else {"m": agreed}
    assert decide(one(mine), one(theirs), remembered) == Decision(**{place: ("m",)})


def test_what_is_held_neither_goes_nor_is_deleted():
    decision = Decision(send=("a", "b"), delete=("c",))
    assert hold(decision, {"b", "c", "x"}) == Decision(send=("a",), held=("b", "c"))


def test_a_module_that_neither_side_gave_is_no_truth_of_this_tree():
    """`--sync` deletes only what the ledger has had: the rest of the server is never touched."""
    decision = Decision(foreign=("deployed", "pushed"), newer=("n",), conflicts=("c",), differs=("d",))
    assert disputed(decision, {"pushed"}) == {"pushed", "n", "c", "d"}


class Laptop:
    def __init__(self):
        self.tree: dict[str, str] = {}
        self.memory = Memory().met("app", "epoch", 0)
        self.had: dict[str, set[str]] = {}


NAMES = st.sampled_from(["a", "b"])
WHO = st.integers(0, 2)


class NobodyIsUndone(RuleBasedStateMachine):
    """Three laptops, one server, rollbacks: what a push replaces, its sender once had in the tree."""

    def __init__(self):
        super().__init__()
        self.laptops = [Laptop() for _ in range(3)]
        self.server: dict[str, str] = {}
        self.history: list[dict[str, str]] = [{}]
        self.log: list[dict] = []
        self.count = 0

    @rule(who=WHO, name=NAMES)
    def edit(self, who, name):
        self.count += 1
        self._set(self.laptops[who], name, f"content {self.count}")

    @rule(who=WHO, name=NAMES)
    def delete(self, who, name):
        self._set(self.laptops[who], name, ABSENT)

    def _set(self, laptop, name, digest):
        laptop.tree.pop(name, None)
        if digest:
            laptop.tree[name] = digest
        laptop.had.setdefault(name, {ABSENT}).add(digest)

    @rule(who=WHO, name=NAMES)
    def merge(self, who, name):
        """A person brings the server's version into the tree, as git would."""
        self._set(self.laptops[who], name, self.server.get(name, ABSENT))

    @rule(back=st.integers(1, 3))
    def rollback(self, back):
        number = max(0, len(self.history) - 1 - back)
        self.server = dict(self.history[number])
        self._record("rollback", (), f"back to #{number}")

    def _record(self, kind, modules, note=""):
        self.history.append(dict(self.server))
        record = {"number": len(self.history) - 1, "kind": kind, "who": "", "time": 0, "note": note}
        self.log.append({**record, "modules": list(modules)})

    @rule(who=WHO)
    def push(self, who):
        laptop = self.laptops[who]
        decision = decide(laptop.tree, self.server, laptop.memory.agreed)
        decision = self._after_rollbacks(laptop, decision)
        laptop.memory = laptop.memory.agree({n: laptop.tree.get(n, ABSENT) for n in decision.same})
        for name in (*decision.send, *decision.delete):
            replaced = self.server.get(name, ABSENT)
            assert replaced in laptop.had[name], f"{name}: {replaced!r} was never seen by laptop {who}"
            self.server.pop(name, None)
            if name in laptop.tree:
                self.server[name] = laptop.tree[name]
        sent = (*decision.send, *decision.delete)
        laptop.memory = laptop.memory.agree({n: laptop.tree.get(n, ABSENT) for n in sent})
        self._record("push", sent)

    def _after_rollbacks(self, laptop, decision):
        """As desk.py does it: what a rollback took back may be sent again by an explicit push."""
        made = makers(self.log, 0)
        back = {}
        for name in (*decision.newer, *decision.conflicts):
            theirs = self.server.get(name, ABSENT)
            if theirs in (ABSENT, *laptop.memory.past.get(name, ())) and is_taken_back(made.get(name)):
                back[name] = theirs
        laptop.memory = laptop.memory.rolled_back(back)
        again = decide(laptop.tree, self.server, laptop.memory.agreed)
        resent = {*again.send, *again.delete} - {*decision.send, *decision.delete}
        assert all(made[name]["kind"] == "rollback" for name in resent)  # nobody's edit, a person's rollback
        return again

    @invariant()
    def what_was_agreed_was_once_in_the_tree(self):
        for laptop in self.laptops:
            for name, digest in laptop.memory.agreed.items():
                assert digest in laptop.had.get(name, {ABSENT})


NobodyIsUndone.TestCase.settings = settings(max_examples=200, stateful_step_count=30, deadline=None)
TestNobodyIsUndone = NobodyIsUndone.TestCase
