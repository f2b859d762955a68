// node-redis with RESP3 and otherwise its ordinary options. Arguments: write,news,pop PORT NAME.
import { createClient } from "redis";

const [modes, port, name] = process.argv.slice(2);
const nap = (ms) => new Promise((done) => setTimeout(done, ms));
const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);
const connect = () => createClient({ RESP: 3, socket: { host: "127.0.0.1", port: Number(port) } })
  .on("error", () => {}) // it connects again by itself
  .connect();

async function attempt(work) {
  try {
    await work();
  } catch (error) {
    say({ failed: String(error) });
    await nap(20);
  }
}

const kinds = {
  add: async (redis, n) => {
    await redis.sAdd(`${name}:set`, String(n));
    await redis.incr(`${name}:count`);
  },
  pipe: (redis, n) => Promise.all([0, 1, 2, 3, 4].map((i) => redis.sAdd(`${name}:set`, `${n}.${i}`))), // it pipelines by itself
  swap: async (redis, n) => {
    await redis.watch(`${name}:at`);
    await redis.get(`${name}:at`);
    await redis.multi().set(`${name}:at`, String(n)).rPush(`${name}:log`, String(n)).exec();
  },
  push: async (redis, n) => {
    await redis.rPush(`${name}:queue`, String(n));
    await redis.publish(`${name}:news`, String(n));
  },
};

const runs = {
  async write(redis) {
    for (let n = 0; ; n += 1) {
      const [did, work] = Object.entries(kinds)[n % 4];
      await attempt(async () => {
        await work(redis, n);
        say({ did, n });
      });
      await nap(10);
    }
  },
  news: (redis) => redis.subscribe(`${name}:news`, (news) => say({ news })),
  async pop(redis) {
    for (;;) {
      await attempt(async () => say({ popped: (await redis.blPop(`${name}:queue`, 0)).element }));
    }
  },
};

for (const mode of modes.split(",")) {
  runs[mode](await connect());
}
