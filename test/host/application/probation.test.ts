import { expect, test } from "bun:test";
import { Probation } from "../../../src/host/application/probation.ts";
import { ManualClock } from "../../support/http/manual-clock.ts";

/** Who has a turn, or is let through beside the turns, in order. */
class Requests {
  readonly clock = new ManualClock();
  readonly begun: string[] = [];
  readonly #probation = new Probation(this.clock);
  readonly #end = new Map<string, () => void>();

  async turn(name: string): Promise<void> {
    await this.#begin(name, this.#probation.turn());
  }

  async beside(name: string): Promise<void> {
    await this.#begin(name, this.#probation.beside());
  }

  async end(name: string): Promise<void> {
    this.#end.get(name)?.();
    await settled();
  }

  async passes(ms: number): Promise<void> {
    this.clock.advance(ms);
    await settled();
  }

  async #begin(name: string, asked: Promise<(() => void) | undefined>): Promise<void> {
    void asked.then((end) => {
      this.begun.push(end === undefined ? `${name} goes back` : name);
      if (end !== undefined) this.#end.set(name, end);
    });
    await settled();
  }
}

async function settled(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
}

test("requests on probation go one at a time, in their order", async () => {
  const requests = new Requests();
  for (const name of ["a", "b", "c"]) await requests.turn(name);
  expect(requests.begun).toEqual(["a"]);
  await requests.end("a");
  expect(requests.begun).toEqual(["a", "b"]);
  await requests.end("b");
  await requests.end("c");
  await requests.turn("d");
  expect(requests.begun).toEqual(["a", "b", "c", "d"]);
});

test("a slow request delays the next one for two seconds at most, and its own end then ends no other turn", async () => {
  const requests = new Requests();
  for (const name of ["a", "b", "c"]) await requests.turn(name);
  await requests.passes(1_999);
  expect(requests.begun).toEqual(["a"]);
  await requests.passes(1);
  await requests.end("a");
  expect(requests.begun).toEqual(["a", "b"]);
});

test("a request that has waited for five seconds goes back to its gateway, and its turn to the next", async () => {
  const requests = new Requests();
  for (const name of ["a", "b", "c", "d"]) await requests.turn(name);
  await requests.passes(2_000);
  await requests.passes(2_000);
  await requests.passes(1_000);
  expect(requests.begun).toEqual(["a", "b", "c", "d goes back"]);
  await requests.turn("e");
  await requests.end("c");
  expect(requests.begun.at(-1)).toBe("e");
});

test("a turn begins once every request beside it is answered, or after a quarter of a second", async () => {
  const requests = new Requests();
  for (const name of ["x", "y"]) await requests.beside(name);
  await requests.turn("a");
  await requests.end("x");
  expect(requests.begun).toEqual(["x", "y"]);
  await requests.end("y");
  expect(requests.begun).toEqual(["x", "y", "a"]);
  await requests.end("a");
  await requests.beside("z");
  await requests.turn("b");
  await requests.passes(249);
  expect(requests.begun.at(-1)).toBe("z");
  await requests.passes(1);
  expect(requests.begun.at(-1)).toBe("b");
});

test("a request beside the turns waits while one is in progress, for a quarter of a second at most", async () => {
  const requests = new Requests();
  await requests.turn("a");
  await requests.beside("x");
  expect(requests.begun).toEqual(["a"]);
  await requests.end("a");
  expect(requests.begun).toEqual(["a", "x"]);
  await requests.end("x");
  await requests.turn("b");
  await requests.beside("y");
  await requests.passes(249);
  expect(requests.begun.at(-1)).toBe("b");
  await requests.passes(1);
  expect(requests.begun.at(-1)).toBe("y");
});
