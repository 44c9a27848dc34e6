"""What an adapter in Python uses besides the interfaces themselves: faults, readings, statuses, and a guard that tells the
journal what was raised and where."""

import json
import math

from componentize_py_types import Err, Ok
from wit_world.imports import log
from wit_world.imports.types import (
    Fault,
    PointInfo,
    Reading,
    Remedy,
    Value_Real,
)


class Status:
    """How far a value can be trusted: OPC UA StatusCodes. An open set: any number may be used."""

    GOOD = 0x00000000
    UNCERTAIN = 0x40000000
    UNCERTAIN_LAST_USABLE_VALUE = 0x40900000
    UNCERTAIN_SENSOR_NOT_ACCURATE = 0x40930000
    BAD = 0x80000000
    BAD_INTERNAL_ERROR = 0x80020000
    BAD_COMMUNICATION_ERROR = 0x80050000
    BAD_DECODING_ERROR = 0x80070000
    BAD_TIMEOUT = 0x800A0000
    BAD_NODE_ID_UNKNOWN = 0x80340000
    BAD_OUT_OF_RANGE = 0x803C0000
    BAD_TYPE_MISMATCH = 0x80740000
    BAD_CONFIGURATION_ERROR = 0x80890000
    BAD_NOT_CONNECTED = 0x808A0000
    BAD_DEVICE_FAILURE = 0x808B0000
    BAD_SENSOR_FAILURE = 0x808C0000
    BAD_NO_DATA = 0x809B0000


def fault(remedy, code, message, retry_after_ms=None):
    """A fault to raise. `remedy` is one of `Remedy`."""
    return Err(Fault(remedy, code, message, retry_after_ms))


def point(name, kind, unit=None, group=None, write=None, description=None):
    """A point to declare."""
    return PointInfo(name, kind, unit, group, write, description)


def reading(point, value, status=Status.GOOD):
    """A reading with a value such as `Value_Real(12.5)`. A number that is not finite is Bad and has no value."""
    if isinstance(value, Value_Real) and not math.isfinite(value.value):
        return bad(point, Status.BAD_NO_DATA if math.isnan(value.value) else Status.BAD_OUT_OF_RANGE)
    return Reading(point, None, status, value)


def bad(point, status):
    """A reading without a value."""
    return Reading(point, None, status, None)


def settings_with(defaults, text):
    """The settings, with what they leave out. A key that the adapter does not have is a fault."""
    given = json.loads(text)
    for key, value in given.items():
        if key not in defaults:
            known = ", ".join(defaults)
            raise _bad_settings(f"settings.{key}: unknown setting, expected one of {known}")
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        wanted = type(defaults[key])
        if not (number if wanted in (int, float) else isinstance(value, wanted)):
            raise _bad_settings(f"settings.{key}: expected a {'number' if wanted in (int, float) else wanted.__name__}")
    return {**defaults, **given}


def _bad_settings(message):
    return fault(Remedy.RECONFIGURE, "bad-settings", message)


def result(work, *given):
    """One result of a list of results: `Ok`, or the fault that `work` raises."""
    try:
        work(*given)
        return Ok(None)
    except Exception as raised:  # noqa: BLE001 - whatever it is, the others of the list go on
        return _as_fault(raised)


def guarded(role):
    """A class whose methods tell the journal of what they raise that is no fault, with its place, and make a fault of it."""
    for name, method in list(vars(role).items()):
        if callable(method) and not name.startswith("_"):
            setattr(role, name, _guarded(method))
    return role


def _guarded(method):
    def call(*given):
        try:
            return method(*given)
        except Exception as raised:  # noqa: BLE001 - an exception that leaves the adapter would end the instance
            raise _as_fault(raised) from None

    return call


def _as_fault(raised):
    if isinstance(raised, Err):
        return raised
    said = f"{type(raised).__name__}: {raised}"
    log.write(log.Level.ERROR, f"the adapter raised {said}{_place(raised.__traceback__)}")
    return fault(Remedy.RETRY, "exception", said)


def _place(trace):
    """Where it was raised. The module `traceback` would look for the source, and there are no files."""
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return ""
    return f" at {trace.tb_frame.f_code.co_filename.rsplit('/', 1)[-1]}:{trace.tb_lineno}"
