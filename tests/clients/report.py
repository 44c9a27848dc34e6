"""How a client's program says what each of its checks came to: `ok what` or `not ok what: reason`, and at the end their number."""

import os
import sys

_outcomes = []


def check(what, work):
    """Does one check; what it raises is why it failed."""
    try:
        work()
    except Exception as error:  # noqa: BLE001: whatever goes wrong is what the check found
        _outcomes.append(False)
        reason = " ".join(f"{type(error).__name__} {error}".split())[:1000]
        print(f"not ok {what}: {reason}", flush=True)
    else:
        _outcomes.append(True)
        print(f"ok {what}", flush=True)


def equal(found, wanted, what="value"):
    """Raises unless both are the same."""
    if found != wanted:
        raise AssertionError(f"{what} is {found!r}, not {wanted!r}")


def refusal(work):
    """What is raised by work that must be refused, as text."""
    try:
        work()
    except Exception as error:  # noqa: BLE001: the kind of error is the client's
        return f"{type(error).__name__} {error}"
    raise AssertionError("it was not refused")


def contains(text, *parts):
    """Raises unless a text contains these."""
    for part in parts:
        if part not in text:
            raise AssertionError(f"`{part}` is not in {text[:800]}")


def variable(name):
    """A variable of the environment."""
    return os.environ[name]


def summary():
    """Says how many checks there were, and ends the program."""
    print(f"checks {len(_outcomes)}", flush=True)
    sys.exit(0 if all(_outcomes) else 1)
