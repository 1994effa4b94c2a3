"""Linecall: a few experts label the few examples that matter."""

__version__ = "0.1.0"
