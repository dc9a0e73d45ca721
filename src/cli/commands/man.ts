/** `stead man`: the manual page, from the same table of commands as help and completions. */
import { buildCommand, type Command, type RouteMap } from "@stricli/core";
import type { CliContext } from "../output/context.ts";
import { exitCodeMeanings } from "../output/exit-codes.ts";
import { manPage } from "../output/man-page.ts";
import { systemClock } from "../../runtime/clock.ts";
import { versionText } from "../../runtime/program-version.ts";

/** `root`: all commands, this one among them. */
export const manCommand = (root: () => RouteMap<CliContext>): Command<CliContext> =>
  buildCommand<Readonly<Record<never, never>>, [], CliContext>({
    docs: {
      brief: "Print the manual page of all commands",
      fullDescription: [
        "In the format of man(1). It is of this version: print it again after an upgrade. Its date is today's, or the one that",
        "SOURCE_DATE_EPOCH gives in seconds.",
        "",
        "EXAMPLES",
        "  stead man > /usr/local/share/man/man1/stead.1",
        "  stead man | man -l -",
      ].join("\n"),
    },
    parameters: {},
    func() {
      const seconds = this.process.env["SOURCE_DATE_EPOCH"];
      const time = seconds === undefined ? systemClock.wallTime() : Number(seconds) * 1000;
      const date = new Date(time).toISOString().slice(0, 10);
      this.process.stdout.write(manPage({ root: root(), version: versionText(), date, exitCodes: exitCodeMeanings }));
    },
  });
