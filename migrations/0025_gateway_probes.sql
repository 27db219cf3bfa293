-- What gateways say of themselves when one replica asks for all. A row is a gateway's turn: who raises its epoch asks, once,
-- and nobody asks before next_at, by this server's clock, whatever becomes of who asked last.
CREATE TABLE gateway_probes (
    gateway          text        COLLATE "C" NOT NULL,
    epoch            bigint      NOT NULL DEFAULT 1,
    holder           text        NOT NULL,
    claimed_at       timestamptz NOT NULL,
    next_at          timestamptz NOT NULL,
    asked_at         timestamptz,
    outcome          text        COLLATE "C",
    min_response_ms  integer,
    CONSTRAINT gateway_probes_pkey PRIMARY KEY (gateway),
    CONSTRAINT gateway_probes_gateway_name CHECK (gateway ~ '^[a-z0-9_-]{1,40}$'),
    CONSTRAINT gateway_probes_outcome CHECK (outcome IN ('healthy', 'failing', 'no_answer', 'limited', 'not_served')),
    CONSTRAINT gateway_probes_asked CHECK ((outcome IS NULL) = (asked_at IS NULL)),
    CONSTRAINT gateway_probes_min_response CHECK (min_response_ms IS NULL OR (min_response_ms >= 0 AND outcome IN ('healthy', 'failing')))
) WITH (fillfactor = 50);
COMMENT ON COLUMN gateway_probes.epoch IS 'Raised by every claim; what became of an older one is not written.';
COMMENT ON COLUMN gateway_probes.holder IS 'The instance that asked last.';
COMMENT ON COLUMN gateway_probes.asked_at IS 'When what is in outcome was asked for.';
COMMENT ON COLUMN gateway_probes.min_response_ms IS 'How long it says that it takes at least; null: it says nothing of that.';
