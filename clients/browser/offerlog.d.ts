/** States of an action, by the vendor's names. */
export type State =
  | "offered"
  | "accepted"
  | "rejected"
  | "ignored"
  | "errored"
  | "timedout"
  | "started"
  | "abandoned"
  | "engaged"
  | "qualified"
  | "qualifiedOutsideSchedule"
  | "offeredOutsideSchedule"
  | "frequencyCapReached";

/** Media types that the service tracks. Each has its own states: a content offer is never started or engaged. */
export type MediaType = "webchat" | "webMessagingOffer" | "contentOffer";

export interface Options {
  /** A key with the role `widget`. */
  key: string;
  /** The visitor: 1 to 256 characters. */
  customerId: string;
  /** Type of the visitor's id; `"cookie"` by default. */
  customerIdType?: string;
  /** The visit, a UUID. */
  sessionId: string;
  /** The site's token for this visitor, or a function that gets a new one; needed for `offer`. */
  visitorToken?: string | (() => string | Promise<string>);
  /** Address of the service; by default, the origin of the module. */
  url?: string | URL;
  /** Seconds until an unanswered invitation times out, 1 to 86400; by default, none. */
  timeoutSeconds?: number;
  /** Name of the queue. It separates the reports of two organizations on one origin. */
  queue?: string;
  /** The most reports in the queue; 1000 by default. */
  maxQueued?: number;
  /** Days after which a report is dropped from the queue; 7 by default. */
  keepDays?: number;
}

/** An action map, as `offer` and `invite` take it. */
export interface Asked {
  /** The action map, a UUID. */
  actionMapId: string;
  /** The action, a UUID; a new one by default. */
  actionId?: string;
  actionMapVersion?: number;
  actionMapName?: string;
  /** `"webchat"` by default. */
  actionMediaType?: MediaType;
  timeoutSeconds?: number;
}

/** One invitation to one visitor: what `offer` and `invite` return, for the reports that follow. */
export interface Action extends Asked {
  actionId: string;
}

/** Fields of a report. */
export interface ReportFields extends Action {
  errorCode?: string | number;
  errorMessage?: string;
  customerId?: string;
  customerIdType?: string;
  sessionId?: string;
}

export interface InviteOptions {
  /** Used instead of the constructor's; null for no time-out. */
  timeoutSeconds?: number | null;
  /** The invitation on the page: the offer counts once this element is inside the window. */
  element?: Element;
  /** Report `ignored` if the visitor leaves the page, or the route, before any other state is reported. */
  ignoredWhenLeft?: boolean;
}

/** A report of this page, with the vendor's fields. */
export interface ReportEvent {
  readonly actionId: string;
  readonly actionState: State;
  readonly actionMediaType: string;
  readonly actionMapId: string;
  readonly actionMapVersion?: number;
  readonly customerId: string;
  readonly customerIdType: string;
  readonly sessionId: string;
  readonly errorCode?: string | number;
  readonly errorMessage?: string;
}

/** A refusal: of a report, which is dropped; of an offer; or of the page, which sends nothing more. */
export interface RefusedEvent {
  readonly what: "report" | "offer" | "page";
  /**
   * A reason of the service (`malformed`, `terminal_state`, `already_open`), the name of its problem (`forbidden`,
   * `unauthorized`), or `unavailable`, `closed`, `queue_full`, `expired`, `unknown`.
   */
  readonly reason: string;
  /** The explanation, for developers. */
  readonly detail: string | null;
  /** The HTTP status, if the service has answered with an error. */
  readonly status: number | null;
  readonly actionId?: string;
  readonly actionState?: State;
}

export class Offerlog {
  constructor(options: Options);

  /** Number of reports, of all tabs, that the service has not answered yet. */
  readonly queued: number;

  /** Ask whether the map may offer, and have the offer recorded; null if the page must not invite. */
  offer<T extends Asked>(action: T): Promise<(T & Action) | null>;

  /** Report `offered` as soon as the visitor sees the invitation, and `timedout` if no other state comes in time. */
  invite<T extends Asked>(action: T, options?: InviteOptions): T & Action;

  /** Report that an action reached a state. */
  report(state: State, fields: ReportFields): ReportEvent;

  /** Call back for every report of a state, or for every refusal. */
  on(mediaType: MediaType, state: State, callback: (event: ReportEvent) => void): void;
  on(refused: "refused", callback: (event: RefusedEvent) => void): void;

  /** Like `on`, but only for the first time. */
  once(mediaType: MediaType, state: State, callback: (event: ReportEvent) => void): void;
  once(refused: "refused", callback: (event: RefusedEvent) => void): void;

  /** Undo `on` and `once`; without a callback, for all callbacks of that state. */
  off(mediaType: MediaType, state: State, callback?: (event: ReportEvent) => void): void;
  off(refused: "refused", callback?: (event: RefusedEvent) => void): void;

  /** Stop sending, and cancel the time-outs. Queued reports wait for the next page. */
  close(): void;
}
