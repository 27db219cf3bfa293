-- Who did what: entries that are only ever added, each with the hash of the one before. Whoever does something writes a
-- row of audit_deeds in the same transaction; at its commit the row becomes the next entry. Only then is the head locked,
-- behind whatever else the transaction has locked, so that none of our writers who has it waits for anything but the disk.
CREATE TABLE audit_deeds (
    deed_id        bigint  GENERATED ALWAYS AS IDENTITY,
    client         text    NOT NULL,
    key_id         text    NOT NULL,
    operator_name  text    NOT NULL,
    action         text    NOT NULL,
    subject_kind   text    NOT NULL,
    subject        text    NOT NULL,
    detail         text    NOT NULL,
    CONSTRAINT audit_deeds_pkey PRIMARY KEY (deed_id)
);
COMMENT ON TABLE audit_deeds IS 'Deeds of transactions that have not committed yet; empty for everybody else.';

CREATE TABLE audit_entries (
    sequence       bigint       NOT NULL,
    at             timestamptz  NOT NULL,
    client         text         COLLATE "C" NOT NULL,
    key_id         text         COLLATE "C" NOT NULL,
    operator_name  text         COLLATE "C" NOT NULL,
    action         text         COLLATE "C" NOT NULL,
    subject_kind   text         COLLATE "C" NOT NULL,
    subject        text         COLLATE "C" NOT NULL,
    detail         text         COLLATE "C" NOT NULL,
    previous_hash  bytea        NOT NULL,
    hash           bytea        NOT NULL,
    CONSTRAINT audit_entries_pkey PRIMARY KEY (sequence),
    CONSTRAINT audit_entries_sequence_positive CHECK (sequence > 0),
    CONSTRAINT audit_entries_action_named CHECK (action <> '' AND subject_kind <> ''),
    CONSTRAINT audit_entries_hash_lengths CHECK (length(previous_hash) = 32 AND length(hash) = 32)
);
CREATE INDEX audit_entries_by_subject ON audit_entries (subject, sequence);
CREATE INDEX audit_entries_by_client ON audit_entries (client, sequence);
CREATE INDEX audit_entries_by_action ON audit_entries (action, sequence);
CREATE INDEX audit_entries_by_time ON audit_entries (at);
COMMENT ON COLUMN audit_entries.at IS 'By the clock of the database, at the commit.';
COMMENT ON COLUMN audit_entries.key_id IS 'The key or certificate that was shown; empty: the client was taken at its word.';
COMMENT ON COLUMN audit_entries.operator_name IS 'Who the client says did it; empty: it says nothing.';
COMMENT ON COLUMN audit_entries.detail IS 'A JSON object of texts, as it was hashed.';

-- The newest entry. Its row is what entries wait for each other at.
CREATE TABLE audit_head (
    one       boolean  NOT NULL DEFAULT true,
    sequence  bigint   NOT NULL,
    hash      bytea    NOT NULL,
    CONSTRAINT audit_head_pkey PRIMARY KEY (one),
    CONSTRAINT audit_head_one_row CHECK (one),
    CONSTRAINT audit_head_hash_length CHECK (length(hash) = 32)
) WITH (fillfactor = 10);
INSERT INTO audit_head (sequence, hash) VALUES (0, decode(repeat('00', 32), 'hex'));

-- SHA-256 over the fields, each behind its length in four bytes, numbers in eight; storage/audit_log.cc says the same.
CREATE FUNCTION audit_field(field bytea) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$ SELECT int4send(length(field)) || field $$;
CREATE FUNCTION audit_hash(entry audit_entries) RETURNS bytea LANGUAGE sql STABLE AS $$
    SELECT sha256(audit_field('waybill.audit.1'::bytea)
        || audit_field(int8send(entry.sequence))
        || audit_field(int8send((extract(epoch FROM entry.at) * 1000000)::bigint))
        || audit_field(convert_to(entry.client, 'UTF8'))
        || audit_field(convert_to(entry.key_id, 'UTF8'))
        || audit_field(convert_to(entry.operator_name, 'UTF8'))
        || audit_field(convert_to(entry.action, 'UTF8'))
        || audit_field(convert_to(entry.subject_kind, 'UTF8'))
        || audit_field(convert_to(entry.subject, 'UTF8'))
        || audit_field(convert_to(entry.detail, 'UTF8'))
        || audit_field(entry.previous_hash))
$$;

-- As the tables' owner: nobody else has the right to write an entry, or to move the head.
CREATE FUNCTION audit_chain() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    head audit_head;
    entry audit_entries;
BEGIN
    SELECT * INTO STRICT head FROM audit_head FOR UPDATE;
    entry := (head.sequence + 1, clock_timestamp(), NEW.client, NEW.key_id, NEW.operator_name, NEW.action, NEW.subject_kind,
              NEW.subject, NEW.detail, head.hash, NULL);
    entry.hash := audit_hash(entry);
    INSERT INTO audit_entries SELECT entry.*;
    UPDATE audit_head SET sequence = entry.sequence, hash = entry.hash;
    DELETE FROM audit_deeds WHERE deed_id = NEW.deed_id;
    RETURN NULL;
END $$;
CREATE FUNCTION audit_entries_stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'entries of the audit are neither changed nor removed'
        USING ERRCODE = 'check_violation', CONSTRAINT = TG_NAME, TABLE = TG_TABLE_NAME;
END $$;
-- Temporary tables of a caller's must not be taken for ours. And a commit has no statement_timeout: whoever holds the head
-- must not hold up for long what is locked by those who commit.
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION audit_chain() SET search_path = %I, pg_temp', current_schema());
    ALTER FUNCTION audit_chain() SET lock_timeout = '1s';
END $$;

CREATE CONSTRAINT TRIGGER audit_deeds_become_entries AFTER INSERT ON audit_deeds
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION audit_chain();
CREATE TRIGGER audit_entries_unchanged BEFORE UPDATE OR DELETE ON audit_entries
    FOR EACH ROW EXECUTE FUNCTION audit_entries_stay();
CREATE TRIGGER audit_entries_untruncated BEFORE TRUNCATE ON audit_entries
    FOR EACH STATEMENT EXECUTE FUNCTION audit_entries_stay();
