/** The names under which tables and JSON keep who gave an order or made a token, and those names in words. */

/** A call under the cluster's secret itself. No token may have this name. */
export const nameOfSecret = "secret";
/** A drill that `service.drill` plans. */
export const nameOfPlan = "plan";

export function ordererInWords(name: string): string {
  switch (name) {
    case nameOfSecret:
      return "a holder of the cluster's secret";
    case nameOfPlan:
      return "`service.drill`";
    default:
      return name;
  }
}
