"""The meter's registers: which are read for each group, and what values their words make. A value that the meter does not
have is the status that says why."""

from bulkhead_sdk import Status
from wit_world.imports.modbus import Span, Table
from wit_world.imports.types import Kind, Value_Duration, Value_Integer, Value_Real, Value_Text, WriteLimits

DEMAND_ADDRESS = 200

PHASE_MISSING = 1
CT_SATURATED = 1 << 1
UNIT_FAILED = 1 << 15
EXPONENT_MAX = 9


class Field:
    """One point of a block."""

    def __init__(self, name, kind, unit, trust, decode, write=None):
        self.name, self.kind, self.unit = name, kind, unit
        self.trust, self.decode, self.write = trust, decode, write
        self.group = self.point = None


class Block:
    """Registers read as one span, and the points in them."""

    def __init__(self, address, count, fields, table=Table.INPUT_REGISTER):
        self.span, self.fields = Span(table, address, count), fields


class Plan:
    """A poll group."""

    def __init__(self, group, blocks):
        self.group, self.blocks = group, blocks
        self.spans = [block.span for block in blocks]
        for block in blocks:
            for field in block.fields:
                field.group = group

    def status_word(self, found):
        """The status word, where this group reads it and it came."""
        for block, came in zip(self.blocks, found):
            if block.span.address == 0 and isinstance(came, list):
                return came[0]
        return None


def plans_of(ct, phases):
    """The groups `default` and `energy`."""

    def energy(at):
        return lambda words: Value_Real(unsigned(words[at : at + 4]) * ct / 1000)

    def voltage(words, phase):
        return Status.BAD_NO_DATA if words[phase] == 0xFFFF else Value_Real(words[phase] / 10)

    def current(words, phase):
        number = signed(words[2 * phase : 2 * phase + 2])
        return Status.BAD_NO_DATA if number is None else Value_Real(number / 1000 * ct)

    def power(words, phase):
        number = signed(words[2 * phase : 2 * phase + 2])
        return Status.BAD_NO_DATA if number is None else scaled(number, words[6], ct)

    default = [
        Block(0, 1, [Field("status", Kind.INTEGER, None, counted, lambda words: Value_Integer(words[0]))]),
        Block(16, phases, of_phases(phases, "voltage", "V", of_the_unit, voltage)),
        Block(32, 2 * phases, of_phases(phases, "current", "A", of_transformers, current)),
        Block(48, 7, of_phases(phases, "power", "W", of_transformers, power)),
        Block(60, 1, [Field("frequency", Kind.REAL, "Hz", of_the_unit, lambda words: Value_Real(words[0] / 100))]),
    ]
    registers = [
        Field("energy_import", Kind.REAL, "kWh", counted, energy(0)),
        Field("energy_export", Kind.REAL, "kWh", counted, energy(4)),
        Field(
            "operating_time", Kind.DURATION, None, counted, lambda words: Value_Duration(unsigned(words[8:]) * 10**9)
        ),
    ]
    limit = Field(
        "demand_limit",
        Kind.REAL,
        "kW",
        counted,
        lambda words: Value_Real(words[0] / 100),
        WriteLimits(0.0, 655.35),
    )
    energy_blocks = [
        Block(100, 10, registers),
        Block(120, 8, [Field("serial_number", Kind.TEXT, None, counted, lambda words: Value_Text(text_of(words)))]),
        Block(DEMAND_ADDRESS, 1, [limit], Table.HOLDING_REGISTER),
    ]
    return [Plan("default", default), Plan("energy", energy_blocks)]


def of_phases(phases, name, unit, trust, decode):
    """`voltage_l1` and so on, with one decoder that gets the phase."""

    def one(phase):
        return Field(f"{name}_l{phase + 1}", Kind.REAL, unit, trust, lambda words: decode(words, phase))

    return [one(phase) for phase in range(phases)]


def counted(_status):
    """It is counted, or comes from the meter's memory: the status word says nothing of it."""
    return Status.GOOD


def of_the_unit(status):
    """It depends on the measuring unit and the phases; nobody says how they are where the status word did not come."""
    if status is None:
        return Status.UNCERTAIN
    if status & UNIT_FAILED:
        return Status.BAD_SENSOR_FAILURE
    return Status.UNCERTAIN if status & PHASE_MISSING else Status.GOOD


def of_transformers(status):
    """And on the current transformers."""
    trust = of_the_unit(status)
    saturated = status is not None and status & CT_SATURATED
    return Status.UNCERTAIN_SENSOR_NOT_ACCURATE if trust < Status.BAD and saturated else trust


def status_of(fault):
    """The status of a value whose registers could not be read."""
    known = {"timeout": Status.BAD_TIMEOUT, "illegal-data-address": Status.BAD_NODE_ID_UNKNOWN}
    return known.get(fault.code, Status.BAD_COMMUNICATION_ERROR)


def signed(words):
    """A signed number of two words, the high one first. Its smallest says that there is none."""
    number = words[0] << 16 | words[1]
    number -= (number >> 31) << 32
    return None if number == -(2**31) else number


def unsigned(words):
    """A number of words, the high one first."""
    number = 0
    for word in words:
        number = number << 16 | word
    return number


def scaled(number, exponent, ct):
    """A number times a power of ten, divided where it is negative: 3 / 10 is 0.3, 3 × 0.1 is not."""
    exponent -= (exponent >> 15) << 16
    if abs(exponent) > EXPONENT_MAX:
        return Status.BAD_DECODING_ERROR
    power = 10 ** abs(exponent)
    return Value_Real((number / power if exponent < 0 else number * power) * ct)


def text_of(words):
    """Two characters a word, without what fills up behind them."""
    return bytes(byte for word in words for byte in divmod(word, 256)).decode("utf-8", "replace").strip("\0 ")
