import { Organization, type Query } from "./organization.js";
import type {
  ActionMap,
  ActionMapsReport,
  BlockedOffers,
  Decision,
  Eligibility,
  Funnel,
  History,
  OfferOfVisitor,
  OfferTimes,
  Outcome,
  Performance,
  PolicyInForce,
  RecentVisitor,
  Refusal,
  RefusalCounts,
  Signal,
  Suppression,
  Suppressions,
  SuppressionsOfMany,
  TimelineEntry,
} from "./answers.js";
import { ServiceError } from "./service-error.js";

/** Signals of one request, items of one page of a list, and of one page of the newest visitors. */
const [BATCH, PAGE, SHORT_PAGE] = [1000, 1000, 100];
const [FIRST_DELAY, LONGEST_DELAY] = [250, 5000];

/** A time, or a text as the service accepts it, such as `2026-11-22`. */
export type Time = Date | string;

export interface ClientOptions {
  /** Milliseconds until a request counts as unanswered; 30,000 by default. */
  timeout?: number;
  /** Milliseconds for which a request is repeated in all; 30,000 by default, 0 sends it once. */
  patience?: number;
  /** Signals of one request, and items of one page of a list, at most 1,000. */
  pageSize?: number;
  /** Sends the requests in place of the global `fetch`. */
  fetch?: typeof fetch;
}

export interface OfferRequest {
  customerId: string;
  actionMapId: string;
  sessionId: string;
  customerIdType?: string;
  /** The new action; a random one by default. */
  actionId?: string;
  actionMapVersion?: number;
  timeoutSeconds?: number;
}

/** The range of a report, and the offers that count. */
export interface RangeRequest {
  from?: Time;
  to?: Time;
  /** So many whole units before the current one, such as `7d`, in place of `from` and `to`. */
  last?: string;
  zone?: string;
  actionMaps?: readonly string[];
  mediaType?: string;
}

export interface ReportRequest extends RangeRequest {
  by?: string;
  view?: "report" | "full" | "all";
  cohort?: string;
  countBy?: string;
}

export interface ActionMapsRequest extends RangeRequest {
  cohort?: string;
  countBy?: string;
  /** A row for each version of a map, and a comparison with another version. */
  byVersion?: boolean;
  /** Compare each version with this one; without it, with the version before. */
  baseline?: number;
}

/**
 * A client of the HTTP service of offerlog, for one key.
 *
 * A request without an answer, or with one that says so, is sent again. That is safe: the service recognises a signal
 * by its event id and an offer by its action id, and the other methods read. Methods for administrators that must not
 * be repeated send their request once. Every method may throw a `ServiceError`.
 */
export class OfferlogClient extends Organization {
  readonly #url: string;
  readonly #key: string;
  readonly #timeout: number;
  readonly #patience: number;
  readonly #batch: number;
  readonly #page: number;
  readonly #fetch: typeof fetch;

  constructor(url: string | URL, key: string, options: ClientOptions = {}) {
    super();
    this.#url = `${url}`.replace(/\/*$/, "/");
    this.#key = key;
    this.#timeout = options.timeout ?? 30_000;
    this.#patience = options.patience ?? 30_000;
    this.#batch = options.pageSize ?? BATCH;
    this.#page = options.pageSize ?? PAGE;
    this.#fetch = options.fetch ?? ((input, init) => fetch(input, init));
  }

  /**
   * Record signals; yield the outcome of each, in order, once it is durable.
   *
   * They are sent in batches, as far as the outcomes are read. A signal without `eventId` gets one. The outcome of a
   * signal whose first answer was lost is `duplicate`.
   */
  async *record(signals: Iterable<Signal> | AsyncIterable<Signal>): AsyncGenerator<Outcome, void> {
    let batch: Signal[] = [];
    for await (const signal of signals) {
      batch.push({ ...signal, eventId: signal.eventId ?? crypto.randomUUID() });
      if (batch.length === this.#batch) {
        yield* await this.#record(batch);
        batch = [];
      }
    }
    if (batch.length) {
      yield* await this.#record(batch);
    }
  }

  async #record(batch: Signal[]): Promise<Outcome[]> {
    return (await this.ask<{ outcomes: Outcome[] }>("POST", "v1/signals", {}, batch)).outcomes;
  }

  /** Ask to make an offer, and have it recorded if it may be made. */
  offer(asked: OfferRequest): Promise<Decision> {
    return this.ask("POST", "v1/offers", {}, { ...asked, actionId: asked.actionId ?? crypto.randomUUID() });
  }

  /** Explain whether the map may offer to this visitor, without recording anything. */
  eligibility(customerId: string, actionMapId: string, customerIdType = "cookie"): Promise<Eligibility> {
    return this.ask("GET", "v1/eligibility", { ...visitor(customerId, customerIdType), action_map_id: actionMapId });
  }

  /** List the maps that must not offer to this visitor. */
  suppressions(customerId: string, customerIdType = "cookie"): Promise<Suppressions> {
    return this.ask("GET", "v1/suppressions", visitor(customerId, customerIdType));
  }

  /** List the maps that must not offer to each of at most 1,000 visitors, in one query. */
  suppressionsOf(customerIds: readonly string[], customerIdType = "cookie"): Promise<SuppressionsOfMany> {
    const visitors = customerIds.map((customerId) => ({ customerId, customerIdType }));
    return this.ask("POST", "v1/suppressions:batch", {}, { visitors });
  }

  /** Yield the visitors to whom this map must not offer. */
  suppressedVisitors(actionMapId: string): AsyncGenerator<Suppression, void> {
    return this.#list(`v1/action-maps/${encodeURIComponent(actionMapId)}/suppressions`);
  }

  /** Return the policy of an action map that is in force: how long its terminal states suppress. */
  policy(actionMapId: string): Promise<PolicyInForce> {
    return this.ask("GET", `v1/action-maps/${encodeURIComponent(actionMapId)}/policy`, {});
  }

  /**
   * Set the policy of an action map, in place of the one before; return what is in force. `suppressFor` has seconds,
   * or a number with a unit such as `30d`, by terminal state. A state that is left out suppresses for ever.
   */
  setPolicy(actionMapId: string, suppressFor: Readonly<Record<string, number | string>>): Promise<PolicyInForce> {
    const asked = { suppress_for: suppressFor };
    return this.ask("PUT", `v1/action-maps/${encodeURIComponent(actionMapId)}/policy`, {}, asked);
  }

  /** Return the events of a visitor-offer, of all pages; with `version` or `asOf`, an earlier state. */
  async history(
    customerId: string,
    actionMapId: string,
    { customerIdType = "cookie", version, asOf }: { customerIdType?: string; version?: number; asOf?: Time } = {},
  ): Promise<History> {
    const asked = { ...visitor(customerId, customerIdType), action_map_id: actionMapId, version, as_of: asOf };
    const found = await this.ask<History>("GET", "v1/history", asked);
    while (found.next_cursor !== null) {
      const more = await this.ask<History>("GET", "v1/history", { ...asked, cursor: found.next_cursor });
      found.events.push(...more.events);
      found.next_cursor = more.next_cursor;
    }
    return found;
  }

  /** Yield every event and refused signal of a visitor, in the order in which they were recorded. */
  timeline(customerId: string, customerIdType = "cookie"): AsyncGenerator<TimelineEntry, void> {
    return this.#list("v1/timeline", visitor(customerId, customerIdType));
  }

  /** Yield the refused signals, the oldest first. */
  refusals(
    asked: { since?: Time; until?: Time; reason?: string; customerId?: string; actionMapId?: string } = {},
  ): AsyncGenerator<Refusal, void> {
    const { since, until, reason, customerId, actionMapId } = asked;
    return this.#list("v1/refusals", { since, until, reason, customer_id: customerId, action_map_id: actionMapId });
  }

  /** Count the refused signals by reason, for whole quarter-hours. */
  refusalCounts({ since, until }: { since?: Time; until?: Time } = {}): Promise<RefusalCounts> {
    return this.ask("GET", "v1/refusals/counts", { since, until });
  }

  /** Yield the action maps that have been counted. */
  actionMaps(): AsyncGenerator<ActionMap, void> {
    return this.#list("v1/action-maps", {}, "action_maps");
  }

  /** Return the Action Map Performance report, with the options of `offerlog report`. */
  performance({ by, view, cohort, countBy, ...asked }: ReportRequest = {}): Promise<Performance> {
    const query = { ...range(asked), by, view, cohort, count_by: countBy };
    return this.ask("GET", "v1/reports/action-map-performance", query);
  }

  /** Return a row for each action map and media type, or for each version with a comparison. */
  actionMapsReport({ cohort, countBy, byVersion, baseline, ...asked }: ActionMapsRequest = {}): Promise<ActionMapsReport> {
    const query = { ...range(asked), cohort, count_by: countBy, by_version: byVersion, baseline };
    return this.ask("GET", "v1/reports/action-maps", query);
  }

  /** Return how far the offers of a time came, and where they ended. */
  funnel(asked: RangeRequest = {}): Promise<Funnel> {
    return this.ask("GET", "v1/reports/funnel", range(asked));
  }

  /** Return which offers were blocked, by reason. */
  blockedOffers(asked: RangeRequest = {}): Promise<BlockedOffers> {
    return this.ask("GET", "v1/reports/blocked-offers", range(asked));
  }

  /** Return the seconds from the offer to each step: median and 90th percentile. */
  times(asked: RangeRequest = {}): Promise<OfferTimes> {
    return this.ask("GET", "v1/reports/times", range(asked));
  }

  /** Yield the visitors with the newest activity, the newest first; with a media type, those who were made an offer of it. */
  visitors(asked: { mediaType?: string } = {}): AsyncGenerator<RecentVisitor, void> {
    return this.#list("v1/visitors", { limit: Math.min(this.#page, SHORT_PAGE), media_type: asked.mediaType });
  }

  /** Yield all action maps of a visitor, with the state of each. */
  visitorOffers(customerId: string, customerIdType = "cookie"): AsyncGenerator<OfferOfVisitor, void> {
    return this.#list("v1/visitor-offers", visitor(customerId, customerIdType));
  }

  /** Yield the items of a list, page by page. Each page is a request that may be repeated. */
  async *#list<Item>(path: string, asked: Query = {}, name = "items"): AsyncGenerator<Item, void> {
    let cursor: string | null = null;
    do {
      const query: Query = { limit: this.#page, ...asked, cursor };
      const page: Record<string, unknown> = await this.ask("GET", path, query);
      yield* page[name] as Item[];
      cursor = page["next_cursor"] as string | null;
    } while (cursor !== null);
  }

  /** Send a request until it is answered, or the patience is over; return the answer's JSON. */
  protected async ask<Answer>(
    method: string,
    path: string,
    asked: Query = {},
    body?: unknown,
    isSentOnce = false,
  ): Promise<Answer> {
    const address = new URL(path, this.#url);
    for (const [name, given] of Object.entries(asked)) {
      for (const one of Array.isArray(given) ? given : [given]) {
        if (one != null) {
          address.searchParams.append(name, one instanceof Date ? one.toISOString() : `${one}`);
        }
      }
    }
    const end = Date.now() + (isSentOnce ? 0 : this.#patience);
    for (let delay = FIRST_DELAY; ; delay = Math.min(2 * delay, LONGEST_DELAY)) {
      try {
        return await this.#askOnce(method, address, body);
      } catch (error) {
        if (!(error instanceof ServiceError)) {
          throw error;
        }
        const wait = Math.max(delay * (0.5 + Math.random() / 2), 1000 * (error.retryAfter ?? 0));
        if (!error.isTemporary || Date.now() + wait > end) {
          throw error;
        }
        await new Promise((resolve) => setTimeout(resolve, wait));
      }
    }
  }

  async #askOnce<Answer>(method: string, address: URL, body: unknown): Promise<Answer> {
    let answer: Response;
    let text: string;
    try {
      answer = await this.#fetch(address, {
        method,
        headers: { Authorization: `Bearer ${this.#key}`, "Content-Type": "application/json" },
        signal: AbortSignal.timeout(this.#timeout),
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      text = answer.ok ? await answer.text() : "";
    } catch (error) {
      const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
      throw new ServiceError("unreachable", `${cause}`);
    }
    if (!answer.ok) {
      throw await ServiceError.ofAnswer(answer);
    }
    try {
      return JSON.parse(text) as Answer;
    } catch {
      throw new ServiceError("unknown", "the answer is not JSON", answer.status);
    }
  }
}

const range = ({ actionMaps, mediaType, ...asked }: RangeRequest): Query => ({
  ...asked,
  action_map: actionMaps,
  media_type: mediaType,
});

const visitor = (customerId: string, customerIdType: string): Query => ({
  customer_id: customerId,
  customer_id_type: customerIdType,
});
