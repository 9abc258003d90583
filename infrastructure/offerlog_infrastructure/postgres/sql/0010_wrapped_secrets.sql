-- The ids of the keys that encrypt the keys of this store. These keys themselves stand in a keyring outside it. Rows
-- elsewhere refer to the number, which takes 2 bytes.
CREATE TABLE key_encryption_keys (
    number smallint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text NOT NULL UNIQUE,
    used_since timestamptz NOT NULL DEFAULT now()
);
-- The secret is encrypted under that key; NULL: it stands here as an older offerlog stored it, and the opening of the
-- store encrypts it in this transaction. The column has another name, so that an older process that still runs gets an
-- error, and never takes an encrypted secret for a secret.
ALTER TABLE organizations DROP CONSTRAINT organizations_secret_check;
ALTER TABLE organizations RENAME COLUMN secret TO wrapped_secret;
ALTER TABLE organizations ADD COLUMN kek smallint REFERENCES key_encryption_keys (number);
