/** What axe finds in a page: barriers for people who do not see it, or not all colours. */
import axe from "axe-core";
import type { Page } from "playwright-core";

/** All that differs between light and dark. */
const contrast: axe.RunOptions = { runOnly: ["color-contrast"] };

/** Returns a line for each violation, in light and in dark. The page must be of a context with `bypassCSP`. */
export async function violationsIn(page: Page): Promise<readonly string[]> {
  const found: string[] = [];
  for (const colorScheme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme });
    await page.evaluate(axe.source);
    const options = colorScheme === "dark" ? contrast : {};
    const { violations } = await page.evaluate<axe.AxeResults>(`axe.run(${JSON.stringify(options)})`);
    found.push(
      ...violations.map(({ id, nodes }) => `${colorScheme}: ${id}: ${nodes.map(({ html }) => html).join("; ")}`),
    );
  }
  return found;
}
