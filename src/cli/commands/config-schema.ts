/** `stead config schema`: the JSON Schema of a configuration file, for editors. */
import { buildCommand } from "@stricli/core";
import { configJsonSchemaText, configSchemaFile } from "../../config/json-schema.ts";
import type { CliContext } from "../output/context.ts";

export const configSchemaCommand = buildCommand<Readonly<Record<never, never>>, [], CliContext>({
  docs: {
    brief: "Print the JSON Schema of a configuration file, for editors",
    fullDescription: [
      `Editors with Taplo (Even Better TOML) complete and check a file whose first line is \`#:schema ./${configSchemaFile}\`, which is`,
      "how `stead init` writes it. The schema is that of this version; `stead config check` also knows the rules about several keys.",
      "",
      "EXAMPLES",
      `  stead config schema > ${configSchemaFile}`,
    ].join("\n"),
  },
  parameters: {},
  func() {
    this.process.stdout.write(configJsonSchemaText());
  },
});
