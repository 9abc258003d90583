// What a program does with the client. tests/clients compiles it and runs it against a service, with the address
// and the keys as arguments; the last line that it prints is what it has found.
import type { Offerlog, RefusedEvent } from "../../browser/offerlog.js";
import { OfferlogClient, ServiceError, visitorToken, type Signal } from "../src/index.js";

declare const process: { argv: string[] };
const [, , url = "", service = "", reporter = "", page = "", admin = ""] = process.argv;
const [actionMapId, sessionId] = [crypto.randomUUID(), crypto.randomUUID()];

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const one of items) found.push(one);
  return found;
}

/** A network that fails in these ways, one for each request, and then works. */
function fragile(...failures: ("request lost" | "answer lost" | number)[]): typeof fetch {
  return async (input, init) => {
    const failure = failures.shift();
    if (failure === "request lost") throw new TypeError("fetch failed", { cause: new Error("refused") });
    if (typeof failure === "number") return new Response("of a proxy", { status: failure });
    const answer = await fetch(input, init);
    if (failure === "answer lost") throw new TypeError("fetch failed");
    return answer;
  };
}

async function failure(asked: Promise<unknown>): Promise<unknown> {
  try {
    await asked;
  } catch (error) {
    if (error instanceof ServiceError) {
      return [error.status, error.kind, error.field, error.isTemporary];
    }
    throw error;
  }
  return null;
}

const client = new OfferlogClient(url, service, {
  pageSize: 4,
  fetch: fragile("answer lost", "request lost", 503, 429, "answer lost"),
});
const reports = new OfferlogClient(url, reporter, { pageSize: 2 });
const signals: Signal[] = [0, 1, 2, 3, 4].flatMap((n) => {
  const fields = { actionId: crypto.randomUUID(), actionMapId, sessionId, customerId: `visitor-${n}` };
  return (["offered", "rejected"] as const).map((actionState) => ({ ...fields, actionState }));
});
const outcomes = (await collect(client.record(signals))).map((one) => one.outcome);
const offered = await client.offer({ customerId: "v w/ü", actionMapId, sessionId, timeoutSeconds: 45 });
const blocked = await client.offer({ customerId: "v w/ü", actionMapId, sessionId });
const eligibility = await client.eligibility("v w/ü", actionMapId);

// the projections may be some milliseconds behind
let suppressed = await collect(client.suppressedVisitors(actionMapId));
while (suppressed.length < 5) suppressed = await collect(client.suppressedVisitors(actionMapId));
const report = await reports.performance({ by: "total", view: "full", actionMaps: [actionMapId] });
const today = { from: "today", to: "tomorrow", actionMaps: [actionMapId], mediaType: "webchat" };
let funnel = await reports.funnel(today);
while (funnel.total.offered < 6) funnel = await reports.funnel(today);
const versions = await reports.actionMapsReport({ ...today, byVersion: true, baseline: 3 });
const [times, blockedOffers] = await Promise.all([reports.times(today), reports.blockedOffers(today)]);

/** Keys, webhooks and subscriptions, made and ended. What must not be repeated is sent once. */
async function administer(): Promise<Record<string, unknown>> {
  const losing = new OfferlogClient(url, admin, { fetch: fragile("answer lost") });
  const lost = (await failure(losing.createKey("reporter", { name: "lost" }))) !== null;
  const made = await losing.createKey("reporter", { name: "BI", expires: "90d" });
  const revoked = await losing.revokeKey(made.id);
  const names = (await losing.apiKeys()).map((one) => one.name);
  const hook = await losing.createWebhook("https://shop.example/", { types: ["engaged"], actionMaps: [actionMapId], after: 0 });
  const rotated = await losing.rotateWebhook(hook.id, { keep: "12h" });
  const disabled = await losing.disableWebhook(hook.id);
  const enabled = await losing.enableWebhook(hook.id, { skip: true });
  const attempt = await losing.testWebhook(hook.id);
  const shown = await losing.webhook(hook.id);
  const waiting = await losing.sendAgain(hook.id);
  const dead = await losing.deadLetters(hook.id);
  const before = (await losing.webhooks()).length;
  await losing.deleteWebhook(hook.id);
  const cursor = (await losing.acknowledge("ware.house", "0")).cursor;
  const subscriptions = (await losing.subscriptions()).length;
  await losing.deleteSubscription("ware.house");
  const refused = (await failure(losing.deleteOrganization("another"))) as [number, string];
  return {
    keys: [lost, revoked.revoked_at !== null && rotated.secret !== hook.secret, names.filter((one) => one === "lost").length === 1],
    webhooks: [
      shown.types,
      disabled.disabled_because,
      enabled.disabled_because,
      attempt.delivered,
      waiting,
      dead.length,
      before,
      (await losing.webhooks()).length,
    ],
    subscriptions: [cursor, subscriptions, (await losing.subscriptions()).length],
    organization: [refused[1], (await collect(losing.issuedReports())).length, (await losing.keyring())[0]?.current],
  };
}

const asPage = new OfferlogClient(url, await visitorToken(page, "ü", { customerIdType: "email" }));

/** Held by the type checker alone: the page's side, with the types of the npm package. */
export async function invite(log: Offerlog): Promise<void> {
  log.on("refused", (event: RefusedEvent) => console.log(event.what, event.reason, event.detail));
  log.once("webchat", "engaged", (event) => console.log(event.actionId));
  const action = await log.offer({ actionMapId, actionMapName: "Checkout help" });
  if (action) {
    log.report("accepted", log.invite(action, { ignoredWhenLeft: true, timeoutSeconds: null }));
  }
  // @ts-expect-error a state that does not exist
  log.report("timed out", { actionId: "a", actionMapId });
  // @ts-expect-error refusals have no media type
  log.on("webchat", "refused", () => {});
}

console.log(
  JSON.stringify({
    outcomes,
    decisions: [offered.decision, blocked.reason, blocked.blocking_action_id === offered.action_id, eligibility.eligible],
    suppressed: suppressed.length,
    many: (await client.suppressionsOf(["visitor-0", "nobody"])).visitors.map((one) => one.suppressions.length),
    mine: (await client.suppressions("visitor-0")).suppressions.length,
    history: (await client.history("visitor-0", actionMapId)).events.map((one) => one.event),
    earlier: (await client.history("visitor-0", actionMapId, { version: 1 })).state,
    rejected: report.rows[0]?.metrics.nWebActionsRejected,
    maps: (await collect(reports.actionMaps())).length,
    timeline: (await collect(reports.timeline("visitor-4"))).map((one) => one.kind),
    refusals: (await collect(reports.refusals({ since: new Date(0) }))).length,
    counts: (await reports.refusalCounts()).refusals,
    funnel: funnel.total.offered,
    versions: versions.rows.map((one) => [one.action_map_version ?? null, one.offered]),
    analysis: [times.total.accepted.actions, blockedOffers.total.blocked],
    visitors: (await collect(reports.visitors())).length,
    offersOfVisitor: (await collect(reports.visitorOffers("visitor-0"))).map((one) => one.state),
    ...(await administer()),
    page: (await asPage.offer({ customerId: "ü", customerIdType: "email", actionMapId, sessionId })).decision,
    failures: [
      await failure(reports.offer({ customerId: "v", actionMapId, sessionId })),
      await failure(reports.performance({ zone: "Atlantis" })),
      await failure(new OfferlogClient(url, service, { patience: 0, fetch: fragile(502) }).suppressions("v")),
      await failure(new OfferlogClient(url, service, { patience: 0, fetch: fragile("request lost") }).suppressions("v")),
    ],
  }),
);
