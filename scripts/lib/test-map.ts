/**
 * Where a test stands: it mirrors the path of a source file (test/http/proxy/hold.test.ts proves
 * src/http/proxy/hold.ts), or it lies in a folder that is named for what it proves. Helpers that tests share are in
 * test/support. So the proof of a file is found by its path.
 */

/** Folders of tests that prove something of many files together; their helpers may lie beside them. */
const provingFolders: readonly string[] = [
  "test/packages", // what a release makes, on machines of its own
  "test/behaviour", // parts of one folder together, with real sockets or processes
  "test/http/conformance",
  "test/http/fuzz",
  "test/capture/fuzz",
  "test/capture/usage",
  "test/sim",
  "test/chaos",
  "test/security", // attacks that must fail, one file for each
  "test/e2e",
  "test/docs",
  "test/examples",
  "test/scripts",
];

/**
 * One line for each file of tests that has no such place. `files`: all paths below test; `sources`: all below src and
 * harness.
 */
export function misplacedTests(files: readonly string[], sources: ReadonlySet<string>): string[] {
  return files.flatMap((path) => {
    if (isIn(path, ["test/support", ...provingFolders])) return [];
    if (!path.endsWith(".test.ts"))
      return [
        `${path}:1: helpers of tests stand in test/support, or in a folder named for what it proves (scripts/lib/test-map.ts)`,
      ];
    const mirrored = `${path.slice("test/".length, -".test.ts".length)}.ts`;
    if (["", "x"].some((end) => sources.has(`src/${mirrored}${end}`) || sources.has(`${mirrored}${end}`))) return [];
    return [
      `${path}:1: mirrors no source file (src/${mirrored}); name it after the file that it proves, or move it into a folder named for what it proves`,
    ];
  });
}

const isIn = (path: string, folders: readonly string[]): boolean =>
  folders.some((folder) => path.startsWith(`${folder}/`));
