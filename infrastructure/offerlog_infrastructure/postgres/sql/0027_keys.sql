-- When a key ends by itself, and when it was used last: no request writes that, a thread does from time to time.
ALTER TABLE api_keys ADD COLUMN expires_at timestamptz, ADD COLUMN last_used_at timestamptz;
