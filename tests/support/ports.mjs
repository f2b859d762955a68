// Free ports for servers on loopback, as ports.c gives them to the tests in C: below the ephemeral ones, so that no outgoing
// connection takes one before its server does, and never the same twice. Out of its range, so that both can run at once,
// and above 10080, to which fetch() and browsers connect never.
//
//   node ports.mjs COUNT     as many, on a line
import net from "node:net";
import { fileURLToPath } from "node:url";

export const [first, span] = [10100, 4900];
let next = process.pid * 37; // whoever runs beside this begins elsewhere

const isFree = (port) => new Promise((done) => {
  const server = net.createServer();
  server.once("error", () => done(false));
  server.listen(port, "127.0.0.1", () => server.close(() => done(true)));
});

export async function freePort() {
  for (let tries = 0; tries < span; tries += 1) {
    const port = first + next++ % span;
    if (await isFree(port)) {
      return port;
    }
  }
  throw new Error("no free port");
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const ports = [];
  while (ports.length < Number(process.argv[2])) {
    ports.push(await freePort());
  }
  console.log(ports.join(" "));
}
