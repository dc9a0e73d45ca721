/**
 * The metrics of one process for Prometheus: prom-client's registry writes the text, `Family` keeps the values.
 *
 * prom-client's own counters and histograms look labels up at each observation, which is too slow per request, and
 * cannot add another process's observations. Its registry accepts any object with prom-client's `get`.
 */
import { type Metric, Registry } from "prom-client";
import { escapeControls } from "../runtime/printable.ts";
import type { Definition, Definitions } from "./definition.ts";
import type { Counter, Histogram, LabelOf, LabelsOf, MetricName, Metrics, Sample } from "./metrics.ts";
import { Observed } from "./tally.ts";

/** The body and content type for a scrape. */
export interface Exposition {
  readonly contentType: string;
  text(): Promise<string>;
}

type Labels = Readonly<Record<string, string>>;
interface Value {
  readonly metricName?: string;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
}

export class PrometheusMetrics implements Metrics, Exposition {
  readonly #registry = new Registry();
  readonly #families = new Map<string, Family>();

  /** Holds exactly the metrics of this table; asking for another one throws. */
  constructor(table: Definitions) {
    for (const [name, definition] of Object.entries(table)) {
      const family = new Family(name, definition);
      this.#families.set(name, family);
      // The registry uses only the name of a metric and its `get`.
      this.#registry.registerMetric(family as unknown as Metric);
    }
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** Returns the exposition, format 0.0.4. */
  text(): Promise<string> {
    return this.#registry.metrics();
  }

  counter<N extends MetricName<"counter">>(name: N, labels: LabelsOf<N>): Counter {
    return this.#family(name).counter(labels);
  }

  histogram<N extends MetricName<"histogram">>(name: N, labels: LabelsOf<N>): Histogram {
    return this.#family(name).histogram(labels);
  }

  show<N extends MetricName<"counter" | "gauge">>(name: N, samples: readonly Sample<LabelOf<N>>[]): void {
    this.#family(name).show(samples);
  }

  #family(name: string): Family {
    const family = this.#families.get(name);
    if (family === undefined) throw new Error(`${name} is not a metric of this process`);
    return family;
  }
}

/** One metric with all its labels. */
class Family {
  readonly name: string;
  readonly #definition: Definition;
  readonly #counted = new Map<string, Count>();
  readonly #observed = new Map<string, { readonly labels: Labels; readonly observed: Observed }>();

  constructor(name: string, definition: Definition) {
    this.name = name;
    this.#definition = definition;
  }

  counter(labels: Labels): Count {
    const key = this.#key(labels);
    const known = this.#counted.get(key) ?? new Count(safe(labels));
    this.#counted.set(key, known);
    return known;
  }

  histogram(labels: Labels): Observed {
    const key = this.#key(labels);
    const known = this.#observed.get(key) ?? {
      labels: safe(labels),
      observed: new Observed(this.#definition.buckets ?? []),
    };
    this.#observed.set(key, known);
    return known.observed;
  }

  show(samples: readonly (readonly [Labels, number])[]): void {
    this.#counted.clear();
    for (const [labels, value] of samples) this.counter(labels).value = value;
  }

  /** Called by the registry at each scrape. */
  get(): { name: string; help: string; type: string; values: Value[]; aggregator: string } {
    const counted = [...this.#counted.values()].map(({ labels, value }) => ({ labels, value }));
    const observed = [...this.#observed.values()].flatMap(({ labels, observed: tally }) =>
      histogramValues(this.name, labels, tally),
    );
    const { help, kind } = this.#definition;
    return { name: this.name, help, type: kind, values: [...counted, ...observed], aggregator: "sum" };
  }

  #key(labels: Labels): string {
    // Once per request and metric: concatenation is several times as fast as JSON. The length makes it unambiguous.
    let key = "";
    for (const label of this.#definition.labels) key += `${labels[label]?.length} ${labels[label]}`;
    return key;
  }
}

/** Values may come from names of files, hosts and programs. The exposition itself escapes line ends. */
const safe = (labels: Labels): Labels =>
  Object.fromEntries(Object.entries(labels).map(([label, value]) => [label, escapeControls(value, "\n")]));

class Count implements Counter {
  readonly labels: Labels;
  value = 0;

  constructor(labels: Labels) {
    this.labels = labels;
  }

  add(amount = 1): void {
    this.value += amount;
  }
}

function histogramValues(name: string, labels: Labels, { bounds, counts, sum }: Observed): Value[] {
  let upTo = 0;
  const buckets = counts.map((count, at): Value => {
    upTo += count;
    return { metricName: `${name}_bucket`, labels: { ...labels, le: bounds[at] ?? "+Inf" }, value: upTo };
  });
  return [
    ...buckets,
    { metricName: `${name}_sum`, labels, value: sum },
    { metricName: `${name}_count`, labels, value: upTo },
  ];
}
