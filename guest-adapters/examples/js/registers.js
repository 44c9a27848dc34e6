// The meter's registers: which are read for each group, and what values their words make. A value that the meter does not
// have is `{ bad: status }`.
import { Status } from "./bulkhead/js/sdk.js";

export const DEMAND_ADDRESS = 200;

const PHASE_MISSING = 1;
const CT_SATURATED = 1 << 1;
const UNIT_FAILED = 1 << 15;
const EXPONENT_MAX = 9;

/** The groups `default` and `energy`. */
export function plansOf({ ct_ratio: ct, phases }) {
  const energy = (at) => (words) => (unsigned(words.slice(at, at + 4)) * ct) / 1000;
  return [
    plan("default", [
      block(0, 1, [field("status", "integer", null, counted, (words) => words[0])]),
      block(16, phases, ofPhases(phases, "voltage", "V", ofTheUnit, (words, phase) =>
        words[phase] === 0xffff ? { bad: Status.BAD_NO_DATA } : words[phase] / 10)),
      block(32, 2 * phases, ofPhases(phases, "current", "A", ofTransformers, (words, phase) =>
        withNumber(words, 2 * phase, (number) => (number / 1000) * ct))),
      block(48, 7, ofPhases(phases, "power", "W", ofTransformers, (words, phase) =>
        withNumber(words, 2 * phase, (number) => scaled(number, (words[6] << 16) >> 16, ct)))),
      block(60, 1, [field("frequency", "real", "Hz", ofTheUnit, (words) => words[0] / 100)]),
    ]),
    plan("energy", [
      block(100, 10, [
        field("energy_import", "real", "kWh", counted, energy(0)),
        field("energy_export", "real", "kWh", counted, energy(4)),
        field("operating_time", "duration", null, counted, (words) => unsigned(words.slice(8)) * 1e9),
      ]),
      block(120, 8, [field("serial_number", "text", null, counted, textOf)]),
      {
        ...block(DEMAND_ADDRESS, 1, [field("demand_limit", "real", "kW", counted, (words) => words[0] / 100)]),
        table: "holding-register",
        write: { min: 0, max: 655.35 },
      },
    ]),
  ];
}

function plan(group, blocks) {
  for (const block of blocks) {
    for (const field of block.fields) {
      field.more = { unit: field.unit, group, write: block.write ?? null };
    }
  }
  const spans = blocks.map(({ table, address, count }) => ({ table, address, count }));
  return { group, blocks, spans, statusIndex: blocks.findIndex((block) => block.address === 0) };
}

function block(address, count, fields) {
  return { table: "input-register", address, count, fields };
}

function field(name, kind, unit, trust, decode) {
  return { name, kind, unit, trust, decode };
}

/** `voltage_l1` and so on, with one decoder that gets the phase. */
function ofPhases(phases, name, unit, trust, decode) {
  const all = Array.from({ length: phases }, (_, phase) => phase);
  return all.map((phase) => field(`${name}_l${phase + 1}`, "real", unit, trust, (words) => decode(words, phase)));
}

/** It is counted, or comes from the meter's memory: the status word says nothing of it. */
function counted() {
  return Status.GOOD;
}

/** It depends on the measuring unit and the phases; nobody says how they are where the status word did not come. */
function ofTheUnit(status) {
  if (status === undefined) {
    return Status.UNCERTAIN;
  }
  if (status & UNIT_FAILED) {
    return Status.BAD_SENSOR_FAILURE;
  }
  return status & PHASE_MISSING ? Status.UNCERTAIN : Status.GOOD;
}

/** And on the current transformers. */
function ofTransformers(status) {
  const trust = ofTheUnit(status);
  return trust < Status.BAD && status & CT_SATURATED ? Status.UNCERTAIN_SENSOR_NOT_ACCURATE : trust;
}

/** The status of a value whose registers could not be read. */
export function statusOf(fault) {
  switch (fault.code) {
    case "timeout":
      return Status.BAD_TIMEOUT;
    case "illegal-data-address":
      return Status.BAD_NODE_ID_UNKNOWN;
    default:
      return Status.BAD_COMMUNICATION_ERROR;
  }
}

/** What is made of a signed number of two words, the high one first. Its smallest says that there is none. */
function withNumber(words, at, make) {
  const number = (words[at] << 16) | words[at + 1];
  return number === -(2 ** 31) ? { bad: Status.BAD_NO_DATA } : make(number);
}

/** A number of words, the high one first. Above 2^53 it is not exact. */
function unsigned(words) {
  return words.reduce((number, word) => number * 65536 + word, 0);
}

/** A number times a power of ten, divided where it is negative: 3 / 10 is 0.3, 3 × 0.1 is not. */
function scaled(number, exponent, ct) {
  if (Math.abs(exponent) > EXPONENT_MAX) {
    return { bad: Status.BAD_DECODING_ERROR };
  }
  const power = 10 ** Math.abs(exponent);
  return (exponent < 0 ? number / power : number * power) * ct;
}

/** Two characters a word, without what fills up behind them. */
export function textOf(words) {
  const characters = words.flatMap((word) => [word >> 8, word & 0xff]);
  return String.fromCharCode(...characters).replace(/^[\0 ]+|[\0 ]+$/g, "");
}
