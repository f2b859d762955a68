// What a program of Node is beside its client. Arguments: write,news,pop PORT NAME; each of these words is done on a
// connection of its own.
const [modes, portWord, name] = process.argv.slice(2);
export const port = Number(portWord);
export const key = (what) => `${name}:${what}`;

const nap = (ms) => new Promise((done) => setTimeout(done, ms));
const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);

async function attempt(work) {
  try {
    await work();
  } catch (error) {
    say({ failed: String(error) });
    await nap(20);
  }
}

async function write(redis, kinds) {
  for (let n = 0; ; n += 1) {
    const [did, work] = Object.entries(kinds)[n % 4];
    await attempt(async () => {
      await work(redis, String(n));
      say({ did, n });
    });
    await nap(10);
  }
}

async function pop(redis, popOne) {
  for (;;) {
    await attempt(async () => say({ popped: await popOne(redis) }));
  }
}

/** Do it with a client: how it connects, writes each of the four kinds, listens, and pops. */
export async function perform({ connect, kinds, listen, popOne }) {
  const runs = {
    write: (redis) => write(redis, kinds),
    news: (redis) => attempt(() => listen(redis, (news) => say({ news }))),
    pop: (redis) => pop(redis, popOne),
  };
  for (const mode of modes.split(",")) {
    void runs[mode](await connect());
  }
}
