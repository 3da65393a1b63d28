"""How each step of a plan is done, in a sentence for people.

Told from the steps that a commit would run. Executes nothing.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator

from . import steps
from .diff import title
from .plan import Action, Plan, Step

BODY = "the new body goes into the function that there is; whoever has it keeps it"
HEADER = "its defaults, annotations and docstring go into the function that there is"
DECORATORS = "its decorators run again on the function that there is; what they had registered ends"
MEMBERS = "members are exchanged in the class that there is; its objects stay"
MAPPED = "its mapper learns of what is new"
BASES = "the class that there is derives from others; its objects stay"
PART = "runs where the factory's run left off, on the app that there is"
GONE = "its name goes, and what it had registered"
ONCE = "runs once, where a cold start comes to it"
REGISTERS = "runs once; what it registers stands where a cold start has it"
AGAIN = "runs again as it stands, since it reads what changes"
ANEW = "runs again as it is now written; who read it before follows"
REMADE = "a class made anew takes its place, wherever the old one was"
SETTLED = "nothing has to run"
UNLOADED = {
    "new module": "nothing of it runs until something imports it",
    "not loaded yet": "nothing of it runs until something imports it: then it is the new one",
    "-module": "it goes from where modules are kept; what it had registered ends",
}
ASSETS = {
    "+template": "it is found from then on",
    "~template": "Jinja compiles it anew when it is asked for next, and what extends it",
    "-template": "it is not found any more",
    "+static": "it is served from then on",
    "~static": "it is served in the place of the one before, with another ETag",
    "-static": "it is not found any more",
}
MEMOS = "what functions had remembered (lru_cache, cached_property) of what changes is forgotten"
_Facts = dict[tuple[str, str], list[str]]


def mechanisms(plan: Plan) -> dict[str, list[str]]:
    """Return path -> for each word of its step "index: how it is done"; under "" what is true of all."""
    facts: _Facts = defaultdict(list)
    for swap in plan.swaps:
        function = swap.functions[0]
        facts[function.__module__, function.__qualname__].append(BODY)
    ran: set[tuple[str, str]] = set()
    for action in plan.actions:
        unit, line = _place(action)
        statement = _statement(plan, unit, line)
        for subject, sentence in _told(action.step, statement):
            facts[unit, subject].append(sentence)
        if isinstance(action.step, steps.Run):
            ran.add((unit, statement))
    found = {step.path: _of_step(plan, step, facts, ran) for step in plan.steps}
    return {**found, **({"": [MEMOS]} if plan.clear else {})}


def _place(action: Action) -> tuple[str, int]:
    unit, _, line = action.where.rpartition(":")
    return (unit, int(line)) if line.isdecimal() else (action.where, 0)


def _statement(plan: Plan, unit: str, line: int) -> str:
    """Return what people call the statement that a line is in."""
    source = plan.target.get(unit)
    pieces = [piece for piece in source.parsed.pieces if piece.line <= line] if source and line else []
    return title(pieces[-1]) if pieces else ""


def _told(step: object, statement: str) -> Iterator[tuple[str, str]]:
    """Yield what a step says of which name."""
    if isinstance(step, steps.Members):
        yield step.cls.__name__, MEMBERS
        if isinstance(step, steps.Grow) and step.told:
            yield step.cls.__name__, MAPPED
    elif isinstance(step, steps.Derive):
        yield step.cls.__name__, BASES
    elif isinstance(step, steps.Conform):
        yield step.name, HEADER
    elif isinstance(step, steps.Decorate):
        yield step.name, DECORATORS
    elif isinstance(step, steps.Part):
        yield statement, PART


def _of_step(plan: Plan, step: Step, facts: _Facts, ran: set[tuple[str, str]]) -> list[str]:
    lines = []
    for word in step.words:
        subject = word[1:] if word[:1] in "+~=-" else word
        outer = subject.partition(".")[0]
        places = ((step.module, subject), ("__main__", subject), (step.module, outer))
        known = next((facts[place] for place in places if place in facts), ())
        if not step.module and word in ASSETS:
            lines.append(f"{subject}: {ASSETS[word]}")
        elif word in UNLOADED:
            lines.append(f"{word.removeprefix('-')}: {UNLOADED[word]}")
        elif known:
            lines.append(f"{subject}: {'; '.join(dict.fromkeys(known))}")
        elif word[:1] in "+~=-":
            lines.append(f"{subject}: {_by_mark(plan, step.module, word, (step.module, subject) in ran)}")
    return lines


def _by_mark(plan: Plan, unit: str, word: str, is_run: bool) -> str:
    """Return what is true of a statement of which no step says more than that it runs, or does not."""
    mark, subject = word[0], word[1:]
    source = plan.target.get(unit)
    nodes = [piece.node for piece in source.parsed.pieces if title(piece) == subject] if source else []
    if mark == "-":
        return GONE
    if mark == "+":
        return REGISTERS if any(getattr(node, "decorator_list", ()) for node in nodes) else ONCE
    if not is_run:
        return SETTLED
    if any(isinstance(node, ast.ClassDef) for node in nodes):
        return REMADE
    return AGAIN if mark == "=" else ANEW
