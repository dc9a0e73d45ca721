/** Stores in a bucket of the server in this process (s3-server.ts). */
import type { S3Settings } from "../../../src/core/s3-place.ts";
import { systemClock } from "../../../src/runtime/clock.ts";
import { systemRandom } from "../../../src/runtime/random.ts";
import { systemTcp } from "../../../src/runtime/tcp/system-tcp.ts";
import type { BucketCredentials } from "../../../src/s3/credentials.ts";
import type { OpenS3Options } from "../../../src/s3/open-s3-vault.ts";
import { S3Client } from "../../../src/s3/s3-client.ts";
import { S3Store } from "../../../src/s3/s3-store.ts";
import { S3Server, testBucket, testCredentials, testRegion } from "./s3-server.ts";

export const testS3Url = `s3://${testBucket}/notes`;

export const settingsOf = (port: number, changes: Partial<S3Settings> = {}): S3Settings => ({
  endpoint: { secure: false, host: "127.0.0.1", port },
  region: testRegion,
  pathStyle: true,
  caPath: undefined,
  credentials: { kind: "environment" },
  ...changes,
});

export const testEnvironment = {
  STEAD_S3_ACCESS_KEY_ID: testCredentials.accessKeyId,
  STEAD_S3_SECRET_ACCESS_KEY: testCredentials.secretKey,
};

export const optionsOf = (port: number, changes: Partial<S3Settings> = {}): OpenS3Options => ({
  settings: settingsOf(port, changes),
  timeoutMs: 5_000,
  env: testEnvironment,
});

interface StoreOfTest {
  readonly timeoutMs?: number;
  readonly credentials?: BucketCredentials | (() => BucketCredentials);
}

/** A store as it is after the probe. */
export function storeAt(port: number, { timeoutMs = 5_000, credentials = testCredentials }: StoreOfTest = {}): S3Store {
  const { endpoint, region, pathStyle } = settingsOf(port);
  return new S3Store(
    new S3Client({
      ...{ url: testS3Url, bucket: testBucket, prefix: "notes/", endpoint, region, pathStyle, timeoutMs },
      ...{
        credentials: typeof credentials === "function" ? credentials : () => credentials,
        clock: systemClock,
        random: systemRandom,
        tcp: systemTcp,
      },
    }),
  );
}

export interface BucketOfTest {
  readonly server: S3Server;
  /** Another handle on the same objects, each time. */
  open(timeoutMs?: number): S3Store;
  dispose(): Promise<void>;
}

export async function makeBucket(): Promise<BucketOfTest> {
  const server = await S3Server.start();
  const stores: S3Store[] = [];
  return {
    server,
    open: (timeoutMs = 5_000) => {
      const store = storeAt(server.port, { timeoutMs });
      stores.push(store);
      return store;
    },
    dispose: async () => {
      for (const store of stores) await store.close();
      server.close();
    },
  };
}
