"""The AsyncAPI 3 document: the contract of the events that leave the service."""
