/**
 * The load of `examples/ledger`: transfers, single transfers and the newest ones read, and the accounts read, whose sum
 * must be the same in every answer. At the end the balances must be exactly what the transfers make of them.
 */
import type { SeededRandom } from "./seeded-random.ts";
import type { Entry, History, Moment } from "./history.ts";
import {
  type DemoAnswer,
  type DemoModel,
  type DemoRequest,
  type Get,
  listField,
  numberField,
  type Operation,
  readPages,
  textField,
} from "./model.ts";

/** As in examples/ledger/ledger.py. */
const accountCount = 20;
const openingBalance = 1000;
const amountMax = 20;
const transfersPerRead = 20;
const transfersPerPage = 10_000;
const idsPerWorkerMax = 50;
const nothing = (): void => undefined;

interface Transfer {
  readonly id: string;
  readonly from: number;
  readonly to: number;
  readonly amount: number;
}

export class LedgerModel implements DemoModel {
  readonly #run: string;
  #writes = 0;
  #latest = 0;
  /** Ids that a worker sent and that were acknowledged. */
  readonly #ids: string[][];

  constructor(run: string, workers: number) {
    this.#run = run;
    this.#ids = Array.from({ length: workers }, () => []);
  }

  async prepare(get: Get, history: History): Promise<void> {
    const moment = history.begin();
    const { latest, entries } = transfersOf(await get("/transfers?after=0&limit=1"));
    history.sawList(moment, latest, entries);
  }

  next(dice: SeededRandom, worker: number): Operation {
    const mine = this.#ids[worker] ?? [];
    const drawn = dice.fraction();
    const id = mine[dice.below(mine.length)];
    if (id === undefined || drawn < 0.5) return this.#transfer(dice, mine);
    if (drawn < 0.7) return this.#readTransfer(id);
    return drawn < 0.85 ? this.#readTransfers() : this.#readAccounts();
  }

  probe(dice: SeededRandom): Operation & { readonly write: string } {
    return this.#transfer(dice, []);
  }

  async readBack(get: Get): Promise<{ entries: readonly Entry[]; broken: string | undefined }> {
    const balances = Array.from({ length: accountCount }, () => openingBalance);
    const entries = await readPages(async (after) => {
      const answer = await get(`/transfers?after=${after}&limit=${transfersPerPage}`);
      for (const body of listField(answer.body, "transfers")) {
        const { from, to, amount } = transferOf(body);
        balances[from - 1] = (balances[from - 1] ?? 0) - amount;
        balances[to - 1] = (balances[to - 1] ?? 0) + amount;
      }
      return transfersOf(answer);
    });
    const found = balancesOf(await get("/accounts"));
    const wrong = found.findIndex((balance, index) => balance !== balances[index]);
    if (wrong < 0 && found.length === accountCount) return { entries, broken: undefined };
    return { entries, broken: `account ${wrong + 1} has ${found[wrong]}; its transfers make ${balances[wrong]}` };
  }

  #transfer(dice: SeededRandom, mine: string[]): Operation & { readonly write: string } {
    this.#writes += 1;
    const from = 1 + dice.below(accountCount);
    const to = 1 + ((from + dice.below(accountCount - 1)) % accountCount);
    const wish: Transfer = { id: `${this.#run}-${this.#writes}`, from, to, amount: 1 + dice.below(amountMax) };
    const write = writeOf(wish);
    const settle = (answer: DemoAnswer, moment: Moment, history: History): string | undefined => {
      if (answer.status === 409) {
        history.refused(write);
        return undefined;
      }
      if (answer.status !== 201) return `expected 201, got ${answer.status}`;
      if (writeOf(transferOf(answer.body)) !== write) return "the answer is about another transfer";
      history.acknowledged(moment, write, numberField(answer.body, "seq"), keyOf(wish.id));
      mine.push(wish.id);
      if (mine.length > idsPerWorkerMax) mine.shift();
      return undefined;
    };
    return {
      request: { method: "POST", path: "/transfer", body: JSON.stringify(wish) },
      key: undefined,
      write,
      settle,
      abandon: nothing,
    };
  }

  #readTransfer(id: string): Operation {
    const settle = (answer: DemoAnswer, moment: Moment, history: History): string | undefined => {
      if (answer.status === 404) history.sawRecord(moment, undefined);
      else if (answer.status === 200) history.sawRecord(moment, entryOf(answer.body));
      else return `expected 200, got ${answer.status}`;
      return undefined;
    };
    return {
      request: { method: "GET", path: `/transfers/${id}` },
      key: keyOf(id),
      write: undefined,
      settle,
      abandon: nothing,
    };
  }

  #readTransfers(): Operation {
    const after = Math.max(0, this.#latest - transfersPerRead);
    const settle = (answer: DemoAnswer, moment: Moment, history: History): string | undefined => {
      const { latest, entries } = transfersOf(answer);
      this.#latest = Math.max(this.#latest, latest);
      history.sawList(moment, latest, entries);
      return undefined;
    };
    const request: DemoRequest = { method: "GET", path: `/transfers?after=${after}&limit=${2 * transfersPerRead}` };
    return { request, key: undefined, write: undefined, settle, abandon: nothing };
  }

  #readAccounts(): Operation {
    const settle = (answer: DemoAnswer, moment: Moment, history: History): string | undefined => {
      const latest = numberField(answer.body, "latest");
      const sum = balancesOf(answer).reduce((total, balance) => total + balance, 0);
      if (sum !== accountCount * openingBalance)
        history.report("sum", `at revision ${latest} the balances add up to ${sum}`);
      history.sawList(moment, latest, []);
      return undefined;
    };
    return {
      request: { method: "GET", path: "/accounts" },
      key: undefined,
      write: undefined,
      settle,
      abandon: nothing,
    };
  }
}

const keyOf = (id: string): string => `transfer ${id}`;

const writeOf = ({ id, from, to, amount }: Transfer): string => `${id} ${from}>${to} ${amount}`;

function transferOf(body: unknown): Transfer {
  return {
    id: textField(body, "id"),
    from: numberField(body, "from"),
    to: numberField(body, "to"),
    amount: numberField(body, "amount"),
  };
}

const entryOf = (body: unknown): Entry => ({ revision: numberField(body, "seq"), write: writeOf(transferOf(body)) });

function transfersOf(answer: DemoAnswer): { latest: number; entries: readonly Entry[] } {
  return { latest: numberField(answer.body, "latest"), entries: listField(answer.body, "transfers").map(entryOf) };
}

const balancesOf = (answer: DemoAnswer): number[] =>
  listField(answer.body, "accounts").map((account) => numberField(account, "balance"));
