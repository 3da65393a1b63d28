"""Who is asking."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from flask import g, redirect, url_for
from flask.typing import ResponseReturnValue

P = ParamSpec("P")
R = TypeVar("R", bound=ResponseReturnValue)


def login_required(view: Callable[P, R]) -> Callable[P, ResponseReturnValue]:
    @wraps(view)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> ResponseReturnValue:
        if g.customer is None:
            return redirect(url_for("account.login"))
        return view(*args, **kwargs)

    return wrapped
