const encode = (bytes: Uint8Array): string =>
  btoa(String.fromCharCode(...bytes)).replace(/[+/=]/g, (one) => ({ "+": "-", "/": "_" })[one] ?? "");

/**
 * Sign a visitor token: a JSON Web Token with the algorithm HS256, with which the page of one visitor asks for offers.
 *
 * @param pageKey The text of a key with the role `page`. It must not reach a browser.
 * @param customerId The visitor, who has shown it to the site, for instance by a cookie.
 * @throws {RangeError} The key is not a page key, or the time is longer than a day.
 */
export async function visitorToken(
  pageKey: string,
  customerId: string,
  { customerIdType = "cookie", seconds = 3600 }: { customerIdType?: string; seconds?: number } = {},
): Promise<string> {
  const [prefix, role, kid] = pageKey.split("_");
  if (prefix !== "ofl" || role !== "page" || !kid) {
    throw new RangeError("a page key is needed: offerlog keys create --role page --origin ...");
  }
  if (!(seconds > 0 && seconds <= 86_400)) {
    throw new RangeError("a visitor token is valid for at most a day");
  }
  const utf8 = (text: string) => new TextEncoder().encode(text);
  const exp = Math.floor(Date.now() / 1000) + seconds;
  const parts = [{ alg: "HS256", kid, typ: "JWT" }, { customerId, customerIdType, exp }];
  const signed = parts.map((part) => encode(utf8(JSON.stringify(part)))).join(".");
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("raw", utf8(pageKey), algorithm, false, ["sign"]);
  return `${signed}.${encode(new Uint8Array(await crypto.subtle.sign("HMAC", key, utf8(signed))))}`;
}
