"""The error of settings that cannot be used."""


class CannotServe(Exception):
    """The settings cannot be used on this machine; the text is for the user."""
