const RETRIED = new Set([408, 425, 429, 500, 502, 503, 504, 507]);

/** The one error of the client: the service answered with a problem (RFC 9457), something else did, or nothing. */
export class ServiceError extends Error {
  override readonly name = "ServiceError";

  constructor(
    /** The kind of problem, such as `forbidden`; `unreachable` without an answer, `unknown` if another program answers. */
    readonly kind: string,
    /** What is wrong, for people. */
    readonly detail: string,
    /** The HTTP status; null without an answer. */
    readonly status: number | null = null,
    /** The part of the request at fault; null if the problem names none. */
    readonly field: string | null = null,
    /** Seconds after which the service asks to send the request again; null if it names none. */
    readonly retryAfter: number | null = null,
    /** The id of the request in the log of the service; null without an answer. */
    readonly requestId: string | null = null,
  ) {
    super(`${status === null ? "" : `${status} `}${kind}: ${detail}`);
  }

  /** True if the same request may succeed later. Every request of this client may be repeated. */
  get isTemporary(): boolean {
    return this.status === null || RETRIED.has(this.status);
  }

  /** Build the error that an answer reports. */
  static async ofAnswer(answer: Response): Promise<ServiceError> {
    let [kind, detail, field]: [string, string, string | null] = ["unknown", answer.statusText, null];
    try {
      const problem = (await answer.json()) as { type: string; detail: string; field?: string };
      kind = problem.type.replace("/problems/", "");
      detail = problem.detail;
      field = problem.field ?? null;
    } catch {
      // the answer of a proxy
    }
    const wait = answer.headers.get("retry-after") ?? "";
    const retryAfter = /^\d+$/.test(wait) ? Number(wait) : null;
    return new ServiceError(kind, detail, answer.status, field, retryAfter, answer.headers.get("x-request-id"));
  }
}
