export * from "./answers.js";
export { OfferlogClient, type ClientOptions, type OfferRequest, type ReportRequest, type Time } from "./client.js";
export { ServiceError } from "./service-error.js";
export { visitorToken } from "./visitor-token.js";
