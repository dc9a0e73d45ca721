/** The load of `examples/notes`: new notes, notes written over, single notes read, and the newest changes read. */
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

/** Highest number of bytes of text behind the unique part; enough to use pages and overflow pages. */
const paddingBytesMax = 3000;
const changesPerRead = 20;
const changesPerPage = 10_000;
/** Older notes of a worker are forgotten: they stay in the history, which checks them at the end. */
const notesPerWorkerMax = 50;
const nothing = (): void => undefined;

export class NotesModel implements DemoModel {
  readonly #run: string;
  #writes = 0;
  #latest = 0;
  /** Notes that a worker made and whose last write has a known fate. */
  readonly #notes: number[][];

  /** `run` makes the texts of two loads against one application different. */
  constructor(run: string, workers: number) {
    this.#run = run;
    this.#notes = Array.from({ length: workers }, () => []);
  }

  async prepare(get: Get, history: History): Promise<void> {
    const moment = history.begin();
    const { latest, entries } = changesOf(await get(`/changes?after=0&limit=1`));
    history.sawList(moment, latest, entries);
  }

  next(dice: SeededRandom, worker: number): Operation {
    const mine = this.#notes[worker] ?? [];
    const drawn = dice.fraction();
    const note = mine[dice.below(mine.length)];
    if (note === undefined || drawn < 0.25) return this.#post(dice, mine);
    if (drawn < 0.5) return this.#put(dice, mine, note);
    return drawn < 0.75 ? this.#readNote(note) : this.#readChanges();
  }

  probe(dice: SeededRandom): Operation & { readonly write: string } {
    return this.#post(dice, []);
  }

  async readBack(get: Get): Promise<{ entries: readonly Entry[]; broken: string | undefined }> {
    const entries = await readPages(async (after) =>
      changesOf(await get(`/changes?after=${after}&limit=${changesPerPage}`)),
    );
    return { entries, broken: undefined };
  }

  #text(dice: SeededRandom): string {
    this.#writes += 1;
    const padding = dice.fraction() < 0.9 ? dice.below(200) : dice.below(paddingBytesMax);
    return `${this.#run}-${this.#writes} ${"abcdefghij".repeat(Math.ceil(padding / 10)).slice(0, padding)}`;
  }

  #post(dice: SeededRandom, mine: number[]): Operation & { readonly write: string } {
    const write = this.#text(dice);
    const settle = (answer: DemoAnswer, moment: Moment, history: History): string | undefined => {
      if (answer.status !== 201) return `expected 201, got ${answer.status}`;
      const id = numberField(answer.body, "id");
      if (textField(answer.body, "text") !== write) return "the answer holds another text";
      history.acknowledged(moment, write, numberField(answer.body, "revision"), keyOf(id));
      mine.push(id);
      if (mine.length > notesPerWorkerMax) mine.shift();
      return undefined;
    };
    return {
      request: { method: "POST", path: "/notes", body: JSON.stringify({ text: write }) },
      key: undefined,
      write,
      settle,
      abandon: nothing,
    };
  }

  #put(dice: SeededRandom, mine: number[], note: number): Operation {
    const write = this.#text(dice);
    const request: DemoRequest = { method: "PUT", path: `/notes/${note}`, body: JSON.stringify({ text: write }) };
    const settle = (answer: DemoAnswer, moment: Moment, history: History): string | undefined => {
      if (answer.status !== 200) return `expected 200, got ${answer.status}`;
      if (textField(answer.body, "text") !== write) return "the answer holds another text";
      history.acknowledged(moment, write, numberField(answer.body, "revision"), keyOf(note));
      return undefined;
    };
    const abandon = (): void => {
      const index = mine.indexOf(note);
      if (index >= 0) mine.splice(index, 1);
    };
    return { request, key: keyOf(note), write, settle, abandon };
  }

  #readNote(note: number): Operation {
    const settle = (answer: DemoAnswer, moment: Moment, history: History): string | undefined => {
      if (answer.status === 404) history.sawRecord(moment, undefined);
      else if (answer.status === 200) history.sawRecord(moment, entryOf(answer.body));
      else return `expected 200, got ${answer.status}`;
      return undefined;
    };
    return {
      request: { method: "GET", path: `/notes/${note}` },
      key: keyOf(note),
      write: undefined,
      settle,
      abandon: nothing,
    };
  }

  #readChanges(): Operation {
    const after = Math.max(0, this.#latest - changesPerRead);
    const settle = (answer: DemoAnswer, moment: Moment, history: History): string | undefined => {
      const { latest, entries } = changesOf(answer);
      this.#latest = Math.max(this.#latest, latest);
      history.sawList(moment, latest, entries);
      return undefined;
    };
    const request: DemoRequest = { method: "GET", path: `/changes?after=${after}&limit=${2 * changesPerRead}` };
    return { request, key: undefined, write: undefined, settle, abandon: nothing };
  }
}

const keyOf = (note: number): string => `note ${note}`;

const entryOf = (body: unknown): Entry => ({ revision: numberField(body, "revision"), write: textField(body, "text") });

function changesOf(answer: DemoAnswer): { latest: number; entries: readonly Entry[] } {
  return { latest: numberField(answer.body, "latest"), entries: listField(answer.body, "changes").map(entryOf) };
}
