"""Errors that a user can act on. The CLI prints their message alone and exits with 2."""

from __future__ import annotations


class BackpromptError(Exception):
    """Something in the user's hands is wrong; the message names it and says what to do."""
