import type {
  ApiKey,
  DeletedTenant,
  KeyringKey,
  ListedWebhook,
  MadeWebhook,
  NewApiKey,
  ReportGivenOut,
  ShownWebhook,
  Subscription,
  Webhook,
  WebhookAttempt,
  WebhookDelivery,
} from "./answers.js";

export type Query = Record<string, string | number | boolean | Date | readonly string[] | null | undefined>;

export interface KeyRequest {
  name?: string;
  /** The origins of the pages that may use it, for the roles widget and page. */
  origins?: readonly string[];
  anyOrigin?: boolean;
  /** Its end, such as `90d`, or a time; null for never. */
  expires?: string | null;
}

export interface WebhookRequest {
  /** The types of events that it gets, such as `offered`; empty for all. */
  types?: readonly string[];
  /** The ids of the action maps whose events it gets; empty for all. */
  actionMaps?: readonly string[];
  /** Begin after this position of the log; null for its end. */
  after?: number | null;
}

/**
 * Keys, webhooks, subscriptions, issued reports and the end of an organization: a part of the client.
 *
 * They need a key of the role admin; subscriptions are also for those who may read events. A request that must not be
 * sent twice, such as one that makes a key, is sent once: without an answer, look what is there.
 */
export abstract class Organization {
  /** List the keys of the organization, without their texts. */
  async apiKeys(): Promise<ApiKey[]> {
    return (await this.ask<{ keys: ApiKey[] }>("GET", "v1/keys")).keys;
  }

  /** Make a key. Its text is in this answer alone. */
  createKey(role: string, { name = "", origins = [], anyOrigin = false, expires = null }: KeyRequest = {}): Promise<NewApiKey> {
    return this.ask("POST", "v1/keys", {}, { role, name, origins, any_origin: anyOrigin, expires }, true);
  }

  /** Revoke a key; it stays in the list. */
  revokeKey(keyId: string): Promise<ApiKey> {
    return this.ask("DELETE", `v1/keys/${encodeURIComponent(keyId)}`);
  }

  /** List the webhooks of the organization, with lag and counts. */
  async webhooks(): Promise<ListedWebhook[]> {
    return (await this.ask<{ webhooks: ListedWebhook[] }>("GET", "v1/webhooks")).webhooks;
  }

  /** Show a webhook, with the events that wait and those that were given up. */
  webhook(webhookId: string): Promise<ShownWebhook> {
    return this.ask("GET", place(webhookId));
  }

  /** Make a webhook. Its secret is in this answer alone. */
  createWebhook(url: string, { types = [], actionMaps = [], after = null }: WebhookRequest = {}): Promise<MadeWebhook> {
    return this.ask("POST", "v1/webhooks", {}, { url, types, action_maps: actionMaps, after }, true);
  }

  /** Send a test message to a webhook now, and return the result; it takes up to 20 seconds. */
  testWebhook(webhookId: string): Promise<WebhookAttempt> {
    return this.ask("POST", `${place(webhookId)}/test`, {}, undefined, true);
  }

  /** Send nothing more to a webhook; its place in the log stays. */
  disableWebhook(webhookId: string): Promise<Webhook> {
    return this.ask("POST", `${place(webhookId)}/disable`);
  }

  /** Send to a webhook again; with `skip`, not what was recorded up to now. */
  enableWebhook(webhookId: string, { skip = false }: { skip?: boolean } = {}): Promise<Webhook> {
    return this.ask("POST", `${place(webhookId)}/enable`, { skip });
  }

  /** Give a webhook another secret; the former one signs for `keep`, such as `12h`, too. */
  rotateWebhook(webhookId: string, { keep }: { keep?: string } = {}): Promise<MadeWebhook> {
    return this.ask("POST", `${place(webhookId)}/rotate`, { keep }, undefined, true);
  }

  /** List the events that were given up for a webhook, up to 1,000. */
  async deadLetters(webhookId: string): Promise<WebhookDelivery[]> {
    const path = `${place(webhookId)}/dead-letters`;
    return (await this.ask<{ dead_letters: WebhookDelivery[] }>("GET", path)).dead_letters;
  }

  /** Try the dead letter at a position again, or all; return how many. */
  async sendAgain(webhookId: string, { position }: { position?: number } = {}): Promise<number> {
    const path = `${place(webhookId)}/send-again`;
    return (await this.ask<{ waiting: number }>("POST", path, { position }, undefined, true)).waiting;
  }

  /** Delete a webhook, with all that waits for it. */
  async deleteWebhook(webhookId: string): Promise<void> {
    await this.ask("DELETE", place(webhookId), {}, undefined, true);
  }

  /** List the subscriptions to the feed, with cursor and lag. */
  async subscriptions(): Promise<Subscription[]> {
    return (await this.ask<{ subscriptions: Subscription[] }>("GET", "v1/subscriptions")).subscriptions;
  }

  /** Make a subscription, or move its cursor forward; never back. */
  acknowledge(name: string, cursor?: string): Promise<Subscription> {
    return this.ask("PUT", `v1/subscriptions/${encodeURIComponent(name)}/cursor`, { lastEventId: cursor });
  }

  /** Delete a subscription. */
  async deleteSubscription(name: string): Promise<void> {
    await this.ask("DELETE", `v1/subscriptions/${encodeURIComponent(name)}`, {}, undefined, true);
  }

  /** Yield the reports that were given out, the oldest first. */
  async *issuedReports(): AsyncGenerator<ReportGivenOut, void> {
    for (let after: number | null = 0; after !== null; ) {
      const page: { reports: ReportGivenOut[]; next: number | null } = await this.ask("GET", "v1/issued-reports", { after });
      yield* page.reports;
      after = page.next;
    }
  }

  /** List the keys of the keyring: ids and times alone. */
  async keyring(): Promise<KeyringKey[]> {
    return (await this.ask<{ keys: KeyringKey[] }>("GET", "v1/keyring")).keys;
  }

  /**
   * Delete the organization of the key for good; its name, so that nobody does it by mistake.
   *
   * What is not done in one request is done by the next one, as long as the patience lasts.
   */
  deleteOrganization(organization: string): Promise<DeletedTenant> {
    return this.ask("DELETE", "v1/organization", { organization });
  }

  /** Send a request until it is answered, or the patience is over; return the answer's JSON. */
  protected abstract ask<Answer>(
    method: string,
    path: string,
    asked?: Query,
    body?: unknown,
    isSentOnce?: boolean,
  ): Promise<Answer>;
}

const place = (webhookId: string): string => `v1/webhooks/${encodeURIComponent(webhookId)}`;
