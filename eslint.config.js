// Lint: type-aware rules, and what keeps src/core pure. Which folder may import which is checked by scripts/lib/layers.ts.
import tseslint from "typescript-eslint";

const noRuntimeInCore = "src/core has no IO, clock or randomness: take the value as an argument (docs/STYLE.md)";
const forbiddenGlobals = [
  ...["Date", "performance", "process", "console", "crypto", "fetch", "globalThis", "global", "Bun", "Deno", "Buffer", "require"],
  ...["setTimeout", "setInterval", "setImmediate", "clearTimeout", "clearInterval", "queueMicrotask", "Promise"],
];

export default tseslint.config(
  { ignores: ["node_modules/", ".bun/", "dist/", "eslint.config.js"] },
  {
    files: ["**/*.ts", "**/*.tsx"],
    extends: [tseslint.configs.base],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      "@typescript-eslint/no-floating-promises": ["error", { ignoreVoid: false }],
      "@typescript-eslint/no-misused-promises": "error",
      "@typescript-eslint/await-thenable": "error",
      "@typescript-eslint/switch-exhaustiveness-check": ["error", { considerDefaultExhaustiveForUnions: true }],
      "@typescript-eslint/no-explicit-any": "error",
      "@typescript-eslint/no-unused-vars": ["error", { args: "after-used", argsIgnorePattern: "^_", varsIgnorePattern: "^_" }],
      "@typescript-eslint/only-throw-error": "error",
      "@typescript-eslint/prefer-promise-reject-errors": ["error", { allowThrowingUnknown: true }],
      "@typescript-eslint/no-unnecessary-type-assertion": "error",
      "@typescript-eslint/consistent-type-imports": ["error", { fixStyle: "inline-type-imports" }],
      "@typescript-eslint/restrict-plus-operands": "error",
      "@typescript-eslint/no-base-to-string": "error",
      eqeqeq: "error",
      "no-var": "error",
      "prefer-const": "error",
      "no-restricted-syntax": ["error", { selector: "TSEnumDeclaration", message: "use a union of literals" }],
      "max-lines": ["error", { max: 420 }],
    },
  },
  {
    files: ["test/**/*.ts", "examples/**/*.ts"],
    rules: {
      "@typescript-eslint/no-floating-promises": ["error", { ignoreVoid: true }],
      // The types of bun:test say that `expect(promise).rejects` matchers return nothing; they return a promise.
      "@typescript-eslint/await-thenable": "off",
      "max-lines": ["error", { max: 750 }],
    },
  },
  {
    files: ["src/**/*.ts", "src/**/*.tsx", "harness/**/*.ts", "scripts/**/*.ts"],
    rules: { "max-lines-per-function": ["error", { max: 95, skipBlankLines: true, skipComments: true }] },
  },
  {
    files: ["src/**/*.ts", "src/**/*.tsx", "harness/**/*.ts"],
    rules: {
      "@typescript-eslint/no-non-null-assertion": "error",
      // A flag of a class reads as a statement (docs/STYLE.md, "Dialect").
      "@typescript-eslint/naming-convention": [
        "error",
        {
          selector: ["classProperty", "classicAccessor"],
          types: ["boolean"],
          format: ["PascalCase"],
          prefix: ["is", "has", "can", "may", "must", "are"],
        },
      ],
    },
  },
  {
    files: ["src/core/**/*.ts"],
    rules: {
      "no-restricted-globals": ["error", ...forbiddenGlobals.map((name) => ({ name, message: noRuntimeInCore }))],
      // A pattern `node:*` would miss `node:fs/promises`; relative imports are all that is left.
      "no-restricted-imports": ["error", { patterns: [{ regex: "^(?!\\.{1,2}/)", message: noRuntimeInCore }] }],
      "no-restricted-properties": ["error", { object: "Math", property: "random", message: noRuntimeInCore }],
      "no-restricted-syntax": [
        "error",
        { selector: "TSEnumDeclaration", message: "use a union of literals" },
        { selector: ":function[async=true]", message: `${noRuntimeInCore}; nothing in src/core waits` },
        { selector: "AwaitExpression, ForOfStatement[await=true], ImportExpression", message: noRuntimeInCore },
      ],
    },
  },
);
