/** The schema of addresses in messages and calls (src/core/base-url.ts). */
import * as v from "valibot";
import { baseUrlAccepted, isBaseUrl } from "../core/base-url.ts";

export const baseUrlSchema = v.pipe(v.string(), v.check(isBaseUrl, baseUrlAccepted));
