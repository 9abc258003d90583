"""The dashboard: pages over the API, and the module for the browsers of a site's visitors."""
