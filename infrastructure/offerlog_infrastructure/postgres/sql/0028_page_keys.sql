-- Keys with which a site's server signs visitor tokens for its pages (docs/decisions/0047).
ALTER TABLE api_keys DROP CONSTRAINT api_keys_role_check,
    ADD CONSTRAINT api_keys_role_check
    CHECK (role IN ('widget', 'page', 'service', 'reporter', 'events', 'privacy', 'admin'));
