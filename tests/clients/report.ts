//! How a client's program says what each of its checks came to: `ok what` or `not ok what: reason`, and at the end their number.

let done = 0;
let failed = 0;

/** Does one check; what it throws is why it failed. */
export async function check(what: string, work: () => Promise<unknown>): Promise<void> {
  done += 1;
  try {
    await work();
    console.log(`ok ${what}`);
  } catch (error) {
    failed += 1;
    console.log(`not ok ${what}: ${reason(error).replace(/\s+/g, ' ').slice(0, 1000)}`);
  }
}

/** Throws unless both are the same when written as JSON. */
export function equal(found: unknown, wanted: unknown, what = 'value'): void {
  const [is, should] = [JSON.stringify(found), JSON.stringify(wanted)];
  if (is !== should) {
    throw new Error(`${what} is ${is}, not ${should}`);
  }
}

/** What is thrown by work that must be refused, with the errors behind it, as one text. */
export async function refusal(work: () => Promise<unknown>): Promise<string> {
  try {
    await work();
  } catch (error) {
    return reason(error);
  }
  throw new Error('it was not refused');
}

/** Throws unless a text contains these. */
export function contains(text: string, ...parts: string[]): void {
  for (const part of parts) {
    if (!text.includes(part)) {
      throw new Error(`\`${part}\` is not in ${text.slice(0, 1200)}`);
    }
  }
}

/** A variable of the environment. */
export function variable(name: string): string {
  const value = process.env[name];
  if (!value) {
    throw new Error(`${name} is not set`);
  }
  return value;
}

/** Says how many checks there were. */
export function summary(): void {
  console.log(`checks ${done}`);
  process.exitCode = failed === 0 ? 0 : 1;
}

function reason(error: any): string {
  const body = error?.response?.data;
  const parts = [error?.message ?? String(error), body === undefined ? '' : JSON.stringify(body)];
  const below = error?.cause ?? error?.rootCause;
  return parts.concat(below ? reason(below) : '').filter(Boolean).join(' | ');
}
