"""Commands: ``flask --app wsgi seed``."""

import click
from flask.cli import with_appcontext

from .models import create_and_seed


@click.command()
@with_appcontext
def seed() -> None:
    """Put the products and the first customer where they are missing."""
    click.echo(f"{create_and_seed()} rows added")
