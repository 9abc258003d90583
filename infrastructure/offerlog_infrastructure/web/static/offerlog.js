/**
 * Reports from a visitor's browser what becomes of web chat offers (docs/browser.md).
 *
 * A report is in localStorage before `report` returns and stays there until the service has answered for it. It may
 * be sent more than once, from any tab: the service knows it again by its event id.
 */

const STATES = new Set(
  "offered accepted rejected ignored errored timedout started abandoned engaged".split(" "),
);
/** States that only a visitor who sees the invitation can bring about. */
const ACTED = new Set("accepted rejected started abandoned engaged".split(" "));
/** Browsers let a page have 64 KiB of keepalive requests and beacons under way, all together. */
const MOST_BYTES = 48 * 1024;
/** The service reads no larger beacon than this, and no more reports in one request. */
const [MOST_BEACON_BYTES, MOST_LINES] = [64 * 1024, 100];
/** In characters: an error message, a name or a code, and the whole queue in localStorage. */
const [MOST_ERROR_MESSAGE, MOST_NAME, MOST_STORED] = [4000, 256, 512 * 1024];
/** Milliseconds in which a page says more, and in which one tab learns what another has taken off the queue. */
const GATHERING = 50;
/** All in milliseconds. */
const [FIRST_DELAY, LONGEST_DELAY, LONGEST_WISH, ANSWER_TIME, DAY] = [1e3, 60e3, 3600e3, 30e3, 86400e3];

const warn = (message) => console.warn(`offerlog: ${message}`);

export class Offerlog {
  #endpoint;
  #key;
  #visit;
  #timeoutSeconds;
  #queue;
  #lock;
  #listeners = new Map();
  #invitations = new Map();
  #unseen = new Map();
  #page = new AbortController();
  #underWay = new Set();
  #beaconed = new Set();
  #busy = false;
  #stopped = false;
  #next = 0;
  #failures = 0;
  #notBefore = 0;
  #wished = 0;
  #most = MOST_LINES;

  /**
   * @param {object} options
   * @param {string|URL} [options.url] The service; where this module came from unless given.
   * @param {string} options.key A key of the role `widget`.
   * @param {string} options.customerId Who is on the site, 1 to 256 characters.
   * @param {string} [options.customerIdType] What kind of id that is.
   * @param {string} options.sessionId The visit, a UUID.
   * @param {number} [options.timeoutSeconds] How long an invitation stands, 1 to 86400; for ever unless given.
   * @param {string} [options.queue] Separates what two organizations report from pages of one origin.
   * @param {number} [options.maxQueued] How many reports are kept for sending; further ones are dropped.
   * @param {number} [options.keepDays] How long they are kept.
   * @throws {TypeError} One of the required options is missing.
   */
  constructor({
    url = new URL("..", import.meta.url),
    key,
    customerId,
    customerIdType = "cookie",
    sessionId,
    timeoutSeconds,
    queue = "default",
    maxQueued = 1000,
    keepDays = 7,
  }) {
    required({ key, customerId, sessionId });
    this.#endpoint = new URL("v1/signals", new URL(`${url}`.replace(/\/*$/, "/"), document.baseURI)).href;
    this.#key = key;
    this.#visit = { customerId, customerIdType, sessionId };
    this.#timeoutSeconds = timeoutSeconds;
    this.#lock = `offerlog/${queue}`;
    this.#queue = new Queue(`offerlog/${queue}/`, maxQueued, keepDays * DAY);
    const { signal } = this.#page;
    addEventListener("pagehide", () => this.#beacon(), { signal });
    addEventListener("pageshow", () => this.#resume(), { signal });
    addEventListener("online", () => this.#resume(), { signal });
    document.addEventListener("prerenderingchange", () => this.#resume(), { signal });
    document.addEventListener(
      "visibilitychange",
      () => (document.visibilityState === "hidden" ? this.#beacon() : this.#resume()),
      { signal },
    );
    this.#schedule();
  }

  /** How many reports, of all tabs, the service has not answered for yet. */
  get queued() {
    return this.#queue.keys().length;
  }

  /**
   * Report `offered` as soon as the invitation is seen, and `timedout` if nothing else became of it in time.
   *
   * It is seen while the page is in the foreground (not in a background tab, not only prerendered) and, in a frame or
   * with `element`, while that is inside the window. The time-out begins then. An invitation that is never seen is
   * never reported.
   *
   * @param {object} action As for `report`; a new action id is made unless it has one.
   * @param {object} [options]
   * @param {number|null} [options.timeoutSeconds] Instead of the one given on construction; null for no time-out.
   * @param {Element} [options.element] The invitation on the page.
   * @returns {object} The action, for the reports that follow.
   */
  invite(action, { timeoutSeconds = action.timeoutSeconds ?? this.#timeoutSeconds, element } = {}) {
    const invited = { ...action, actionId: action.actionId ?? uuid() };
    const fields = { ...invited, timeoutSeconds: timeoutSeconds ?? undefined };
    this.#take(this.#event("offered", fields), fields, element, () => {
      clearTimeout(this.#invitations.get(invited.actionId)?.timer);
      if (timeoutSeconds) {
        const withdraw = () => this.report("timedout", invited);
        const timer = setTimeout(withdraw, timeoutSeconds * 1000);
        this.#invitations.set(invited.actionId, { due: Date.now() + timeoutSeconds * 1000, timer, withdraw });
      }
    });
    return invited;
  }

  /**
   * Report that an action reached a state; `offered` waits until the page is seen, as in `invite`.
   *
   * @param {string} state As the vendor writes it, such as `accepted`.
   * @param {object} fields `actionId` and `actionMapId`; also `actionMapVersion`, `actionMapName`, `actionMediaType`,
   *   `errorCode`, `errorMessage`, `timeoutSeconds`, and another `customerId`, `customerIdType` or `sessionId`.
   * @returns {object} The event that listeners get.
   * @throws {TypeError} The state is unknown, or a required field is missing.
   */
  report(state, fields) {
    const event = this.#event(state, fields);
    this.#take(event, fields);
    return event;
  }

  #event(state, fields) {
    if (!STATES.has(state)) {
      throw new TypeError(`offerlog: no state of an action: ${state}`);
    }
    const { actionId, actionMapId, actionMapVersion, actionMediaType = "webchat", errorCode, errorMessage } = fields;
    const { customerId, customerIdType, sessionId } = { ...this.#visit, ...defined(fields) };
    required({ actionId, actionMapId, customerId, sessionId });
    return Object.freeze({
      actionId,
      actionState: state,
      actionMediaType,
      actionMapId,
      actionMapVersion,
      customerId,
      customerIdType,
      sessionId,
      errorCode: typeof errorCode === "string" ? short(errorCode, MOST_NAME) : errorCode,
      errorMessage: errorMessage == null ? undefined : short(errorMessage, MOST_ERROR_MESSAGE),
    });
  }

  /** Queue a report, or hold it until its invitation has been seen. */
  #take(event, fields, element, begin = () => {}) {
    const { actionId, actionState: state } = event;
    const queue = () => {
      this.#enqueue(event, fields);
      begin();
    };
    let held = this.#unseen.get(actionId);
    if (!held && (state === "offered" || document.prerendering)) {
      const sight = new Sight(element, () => this.#look());
      held = sight.seen ? undefined : sight;
    }
    if (!held) {
      queue();
    } else if (state === "ignored" || state === "timedout") {
      this.#unseen.delete(actionId);
      held.end();
      this.#tell(event); // the page takes the invitation away, and nobody has seen it
    } else {
      this.#unseen.set(actionId, held);
      held.reports.push(queue);
      held.acted ||= ACTED.has(state); // an observer may come to it later than a quick visitor
      this.#look();
    }
  }

  /** Report what has been seen by now, and what is overdue: timers stand still in a frozen page. */
  #look() {
    for (const [actionId, held] of this.#unseen) {
      if (held.seen) {
        this.#unseen.delete(actionId);
        held.end();
        held.reports.forEach((queue) => queue());
      }
    }
    const now = Date.now();
    [...this.#invitations.values()].filter(({ due }) => due <= now).forEach(({ withdraw }) => withdraw());
  }

  #enqueue(event, { actionMapName, timeoutSeconds }) {
    const { actionId, actionState: state } = event;
    if (state !== "offered") {
      clearTimeout(this.#invitations.get(actionId)?.timer);
      this.#invitations.delete(actionId);
    }
    const told = {
      eventId: uuid(),
      createdDate: new Date().toISOString(),
      actionMapName: actionMapName == null ? undefined : short(actionMapName, MOST_NAME),
      timeoutSeconds,
    };
    if (!this.#queue.add(told.eventId, JSON.stringify({ ...event, ...told }))) {
      warn(`too many reports wait to be sent; "${state}" of action ${actionId} is dropped`);
    }
    if (document.visibilityState === "hidden") {
      this.#beacon();
    }
    this.#schedule();
    this.#tell(event);
  }

  /** Call `callback(event)` for every report of a state, such as `on("webchat", "accepted", show)`. */
  on(mediaType, state, callback) {
    this.#listen(mediaType, state, callback, false);
  }

  /** As `on`, for the first one only. */
  once(mediaType, state, callback) {
    this.#listen(mediaType, state, callback, true);
  }

  /** Undo `on` and `once`; without a callback, of all callbacks of that state. */
  off(mediaType, state, callback) {
    const kept = this.#listeners.get(`${mediaType} ${state}`) ?? [];
    const others = callback ? kept.filter((one) => one.callback !== callback) : [];
    this.#listeners.set(`${mediaType} ${state}`, others);
  }

  /** Stop sending and withdraw the time-outs; what is queued waits for the next page. */
  close() {
    this.#beacon();
    this.#stop();
    this.#page.abort();
    this.#invitations.forEach(({ timer }) => clearTimeout(timer));
    this.#invitations.clear();
    this.#unseen.forEach((held) => held.end());
    this.#unseen.clear();
  }

  #listen(mediaType, state, callback, once) {
    if (!STATES.has(state)) {
      throw new TypeError(`offerlog: no state of an action: ${state}`);
    }
    const name = `${mediaType} ${state}`;
    this.#listeners.set(name, [...(this.#listeners.get(name) ?? []), { callback, once }]);
  }

  #tell(event) {
    const name = `${event.actionMediaType} ${event.actionState}`;
    const listeners = this.#listeners.get(name) ?? [];
    this.#listeners.set(
      name,
      listeners.filter((one) => !one.once),
    );
    for (const { callback } of listeners) {
      try {
        callback(event);
      } catch (error) {
        queueMicrotask(() => {
          throw error; // a listener's mistake shows as the site's own, and stops no report
        });
      }
    }
  }

  #schedule() {
    if (this.#busy || this.#stopped || document.prerendering) {
      return; // a turn that ends looks again by itself
    }
    clearTimeout(this.#next);
    this.#next = setTimeout(() => this.#turn(), Math.max(0, this.#notBefore - performance.now()));
  }

  /** A reason to hope that the service can be reached again; what it asked for itself stands. */
  #resume() {
    this.#beaconed.clear();
    this.#notBefore = this.#wished;
    this.#schedule();
    this.#look();
  }

  async #turn() {
    this.#busy = true;
    let begun = false;
    const send = async () => {
      begun = true;
      await new Promise((resolve) => setTimeout(resolve, GATHERING));
      await this.#send();
    };
    try {
      // The lock only spares the service repetitions: a tab that gets none in time sends without it.
      await navigator.locks.request(this.#lock, { signal: AbortSignal.timeout(2 * ANSWER_TIME) }, send);
    } catch {
      if (!begun) {
        await send();
      }
    }
    this.#busy = false;
    if (this.queued) {
      this.#schedule();
    }
  }

  async #send() {
    const batch = fitting(this.#queue.entries().slice(0, this.#most));
    if (!batch.length || this.#stopped) {
      return;
    }
    batch.forEach(([name]) => this.#underWay.add(name));
    const body = joined(batch);
    try {
      const response = await fetch(this.#endpoint, {
        method: "POST",
        body,
        headers: { Authorization: `Bearer ${this.#key}`, "Content-Type": "application/x-ndjson" },
        credentials: "omit",
        cache: "no-store",
        keepalive: size(body) <= MOST_BYTES,
        signal: AbortSignal.timeout(ANSWER_TIME),
      });
      if (response.ok) {
        this.#settle(batch, (await response.json()).outcomes);
      } else {
        await this.#turnedAway(batch, response);
      }
    } catch (error) {
      this.#later(`${error}`);
    } finally {
      this.#underWay.clear();
    }
  }

  #settle(batch, outcomes) {
    if (outcomes.length !== batch.length) {
      throw new Error("an answer that is not the service's"); // a hotel's log-in page, say
    }
    batch.forEach(([name, line], place) => {
      const { outcome, reason, field, cause } = outcomes[place];
      if (reason === "from_the_future") {
        const { createdDate, ...timeless } = JSON.parse(line);
        this.#queue.put(name, JSON.stringify(timeless)); // this clock is wrong, so the service's has to do
        return;
      }
      this.#queue.remove(name);
      if (outcome === "refused") {
        warn(`refused: ${[reason, field, cause].filter(Boolean).join(", ")}: ${named(line)}`);
      }
    });
    this.#failures = this.#notBefore = this.#wished = 0;
    this.#most = Math.min(MOST_LINES, 2 * this.#most);
  }

  async #turnedAway(batch, response) {
    const { status } = response;
    const answer = `the service answers ${status}${await detail(response)}`;
    if (status >= 500 || [408, 425, 429].includes(status)) {
      this.#later(answer, response.headers.get("Retry-After"));
    } else if (status !== 400 && status !== 413) {
      this.#stop();
      warn(`${answer}; this page sends nothing more, ${this.queued} reports stay queued`);
    } else if (batch.length > 1) {
      this.#most = batch.length >> 1; // until the one at fault is alone
    } else {
      this.#queue.remove(batch[0][0]);
      warn(`${answer}; dropped: ${named(batch[0][1])}`);
    }
  }

  #later(why, wish) {
    if (this.#failures === 0) {
      warn(`${this.queued} reports stay queued and will be tried again: ${why}`);
    }
    const delay = Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** this.#failures) * (0.5 + Math.random() / 2);
    const wished = wish == null ? 0 : milliseconds(wish) + Math.random() * FIRST_DELAY;
    this.#failures += 1;
    this.#wished = performance.now() + wished;
    this.#notBefore = performance.now() + Math.max(delay, wished);
  }

  #stop() {
    this.#stopped = true;
    clearTimeout(this.#next);
  }

  /** Hand the browser what may not get out otherwise; it stays queued, as a beacon brings no answer back. */
  #beacon() {
    if (this.#stopped || document.prerendering || performance.now() < this.#wished) {
      return;
    }
    const known = (name) => this.#underWay.has(name) || this.#beaconed.has(name);
    let rest = this.#queue.entries().filter(([name]) => !known(name));
    let most = this.#most;
    while (rest.length) {
      const batch = fitting(rest.slice(0, most));
      const body = `${JSON.stringify({ key: this.#key })}\n${joined(batch)}`;
      const fits = size(body) <= MOST_BEACON_BYTES;
      if (fits && navigator.sendBeacon(this.#endpoint, new Blob([body], { type: "text/plain" }))) {
        batch.forEach(([name]) => this.#beaconed.add(name));
        rest = rest.slice(batch.length);
      } else if (batch.length > 1) {
        most = batch.length >> 1; // the browser has room for less
      } else {
        rest = rest.slice(1); // by itself it is too large
      }
    }
  }
}

/** Reports that wait until their invitation is seen. */
class Sight {
  reports = [];
  acted = false;
  #inWindow;
  #observer;

  constructor(element, look) {
    this.#inWindow = !element && window === window.top;
    if (!this.#inWindow) {
      this.#observer = new IntersectionObserver((changes) => {
        this.#inWindow = changes.at(-1).isIntersecting;
        look();
      });
      this.#observer.observe(element ?? document.documentElement);
    }
  }

  get seen() {
    const shown = !document.prerendering && document.visibilityState === "visible";
    return shown && (this.#inWindow || this.acted);
  }

  end() {
    this.#observer?.disconnect();
  }
}

/** Lines that wait: each under a key of its own, so that tabs need no lock. In memory where nothing can be stored. */
class Queue {
  #prefix;
  #most;
  #keepFor;
  #memory = new Map();
  #latest = 0;

  constructor(prefix, most, keepFor) {
    this.#prefix = prefix;
    this.#most = most;
    this.#keepFor = keepFor;
  }

  /** False where there are too many already, or the site's own storage would be filled. */
  add(id, line) {
    const keys = this.keys();
    const stored = keys.reduce((sum, name) => sum + name.length + (this.#line(name) ?? "").length, line.length);
    if (keys.length >= this.#most || stored > MOST_STORED) {
      return false;
    }
    this.#latest = Math.max(this.#latest + 1, Date.now());
    this.put(`${this.#prefix}${String(this.#latest).padStart(15, "0")}/${id}`, line);
    return true;
  }

  put(name, line) {
    try {
      localStorage.setItem(name, line);
      this.#memory.delete(name);
    } catch {
      this.#memory.set(name, line);
    }
  }

  remove(name) {
    this.#memory.delete(name);
    try {
      localStorage.removeItem(name);
    } catch {
      // then it was never in there
    }
  }

  #line(name) {
    return this.#memory.get(name) ?? localStorage.getItem(name);
  }

  /** In the order of the reports. */
  keys() {
    let stored = [];
    try {
      stored = Object.keys(localStorage);
    } catch {
      // a browser that blocks storage throws on touching it
    }
    return [...stored, ...this.#memory.keys()].filter((name) => name.startsWith(this.#prefix)).sort();
  }

  /** Names and lines in the order of the reports, without what has waited too long. */
  entries() {
    const found = [];
    for (const name of this.keys()) {
      const line = this.#line(name);
      if (Date.now() - parseInt(name.slice(this.#prefix.length), 10) > this.#keepFor) {
        this.remove(name);
        warn(`never sent, and dropped now: ${named(line)}`);
      } else if (line !== null) {
        found.push([name, line]); // null where another tab has just had its answer
      }
    }
    return found;
  }
}

const joined = (batch) => batch.map(([, line]) => `${line}\n`).join("");
const size = (text) => new TextEncoder().encode(text).length;
const defined = (fields) => Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));

/** As many from the front as may go in one request, at least one. */
function fitting(entries) {
  let bytes = 0;
  const end = entries.findIndex(([, line]) => (bytes += size(line) + 1) > MOST_BYTES - 256);
  return end < 0 ? entries : entries.slice(0, Math.max(1, end));
}

function required(fields) {
  for (const [name, value] of Object.entries(fields)) {
    if (typeof value !== "string" || !value) {
      throw new TypeError(`offerlog: ${name} is required, as text`);
    }
  }
}

/** What the console may hold of a report: error trackers collect it, so neither visitor nor session. */
function named(line) {
  try {
    const { actionState, actionId } = JSON.parse(line);
    return `"${actionState}" of action ${actionId}`;
  } catch {
    return "a report that is not JSON";
  }
}

/** What a problem says about itself, as it follows the status. */
async function detail(response) {
  try {
    return `: ${(await response.json()).detail.slice(0, 500)}`;
  } catch {
    return ""; // an answer of something in between
  }
}

function short(message, most) {
  const text = String(message).slice(0, most);
  return text.toWellFormed?.() ?? text; // half a character is no text to the service
}

/** What `Retry-After` asks for: seconds, or a date. */
function milliseconds(wish) {
  const asked = /^\d+$/.test(wish) ? Number(wish) * 1000 : Date.parse(wish) - Date.now();
  return Math.min(Math.max(asked || 0, 0), LONGEST_WISH);
}

function uuid() {
  if (crypto.randomUUID) {
    return crypto.randomUUID();
  }
  const bytes = crypto.getRandomValues(new Uint8Array(16)); // pages without TLS have only this
  bytes[6] = (bytes[6] & 15) | 64;
  bytes[8] = (bytes[8] & 63) | 128;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
