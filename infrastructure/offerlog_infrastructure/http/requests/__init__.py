"""What a request says: who asks, the body, parameters, pages and limits."""
