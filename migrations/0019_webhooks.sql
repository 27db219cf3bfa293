-- What clients of orders are told, and where. An event is a row for each endpoint that wants it, written by the commit that
-- it tells of; there is no list of events that somebody would have to read on from a place. A row is due when next_at is
-- over, whenever its transaction became visible.
CREATE TABLE webhook_endpoints (
    endpoint_id      uuid         NOT NULL,
    client           text         COLLATE "C" NOT NULL,
    url              text         NOT NULL,
    types            text[]       NOT NULL,
    secret           text         NOT NULL,
    previous_secret  text,
    previous_until   timestamptz,
    enabled          boolean      NOT NULL DEFAULT true,
    disabled_reason  text         NOT NULL DEFAULT '',
    failing_since    timestamptz,
    created_at       timestamptz  NOT NULL,
    deleted_at       timestamptz,
    CONSTRAINT webhook_endpoints_pkey PRIMARY KEY (endpoint_id),
    CONSTRAINT webhook_endpoints_types_named CHECK (cardinality(types) > 0),
    CONSTRAINT webhook_endpoints_previous_ends CHECK ((previous_secret IS NULL) = (previous_until IS NULL)),
    CONSTRAINT webhook_endpoints_deleted_is_over CHECK (deleted_at IS NULL OR (NOT enabled AND url = '' AND secret = '' AND previous_secret IS NULL))
);
CREATE INDEX webhook_endpoints_by_client ON webhook_endpoints (client, endpoint_id) WHERE deleted_at IS NULL;
CREATE INDEX webhook_endpoints_live ON webhook_endpoints (client) WHERE enabled;
COMMENT ON COLUMN webhook_endpoints.types IS 'Of events: "order.confirmed", all of a family ("order.*"), or all ("*").';
COMMENT ON COLUMN webhook_endpoints.secret IS 'What signs, in the clear: "whsec_…".';
COMMENT ON COLUMN webhook_endpoints.failing_since IS 'The first failure since the newest success.';

CREATE TABLE webhook_deliveries (
    endpoint_id  uuid         NOT NULL,
    event_id     text         COLLATE "C" NOT NULL,
    type         text         NOT NULL,
    order_id     uuid,
    body         text         NOT NULL,
    created_at   timestamptz  NOT NULL,
    state        text         NOT NULL DEFAULT 'waiting',
    attempts     integer      NOT NULL DEFAULT 0,
    epoch        bigint       NOT NULL DEFAULT 0,
    next_at      timestamptz  NOT NULL,
    last_at      timestamptz,
    last_code    integer,
    last_answer  text         NOT NULL DEFAULT '',
    reason       text         NOT NULL DEFAULT '',
    CONSTRAINT webhook_deliveries_pkey PRIMARY KEY (endpoint_id, event_id),
    CONSTRAINT webhook_deliveries_state_known CHECK (state IN ('waiting', 'delivered', 'dead', 'discarded')),
    CONSTRAINT webhook_deliveries_ended_by_a_reason CHECK ((state IN ('dead', 'discarded')) = (reason <> ''))
);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (endpoint_id, next_at) WHERE state = 'waiting';
CREATE INDEX webhook_deliveries_dead ON webhook_deliveries (endpoint_id, event_id) WHERE state = 'dead';
-- Not BRIN: where rows are deleted and others take their place, its ranges only grow.
CREATE INDEX webhook_deliveries_ended ON webhook_deliveries (created_at) WHERE state <> 'waiting';
COMMENT ON COLUMN webhook_deliveries.event_id IS 'The webhook-id; the same for all endpoints and all attempts.';
COMMENT ON COLUMN webhook_deliveries.next_at IS 'Nobody attempts it before: the next attempt''s time, or the end of the lease of the one that is under way.';
COMMENT ON COLUMN webhook_deliveries.epoch IS 'Raised by every claim and every replay; what became of an attempt under an older one is not written.';
COMMENT ON COLUMN webhook_deliveries.last_code IS 'The HTTP status that was answered; null: there was no answer.';
