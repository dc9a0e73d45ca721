/** The store of S3 in the network of an example: `bun store.ts PORT`, with the test server's bucket and credentials. */
import { S3Server } from "../support/s3/s3-server.ts";

await S3Server.start(Number(process.argv[2]), "0.0.0.0");
process.stdout.write("ready\n");
