// What an adapter in JavaScript uses besides the interfaces themselves: faults, readings, statuses, and a guard that tells
// the journal what was thrown and where.
import * as log from "bulkhead:adapter/log@0.1.0";

/** How far a value can be trusted: OPC UA StatusCodes. An open set: any number may be used. */
export const Status = Object.freeze({
  GOOD: 0x00000000,
  UNCERTAIN: 0x40000000,
  UNCERTAIN_LAST_USABLE_VALUE: 0x40900000,
  UNCERTAIN_SENSOR_NOT_ACCURATE: 0x40930000,
  BAD: 0x80000000,
  BAD_INTERNAL_ERROR: 0x80020000,
  BAD_COMMUNICATION_ERROR: 0x80050000,
  BAD_DECODING_ERROR: 0x80070000,
  BAD_TIMEOUT: 0x800a0000,
  BAD_NODE_ID_UNKNOWN: 0x80340000,
  BAD_OUT_OF_RANGE: 0x803c0000,
  BAD_TYPE_MISMATCH: 0x80740000,
  BAD_CONFIGURATION_ERROR: 0x80890000,
  BAD_NOT_CONNECTED: 0x808a0000,
  BAD_DEVICE_FAILURE: 0x808b0000,
  BAD_SENSOR_FAILURE: 0x808c0000,
  BAD_NO_DATA: 0x809b0000,
});

/** A fault to throw. `remedy` is `retry`, `reconnect`, `reject` or `reconfigure`. */
export function fault(remedy, code, message, retryAfterMs = null) {
  return { remedy, code, message, retryAfterMs };
}

/** A point to declare; `more` may have unit, group, write ({ min, max }) and description. */
export function point(name, kind, more = {}) {
  return { name, kind, unit: null, group: null, write: null, description: null, ...more };
}

/** A reading with a value of a kind: `reading(point, "real", 12.5)`. A number that is not finite is Bad and has no value. */
export function reading(point, kind, value, status = Status.GOOD) {
  if (kind === "real" && !Number.isFinite(value)) {
    return bad(point, Number.isNaN(value) ? Status.BAD_NO_DATA : Status.BAD_OUT_OF_RANGE);
  }
  return { point, time: null, status: word(status), value: { tag: kind, val: value } };
}

/** A reading without a value. */
export function bad(point, status) {
  return { point, time: null, status: word(status), value: null };
}

/** A status as componentize-qjs takes it: of a number of 32 bits with the highest one set it makes another one. */
function word(status) {
  return status | 0;
}

/** The settings, with what they leave out. A key that the adapter does not have is a fault. */
export function settingsWith(defaults, json) {
  const given = JSON.parse(json);
  for (const key of Object.keys(given)) {
    if (!(key in defaults)) {
      const known = Object.keys(defaults).join(", ");
      throw fault("reconfigure", "bad-settings", `settings.${key}: unknown setting, expected one of ${known}`);
    }
    if (typeof given[key] !== typeof defaults[key]) {
      throw fault("reconfigure", "bad-settings", `settings.${key}: expected a ${typeof defaults[key]}`);
    }
  }
  return { ...defaults, ...given };
}

const encoder = { encode: (text) => Uint8Array.from(unescape(encodeURIComponent(text)), (c) => c.charCodeAt(0)) };

/** A text as bytes, UTF-8. */
export function bytes(text) {
  return encoder.encode(text);
}

/** Bytes as a text, UTF-8; what is none becomes U+FFFD. */
export function text(bytes) {
  let latin = "";
  for (const byte of bytes) {
    latin += String.fromCharCode(byte);
  }
  try {
    return decodeURIComponent(escape(latin));
  } catch {
    return latin.replace(/[^\x00-\x7f]/g, "\ufffd");
  }
}

/** One result of a list of results: what `work` returns, or the fault that it throws. */
export function result(work) {
  try {
    work();
    return { tag: "ok" };
  } catch (thrown) {
    return { tag: "err", val: asFault(thrown) };
  }
}

/** A role whose functions tell the journal of what they throw that is no fault, with its place, and make a fault of it. */
export function guarded(role) {
  const functions = Object.entries(role).map(([name, work]) => [
    name,
    (...given) => {
      try {
        return work(...given);
      } catch (thrown) {
        throw asFault(thrown);
      }
    },
  ]);
  return Object.fromEntries(functions);
}

/** The fault in what was caught: one that a role threw, or one that a function of the host brought. Else the journal is told. */
export function asFault(thrown) {
  if (thrown && thrown.remedy) {
    return thrown;
  }
  if (thrown && thrown.payload && thrown.payload.remedy) {
    return thrown.payload;
  }
  const place = thrown && thrown.stack ? ` at ${thrown.stack.trim().split("\n")[0].trim().replace(/^at /, "")}` : "";
  log.write("error", `the adapter threw ${thrown}${place}`);
  return fault("retry", "exception", String(thrown));
}
