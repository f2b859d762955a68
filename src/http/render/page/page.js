
/*
 * The status page. Whatever is shown of the masters is from one answer of the daemon: /status, or where there are too
 * many masters for that /masters and, for those that are open, what belongs to them. Events (SSE) are told in the feed
 * and are the reason to ask again at once; without a stream the page asks every few seconds. Nothing that comes from
 * the network is ever parsed as HTML: text nodes and a few attributes only.
 */
(() => {
  "use strict";
  const POLL_MS = 3000; // without a stream
  const BEAT_MS = 5000; // with one: lags change without an event
  const SOON_MS = 250; // a burst of events is one question
  const CARDS_OPEN = 4; // with more masters only the tables of those in trouble start open
  const CARDS_WHOLE = 50; // with more masters /status is too much to ask for
  const CARDS_ASKED = 12; // then so many open ones are asked about at each beat
  const EVENTS_KEPT = 200;
  const SVG = "http://www.w3.org/2000/svg";
  const { EVENTS, REASONS, mood, serves, rank, plain, place, some, duration, ago, bytes, day, clock, local } = pageWords;

  const byId = (id) => document.getElementById(id);
  const main = byId("main");
  let cards = new Map(); // by name, in the daemon's order: {master, node, open, painted}
  const told = new Map(); // by name: the newest that is known of a master, from an answer or an event
  let whole = false; // the last answer was that of /status
  let defaultName = null;
  let whyNone = null; // in the daemon's own words
  let instance = null;
  let skewMs = 0; // the daemon's clock less ours
  let lastHeard = 0;
  let failovers = null;
  let failoversPainted = "";
  let forwardsPainted = "";

  /* ---- making nodes ---- */

  function fill(node, attributes, children) {
    for (const [name, value] of Object.entries(attributes || {})) {
      if (value !== null && value !== undefined && value !== false) {
        node.setAttribute(name, value === true ? "" : String(value));
      }
    }
    node.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
    return node;
  }
  const make = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
  const draw = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);
  /* An address may break before its port, if anywhere. */
  function breakable(address) {
    const colon = address.lastIndexOf(":");
    return colon > 0 ? [address.slice(0, colon), make("wbr"), address.slice(colon)] : [address];
  }
  const mono = (text) => make("span", { class: "mono" }, ...breakable(text));

  /* ---- times ---- */

  const daemonNow = () => Date.now() + skewMs;
  const when = (iso, words) => make("time", { datetime: iso, title: local(iso) }, words(iso));
  /* How long ago it is; goes on saying so (see tick()). */
  const since = (iso) => make("span", { class: "soft", "data-ago": iso }, ago(daemonNow() - Date.parse(iso)));
  function setText(node, text) {
    if (node.textContent !== text) {
      node.textContent = text;
    }
  }

  /* ---- a master's card ---- */

  const fact = (term, ...value) => make("div", null, make("dt", null, term), make("dd", null, ...value));

  function facts(master) {
    return make("dl", { class: "facts" },
      fact(serves(master) ? "Master since" : "Published", ...(master.since ? [when(master.since, day), " ", since(master.since)] : ["never"])),
      fact("Previous", master.previous ? mono(place(master.previous)) : "none yet"),
      fact("Role", master.verified ? "says master" : make("span", { class: mood(master) }, "not verified")),
      fact("Config epoch", master.config_epoch === null ? "unknown" : String(master.config_epoch)));
  }

  function sentinelNotes(sentinel) {
    const notes = [];
    if (!sentinel.reachable) {
      notes.push("not reachable");
    } else if (!sentinel.agrees) {
      notes.push(sentinel.says ? "disagrees" : "names none");
    }
    if (sentinel.foreign) {
      notes.push("of another deployment, not counted");
    }
    if (sentinel.tls_why) {
      notes.push(`in TLS: ${sentinel.tls_why}`);
    }
    const flags = (sentinel.master_flags || []).filter((flag) => flag !== "master");
    if (flags.length) {
      notes.push(`sees the master as ${flags.join(", ")}`);
    }
    if (sentinel.tilt) {
      notes.push("in TILT");
    }
    if (sentinel.ckquorum && !sentinel.ckquorum.ok) {
      notes.push(sentinel.ckquorum.text);
    }
    if (sentinel.error) {
      notes.push(`${sentinel.error.code}: ${sentinel.error.text}`);
    }
    return notes;
  }

  /* A row and, below it, what is to be said about it. */
  function rows(tone, notes, ...cells) {
    const attributes = { "data-mood": tone };
    return notes.length
      ? [make("tr", { ...attributes, class: "noted" }, ...cells), make("tr", { ...attributes, class: "notes" }, make("td", { colspan: cells.length }, notes.join("; ")))]
      : [make("tr", attributes, ...cells)];
  }

  function sentinelRows(sentinel) {
    const notes = sentinelNotes(sentinel);
    const differs = sentinel.reachable && !sentinel.agrees;
    return rows(differs ? "bad" : notes.length ? "warn" : null, notes,
      make("td", null, mono(sentinel.address)),
      make("td", null, differs ? make("strong", { class: "mono bad" }, "\u2260 ", ...breakable(sentinel.says || "nothing"))
        : sentinel.says ? mono(sentinel.says) : make("span", { class: "soft" }, "nothing")),
      make("td", { class: "number" }, sentinel.config_epoch === null ? "?" : String(sentinel.config_epoch)));
  }

  const table = (heads, list, numbers) => make("table", null,
    make("thead", null, make("tr", null, ...heads.map((head, i) => make("th", { scope: "col", class: numbers.includes(i) ? "number" : null }, head)))),
    make("tbody", null, ...list));

  function sentinelTable({ sentinels }) {
    if (!sentinels || !sentinels.length) {
      return make("p", { class: "none" }, sentinels ? "None is known." : "Asking\u2026");
    }
    return table(["Sentinel", "names", "epoch"], sentinels.flatMap(sentinelRows), [2]);
  }

  function replicaRows(replica) {
    const notes = [];
    if (!replica.healthy) {
      notes.push("unhealthy");
    }
    if (!replica.link_up) {
      notes.push(replica.link_down_ms > 0 ? `link down for ${duration(replica.link_down_ms)}` : "link down");
    }
    if (!replica.promotable) {
      notes.push(`not promotable${replica.why_not.length ? `: ${replica.why_not.join(", ")}` : ""}`);
    }
    return rows(replica.healthy ? null : "warn", notes,
      make("td", null, mono(replica.address)),
      make("td", { class: "number" }, replica.lag_bytes === null ? "unknown" : bytes(replica.lag_bytes)),
      make("td", { class: "number" }, String(replica.priority)));
  }

  /* Nobody knows them before the master was known. */
  const replicasOf = (master) => (master.state === "unknown" ? null : master.replicas);

  function replicaTable(master) {
    const replicas = replicasOf(master);
    if (!replicas || !replicas.length) {
      return make("p", { class: "none" }, replicas ? "There are none." : "Not known.");
    }
    return table(["Replica", "lag", "priority"], replicas.flatMap(replicaRows), [1, 2]);
  }

  function forwardRows(forward, isOther) {
    const notes = [forward.to === "replica" ? "to replicas" : "", forward.tls ? "TLS" : "", forward.auth ? "logs in" : ""].filter(Boolean);
    if (isOther && forward.master) {
      notes.unshift(`of ${forward.master}${forward.known ? "" : ", which no Sentinel knows"}`);
    }
    if (forward.waiting) {
      notes.push(`${some(forward.waiting, "client waits", "clients wait")} for a node`);
    }
    const ends = Object.entries(forward.closed).filter(([, n]) => n > 0);
    if (ends.length) {
      notes.push(`closed: ${ends.map(([why, n]) => `${plain(why)} ${n}`).join(", ")}`);
    }
    return rows(forward.waiting || !forward.known ? "warn" : null, notes,
      make("td", null, mono(forward.listen)),
      make("td", { class: "number" }, String(forward.connections.master + forward.connections.replica)),
      make("td", { class: "number" }, bytes(forward.bytes_in)),
      make("td", { class: "number" }, bytes(forward.bytes_out)));
  }

  const forwardTable = (forwards, areOthers) => table(["Listens on", "clients", "in", "out"], forwards.flatMap((forward) => forwardRows(forward, areOthers)), [1, 2, 3]);

  /* Those that lead to no master that is shown. */
  function paintForwards(forwards) {
    const now = JSON.stringify(forwards);
    if (now !== forwardsPainted) {
      forwardsPainted = now;
      byId("forwards-section").hidden = forwards.length === 0;
      byId("forwards").replaceChildren(forwardTable(forwards, true));
    }
  }

  /* "2 of 3 Sentinels agree: no majority \u00b7 1 disagrees \u00b7 2 replicas" */
  function summaryOf(master) {
    const replicas = replicasOf(master);
    if (!master.sentinels) {
      return make("summary", null, "Sentinels and replicas");
    }
    const text = `${master.agreeing} of ${some(master.known, "Sentinel agrees", "Sentinels agree")}`;
    const parts = [master.majority ? make("span", null, text) : make("span", { class: "bad" }, `${text}: no majority`)];
    const differ = master.sentinels.filter((sentinel) => sentinel.reachable && !sentinel.agrees).length;
    if (differ) {
      parts.push(" \u00b7 ", make("span", { class: "bad" }, `${differ} disagree${differ === 1 ? "s" : ""}`));
    }
    if (replicas) {
      const healthy = replicas.filter((replica) => replica.healthy).length;
      const all = some(replicas.length, "replica", "replicas");
      parts.push(` \u00b7 ${healthy === replicas.length ? all : `${healthy} of ${all} healthy`}`);
    }
    const waiting = (master.forwards || []).reduce((n, forward) => n + forward.waiting, 0);
    if (waiting) {
      parts.push(" \u00b7 ", make("span", { class: "bad" }, some(waiting, "client waits", "clients wait")));
    }
    return make("summary", null, ...parts);
  }

  function details(card) {
    const node = make("details", { open: card.open }, summaryOf(card.master),
      make("div", { class: "tables" },
        make("div", null, make("h4", null, "What each Sentinel says"), sentinelTable(card.master)),
        make("div", null, make("h4", null, "Replicas"), replicaTable(card.master)),
        card.master.forwards?.length
          ? make("div", { class: "forwards" }, make("h4", null, "Forwards"), forwardTable(card.master.forwards, false))
          : null));
    node.addEventListener("toggle", () => {
      if (card.open !== node.open) {
        card.open = node.open;
        if (card.open && !whole) {
          refresh();
        }
      }
    });
    return node;
  }

  function paint(card) {
    const { master } = card;
    const now = JSON.stringify([master, card.open, defaultName, cards.size > 1], (key, value) => (key.endsWith("age_ms") ? undefined : value));
    if (now === card.painted) {
      return;
    }
    card.painted = now;
    const focused = card.node.contains(document.activeElement);
    const shown = serves(master);
    fill(card.node, { "data-mood": mood(master), "data-state": master.state, "data-name": master.name }, []);
    card.node.replaceChildren(
      make("div", { class: "head" },
        make("h3", null, master.name, master.name === defaultName && cards.size > 1 ? make("span", { class: "tag" }, "default") : null),
        make("p", { class: "badge", "data-mood": mood(master) }, plain(master.state))),
      make("p", { class: "label" }, shown ? "Master" : "Last known master"),
      make("p", { class: shown ? "address" : "address gone" }, ...breakable(master.address || "\u2014")),
      ...(master.reason
        ? [make("p", { class: "why", "data-mood": mood(master) }, `${plain(master.reason)}: ${master.detail || REASONS[master.reason] || "see /status"}`)]
        : []),
      facts(master), details(card));
    if (focused) {
      card.node.querySelector("summary").focus();
    }
  }

  /* ---- the verdict: the one thing that is announced ---- */

  function paintVerdict() {
    const all = [...cards.values()].map((card) => card.master);
    const out = all.filter((master) => !serves(master));
    const odd = all.filter((master) => serves(master) && (master.state !== "ok" || master.reason));
    const node = byId("verdict");
    let text;
    if (all.length === 0) {
      text = `No master is known${whyNone ? `: ${whyNone}` : ""}.`;
    } else if (all.length === 1) {
      text = out.length ? `${all[0].name} has no master now: ${plain(all[0].state)}.` : `${all[0].name} is at ${all[0].address}.`;
    } else if (out.length === 0) {
      text = `All ${all.length} masters are in service.`;
    } else {
      const names = out.slice(0, 3).map((master) => `${master.name} (${plain(master.state)})`).join(", ");
      text = `${out.length} of ${all.length} masters ${out.length === 1 ? "is" : "are"} out of service: ${names}${out.length > 3 ? " \u2026" : "."}`;
    }
    setText(node, text);
    node.dataset.mood = out.length || !all.length ? "bad" : odd.length ? "warn" : "good";
    document.title = all.length === 0 ? "Bellwether" : out.length ? `\u25a0 ${out[0].name} ${plain(out[0].state)}` : odd.length ? `\u25b2 ${odd[0].name} ${plain(odd[0].reason || odd[0].state)}` : `\u25cf ok \u00b7 Bellwether`;
  }

  function arrange() {
    const list = byId("masters");
    const nodes = [...cards.values()].sort((a, b) => rank(a.master) - rank(b.master)).map((card) => card.node);
    if (nodes.length !== list.childNodes.length || nodes.some((node, i) => list.childNodes[i] !== node)) {
      const focused = list.contains(document.activeElement) ? document.activeElement : null;
      list.replaceChildren(...nodes);
      focused?.focus();
    }
  }

  /* ---- masters ---- */

  /* What an event or an answer says of a master goes into the feed where it is news. @return false: it is older than what is known. */
  function hear(master) {
    const known = told.get(master.name);
    if (known && master.index < known.index) {
      return false;
    }
    told.set(master.name, master);
    if (known && (known.state !== master.state || known.address !== master.address || known.reason !== master.reason)) {
      const words = master.address !== known.address
        ? `${known.address || "none"} \u2192 ${master.address || "none"}`
        : `${master.address || ""}${master.reason ? ` ${plain(master.reason)}` : ""}`;
      tell({ at: new Date(daemonNow()).toISOString(), mood: mood(master), what: `${master.name}: ${plain(master.state)}`, words, ours: true });
    }
    return true;
  }

  /* Show what one answer says. The tables of a master in trouble open, once; what a reader opened or closed stays so. */
  function show(masters) {
    const before = cards;
    cards = new Map(masters.map((master) => [master.name, before.get(master.name) || { node: make("article", { class: "card master" }), open: masters.length <= CARDS_OPEN, painted: "" }]));
    for (const master of masters) {
      const card = cards.get(master.name);
      if (rank(master) < 2 && !(card.master && rank(card.master) < 2)) {
        card.open = true;
      }
      card.master = master;
    }
    cards.forEach(paint);
    arrange();
    paintVerdict();
    byId("masters-section").hidden = cards.size === 0;
  }

  function newProcess(its) {
    if (its && instance && its !== instance) { // indexes of two processes do not compare
      told.forEach((master, name) => told.set(name, { ...master, index: 0 }));
    }
    instance = its || instance;
  }

  /* ---- asking ---- */

  async function ask(path) {
    const control = new AbortController();
    const timer = setTimeout(() => control.abort(), 8000);
    try {
      const response = await fetch(path, { headers: { Accept: "application/json" }, signal: control.signal });
      const body = await response.json().catch(() => null);
      const off = Date.parse(response.headers.get("Date") || "") - Date.now();
      skewMs = Math.abs(off) > 2500 ? off : 0;
      return { status: response.status, body, instance: response.headers.get("X-Bellwether-Instance") };
    } finally {
      clearTimeout(timer);
    }
  }

  /* @param from when what is shown was heard; 0: it is not old, or there is nothing. */
  function alarm(text, from) {
    const node = byId("alarm");
    const now = from ? `${text} What is shown is from ${clock(from)}.` : text;
    if (node.textContent !== now) {
      node.replaceChildren(text, ...(from ? [" What is shown is from ", when(new Date(from).toISOString(), clock), "."] : []));
    }
    node.hidden = !text;
    main.toggleAttribute("data-old", Boolean(text));
    if (text) {
      document.title = "? no connection \u00b7 Bellwether";
    }
  }

  /* What belongs to a master, where there are too many for /status. The replicas, asked for last, tell whether it is still the same state. */
  async function explain(master) {
    const path = `masters/${encodeURIComponent(master.name)}`;
    const sentinels = await ask(`${path}/sentinels`);
    const replicas = master.state === "unknown" ? { status: 0 } : await ask(`${path}/replicas`); // 503 there
    if (sentinels.status !== 200 || (replicas.status === 200 && replicas.body.index !== master.index)) {
      refresh();
      return master;
    }
    return { ...master, ...sentinels.body, replicas: replicas.status === 200 ? replicas.body.replicas : null };
  }

  const isState = (answer) => answer !== null && answer.status === 200 && answer.body !== null;
  const fits = (answer) => whole === (answer.body.masters.length > 0 && answer.body.masters.length <= CARDS_WHOLE);

  /* @return the answer, its masters with all that belongs to them; null: the daemon can't be reached. */
  async function askState() {
    try {
      let answer = await ask(whole ? "status" : "masters");
      if (isState(answer) && !fits(answer)) {
        whole = !whole;
        answer = await ask(whole ? "status" : "masters");
      }
      if (isState(answer) && !whole) {
        const { masters } = answer.body;
        const open = masters.filter((master) => cards.get(master.name)?.open || rank(master) < 2).slice(0, CARDS_ASKED);
        const explained = await Promise.all(open.map(explain));
        answer.body.masters = masters.map((master) => explained[open.indexOf(master)] || master);
      } else if (isState(answer)) {
        const { masters, forwards = [] } = answer.body;
        for (const master of masters) {
          master.forwards = forwards.filter((forward) => forward.master === master.name);
        }
        answer.body.others = forwards.filter((forward) => !masters.some((master) => forward.master === master.name));
      }
      return answer;
    } catch {
      return null;
    }
  }

  async function askAll() {
    const answer = await askState();
    if (!isState(answer)) {
      alarm(answer ? `${(answer.body && answer.body.detail) || `The daemon answers ${answer.status}`}.` : "The daemon can't be reached.", lastHeard);
      link();
      return;
    }
    lastHeard = Date.now();
    newProcess(answer.instance);
    if (answer.body.masters.map(hear).every(Boolean)) {
      defaultName = answer.body.default;
      whyNone = answer.body.detail;
      show(answer.body.masters);
      paintForwards(answer.body.others || []);
    } else {
      refresh(); // an event has overtaken this answer
    }
    alarm(answer.body.reason === "watcher_stalled" ? `The thread that watches gave no sign of life for ${duration(answer.body.watcher.silent_ms)}; what it said may be old.` : "", 0);
    link();
    await askFailovers();
  }

  async function askFailovers() {
    if (failovers === false) {
      return;
    }
    try {
      const answer = await ask("failovers?limit=20");
      if (answer.status === 200) {
        failovers = answer.body.failovers;
      } else if (answer.status === 404) {
        failovers = false;
      }
      paintFailovers();
    } catch {
      // the next beat says so
    }
  }

  /* Do it at once, but once for a burst of wishes; wishes that come while it is being done do it again. */
  function soon(work) {
    let wanted = false;
    let busy = false;
    let last = 0;
    return async function wish() {
      wanted = true;
      if (busy) {
        return;
      }
      busy = true;
      try {
        while (wanted) {
          await new Promise((done) => setTimeout(done, Math.max(0, last + SOON_MS - Date.now())));
          wanted = false;
          last = Date.now();
          await work();
        }
      } finally {
        busy = false;
      }
    };
  }
  const refresh = soon(askAll);

  /* ---- failovers ---- */

  const OUTCOMES = { switched: "good", running: "warn", unattended: "bad", aborted: "bad", not_started: "bad", recovered: "none" };

  function failoverSpan(entry) {
    const phases = entry.phases;
    const last = phases.length ? phases[phases.length - 1].ms : 0;
    const done = entry.ended && phases.length && phases[phases.length - 1].phase === "finished";
    const took = done ? last : (entry.ended ? Date.parse(entry.ended) : daemonNow()) - Date.parse(phases.length ? phases[0].at : entry.began);
    const published = phases.find((phase) => phase.phase === "published");
    const hasGap = published && entry.unavailable_ms > 0;
    const gapFrom = hasGap ? published.ms - entry.unavailable_ms : 0;
    const from = Math.min(0, gapFrom);
    return { from, to: Math.max(last, took, from + 1), gap: hasGap ? [gapFrom, published.ms] : null };
  }

  function failoverBar(entry, span) {
    const x = (ms) => ((ms - span.from) / (span.to - span.from)) * 1000;
    const shapes = [draw("rect", { class: "track", x: 0, y: 0, width: 1000, height: 24 })];
    entry.phases.forEach((phase, i) => {
      const next = i + 1 < entry.phases.length ? entry.phases[i + 1].ms : span.to;
      if (phase.phase === "finished") {
        return;
      }
      shapes.push(draw("rect", { class: `p-${phase.phase}${entry.ended || i + 1 < entry.phases.length ? "" : " running"}`,
        x: x(phase.ms).toFixed(2), y: 0, width: Math.max(x(next) - x(phase.ms), 2).toFixed(2), height: 24 }));
    });
    if (span.gap) {
      shapes.push(draw("rect", { class: "gap", x: x(span.gap[0]).toFixed(2), y: 28, width: Math.max(x(span.gap[1]) - x(span.gap[0]), 2).toFixed(2), height: 5 }));
    }
    const words = entry.phases.map((phase) => `${plain(phase.phase)} at ${duration(phase.ms)}`).join(", ");
    return draw("svg", { class: "scale", viewBox: "0 0 1000 34", preserveAspectRatio: "none", role: "img", "aria-label": `To scale: ${words}` }, ...shapes);
  }

  function failoverStory(entry) {
    const parts = [when(entry.began, day)];
    if (entry.kind && entry.kind !== "unknown") {
      parts.push(` \u00b7 ${entry.kind}`);
    }
    if (entry.leader) {
      parts.push(" \u00b7 led by ", mono(entry.leader));
    }
    if (entry.config_epoch !== null && entry.config_epoch !== undefined) {
      parts.push(` \u00b7 epoch ${entry.config_epoch}`);
    }
    if (entry.reason) {
      parts.push(` \u00b7 ${plain(entry.reason)}`);
    }
    if (entry.unavailable_ms !== null && entry.unavailable_ms !== undefined) {
      parts.push(" \u00b7 ", make("strong", null, entry.unavailable_ms > 0 ? `no master for ${duration(entry.unavailable_ms)}` : "no gap"));
    }
    return make("p", { class: "story" }, ...parts);
  }

  function failoverCard(entry) {
    const span = failoverSpan(entry);
    const swatch = (phase) => draw("svg", { class: "swatch", "aria-hidden": "true" }, draw("rect", { class: `p-${phase}` }));
    return make("li", { class: "card failover", "data-outcome": entry.outcome },
      make("div", { class: "head" },
        make("h3", null, entry.name, " ", make("span", { class: "move" }, `${place(entry.from) || "?"} \u2192 ${place(entry.to) || (entry.ended ? "none" : "\u2026")}`)),
        make("p", { class: "badge", "data-mood": OUTCOMES[entry.outcome] || "none" }, plain(entry.outcome))),
      failoverStory(entry),
      failoverBar(entry, span),
      make("div", { class: "ends" }, make("span", null, span.gap ? (span.from < 0 ? "last good answer" : "0") : "0"),
        make("span", null, `${duration(span.to - span.from)}${entry.ended ? "" : " so far"}`)),
      make("ol", { class: "phases" }, ...entry.phases.map((phase, i) => {
        const next = i + 1 < entry.phases.length ? entry.phases[i + 1].ms : phase.phase === "finished" ? null : span.to;
        return make("li", { title: `${clock(phase.at)} (${local(phase.at)}), ${duration(phase.ms)} after the first` }, swatch(phase.phase), plain(phase.phase),
          next === null ? null : make("span", { class: "ms" }, duration(next - phase.ms)));
      })));
  }

  function paintFailovers() {
    const section = byId("failovers");
    section.hidden = !failovers;
    if (!failovers) {
      return;
    }
    const running = failovers.some((entry) => entry.outcome === "running" || entry.outcome === "unattended");
    const now = JSON.stringify(failovers);
    if (now === failoversPainted && !running) {
      return;
    }
    failoversPainted = now;
    byId("failover-list").replaceChildren(...failovers.map(failoverCard));
    byId("no-failovers").hidden = failovers.length > 0;
  }

  /* ---- the feed ---- */

  let paused = false;
  let held = [];

  function eventLine({ at, mood: tone, what, words, ours }) {
    return make("li", null, when(at, clock),
      make("span", { class: `what${ours ? " state" : ""}${tone ? ` ${tone}` : ""}` }, what), make("span", { class: "words" }, words));
  }

  function tell(line) {
    if (paused) {
      held = [...held, line].slice(-EVENTS_KEPT);
      setText(byId("pause"), `Go on (${held.length} new)`);
      return;
    }
    const list = byId("events");
    list.prepend(eventLine(line));
    while (list.childNodes.length > EVENTS_KEPT) {
      list.lastChild.remove();
    }
    byId("quiet").hidden = true;
    byId("log").hidden = false;
  }

  function tellSentinel(event) {
    const [tone, meaning] = EVENTS[event.event] || ["", ""];
    const words = [event.sentinel, meaning].filter(Boolean).join(" ");
    tell({ at: event.at, mood: tone, what: event.event, words: event.detail ? `${words}${words ? " \u2014 " : ""}${event.detail}` : words });
  }

  byId("pause").addEventListener("click", () => {
    paused = !paused;
    byId("pause").setAttribute("aria-pressed", String(paused));
    setText(byId("pause"), paused ? "Go on" : "Pause");
    const lines = held;
    held = [];
    lines.forEach(tell);
  });

  /* ---- the stream, and the beat ---- */

  let stream = null;
  let retryMs = 2000;
  let retryTimer = 0;
  let beatTimer = 0;

  const live = () => stream !== null && stream.readyState === EventSource.OPEN;

  function link() {
    const node = byId("link");
    const lost = !byId("alarm").hidden;
    node.hidden = false;
    node.dataset.link = lost ? "lost" : live() ? "live" : "polling";
    setText(node, lost ? "no connection" : live() ? "live" : `asking every ${POLL_MS / 1000} s`);
    byId("feed").hidden = false;
  }

  function read(message) {
    try {
      return JSON.parse(message.data);
    } catch {
      return null;
    }
  }

  function listen() {
    clearTimeout(retryTimer);
    stream = new EventSource("events");
    stream.addEventListener("open", () => {
      retryMs = 2000;
      beat();
    });
    stream.addEventListener("master", (message) => {
      const master = read(message);
      if (master && master.name) {
        newProcess((message.lastEventId || "").split("-")[0]);
        hear(master);
        refresh();
      }
    });
    stream.addEventListener("sentinel", (message) => {
      const event = read(message);
      if (event && event.event) {
        tellSentinel(event);
        refresh();
      }
    });
    stream.addEventListener("error", () => {
      if (stream && stream.readyState === EventSource.CLOSED) { // refused: the browser does not try again by itself
        retryTimer = setTimeout(listen, retryMs * (0.75 + Math.random() / 2));
        retryMs = Math.min(retryMs * 2, 30000);
      }
      beat();
    });
  }

  function beat() {
    clearTimeout(beatTimer);
    beatTimer = setTimeout(beat, live() ? BEAT_MS : POLL_MS);
    refresh();
  }

  function tick() {
    for (const node of document.querySelectorAll("[data-ago]")) {
      setText(node, ago(daemonNow() - Date.parse(node.dataset.ago)));
    }
    if (failovers && failovers.some((entry) => entry.outcome === "running")) {
      paintFailovers();
    }
  }
  let tickTimer = 0;

  /* A hidden page holds no stream: browsers allow six connections to a host, over all tabs. */
  function wake() {
    if (document.visibilityState === "hidden") {
      clearTimeout(retryTimer);
      clearTimeout(beatTimer);
      clearInterval(tickTimer);
      stream?.close();
      stream = null;
    } else if (!stream) {
      tickTimer = setInterval(tick, 1000);
      listen();
      beat();
    }
  }
  document.addEventListener("visibilitychange", wake);
  byId("link").hidden = byId("verdict").hidden = false;
  wake();
})();
