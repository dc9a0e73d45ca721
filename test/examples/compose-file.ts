/** A compose file, as far as the examples use it: what is not here is refused, so that no line goes unread. */
import * as v from "valibot";

const condition = v.picklist(["service_started", "service_completed_successfully"]);
const serviceSchema = v.strictObject({
  image: v.string(),
  /** A folder with a Dockerfile. */
  build: v.optional(v.string()),
  entrypoint: v.optional(v.array(v.string())),
  command: v.optional(v.array(v.string())),
  restart: v.picklist(["unless-stopped", "on-failure"]),
  read_only: v.optional(v.boolean(), false),
  cap_drop: v.optional(v.tuple([v.literal("ALL")])),
  security_opt: v.optional(v.tuple([v.literal("no-new-privileges:true")])),
  networks: v.tuple([v.literal("stead")]),
  secrets: v.optional(v.array(v.string()), []),
  ports: v.optional(v.array(v.pipe(v.string(), v.regex(/^\d+:\d+$/)))),
  stop_grace_period: v.optional(v.pipe(v.string(), v.regex(/^\d+s$/))),
  healthcheck: v.optional(v.strictObject({ disable: v.literal(true) })),
  volumes: v.optional(v.array(v.pipe(v.string(), v.regex(/^[\w./-]+:\/[\w./-]+(?::ro)?$/))), []),
  environment: v.optional(v.record(v.string(), v.string()), {}),
  depends_on: v.optional(v.record(v.string(), v.strictObject({ condition })), {}),
});
export type ComposeService = v.InferOutput<typeof serviceSchema>;

const fileSchema = v.objectWithRest(
  {
    services: v.record(v.string(), serviceSchema),
    networks: v.strictObject({ stead: v.strictObject({}) }),
    volumes: v.record(v.string(), v.strictObject({})),
    secrets: v.record(v.string(), v.strictObject({ file: v.string() })),
  },
  // Fragments that services merge.
  v.unknown(),
);
export type ComposeFile = v.InferOutput<typeof fileSchema>;

/** Throws if it has something else, or a service names what is not there. */
export function readCompose(text: string): ComposeFile {
  const parsed = Bun.YAML.parse(text) as object;
  const other = Object.keys(parsed).find((key) => !(key in fileSchema.entries) && !key.startsWith("x-"));
  if (other !== undefined) throw new Error(`${other} at the top of a compose file`);
  const file = v.parse(fileSchema, parsed);
  for (const [name, { secrets, volumes, depends_on }] of Object.entries(file.services)) {
    const named = volumes.map((volume) => volume.split(":")[0] ?? "").filter((source) => !source.startsWith("."));
    for (const secret of secrets) if (!(secret in file.secrets)) throw new Error(`${name}: no secret ${secret}`);
    for (const volume of named) if (!(volume in file.volumes)) throw new Error(`${name}: no volume ${volume}`);
    for (const other of Object.keys(depends_on))
      if (!(other in file.services)) throw new Error(`${name}: no service ${other}`);
  }
  return file;
}
