/** The alerts and the dashboard in examples/, and what they ask Prometheus. */
import { readFileSync } from "node:fs";
import { join } from "node:path";

const examples = join(import.meta.dirname, "../../../examples");
export const rulesFile = join(examples, "prometheus/stead.rules.yml");

interface Panel {
  readonly title: string;
  readonly targets?: readonly { readonly expr: string }[];
}

interface Rules {
  readonly groups: readonly { readonly rules: readonly { readonly alert: string; readonly expr: string }[] }[];
}

/** By alert. */
export function alertQueries(): ReadonlyMap<string, string> {
  const { groups } = Bun.YAML.parse(readFileSync(rulesFile, "utf8")) as Rules;
  return new Map(groups.flatMap(({ rules }) => rules.map(({ alert, expr }) => [alert, expr] as const)));
}

/** By panel, with the variables of Grafana replaced. */
export function dashboardQueries(service: string): ReadonlyMap<string, string> {
  const { panels } = JSON.parse(readFileSync(join(examples, "grafana/stead.json"), "utf8")) as {
    readonly panels: readonly Panel[];
  };
  return new Map(
    panels.flatMap(({ title, targets = [] }) =>
      targets.map(({ expr }, index) => [
        `${title} ${index}`,
        expr.replaceAll("$service", service).replaceAll("$__rate_interval", "1m").replaceAll("$__range", "1h"),
      ]),
    ),
  );
}
