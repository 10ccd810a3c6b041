"""What a rule returns when it holds."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong or less than it could be: a short name, the cause in words, one command to paste."""

    name: str
    cause: str
    command: str
