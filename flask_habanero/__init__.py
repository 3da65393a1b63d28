"""Saved code goes live in a running Flask app: signed, on every worker, without a restart."""

__version__ = "0.1.0"
