"""The OpenAPI document: schemas, examples and errors."""
