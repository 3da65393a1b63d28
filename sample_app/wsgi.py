"""The app for a WSGI server: ``gunicorn -w 2 wsgi:app``."""

from shop import create_app

app = create_app()
