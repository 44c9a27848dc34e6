"""Example adapter: a three-phase energy meter over Modbus, in Python. It does what the one in Rust beside it does."""

import math

from bulkhead_sdk import Status, bad, fault, guarded, point, reading, result, settings_with
from componentize_py_types import Err
from registers import DEMAND_ADDRESS, plans_of, status_of, text_of
from wit_world.imports import log, modbus, points
from wit_world.imports.types import Remedy, Value_Real

CT_SATURATED = 1 << 1


class Meter:
    """What is kept between calls."""

    plans = []
    demand_limit = None
    saturated = False


@guarded
class Adapter:
    def start(self, settings):
        given = settings_with({"ct_ratio": 1.0, "phases": 3}, settings)
        if given["phases"] not in (1, 3):
            raise fault(Remedy.RECONFIGURE, "bad-settings", f"phases: {given['phases']}, expected 1 or 3")
        if not (given["ct_ratio"] > 0 and math.isfinite(given["ct_ratio"])):
            raise fault(Remedy.RECONFIGURE, "bad-settings", "ct_ratio: expected a number above 0")
        Meter.plans = plans_of(given["ct_ratio"], given["phases"])
        fields = [field for plan in Meter.plans for block in plan.blocks for field in block.fields]
        declared = [point(f.name, f.kind, f.unit, f.group, f.write) for f in fields]
        for field, number in zip(fields, points.declare(declared)):
            field.point = number
        Meter.demand_limit = next(field.point for field in fields if field.name == "demand_limit")

    def check(self):
        def span(address, count):
            return modbus.Span(modbus.Table.INPUT_REGISTER, address, count)

        answer = modbus.read("device", [span(0, 1), span(120, 8)])
        if answer.faults:
            raise fault_of(answer.faults[0])
        return f"meter {text_of(answer.words[1:])}, status 0x{answer.words[0]:04x}"

    def stop(self):
        pass


@guarded
class Poller:
    def poll(self, group):
        plan = next((plan for plan in Meter.plans if plan.group == group), None)
        if plan is None:
            return []
        found = words_of(modbus.read("device", plan.spans), plan.spans)
        status = plan.status_word(found)
        if status is not None:
            now = bool(status & CT_SATURATED)
            if now and not Meter.saturated:
                log.write(log.Level.WARN, f"a current transformer is saturated: status 0x{status:04x}")
            Meter.saturated = now
        return [
            reading_of(field, came, status) for block, came in zip(plan.blocks, found) for field in block.fields
        ]


@guarded
class Writer:
    def write(self, commands):
        return [result(write_one, command) for command in commands]


def write_one(command):
    if command.point != Meter.demand_limit:
        raise fault(Remedy.REJECT, "not-writable", "only demand_limit can be written")
    if not isinstance(command.value, Value_Real):
        raise fault(Remedy.REJECT, "bad-value", "demand_limit: expected a number")
    words = [math.floor(command.value.value * 100 + 0.5)]
    (done,) = modbus.write("device", [modbus.Change(modbus.Table.HOLDING_REGISTER, DEMAND_ADDRESS, words)])
    if isinstance(done, Err):
        raise done


def fault_of(refused):
    return fault(refused.fault.remedy, refused.fault.code, refused.fault.message, refused.fault.retry_after_ms)


def words_of(answer, spans):
    """The words or the fault of each span. Where nothing could be read, the first fault is that of the whole group."""
    if len(answer.faults) == len(spans):
        raise fault_of(answer.faults[0])
    found, at = [], 0
    for span in spans:
        found.append(answer.words[at : at + span.count])
        at += span.count
    for refused in answer.faults:
        found[refused.index] = refused.fault
    return found


def reading_of(field, came, status):
    if not isinstance(came, list):
        return bad(field.point, status_of(came))
    trust = field.trust(status)
    if trust >= Status.BAD:
        return bad(field.point, trust)
    value = field.decode(came)
    return bad(field.point, value) if isinstance(value, int) else reading(field.point, value, trust)
