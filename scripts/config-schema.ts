#!/usr/bin/env bun
/** Writes docs/stead.schema.json from the schema of the configuration. A test fails when the file differs. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { configJsonSchemaText, configSchemaFile } from "../src/config/json-schema.ts";

writeFileSync(join(import.meta.dirname, "../docs", configSchemaFile), configJsonSchemaText());
