/** `host.files` and the keys that belong to it. */
import { fileDefaults } from "./files-schema.ts";
import type { FilesConfig } from "./files-config.ts";
import type { Problems } from "./problems.ts";
import type { FileContent } from "./schema.ts";
import { formatSize } from "./units.ts";

type HostContent = NonNullable<FileContent["host"]>;

/** Returns undefined if no files are covered. */
export function resolveFiles(host: HostContent): FilesConfig | undefined {
  if (host.files.length === 0) return undefined;
  return {
    patterns: host.files,
    except: host.files_except,
    durability:
      host.files_durability === "before-answer"
        ? { kind: "before-answer" }
        : { kind: "background", lossMaxMs: host.files_loss_max ?? 0 },
    bounds: {
      filesMax: host.files_max,
      bytesMax: host.files_bytes_max,
      fileBytesMax: host.file_bytes_max,
      bytesPerSecondMax: host.files_rate_max,
    },
    over: host.files_over,
  };
}

/** What is written for files, and covers none, is a mistake: uploads would be lost without a word. */
function checkWithoutFiles(host: HostContent, problems: Problems): void {
  const others = (Object.keys(fileDefaults) as (keyof typeof fileDefaults)[]).filter(
    (key) => host[key] !== fileDefaults[key],
  );
  const lossMax = host.files_loss_max === undefined ? [] : ["files_loss_max"];
  for (const key of [...(host.files_except.length > 0 ? ["files_except"] : []), ...lossMax, ...others])
    problems.add(["host", key], {
      found: `${key} without \`files\``,
      accepted: `\`${key}\` together with \`files\``,
      advice: 'add files = ["uploads/**"] with the files that fail over, or remove it',
    });
}

export function checkFiles(host: HostContent, problems: Problems): void {
  if (host.files.length === 0) return checkWithoutFiles(host, problems);
  if (host.files_durability === "background" && host.files_loss_max === undefined)
    problems.add(["host", "files_durability"], {
      found: '"background" without files_loss_max',
      accepted: "background together with the longest time of files that may be lost although they were acknowledged",
      advice: 'add files_loss_max = "10s", or use files_durability = "before-answer"',
    });
  if (host.files_durability === "before-answer" && host.files_loss_max !== undefined)
    problems.add(["host", "files_loss_max"], {
      found: 'a loss window together with files_durability = "before-answer"',
      accepted: 'files_loss_max only with files_durability = "background"',
      advice: 'remove it, or set files_durability = "background" if such a loss is acceptable',
    });
  if (host.file_bytes_max > host.files_bytes_max)
    problems.add(["host", "file_bytes_max"], {
      found: `${formatSize(host.file_bytes_max)}, more than files_bytes_max, ${formatSize(host.files_bytes_max)}`,
      accepted: "at most what all files together may have",
      advice: "lower it, or raise files_bytes_max",
    });
}
