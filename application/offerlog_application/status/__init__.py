"""The checks of an operator: observations of a store and its services, and their assessment."""
