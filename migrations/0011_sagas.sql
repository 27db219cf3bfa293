-- Sagas of kinds that need no tables of their own: what they are about is JSON that the kind's codec writes. The other columns
-- mean what they mean in order_sagas.
CREATE TABLE sagas (
    saga_id          uuid        NOT NULL,
    kind             text        COLLATE "C" NOT NULL,
    version          smallint    NOT NULL,
    dedupe_key       text        COLLATE "C" NOT NULL,
    payload          jsonb       NOT NULL,
    state            saga_state  NOT NULL DEFAULT 'running',
    step             smallint    NOT NULL DEFAULT 0,
    attempt          integer     NOT NULL DEFAULT 1,
    seq              bigint      NOT NULL DEFAULT 0,
    needs_attention  boolean     NOT NULL DEFAULT false,
    failure_reason   text,
    failure_detail   text,
    owner            text,
    epoch            bigint      NOT NULL DEFAULT 1,
    lease_until      timestamptz,
    write_id         bigint,
    waits_for        text        COLLATE "C",
    wakes_at         timestamptz,
    traceparent      text,
    created_at       timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL,
    CONSTRAINT sagas_pkey PRIMARY KEY (saga_id),
    CONSTRAINT sagas_dedupe_key UNIQUE (kind, dedupe_key),
    CONSTRAINT sagas_key_length CHECK (length(dedupe_key) BETWEEN 1 AND 255),
    CONSTRAINT sagas_payload_object CHECK (jsonb_typeof(payload) = 'object'),
    CONSTRAINT sagas_version_positive CHECK (version >= 1),
    CONSTRAINT sagas_lease_while_unfinished
        CHECK ((lease_until IS NOT NULL OR wakes_at IS NOT NULL) = (state IN ('running', 'closing', 'compensating'))),
    CONSTRAINT sagas_waits_for_something CHECK ((waits_for IS NULL) = (wakes_at IS NULL)),
    CONSTRAINT sagas_turned_back_for_a_reason
        CHECK (state NOT IN ('compensating', 'compensated', 'resolved') OR failure_reason IS NOT NULL)
) WITH (fillfactor = 80);
CREATE INDEX sagas_unfinished ON sagas (kind, lease_until) WHERE lease_until IS NOT NULL;
CREATE INDEX sagas_waiting ON sagas (kind, wakes_at) WHERE lease_until IS NULL AND wakes_at IS NOT NULL;
-- For lists: finished sagas leave it.
CREATE INDEX sagas_open ON sagas (saga_id) WHERE lease_until IS NOT NULL OR wakes_at IS NOT NULL;
CREATE INDEX sagas_turned_back ON sagas (saga_id) WHERE failure_reason IS NOT NULL;
CREATE INDEX sagas_needing_attention ON sagas (saga_id) WHERE needs_attention;

CREATE FUNCTION sagas_refuse_backward() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'saga % may not go from state % (seq %, epoch %) to % (seq %, epoch %)',
        OLD.saga_id, OLD.state, OLD.seq, OLD.epoch, NEW.state, NEW.seq, NEW.epoch
        USING ERRCODE = 'check_violation', CONSTRAINT = 'sagas_only_forward', TABLE = 'sagas';
END $$;
CREATE TRIGGER sagas_only_forward BEFORE UPDATE ON sagas FOR EACH ROW
    WHEN (NEW.state < OLD.state OR NEW.seq < OLD.seq OR NEW.epoch < OLD.epoch
          OR NEW.kind <> OLD.kind OR NEW.version <> OLD.version
          OR (OLD.state IN ('closed', 'compensated', 'resolved') AND NEW.state <> OLD.state)
          OR (OLD.state = 'closing' AND NEW.state NOT IN ('closing', 'closed')))
    EXECUTE FUNCTION sagas_refuse_backward();

CREATE TABLE saga_steps (
    saga_id  uuid        NOT NULL,
    seq      bigint      NOT NULL,
    step     text        NOT NULL,
    attempt  integer     NOT NULL,
    outcome  text        NOT NULL,
    state    saga_state  NOT NULL,
    detail   text,
    at       timestamptz NOT NULL,
    CONSTRAINT saga_steps_pkey PRIMARY KEY (saga_id, seq),
    CONSTRAINT saga_steps_outcome CHECK (outcome IN ('succeeded', 'rejected', 'unknown', 'undone', 'undo_failed', 'cancelled',
        'recovered', 'needs_attention', 'closed', 'resolved', 'waiting', 'signalled'))
);
CREATE FUNCTION saga_steps_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the log of saga % is append-only', OLD.saga_id
        USING ERRCODE = 'check_violation', CONSTRAINT = 'saga_steps_append_only', TABLE = 'saga_steps';
END $$;
CREATE TRIGGER saga_steps_append_only BEFORE UPDATE ON saga_steps FOR EACH ROW EXECUTE FUNCTION saga_steps_refuse_change();

-- What `step` counts: every process writes down the steps of each kind and version that it drives, and refuses to start where
-- they stand otherwise.
CREATE TABLE saga_definitions (
    kind     text     COLLATE "C" NOT NULL,
    version  smallint NOT NULL,
    steps    text[]   NOT NULL,
    CONSTRAINT saga_definitions_pkey PRIMARY KEY (kind, version),
    CONSTRAINT saga_definitions_version_positive CHECK (version >= 1)
);
COMMENT ON TABLE saga_definitions IS 'Names of the steps of each kind and version of sagas, in order: a saga at step n is at steps[n + 1].';

-- Orders that began before are of the first version; so are those that an older process begins.
ALTER TABLE order_sagas ADD COLUMN version smallint NOT NULL DEFAULT 1;
ALTER TABLE order_sagas ADD CONSTRAINT order_sagas_version_positive CHECK (version >= 1) NOT VALID;
DROP TRIGGER order_sagas_only_forward ON order_sagas;
CREATE TRIGGER order_sagas_only_forward BEFORE UPDATE ON order_sagas FOR EACH ROW
    WHEN (NEW.state < OLD.state OR NEW.seq < OLD.seq OR NEW.epoch < OLD.epoch OR NEW.version <> OLD.version
          OR (OLD.state IN ('closed', 'compensated', 'resolved') AND NEW.state <> OLD.state)
          OR (OLD.state = 'closing' AND NEW.state NOT IN ('closing', 'closed')))
    EXECUTE FUNCTION order_sagas_refuse_backward();

-- Sagas of every kind, for lists and gauges.
CREATE VIEW all_sagas AS
    SELECT order_id AS saga_id, 'place_order'::text COLLATE "C" AS kind, version, state, step, attempt, seq, needs_attention,
           failure_reason, failure_detail, owner, epoch, lease_until, waits_for, wakes_at, traceparent, created_at, updated_at
    FROM order_sagas
    UNION ALL
    SELECT saga_id, kind, version, state, step, attempt, seq, needs_attention,
           failure_reason, failure_detail, owner, epoch, lease_until, waits_for, wakes_at, traceparent, created_at, updated_at
    FROM sagas;
CREATE VIEW all_saga_steps AS
    SELECT order_id AS saga_id, seq, step, attempt, outcome, state, detail, at FROM order_saga_steps
    UNION ALL
    SELECT saga_id, seq, step, attempt, outcome, state, detail, at FROM saga_steps;
