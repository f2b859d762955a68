// A writer on ioredis, as switch.h describes it: peer_ioredis.mjs plain|detector MASTER SET SENTINEL_PORT...
//
// Options are ioredis' own; `detector` sets failoverDetector, with which it listens to the Sentinels' +switch-master.
import { writeSync } from "node:fs";
import { createRequire } from "node:module";
import { setTimeout as nap } from "node:timers/promises";

import { Redis } from "ioredis";

const PAUSE_MS = 2;

async function write(redis, key, number) {
  const began = process.hrtime.bigint();
  const word = await redis.sadd(key, number).then(
    () => "ok",
    () => "error",
  );
  writeSync(1, `${word} ${number} ${began} ${process.hrtime.bigint()}\n`);
}

async function main(mode, name, key, ...ports) {
  const redis = new Redis({
    sentinels: ports.map((port) => ({ host: "127.0.0.1", port: Number(port) })),
    name,
    failoverDetector: mode === "detector",
  });
  redis.on("error", () => {}); // told by the write that fails
  for (let number = 1; ; number++) {
    await write(redis, key, number);
    await nap(PAUSE_MS);
  }
}

const args = process.argv.slice(2);
if (args.includes("--version")) {
  console.log(createRequire(import.meta.url)("ioredis/package.json").version);
} else {
  await main(...args);
}
