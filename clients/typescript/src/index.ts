export * from "./answers.js";
export { Organization, type KeyRequest, type WebhookRequest } from "./organization.js";
export {
  OfferlogClient,
  type ClientOptions,
  type OfferRequest,
  type RangeRequest,
  type ReportRequest,
  type Time,
} from "./client.js";
export { ServiceError } from "./service-error.js";
export { visitorToken } from "./visitor-token.js";
