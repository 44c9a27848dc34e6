// Says what adapter.js lacks of the roles that adapter.toml promises. It runs in Node.js, before the component is made:
//   node --experimental-vm-modules … '{"entry": "/p/adapter.js", "wanted": {"poller": ["poll"]}}'
// and writes {"missing": [{"export": "poller"}, {"export": "writer", "function": "write"}]}, or {"unreadable": "…"} where a
// module cannot be read; componentize-qjs then says why, in its own words.
import { existsSync, readFileSync, statSync, writeSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, resolve } from "node:path";
import vm from "node:vm";

const { entry, wanted } = JSON.parse(process.argv[1]);
/** Longest that the top of the modules may take. */
const EVALUATION_MAX_MS = 5000;
// QuickJS has no globals of Node.js, nor has this context.
const context = vm.createContext({});
const modules = new Map();

/** The module of a file, parsed once. */
function moduleOf(file) {
  if (!modules.has(file)) {
    modules.set(file, new vm.SourceTextModule(readFileSync(file, "utf8"), { context, identifier: file }));
  }
  return modules.get(file);
}

/** What another module imports: a file, or what only a gateway has. */
function link(specifier, from) {
  if (/^[a-z]+:/.test(specifier)) {
    return hostModule(readFileSync(from.identifier, "utf8"));
  }
  return moduleOf(fileOf(specifier, from.identifier));
}

/** An interface of the host, with every name that stands in the source that imports it. Its functions are not there. */
function hostModule(source) {
  const names = [...new Set(["default", ...source.match(/[\p{ID_Start}$_][\p{ID_Continue}$]*/gu)])];
  return new vm.SyntheticModule(names, () => {}, { context });
}

/** A file by its specifier; componentize-qjs finds it without its ending, too. */
function fileOf(specifier, from) {
  if (!specifier.startsWith(".") && !specifier.startsWith("/")) {
    return createRequire(from).resolve(specifier);
  }
  const path = resolve(dirname(from), specifier);
  const files = ["", ".js", ".mjs", "/index.js"].map((end) => path + end);
  return files.find((file) => existsSync(file) && statSync(file).isFile()) ?? path;
}

/** What is wanted and not exported, by name or in the default export. */
function missingOf(exported, evaluated) {
  const names = new Set(Object.getOwnPropertyNames(exported));
  return Object.entries(wanted).flatMap(([name, functions]) => {
    if (!evaluated) {
      // Which names there are is known all the same, but not what a default export holds.
      return names.has(name) || names.has("default") ? [] : [{ export: name }];
    }
    const role = names.has(name) ? exported[name] : exported.default?.[name];
    if (role === undefined) {
      return [{ export: name }];
    }
    const lacking = functions.filter((one) => typeof role?.[one] !== "function");
    return lacking.map((one) => ({ export: name, function: one }));
  });
}

/** Runs the top of the modules. It may want more than there is: then less is known of it. */
async function evaluate(module) {
  try {
    await module.evaluate({ timeout: EVALUATION_MAX_MS });
    return true;
  } catch {
    return false;
  }
}

let found = { unreadable: "it does not end" };
// What waits at the top of a module for ever lets the process end.
process.on("exit", () => writeSync(1, JSON.stringify(found)));

async function look() {
  const module = moduleOf(entry);
  await module.link(link);
  found = { missing: missingOf(module.namespace, false) };
  found = { missing: missingOf(module.namespace, await evaluate(module)) };
}

look().catch((error) => (found = { unreadable: String(error) }));
