"""``flask habanero demo``: a small shop is edited while it runs, and every worker is asked what it answers.

Each act edits a real file below a real watcher. Before it, what it is to bring about must not be so;
after it, it must be so in every worker, which must be the same processes as before and still have
what they had in memory.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from .backstage import Answer, BrokenPromiseError, Stage, stage

Echo = Callable[[str], object]
LOOK_S = 1.0  # how often it looks whether the watcher is still there
SILENCE_S = 0.05  # the rest of a message follows its first line at once
VIEWS, PRICING, MODELS = "shop/views.py", "shop/pricing.py", "shop/models.py"
CATALOG = "shop/templates/catalog.html"

OFFER = """

@bp.get("/offer")
def offer() -> dict[str, object]:
    return {"offer": "Cayenne", "gross": with_vat(300)}
"""


@dataclass(frozen=True)
class Edit:
    """Some text of a file is replaced by another; an empty one is the end of the file."""

    path: str
    old: str
    new: str


@dataclass(frozen=True)
class Claim:
    """What every worker must answer."""

    path: str
    text: str = ""
    status: int = 200

    def holds(self, answer: Answer) -> bool:
        """Whether an answer is as claimed."""
        return answer.status == self.status and self.text in answer.text

    def __str__(self) -> str:
        return f"GET {self.path:<11} {self.text or self.status}"


@dataclass(frozen=True)
class Act:
    """Something that a person does, and what is to be seen of it.

    Attributes:
        title: for the person who looks on.
        edits: what is saved, or
        command: what is typed: ``flask habanero ...``.
        shows: what watcher or command must say, as patterns, in this order.
        brings: what every worker answers after it, and not before.
        keeps: what every worker answers before it and after it.
    """

    title: str
    edits: tuple[Edit, ...] = ()
    command: tuple[str, ...] = ()
    shows: tuple[str, ...] = ()
    brings: tuple[Claim, ...] = ()
    keeps: tuple[Claim, ...] = ()


def live(path: str) -> tuple[str, ...]:
    """Return what the watcher says of a release that reached both workers."""
    return (rf"^\d\d:\d\d:\d\d  live  #\d+ +{path} .*2/2 workers$",)


OLD_TITLE = Claim("/", "<h1>The Pepper Shop</h1>")
TITLE = Claim("/", "<h1>Peppers, hot off the press</h1>")
MENDED = Claim("/", "<h1>Peppers, mended</h1>")
DUTY = (Claim("/price/1", '"gross":1090'), Claim("/product/1", "10,90 EUR"))

STORY = (
    Act(
        "The body of a view",
        (Edit(VIEWS, 'title="The Pepper Shop"', 'title="Peppers, hot off the press"'),),
        shows=live(VIEWS),
        brings=(TITLE,),
    ),
    Act(
        "A new route",
        (Edit(VIEWS, "", OFFER),),
        shows=live(VIEWS),
        brings=(Claim("/offer", '"gross":363'),),
        keeps=(TITLE,),
    ),
    Act(
        "A template",
        (Edit(CATALOG, '<ul class="catalog">', '<p>Fresh today.</p>\n<ul class="catalog">'),),
        shows=live(CATALOG),
        brings=(Claim("/", "<p>Fresh today.</p>"),),
        keeps=(TITLE,),
    ),
    Act(
        "A constant and a helper that other modules imported by name, one of them as a filter of templates",
        (
            Edit(PRICING, "VAT_PERCENT = 21", "VAT_PERCENT = 9"),
            Edit(PRICING, 'f"€{cents // 100}.{cents % 100:02}"', 'f"{cents // 100},{cents % 100:02} EUR"'),
        ),
        shows=live(PRICING),
        brings=(*DUTY, Claim("/offer", '"gross":327')),
    ),
    Act(
        "A syntax error: it never leaves the laptop",
        (Edit(VIEWS, 'title="Peppers, hot off the press"', 'title="Peppers, mended'),),
        shows=(rf"  error  {VIEWS}:\d+:\d+ .*not sent", r"title=", r"\^"),
        keeps=(TITLE,),
    ),
    Act(
        "... mended",
        (Edit(VIEWS, 'title="Peppers, mended', 'title="Peppers, mended"'),),
        shows=live(VIEWS),
        brings=(MENDED,),
    ),
    Act(
        "Another engine: no running process can be brought there, so it is refused before anything changes",
        (
            Edit(
                MODELS,
                "SQLAlchemy(model_class=Base)",
                'SQLAlchemy(model_class=Base, session_options={"autoflush": False})',
            ),
        ),
        shows=(rf"  cold  .*{MODELS}", r"shop.models:\d+", "hint: "),
        keeps=(MENDED, *DUTY),
    ),
    Act(
        "... taken back: nothing is left to send",
        (Edit(MODELS, ', session_options={"autoflush": False}', ""),),
        ("plan", "demo", "--exit-code"),
        shows=("unchanged", "Plan: 0 to send, 0 to remove"),
        keeps=(MENDED, *DUTY),
    ),
    Act(
        "A rollback, while the watcher runs",
        command=("rollback", "demo", "--yes"),
        shows=("live .*2/2 workers",),
        brings=(TITLE,),
        keeps=DUTY,
    ),
    Act(
        "... and the next save goes on from there",
        (Edit(VIEWS, 'title="Peppers, mended"', 'title="Peppers, again"'),),
        shows=live(VIEWS),
        brings=(Claim("/", "<h1>Peppers, again</h1>"),),
        keeps=DUTY,
    ),
)


def run(keep: bool, echo: Echo) -> int:
    """Show the story. Returns 0 if all of it held, else 1; with `keep` it then goes on until Ctrl-C.

    Raises:
        ConfigError: the sample app, or what it needs, is not here.
    """
    begun = time.monotonic()
    try:
        with stage() as at:
            perform(at, echo)
            asked = sum(at.server.counted.values())
            echo(f"\nAll of it held: {len(STORY)} acts, {asked} answers, {time.monotonic() - begun:.1f} s.")
            if keep:
                linger(at, echo)
    except BrokenPromiseError as error:
        echo(f"\nFAILED: {error}")
        return 1
    return 0


def perform(at: Stage, echo: Echo) -> None:
    """Play the whole story. Raises BrokenPromiseError at the first thing that does not hold."""
    check(at, (Claim("/price/1", '"gross":1210'),))  # which fills the caches
    caches = look_into_memory(at)
    echo(f"The Pepper Shop runs at {at.server.url}; its workers are {numbers(caches)}.")
    echo(f"You work on {at.laptop}.")
    show(echo, at.watcher.expect(["^watching "]))
    for number, act in enumerate(STORY, 1):
        echo(f"\n{number}. {act.title}")
        play(at, act, echo)
        if look_into_memory(at) != caches:
            raise BrokenPromiseError("these are not the workers and caches that were there before")
        echo("    ok    the same processes, with the counter and the cache that they had")


def play(at: Stage, act: Act, echo: Echo) -> None:
    """Do what an act says, and show what comes of it. Raises BrokenPromiseError."""
    check(at, act.keeps)
    for claim in act.brings:
        check_not_yet(at, claim)
    for edit in act.edits:
        show_edit(echo, edit)
    begun = save(at, act.edits)
    said = typed(at, act) if act.command else at.watcher.expect(act.shows)
    check(at, act.brings)
    took = (time.monotonic() - begun) * 1000
    check(at, act.keeps)
    show(echo, [*said, *at.watcher.lines(SILENCE_S)])
    for claim in (*act.brings, *act.keeps):
        echo(f"    ok    {claim}")
    if act.brings and not act.command:
        echo(f"    ok    {took:.0f} ms from the save to the answers of both workers")


def save(at: Stage, edits: Iterable[Edit]) -> float:
    """Change the files, each in one go. Returns when."""
    texts: dict[Path, str] = {}
    for edit in edits:
        path = at.laptop / edit.path
        text = texts.get(path) or path.read_text(encoding="utf-8")
        assert edit.old in text, edit  # the sample app and this script belong together
        texts[path] = text.replace(edit.old, edit.new) if edit.old else text + edit.new
    begun = time.monotonic()
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8")
    return begun


def typed(at: Stage, act: Act) -> list[str]:
    """Type a command; return it, and what it said. Raises BrokenPromiseError if that is not as expected."""
    code, said = at.command(*act.command)
    text = "\n".join(said)
    if code or not all(re.search(pattern, text) for pattern in act.shows):
        raise BrokenPromiseError(f"exit code {code}, and it said:\n{text}")
    return [f"$ flask habanero {' '.join(act.command)}", *said]


def check(at: Stage, claims: Iterable[Claim]) -> None:
    """Ask every worker. Raises BrokenPromiseError if one answers otherwise."""
    for claim in claims:
        for answer in at.server.ask(claim.path).values():
            if not claim.holds(answer):
                said = f"worker {answer.worker} says {answer.status}:\n{answer.text}"
                raise BrokenPromiseError(f"not {claim}; {said}")


def check_not_yet(at: Stage, claim: Claim) -> None:
    """Ask every worker. Raises BrokenPromiseError if one answers so already: the act would show nothing."""
    for answer in at.server.ask(claim.path).values():
        if claim.holds(answer):
            raise BrokenPromiseError(f"worker {answer.worker} answers {claim} before it was saved")


def look_into_memory(at: Stage) -> dict[int, int]:
    """Return each worker's pid and cache. Raises BrokenPromiseError if its counter has missed a request."""
    caches = {}
    for answer in at.server.ask("/who").values():
        seen = json.loads(answer.text)
        if seen["hits"] < at.server.counted[answer.worker] or not seen["cache_size"]:
            raise BrokenPromiseError(f"worker {answer.worker} forgot what it had in memory: {answer.text}")
        caches[answer.worker] = seen["cache_id"]
    return caches


def numbers(caches: Iterable[int]) -> str:
    """Return process ids as a person says them."""
    return " and ".join(map(str, sorted(caches)))


def show(echo: Echo, lines: Iterable[str]) -> None:
    """Show what a person would see on the screen of watcher or command."""
    for line in lines:
        echo(f"    | {line}")


def show_edit(echo: Echo, edit: Edit) -> None:
    """Show what is about to be saved."""
    echo(f"    {edit.path}")
    for sign, text in (("-", edit.old), ("+", edit.new)):
        for line in text.strip().splitlines():
            echo(f"    {sign} {line}")


def linger(at: Stage, echo: Echo) -> None:
    """Leave it running, and show what the watcher says, until Ctrl-C."""
    echo(f"\nIt goes on running. Open  {at.server.url}")
    echo(f"Edit  {at.laptop / VIEWS}  and save: the watcher speaks below.")
    echo("Ctrl-C ends it and removes its files.\n")
    with suppress(KeyboardInterrupt):
        while at.watcher.process.poll() is None:
            show(echo, at.watcher.lines(LOOK_S))
