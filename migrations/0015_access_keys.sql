-- Keys of callers. A secret is kept as a keyed hash, whose key is in no database.
CREATE TABLE access_keys (
    key_id       text        COLLATE "C" NOT NULL,
    name         text        NOT NULL,
    client       text        COLLATE "C" NOT NULL,
    scopes       text[]      NOT NULL,
    drivers      text[]      NOT NULL DEFAULT '{}',
    secret_hash  bytea,
    certificate  text        COLLATE "C",
    created_at   timestamptz NOT NULL,
    created_by   text        NOT NULL,
    expires_at   timestamptz NOT NULL DEFAULT 'infinity',
    revoked_at   timestamptz NOT NULL DEFAULT 'infinity',
    CONSTRAINT access_keys_pkey PRIMARY KEY (key_id),
    CONSTRAINT access_keys_secret_or_certificate CHECK ((secret_hash IS NULL) <> (certificate IS NULL)),
    CONSTRAINT access_keys_hash_length CHECK (length(secret_hash) = 32),
    CONSTRAINT access_keys_client_length CHECK (length(client) BETWEEN 1 AND 128),
    CONSTRAINT access_keys_some_scope CHECK (cardinality(scopes) > 0)
);
COMMENT ON COLUMN access_keys.drivers IS 'Whose positions it may write: ids, beginnings of ids with * behind, or *.';
COMMENT ON COLUMN access_keys.secret_hash IS 'HMAC-SHA256 of the whole secret, wb_<key_id>_..., under the key in the services'' --key-hash-file.';
COMMENT ON COLUMN access_keys.certificate IS 'A subject alternative name, or common name, of a client''s certificate, which then is the key.';
-- Who shows a certificate is one client.
CREATE UNIQUE INDEX access_keys_certificate_in_use ON access_keys (certificate) WHERE revoked_at = 'infinity';

-- Beside the keys, so that a service that writes down uses has no right to write keys.
CREATE TABLE access_key_uses (
    key_id   text        COLLATE "C" NOT NULL,
    used_at  timestamptz NOT NULL,
    CONSTRAINT access_key_uses_pkey PRIMARY KEY (key_id)
) WITH (fillfactor = 50);

-- One row that every change of a key counts up, so that changes commit one after the other, and who has read this row knows of
-- all that is counted in it. Services ask for it several times a second and read the keys when it has changed.
CREATE TABLE access_version (
    one      boolean NOT NULL DEFAULT true,
    version  bigint  NOT NULL,
    CONSTRAINT access_version_pkey PRIMARY KEY (one),
    CONSTRAINT access_version_one_row CHECK (one)
) WITH (fillfactor = 10);
INSERT INTO access_version (version) VALUES (1);

CREATE FUNCTION access_keys_count_change() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    UPDATE access_version SET version = version + 1;
    RETURN NULL;
END $$;
-- Whoever changes a key, also by hand.
CREATE TRIGGER access_keys_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON access_keys
    FOR EACH STATEMENT EXECUTE FUNCTION access_keys_count_change();
