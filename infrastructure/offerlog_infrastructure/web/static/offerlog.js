/**
 * Asks for offers and reports their states from a visitor's browser (docs/browser.md).
 *
 * `report` stores a report in localStorage before it returns. The report stays there until the service has answered it.
 * It may be sent more than once, from any tab: the service recognises it by its event id.
 */

const BEFORE = "qualified qualifiedOutsideSchedule offeredOutsideSchedule frequencyCapReached".split(" ");
const CHAT = "offered accepted rejected ignored errored timedout started abandoned engaged".split(" ").concat(BEFORE);
/** States of an action, by media type. Those of a media type that the service does not track are those of a chat. */
const STATES = new Map([
  ["webchat", CHAT],
  ["webMessagingOffer", CHAT],
  ["contentOffer", "offered accepted rejected ignored errored".split(" ").concat(BEFORE)],
]);
/** States that only a visitor who sees the invitation can cause. */
const ACTED = new Set("accepted rejected started abandoned engaged".split(" "));
/** The most bytes of a request. Browsers allow a page 64 KiB of keepalive requests and beacons at the same time. */
const MAX_BYTES = 48 * 1024;
/** The most bytes of a beacon, and the most reports of a request, that the service accepts. */
const [MAX_BEACON_BYTES, MAX_LINES] = [64 * 1024, 100];
/** The most characters of an error message, of a name or code, and of the whole queue in localStorage. */
const [MAX_ERROR_MESSAGE, MAX_NAME, MAX_STORED] = [4000, 256, 512 * 1024];
/** Milliseconds before a request: more reports may be queued, and other tabs may take reports off the queue. */
const GATHERING = 50;
/** Delays, in milliseconds. */
const [FIRST_DELAY, LONGEST_DELAY, LONGEST_RETRY_AFTER, ANSWER_TIME, DAY] = [1e3, 60e3, 3600e3, 30e3, 86400e3];
/** Milliseconds after which an offer comes too late for the page, and between two looks at the address. */
const [OFFER_TIME, ROUTE_TIME] = [10e3, 500];

const warn = (message) => console.warn(`offerlog: ${message}`);

export class Offerlog {
  #endpoint;
  #offers;
  #key;
  #visitorToken;
  #token;
  #visit;
  #timeoutSeconds;
  #queue;
  #lock;
  #listeners = new Map();
  #invitations = new Map();
  #unseen = new Map();
  #leaving = new Map();
  #routes = 0;
  #page = new AbortController();
  #underWay = new Set();
  #beaconed = new Set();
  #busy = false;
  #stopped = false;
  #next = 0;
  #failures = 0;
  #notBefore = 0;
  #requestedAt = 0;
  #most = MAX_LINES;

  /**
   * @param {object} options
   * @param {string|URL} [options.url] Address of the service; by default, the origin of this module.
   * @param {string} options.key A key with the role `widget`.
   * @param {string} options.customerId The visitor, 1 to 256 characters.
   * @param {string} [options.customerIdType] Type of the visitor's id.
   * @param {string} options.sessionId The visit, a UUID.
   * @param {string|(() => string|Promise<string>)} [options.visitorToken] The site's token for this visitor, or a function
   *   that gets a new one; needed for `offer`.
   * @param {number} [options.timeoutSeconds] Seconds until an unanswered invitation times out, 1 to 86400; by default, none.
   * @param {string} [options.queue] Name of the queue. It separates the reports of two organizations on one origin.
   * @param {number} [options.maxQueued] The most reports in the queue; further reports are dropped.
   * @param {number} [options.keepDays] Days after which a report is dropped from the queue.
   * @throws {TypeError} One of the required options is missing.
   */
  constructor({
    url = new URL("..", import.meta.url),
    key,
    customerId,
    customerIdType = "cookie",
    sessionId,
    visitorToken,
    timeoutSeconds,
    queue = "default",
    maxQueued = 1000,
    keepDays = 7,
  }) {
    required({ key, customerId, sessionId });
    const service = new URL(`${url}`.replace(/\/*$/, "/"), document.baseURI);
    this.#endpoint = new URL("v1/signals", service).href;
    this.#offers = new URL("v1/offers", service).href;
    this.#key = key;
    this.#visitorToken = visitorToken;
    this.#visit = { customerId, customerIdType, sessionId };
    this.#timeoutSeconds = timeoutSeconds;
    this.#lock = `offerlog/${queue}`;
    this.#queue = new Queue(`offerlog/${queue}/`, maxQueued, keepDays * DAY, (line) => this.#drop("expired", line));
    const { signal } = this.#page;
    addEventListener("pagehide", () => (this.#leave(true), this.#beacon()), { signal });
    for (const [target, change] of [[window.navigation, "currententrychange"], [window, "popstate"], [window, "hashchange"]]) {
      target?.addEventListener(change, () => this.#leave(), { signal });
    }
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

  /** Number of reports, of all tabs, that the service has not answered yet. */
  get queued() {
    return this.#queue.keys().length;
  }

  /**
   * Ask whether the action map may offer to this visitor, and have the offer recorded if so.
   *
   * The service is asked as soon as the visitor sees the page. A request without an answer is repeated for ten seconds;
   * the service recognises it by the action id.
   *
   * @param {object} action `actionMapId`; also `actionMapVersion`, `actionMapName`, `actionMediaType`,
   *   `timeoutSeconds` and `actionId`.
   * @returns {Promise<object|null>} The action, for `invite`; null if the page must not invite. Then the listeners of
   *   `refused` get the reason.
   * @throws {TypeError} A required field, or the visitor token, is missing.
   */
  async offer(action) {
    const { actionMapId, actionMapVersion, actionMediaType, timeoutSeconds = this.#timeoutSeconds } = action;
    const offered = { ...action, actionId: action.actionId ?? uuid() };
    required({ actionMapId });
    if (!this.#visitorToken) {
      throw new TypeError("offerlog: visitorToken is required for offers");
    }
    const { actionId } = offered;
    const fields = { actionId, actionMapId, actionMapVersion, actionMediaType };
    const asked = { ...this.#visit, ...fields, timeoutSeconds: timeoutSeconds ?? undefined };
    const { decision, ...why } = (await this.#isSeen()) ? await this.#ask(JSON.stringify(asked)) : { reason: "closed" };
    if (decision === "offered") {
      return offered;
    }
    if (decision !== "blocked" && why.reason !== "closed") {
      warn(`no offer of action map ${actionMapId}: ${why.detail}`);
    }
    this.#refuse({ what: "offer", reason: why.reason, detail: why.detail, status: why.status, actionId });
    return null;
  }

  /** Wait until the visitor sees the page; return false if it is closed before. */
  #isSeen() {
    const sight = new Sight(undefined, () => this.#look());
    return new Promise((resolve) => {
      sight.reports.push(() => resolve(true));
      sight.cancel = () => resolve(false);
      this.#unseen.set(sight, sight);
      this.#look();
    });
  }

  /** Return the service's decision, or the problem for which there is none. */
  async #ask(body) {
    const end = performance.now() + OFFER_TIME;
    let isRenewed = false;
    for (let delay = FIRST_DELAY / 2; ; delay *= 2) {
      let problem;
      try {
        this.#token ??= await (typeof this.#visitorToken === "function" ? this.#visitorToken() : this.#visitorToken);
        const response = await fetch(this.#offers, {
          method: "POST",
          body,
          headers: { Authorization: `Bearer ${this.#token}`, "Content-Type": "application/json" },
          credentials: "omit",
          cache: "no-store",
          signal: AbortSignal.timeout(Math.max(1, end - performance.now())),
        });
        if (response.ok) {
          const answer = await response.json();
          return answer.decision === "offered" ? answer : { decision: "blocked", reason: answer.reason.slice() };
        }
        problem = await problemOf(response);
        if (response.status === 401 && !isRenewed && typeof this.#visitorToken === "function") {
          isRenewed = true;
          this.#token = undefined; // the page may be older than its token
          continue;
        }
        if (!isTemporary(response.status)) {
          return problem;
        }
        delay = Math.max(delay, milliseconds(response.headers.get("Retry-After") ?? "0"));
      } catch (error) {
        problem = { reason: "unavailable", detail: `${error}` };
      }
      if (performance.now() + delay > end) {
        return problem;
      }
      await new Promise((resolve) => setTimeout(resolve, delay));
    }
  }

  /**
   * Report `offered` as soon as the visitor sees the invitation, and `timedout` if no other state is reported in time.
   *
   * The visitor sees it when the page is in the foreground: not in a background tab, and not only prerendered. In a
   * frame, the frame must also be inside the window. With `element`, the element must be. The time-out begins at that
   * moment. An invitation that no visitor sees is never reported.
   *
   * @param {object} action The fields, as for `report`. Without an action id it gets a new one.
   * @param {object} [options]
   * @param {number|null} [options.timeoutSeconds] Used instead of the constructor's; null for no time-out.
   * @param {Element} [options.element] The invitation on the page.
   * @param {boolean} [options.ignoredWhenLeft] Report `ignored` if the visitor leaves the page, or the route of a
   *   single-page application, before any other state is reported.
   * @returns {object} The action, for the reports that follow.
   */
  invite(action, { timeoutSeconds = action.timeoutSeconds ?? this.#timeoutSeconds, element, ignoredWhenLeft = false } = {}) {
    const invited = { ...action, actionId: action.actionId ?? uuid() };
    const fields = { ...invited, timeoutSeconds: timeoutSeconds ?? undefined };
    const event = this.#event("offered", fields);
    this.#take(event, fields, element, () => {
      clearTimeout(this.#invitations.get(invited.actionId)?.timer);
      if (timeoutSeconds && hasState(event.actionMediaType, "timedout")) {
        const withdraw = () => this.report("timedout", invited);
        const timer = setTimeout(withdraw, timeoutSeconds * 1000);
        this.#invitations.set(invited.actionId, { due: Date.now() + timeoutSeconds * 1000, timer, withdraw });
      }
    });
    if (ignoredWhenLeft) {
      this.#leaving.set(invited.actionId, { invited, route: route() });
      if (!window.navigation) {
        this.#routes ||= setInterval(() => this.#leave(), ROUTE_TIME); // no event tells of `history.pushState`
      }
    }
    return invited;
  }

  /** Report `ignored` for the invitations whose page or route has been left. */
  #leave(isPageLeft = false) {
    for (const { invited, route: before } of this.#leaving.values()) {
      if (isPageLeft || before !== route()) {
        this.report("ignored", invited); // which takes it off the list
      }
    }
  }

  /**
   * Report that an action reached a state. `offered` waits until the visitor sees the page, as in `invite`.
   *
   * @param {string} state The vendor's name of the state, such as `accepted`.
   * @param {object} fields `actionId` and `actionMapId`; also `actionMapVersion`, `actionMapName`, `actionMediaType`,
   *   `errorCode`, `errorMessage`, `timeoutSeconds`, and other values of `customerId`, `customerIdType` or `sessionId`.
   * @returns {object} The event that listeners get.
   * @throws {TypeError} The state is unknown, or a required field is missing.
   */
  report(state, fields) {
    const event = this.#event(state, fields);
    this.#take(event, fields);
    return event;
  }

  #event(state, fields) {
    const { actionId, actionMapId, actionMapVersion, actionMediaType = "webchat", errorCode, errorMessage } = fields;
    checkState(actionMediaType, state);
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
      errorCode: typeof errorCode === "string" ? short(errorCode, MAX_NAME) : errorCode,
      errorMessage: errorMessage == null ? undefined : short(errorMessage, MAX_ERROR_MESSAGE),
    });
  }

  /** Queue a report, or hold it until the visitor has seen its invitation. */
  #take(event, fields, element, begin = () => {}) {
    const { actionId, actionState: state } = event;
    if (state !== "offered" && this.#leaving.delete(actionId) && !this.#leaving.size) {
      clearInterval(this.#routes);
      this.#routes = 0;
    }
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
      this.#notify(event); // the page removes the invitation, which nobody has seen
    } else {
      this.#unseen.set(actionId, held);
      held.reports.push(queue);
      held.acted ||= ACTED.has(state); // a quick visitor may act before the observer reports
      this.#look();
    }
  }

  /** Report invitations that the visitor has seen, and overdue ones, because timers stop in a frozen page. */
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
    const fields = {
      eventId: uuid(),
      createdDate: new Date().toISOString(),
      actionMapName: actionMapName == null ? undefined : short(actionMapName, MAX_NAME),
      timeoutSeconds,
    };
    if (!this.#queue.add(fields.eventId, JSON.stringify({ ...event, ...fields }))) {
      warn(`too many reports wait to be sent; "${state}" of action ${actionId} is dropped`);
      this.#refuse({ what: "report", reason: "queue_full", actionId, actionState: state });
    }
    if (document.visibilityState === "hidden") {
      this.#beacon();
    }
    this.#schedule();
    this.#notify(event);
  }

  /**
   * Call `callback(event)` for every report of a state: `on("webchat", "accepted", show)`. With `on("refused", callback)`,
   * call it whenever the service refuses a report, an offer or the page, with `what` and `reason`.
   */
  on(...listened) {
    this.#listen(listened, false);
  }

  /** Like `on`, but only for the first time. */
  once(...listened) {
    this.#listen(listened, true);
  }

  /** Undo `on` and `once`. Without a callback, undo them for all callbacks of that state. */
  off(...listened) {
    const [name, callback] = parse(listened);
    const kept = this.#listeners.get(name) ?? [];
    this.#listeners.set(name, callback ? kept.filter((one) => one.callback !== callback) : []);
  }

  /** Stop sending, and cancel the time-outs. Queued reports wait for the next page. */
  close() {
    this.#beacon();
    this.#stop();
    this.#page.abort();
    this.#invitations.forEach(({ timer }) => clearTimeout(timer));
    this.#invitations.clear();
    this.#unseen.forEach((held) => (held.end(), held.cancel?.()));
    this.#unseen.clear();
    this.#leaving.clear();
    clearInterval(this.#routes);
  }

  #listen(listened, once) {
    const [name, callback] = parse(listened);
    this.#listeners.set(name, [...(this.#listeners.get(name) ?? []), { callback, once }]);
  }

  /** Notify the listeners of `refused`; `detail` and `status` are null where there are none. */
  #refuse(event) {
    this.#notify(Object.freeze({ detail: null, status: null, ...defined(event) }), "refused");
  }

  /** Notify the listeners of `refused` about a queued report. */
  #drop(reason, line, more) {
    const { actionId, actionState } = fieldsOf(line);
    this.#refuse({ what: "report", reason, ...more, actionId, actionState });
  }

  #notify(event, name = `${event.actionMediaType} ${event.actionState}`) {
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
          throw error; // an error of a listener is the site's own, and does not stop reports
        });
      }
    }
  }

  #schedule() {
    if (this.#busy || this.#stopped || document.prerendering) {
      return; // the turn under way checks the queue at its end
    }
    clearTimeout(this.#next);
    this.#next = setTimeout(() => this.#turn(), Math.max(0, this.#notBefore - performance.now()));
  }

  /** Retry early, because the service may be reachable again. A wait that the service requested is kept. */
  #resume() {
    this.#beaconed.clear();
    this.#notBefore = this.#requestedAt;
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
      // The lock only avoids repeats. A tab that does not get it in time sends without it.
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
        keepalive: size(body) <= MAX_BYTES,
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
      throw new Error("an answer that is not the service's"); // such as a hotel's log-in page
    }
    batch.forEach(([name, line], place) => {
      const { outcome, reason, field, cause } = outcomes[place];
      if (reason === "from_the_future") {
        const { createdDate, ...timeless } = JSON.parse(line);
        this.#queue.put(name, JSON.stringify(timeless)); // this device's clock is wrong, so the service uses its own
        return;
      }
      this.#queue.remove(name);
      if (outcome === "refused") {
        const detail = [field, cause].filter(Boolean).join(", ");
        warn(`refused: ${[reason, detail].filter(Boolean).join(", ")}: ${named(line)}`);
        this.#drop(reason, line, { detail: detail || undefined });
      }
    });
    this.#failures = this.#notBefore = this.#requestedAt = 0;
    this.#most = Math.min(MAX_LINES, 2 * this.#most);
  }

  async #turnedAway(batch, response) {
    const { status } = response;
    const problem = await problemOf(response);
    const answer = `the service answers ${problem.detail}`;
    if (isTemporary(status)) {
      this.#later(answer, response.headers.get("Retry-After"));
    } else if (status !== 400 && status !== 413) {
      this.#stop();
      warn(`${answer}; this page sends nothing more, ${this.queued} reports stay queued`);
      this.#refuse({ what: "page", ...problem });
    } else if (batch.length > 1) {
      this.#most = batch.length >> 1; // until the report at fault is alone
    } else {
      this.#queue.remove(batch[0][0]);
      warn(`${answer}; dropped: ${named(batch[0][1])}`);
      this.#drop(problem.reason, batch[0][1], problem);
    }
  }

  #later(why, retryAfter) {
    if (this.#failures === 0) {
      warn(`${this.queued} reports stay queued and will be tried again: ${why}`);
    }
    const delay = Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** this.#failures) * (0.5 + Math.random() / 2);
    const requested = retryAfter == null ? 0 : milliseconds(retryAfter) + Math.random() * FIRST_DELAY;
    this.#failures += 1;
    this.#requestedAt = performance.now() + requested;
    this.#notBefore = performance.now() + Math.max(delay, requested);
  }

  #stop() {
    this.#stopped = true;
    clearTimeout(this.#next);
  }

  /** Send queued reports by beacon. They stay queued, because a beacon has no answer. */
  #beacon() {
    if (this.#stopped || document.prerendering || performance.now() < this.#requestedAt) {
      return;
    }
    const known = (name) => this.#underWay.has(name) || this.#beaconed.has(name);
    let rest = this.#queue.entries().filter(([name]) => !known(name));
    let most = this.#most;
    while (rest.length) {
      const batch = fitting(rest.slice(0, most));
      const body = `${JSON.stringify({ key: this.#key })}\n${joined(batch)}`;
      const fits = size(body) <= MAX_BEACON_BYTES;
      if (fits && navigator.sendBeacon(this.#endpoint, new Blob([body], { type: "text/plain" }))) {
        batch.forEach(([name]) => this.#beaconed.add(name));
        rest = rest.slice(batch.length);
      } else if (batch.length > 1) {
        most = batch.length >> 1; // the browser accepts less
      } else {
        rest = rest.slice(1); // one report is too large
      }
    }
  }
}

/** Reports that wait until the visitor sees their invitation. */
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

/** Queued lines. Each has its own key, so that tabs do not need a lock. If nothing can be stored, they are in memory. */
class Queue {
  #prefix;
  #most;
  #keepFor;
  #dropped;
  #memory = new Map();
  #latest = 0;

  constructor(prefix, most, keepFor, dropped) {
    this.#prefix = prefix;
    this.#most = most;
    this.#keepFor = keepFor;
    this.#dropped = dropped;
  }

  /** Add a line; return false if there are too many lines or characters. */
  add(id, line) {
    const keys = this.keys();
    const stored = keys.reduce((sum, name) => sum + name.length + (this.#line(name) ?? "").length, line.length);
    if (keys.length >= this.#most || stored > MAX_STORED) {
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
      // then it is in memory only
    }
  }

  #line(name) {
    return this.#memory.get(name) ?? localStorage.getItem(name);
  }

  /** Names of the lines, in the order of the reports. */
  keys() {
    let stored = [];
    try {
      stored = Object.keys(localStorage);
    } catch {
      // a browser that blocks storage throws at any use of it
    }
    return [...stored, ...this.#memory.keys()].filter((name) => name.startsWith(this.#prefix)).sort();
  }

  /** Names and lines in the order of the reports, without those that have waited too long. */
  entries() {
    const found = [];
    for (const name of this.keys()) {
      const line = this.#line(name);
      if (Date.now() - parseInt(name.slice(this.#prefix.length), 10) > this.#keepFor) {
        this.remove(name);
        warn(`never sent, and dropped now: ${named(line)}`);
        this.#dropped(line);
      } else if (line !== null) {
        found.push([name, line]); // null if another tab has just received its answer
      }
    }
    return found;
  }
}

const joined = (batch) => batch.map(([, line]) => `${line}\n`).join("");
const size = (text) => new TextEncoder().encode(text).length;
const defined = (fields) => Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));

/** Return the first lines, as many as fit into one request, at least one. */
function fitting(entries) {
  let bytes = 0;
  const end = entries.findIndex(([, line]) => (bytes += size(line) + 1) > MAX_BYTES - 256);
  return end < 0 ? entries : entries.slice(0, Math.max(1, end));
}

function required(fields) {
  for (const [name, value] of Object.entries(fields)) {
    if (typeof value !== "string" || !value) {
      throw new TypeError(`offerlog: ${name} is required, as text`);
    }
  }
}

const hasState = (mediaType, state) => (STATES.get(mediaType) ?? CHAT).includes(state);

function checkState(mediaType, state) {
  if (!hasState(mediaType, state)) {
    const of = CHAT.includes(state) ? ` of ${mediaType}` : "";
    throw new TypeError(`offerlog: no state of an action${of}: ${state}`);
  }
}

/** Return the name of the listeners that `on`, `once` or `off` are about, and the callback. */
function parse([first, ...rest]) {
  if (first === "refused") {
    return [first, rest[0]];
  }
  checkState(first, rest[0]);
  return [`${first} ${rest[0]}`, rest[1]];
}

/** The part of the address that names the view: of the fragment, only what a router uses. */
const route = () => location.pathname + (/^#[!/]/.test(location.hash) ? location.hash : "");
const isTemporary = (status) => status >= 500 || [408, 425, 429].includes(status);

function fieldsOf(line) {
  try {
    return JSON.parse(line) ?? {};
  } catch {
    return {};
  }
}

/** Describe a report for the console without visitor and session, because error trackers collect the console. */
function named(line) {
  const { actionState, actionId } = fieldsOf(line);
  return actionId ? `"${actionState}" of action ${actionId}` : "a report that is not JSON";
}

/** Return an answer that is an error: `reason`, the problem's name; `detail`, the status and the text; `status`. */
async function problemOf(response) {
  const { status } = response;
  try {
    const { type, detail, field } = await response.json();
    const hint = field === "Origin" ? `; make one for it: offerlog keys create --origin ${location.origin}` : "";
    return { reason: type.replace("/problems/", ""), detail: `${status}: ${detail.slice(0, 500)}${hint}`, status };
  } catch {
    return { reason: "unknown", detail: `${status}`, status }; // an answer of a proxy
  }
}

function short(message, most) {
  const text = String(message).slice(0, most);
  return text.toWellFormed?.() ?? text; // the service does not accept half a character
}

/** Read `Retry-After`, which holds seconds or a date. */
function milliseconds(retryAfter) {
  const requested = /^\d+$/.test(retryAfter) ? Number(retryAfter) * 1000 : Date.parse(retryAfter) - Date.now();
  return Math.min(Math.max(requested || 0, 0), LONGEST_RETRY_AFTER);
}

function uuid() {
  if (crypto.randomUUID) {
    return crypto.randomUUID();
  }
  const bytes = crypto.getRandomValues(new Uint8Array(16)); // pages without TLS do not have randomUUID
  bytes[6] = (bytes[6] & 15) | 64;
  bytes[8] = (bytes[8] & 63) | 128;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
