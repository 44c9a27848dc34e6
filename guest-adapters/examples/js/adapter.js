// Example adapter: a three-phase energy meter over Modbus, in JavaScript. It does what the one in Rust beside it does.
import { declare } from "bulkhead:adapter/points@0.1.0";
import * as log from "bulkhead:adapter/log@0.1.0";
import modbus from "bulkhead:adapter/modbus@0.1.0";
import { Status, bad, fault, guarded, point, reading, result, settingsWith } from "./bulkhead/js/sdk.js";
import { DEMAND_ADDRESS, plansOf, statusOf, textOf } from "./registers.js";

const CT_SATURATED = 1 << 1;

let plans = [];
let demandLimit = null;
let saturated = false;

export const adapter = guarded({
  start(json) {
    const settings = settingsWith({ ct_ratio: 1, phases: 3 }, json);
    if (settings.phases !== 1 && settings.phases !== 3) {
      throw fault("reconfigure", "bad-settings", `phases: ${settings.phases}, expected 1 or 3`);
    }
    if (!(settings.ct_ratio > 0)) {
      throw fault("reconfigure", "bad-settings", "ct_ratio: expected a number above 0");
    }
    plans = plansOf(settings);
    const fields = plans.flatMap((plan) => plan.blocks.flatMap((block) => block.fields));
    const numbers = declare(fields.map((field) => point(field.name, field.kind, field.more)));
    fields.forEach((field, index) => (field.point = numbers[index]));
    demandLimit = fields.find((field) => field.name === "demand_limit").point;
  },

  check() {
    const span = (address, count) => ({ table: "input-register", address, count });
    const answer = modbus.read("device", [span(0, 1), span(120, 8)]);
    if (answer.faults.length > 0) {
      throw answer.faults[0].fault;
    }
    const words = Array.from(answer.words);
    return `meter ${textOf(words.slice(1))}, status ${hex(words[0])}`;
  },

  stop() {},
});

export const poller = guarded({
  poll(group) {
    const plan = plans.find((plan) => plan.group === group);
    if (plan === undefined) {
      return [];
    }
    const found = wordsOf(modbus.read("device", plan.spans), plan.spans);
    const status = found[plan.statusIndex]?.words?.[0];
    if (status !== undefined) {
      const now = (status & CT_SATURATED) !== 0;
      if (now && !saturated) {
        log.write("warn", `a current transformer is saturated: status ${hex(status)}`);
      }
      saturated = now;
    }
    return plan.blocks.flatMap((block, index) => readingsOf(block, found[index], status));
  },
});

export const writer = guarded({
  write(commands) {
    return commands.map((command) => result(() => writeOne(command)));
  },
});

function writeOne({ point, value }) {
  if (point !== demandLimit) {
    throw fault("reject", "not-writable", "only demand_limit can be written");
  }
  if (value.tag !== "real") {
    throw fault("reject", "bad-value", "demand_limit: expected a number");
  }
  const words = [Math.floor(value.val * 100 + 0.5)];
  const [done] = modbus.write("device", [{ table: "holding-register", address: DEMAND_ADDRESS, words }]);
  if (done.tag === "err") {
    throw done.val;
  }
}

/** The words or the fault of each span. Where nothing could be read, the first fault is that of the whole group. */
function wordsOf(answer, spans) {
  if (answer.faults.length === spans.length) {
    throw answer.faults[0].fault;
  }
  const words = Array.from(answer.words);
  const found = spans.map((span) => ({ words: words.splice(0, span.count) }));
  for (const refused of answer.faults) {
    found[refused.index] = { fault: refused.fault };
  }
  return found;
}

/** A reading for every point of a block, whatever came. */
function readingsOf(block, found, status) {
  return block.fields.map((field) => {
    if (found.fault) {
      return bad(field.point, statusOf(found.fault));
    }
    const trust = field.trust(status);
    if (trust >= Status.BAD) {
      return bad(field.point, trust);
    }
    const value = field.decode(found.words);
    return typeof value === "object" ? bad(field.point, value.bad) : reading(field.point, field.kind, value, trust);
  });
}

function hex(word) {
  return `0x${word.toString(16).padStart(4, "0")}`;
}
