/** `--log-format`: of the processes that log, and of those that they start. */
import type { LogFormat } from "../../runtime/log.ts";

export interface LogFormatFlag {
  readonly logFormat: LogFormat;
}

export const logFormatFlag = {
  logFormat: {
    kind: "enum",
    values: ["text", "json"],
    default: "text",
    brief: "Lines of the log: for people, or one JSON object each",
  },
} as const;

export const logFormatArguments = (format: LogFormat): readonly string[] => ["--log-format", format];
