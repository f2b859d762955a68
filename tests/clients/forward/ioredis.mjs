// ioredis with its ordinary options: it sends again what was under way. Arguments: write,news,pop PORT NAME.
import { Redis } from "ioredis";

const [modes, port, name] = process.argv.slice(2);
const nap = (ms) => new Promise((done) => setTimeout(done, ms));
const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);
const connect = () => new Redis(Number(port), "127.0.0.1").on("error", () => {}); // it connects again by itself

async function attempt(work) {
  try {
    await work();
  } catch (error) {
    say({ failed: String(error) });
    await nap(20);
  }
}

const worked = (replies) => replies.forEach(([error]) => {
  if (error) {
    throw error;
  }
});

const kinds = {
  add: async (redis, n) => {
    await redis.sadd(`${name}:set`, n);
    await redis.incr(`${name}:count`);
  },
  pipe: async (redis, n) => {
    const pipeline = redis.pipeline();
    [0, 1, 2, 3, 4].forEach((i) => pipeline.sadd(`${name}:set`, `${n}.${i}`));
    worked(await pipeline.exec());
  },
  swap: async (redis, n) => {
    await redis.watch(`${name}:at`);
    await redis.get(`${name}:at`);
    worked(await redis.multi().set(`${name}:at`, n).rpush(`${name}:log`, n).exec());
  },
  push: async (redis, n) => {
    await redis.rpush(`${name}:queue`, n);
    await redis.publish(`${name}:news`, n);
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
  async news(redis) {
    redis.on("message", (_, news) => say({ news }));
    await attempt(() => redis.subscribe(`${name}:news`));
  },
  async pop(redis) {
    for (;;) {
      await attempt(async () => say({ popped: (await redis.blpop(`${name}:queue`, 0))[1] }));
    }
  },
};

modes.split(",").forEach((mode) => runs[mode](connect()));
