-- What the build of git commit b33b7f4 (2026-11-21; migrations 0001 and 0002) wrote into PostgreSQL 15.20, with
-- a dispatcher elsewhere. tests/e2e/rolling_e2etest.cc loads it. Nothing was edited by hand: every order was brought
-- where it is by the old waybill-order, waybill-sandbox and waybill themselves, and each instance name is one old process.
-- In outline, with H = --attempt-timeout 1h and N = --attempts-max 1000 --attention-after 1000 --attempt-timeout 200ms
-- --backoff 20ms --backoff-max 60ms:
--   waybill migrate; waybill-sandbox --log BOOKS; waybill-order --instance NAME --lease 10m --payment-gateway grpc://SANDBOX
--     --dispatch grpc://SANDBOX ...
--   old-done          orders settled, completed, cancelled, declined, without a driver, resolved; then SIGTERM
--   old-own, -charge  H, the sandbox loses calls of Charge before or after it did them; kill -9
--   old-charge-again  N, the same, or UNAVAILABLE; kill -9 at attempt 3 or later
--   old-killed-*      H, WAYBILL_FAILPOINT=PLACE=kill with the PLACE that is in the key
--   old-assign        H, the sandbox loses calls of AssignDriver before or after it did them; kill -9
--   old-assign-again  N, the same, or UNAVAILABLE; kill -9 at attempt 3 or later
--   old-undo          H, CancelOrder while the sandbox loses ReleaseDriver or Refund; kill -9
--   old-undo-backoff  --backoff 1h, CancelOrder between two attempts to charge, Refund UNAVAILABLE; kill -9
--   old-undo-again    N, CancelOrder while they are UNAVAILABLE; kill -9
--   old-attention     the same with --attention-after 2; kill -9
--   pg_dump --no-owner --no-privileges --inserts | grep -vE '^(\\(un)?restrict|--|SET |SELECT pg_catalog.set_config|$)'
-- A state "closing" did not exist yet.
-- The last lines are BOOKS, what the sandbox knew in the end.
CREATE TYPE public.saga_state AS ENUM (
    'running',
    'succeeded',
    'closed',
    'compensating',
    'compensated',
    'resolved'
);
CREATE FUNCTION public.order_assignments_check_capacity() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF NEW.slot > COALESCE((SELECT capacity FROM drivers WHERE driver_id = NEW.driver_id), 1) THEN
        RAISE EXCEPTION 'driver % has no slot %', NEW.driver_id, NEW.slot
            USING ERRCODE = 'check_violation', CONSTRAINT = 'order_assignments_within_capacity', TABLE = 'order_assignments';
    END IF;
    RETURN NEW;
END $$;
CREATE FUNCTION public.order_saga_steps_refuse_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE EXCEPTION 'the log of order % is append-only', OLD.order_id
        USING ERRCODE = 'check_violation', CONSTRAINT = 'order_saga_steps_append_only', TABLE = 'order_saga_steps';
END $$;
CREATE FUNCTION public.order_sagas_refuse_backward() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE EXCEPTION 'order % may not go from state % (seq %, epoch %) to % (seq %, epoch %)',
        OLD.order_id, OLD.state, OLD.seq, OLD.epoch, NEW.state, NEW.seq, NEW.epoch
        USING ERRCODE = 'check_violation', CONSTRAINT = 'order_sagas_only_forward', TABLE = 'order_sagas';
END $$;
CREATE TABLE public.driver_locations (
    recorded_at timestamp with time zone NOT NULL,
    received_at timestamp with time zone NOT NULL,
    lat double precision NOT NULL,
    long double precision NOT NULL,
    accuracy_m real,
    heading_deg real,
    speed_mps real,
    marks smallint DEFAULT 0 NOT NULL,
    driver_id text NOT NULL COLLATE pg_catalog."C",
    CONSTRAINT driver_locations_id_length CHECK (((length(driver_id) >= 1) AND (length(driver_id) <= 128))),
    CONSTRAINT driver_locations_on_earth CHECK ((((lat >= ('-90'::integer)::double precision) AND (lat <= (90)::double precision)) AND ((long >= ('-180'::integer)::double precision) AND (long <= (180)::double precision))))
)
PARTITION BY RANGE (recorded_at);
COMMENT ON COLUMN public.driver_locations.marks IS 'Bits: 1 speed jump, 2 poor accuracy';
CREATE TABLE public.drivers (
    driver_id text NOT NULL COLLATE pg_catalog."C",
    capacity smallint NOT NULL,
    CONSTRAINT drivers_capacity_range CHECK (((capacity >= 1) AND (capacity <= 1000)))
);
COMMENT ON TABLE public.drivers IS 'Drivers that may hold more than one active order; any other driver has a capacity of one.';
CREATE TABLE public.order_assignments (
    order_id uuid NOT NULL,
    driver_id text NOT NULL COLLATE pg_catalog."C",
    slot smallint DEFAULT 1 NOT NULL,
    assigned_at timestamp with time zone NOT NULL,
    released_at timestamp with time zone,
    CONSTRAINT order_assignments_slot_positive CHECK ((slot >= 1))
)
WITH (fillfactor='90');
CREATE TABLE public.order_saga_steps (
    order_id uuid NOT NULL,
    seq bigint NOT NULL,
    step text NOT NULL,
    attempt integer NOT NULL,
    outcome text NOT NULL,
    state public.saga_state NOT NULL,
    detail text,
    at timestamp with time zone NOT NULL,
    CONSTRAINT order_saga_steps_outcome CHECK ((outcome = ANY (ARRAY['succeeded'::text, 'rejected'::text, 'unknown'::text, 'undone'::text, 'undo_failed'::text, 'cancelled'::text, 'recovered'::text, 'needs_attention'::text, 'closed'::text, 'resolved'::text])))
);
CREATE TABLE public.order_sagas (
    order_id uuid NOT NULL,
    client text NOT NULL COLLATE pg_catalog."C",
    idempotency_key text NOT NULL COLLATE pg_catalog."C",
    fingerprint bytea NOT NULL,
    user_id text NOT NULL COLLATE pg_catalog."C",
    amount_minor bigint NOT NULL,
    currency text NOT NULL,
    pickup_lat double precision,
    pickup_long double precision,
    metadata jsonb,
    state public.saga_state DEFAULT 'running'::public.saga_state NOT NULL,
    step smallint DEFAULT 0 NOT NULL,
    attempt integer DEFAULT 1 NOT NULL,
    seq bigint DEFAULT 0 NOT NULL,
    needs_attention boolean DEFAULT false NOT NULL,
    failure_reason text,
    failure_detail text,
    owner text,
    epoch bigint DEFAULT 1 NOT NULL,
    lease_until timestamp with time zone,
    traceparent text,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    CONSTRAINT order_sagas_amount_positive CHECK ((amount_minor > 0)),
    CONSTRAINT order_sagas_currency_iso4217 CHECK ((length(currency) = 3)),
    CONSTRAINT order_sagas_key_length CHECK (((length(idempotency_key) >= 1) AND (length(idempotency_key) <= 255))),
    CONSTRAINT order_sagas_lease_while_unfinished CHECK (((lease_until IS NOT NULL) = (state = ANY (ARRAY['running'::public.saga_state, 'compensating'::public.saga_state])))),
    CONSTRAINT order_sagas_pickup_whole CHECK (((pickup_lat IS NULL) = (pickup_long IS NULL))),
    CONSTRAINT order_sagas_turned_back_for_a_reason CHECK (((state <> ALL (ARRAY['compensating'::public.saga_state, 'compensated'::public.saga_state, 'resolved'::public.saga_state])) OR (failure_reason IS NOT NULL)))
)
WITH (fillfactor='80');
CREATE TABLE public.payments (
    order_id uuid NOT NULL,
    amount_minor bigint NOT NULL,
    currency text NOT NULL,
    gateway_reference text NOT NULL,
    charged_at timestamp with time zone NOT NULL,
    refund_minor bigint,
    refunded_at timestamp with time zone,
    CONSTRAINT payments_amount_positive CHECK ((amount_minor > 0)),
    CONSTRAINT payments_refund_whole CHECK (((refund_minor IS NULL) = (refunded_at IS NULL))),
    CONSTRAINT payments_refund_within_charge CHECK (((refund_minor >= 1) AND (refund_minor <= amount_minor)))
)
WITH (fillfactor='90');
CREATE TABLE public.schema_migrations (
    version integer NOT NULL,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL,
    duration_ms bigint NOT NULL
);
INSERT INTO public.order_assignments VALUES ('01a220e3-3102-7e35-9300-d42f020fc84b', 'sandbox-driver-0001', 1, '2026-11-28 06:41:29.898891+00', NULL);
INSERT INTO public.order_assignments VALUES ('01a220e3-3132-78ac-b3a4-6d31d5cb2390', 'sandbox-driver-0002', 1, '2026-11-28 06:41:29.911628+00', NULL);
INSERT INTO public.order_assignments VALUES ('01a220e3-313a-7547-bbf4-72dbbd88acbb', 'sandbox-driver-0003', 1, '2026-11-28 06:41:29.924593+00', NULL);
INSERT INTO public.order_assignments VALUES ('01a220e3-3147-74d0-b597-4af5068f550e', 'sandbox-driver-0004', 1, '2026-11-28 06:41:29.930713+00', NULL);
INSERT INTO public.order_assignments VALUES ('01a220e3-314c-7d99-b637-89d518943f82', 'sandbox-driver-0005', 1, '2026-11-28 06:41:29.935483+00', '2026-11-28 06:41:29.944548+00');
INSERT INTO public.order_assignments VALUES ('01a220e3-315f-77b2-81f3-0bc08f161279', 'sandbox-driver-0006', 1, '2026-11-28 06:41:29.954463+00', '2026-11-28 06:41:29.9621+00');
INSERT INTO public.order_assignments VALUES ('01a220e3-3409-7d47-ae8b-61347d05a9d0', 'sandbox-driver-0007', 1, '2026-11-28 06:41:30.638229+00', '2026-11-28 06:41:30.654699+00');
INSERT INTO public.order_assignments VALUES ('01a220e3-44f6-7d47-a09f-f8d62fce5ad9', 'sandbox-driver-0009', 1, '2026-11-28 06:41:34.996337+00', NULL);
INSERT INTO public.order_assignments VALUES ('01a220e3-45c7-7c04-965a-2f44f47aa9d5', 'sandbox-driver-0010', 1, '2026-11-28 06:41:35.199312+00', NULL);
INSERT INTO public.order_assignments VALUES ('01a220e3-469c-75ba-b179-03216200e084', 'sandbox-driver-0011', 1, '2026-11-28 06:41:35.404048+00', NULL);
INSERT INTO public.order_assignments VALUES ('01a220e3-4782-778d-a5ff-8e67e65341db', 'sandbox-driver-0012', 1, '2026-11-28 06:41:35.644164+00', '2026-11-28 06:41:35.68231+00');
INSERT INTO public.order_assignments VALUES ('01a220e3-4873-7174-9d4e-6bfee50c5cbb', 'sandbox-driver-0013', 1, '2026-11-28 06:41:35.877028+00', '2026-11-28 06:41:35.894333+00');
INSERT INTO public.order_assignments VALUES ('01a220e3-4d3d-742d-9568-baee2a30e7c5', 'sandbox-driver-0016', 1, '2026-11-28 06:41:37.100601+00', NULL);
INSERT INTO public.order_assignments VALUES ('01a220e3-4d54-7f33-aeee-0974f8993756', 'sandbox-driver-0017', 1, '2026-11-28 06:41:37.113453+00', NULL);
INSERT INTO public.order_assignments VALUES ('01a220e3-4d5f-7a8f-830f-0a920f67169d', 'sandbox-driver-0018', 1, '2026-11-28 06:41:37.127179+00', '2026-11-28 06:41:37.314734+00');
INSERT INTO public.order_assignments VALUES ('01a220e3-4d71-7322-a60a-85b0dbe9c5e6', 'sandbox-driver-0020', 1, '2026-11-28 06:41:37.139334+00', '2026-11-28 06:41:37.367511+00');
INSERT INTO public.order_assignments VALUES ('01a220e3-4d69-7662-a742-1b8bc64758ac', 'sandbox-driver-0019', 1, '2026-11-28 06:41:37.135432+00', '2026-11-28 06:41:37.454694+00');
INSERT INTO public.order_assignments VALUES ('01a220e3-525e-7360-86ef-9aa935228468', 'sandbox-driver-0022', 1, '2026-11-28 06:41:38.400621+00', NULL);
INSERT INTO public.order_assignments VALUES ('01a220e3-5249-7cbc-81ea-152a132a2a3d', 'sandbox-driver-0021', 1, '2026-11-28 06:41:38.3917+00', '2026-11-28 06:41:38.418816+00');
INSERT INTO public.order_assignments VALUES ('01a220e3-53b8-7c62-841e-b7c43ece3242', 'sandbox-driver-0024', 1, '2026-11-28 06:41:38.747236+00', NULL);
INSERT INTO public.order_assignments VALUES ('01a220e3-53a4-76e5-809c-5fb8677c3381', 'sandbox-driver-0023', 1, '2026-11-28 06:41:38.739584+00', '2026-11-28 06:41:38.769378+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-3102-7e35-9300-d42f020fc84b', 1, 'charge_payment', 1, 'succeeded', 'running', NULL, '2026-11-28 06:41:29.888808+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-3102-7e35-9300-d42f020fc84b', 2, 'assign_driver', 1, 'succeeded', 'succeeded', 'sandbox-driver-0001', '2026-11-28 06:41:29.898891+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-3132-78ac-b3a4-6d31d5cb2390', 1, 'charge_payment', 1, 'succeeded', 'running', NULL, '2026-11-28 06:41:29.909011+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-3132-78ac-b3a4-6d31d5cb2390', 2, 'assign_driver', 1, 'succeeded', 'succeeded', 'sandbox-driver-0002', '2026-11-28 06:41:29.911628+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-313a-7547-bbf4-72dbbd88acbb', 1, 'charge_payment', 1, 'succeeded', 'running', NULL, '2026-11-28 06:41:29.921899+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-313a-7547-bbf4-72dbbd88acbb', 2, 'assign_driver', 1, 'succeeded', 'succeeded', 'sandbox-driver-0003', '2026-11-28 06:41:29.924593+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-3147-74d0-b597-4af5068f550e', 1, 'charge_payment', 1, 'succeeded', 'running', NULL, '2026-11-28 06:41:29.928765+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-3147-74d0-b597-4af5068f550e', 2, 'assign_driver', 1, 'succeeded', 'succeeded', 'sandbox-driver-0004', '2026-11-28 06:41:29.930713+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-314c-7d99-b637-89d518943f82', 1, 'charge_payment', 1, 'succeeded', 'running', NULL, '2026-11-28 06:41:29.934016+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-314c-7d99-b637-89d518943f82', 2, 'assign_driver', 1, 'succeeded', 'succeeded', 'sandbox-driver-0005', '2026-11-28 06:41:29.935483+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-314c-7d99-b637-89d518943f82', 3, '', 0, 'closed', 'closed', NULL, '2026-11-28 06:41:29.944548+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-315f-77b2-81f3-0bc08f161279', 1, 'charge_payment', 1, 'succeeded', 'running', NULL, '2026-11-28 06:41:29.952923+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-315f-77b2-81f3-0bc08f161279', 2, 'assign_driver', 1, 'succeeded', 'succeeded', 'sandbox-driver-0006', '2026-11-28 06:41:29.954463+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-315f-77b2-81f3-0bc08f161279', 3, '', 0, 'cancelled', 'compensating', 'changed my mind', '2026-11-28 06:41:29.960005+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-315f-77b2-81f3-0bc08f161279', 4, 'assign_driver', 1, 'undone', 'compensating', NULL, '2026-11-28 06:41:29.9621+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-315f-77b2-81f3-0bc08f161279', 5, 'charge_payment', 1, 'undone', 'compensated', NULL, '2026-11-28 06:41:29.963835+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-3170-7cfd-9750-79b81b74a466', 1, 'charge_payment', 1, 'rejected', 'compensated', 'PAYMENT_DECLINED: CARD_DECLINED', '2026-11-28 06:41:29.977767+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-317d-7558-a4c1-854e8fa60570', 1, 'charge_payment', 1, 'succeeded', 'running', NULL, '2026-11-28 06:41:29.98276+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-317d-7558-a4c1-854e8fa60570', 2, 'assign_driver', 1, 'rejected', 'compensating', 'NO_DRIVER_AVAILABLE', '2026-11-28 06:41:29.984492+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-317d-7558-a4c1-854e8fa60570', 3, 'charge_payment', 1, 'undone', 'compensated', NULL, '2026-11-28 06:41:29.985975+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-3185-7af9-bc27-081b09204fbd', 1, 'charge_payment', 1, 'unknown', 'running', 'PAYMENT_UNKNOWN: DEADLINE_EXCEEDED: Deadline Exceeded', '2026-11-28 06:41:30.291969+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-3185-7af9-bc27-081b09204fbd', 2, 'charge_payment', 2, 'unknown', 'compensating', 'PAYMENT_UNKNOWN: DEADLINE_EXCEEDED: Deadline Exceeded', '2026-11-28 06:41:30.601999+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-3185-7af9-bc27-081b09204fbd', 3, 'charge_payment', 1, 'undone', 'compensated', NULL, '2026-11-28 06:41:30.606709+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-33f5-7c28-b638-29f9ac8b071f', 1, 'charge_payment', 1, 'unknown', 'running', 'PAYMENT_UNKNOWN: SANDBOX_UNAVAILABLE: the sandbox plays dead', '2026-11-28 06:41:30.616555+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-33f5-7c28-b638-29f9ac8b071f', 2, 'charge_payment', 2, 'unknown', 'compensating', 'PAYMENT_UNKNOWN: SANDBOX_UNAVAILABLE: the sandbox plays dead', '2026-11-28 06:41:30.628409+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-33f5-7c28-b638-29f9ac8b071f', 3, 'charge_payment', 1, 'undone', 'compensated', 'never charged; the key is closed', '2026-11-28 06:41:30.629957+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-3409-7d47-ae8b-61347d05a9d0', 1, 'charge_payment', 1, 'succeeded', 'running', NULL, '2026-11-28 06:41:30.635521+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-3409-7d47-ae8b-61347d05a9d0', 2, 'assign_driver', 1, 'succeeded', 'succeeded', 'sandbox-driver-0007', '2026-11-28 06:41:30.638229+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-3409-7d47-ae8b-61347d05a9d0', 3, '', 0, 'cancelled', 'compensating', 'changed my mind', '2026-11-28 06:41:30.652226+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-3409-7d47-ae8b-61347d05a9d0', 4, 'assign_driver', 1, 'undone', 'compensating', NULL, '2026-11-28 06:41:30.654699+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-3409-7d47-ae8b-61347d05a9d0', 5, 'charge_payment', 1, 'undo_failed', 'compensating', 'PAYMENT_UNKNOWN: SANDBOX_UNAVAILABLE: the sandbox plays dead', '2026-11-28 06:41:30.656593+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-3409-7d47-ae8b-61347d05a9d0', 6, 'charge_payment', 2, 'undo_failed', 'compensating', 'PAYMENT_UNKNOWN: SANDBOX_UNAVAILABLE: the sandbox plays dead', '2026-11-28 06:41:30.658811+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-3409-7d47-ae8b-61347d05a9d0', 7, 'charge_payment', 2, 'needs_attention', 'compensating', '2 attempts to undo failed', '2026-11-28 06:41:30.658815+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-3409-7d47-ae8b-61347d05a9d0', 8, 'charge_payment', 4, 'undo_failed', 'compensating', 'PAYMENT_UNKNOWN: SANDBOX_UNAVAILABLE: the sandbox plays dead', '2026-11-28 06:41:30.684248+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-3409-7d47-ae8b-61347d05a9d0', 9, 'charge_payment', 8, 'undo_failed', 'compensating', 'PAYMENT_UNKNOWN: SANDBOX_UNAVAILABLE: the sandbox plays dead', '2026-11-28 06:41:30.786341+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-3409-7d47-ae8b-61347d05a9d0', 10, '', 0, 'resolved', 'resolved', 'anna: paid back by hand', '2026-11-28 06:41:30.787568+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-39b8-7ae9-bda7-d89f643a91af', 1, 'charge_payment', 1, 'unknown', 'running', 'PAYMENT_UNKNOWN: DEADLINE_EXCEEDED: Deadline Exceeded', '2026-11-28 06:41:32.307564+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-39b8-7ae9-bda7-d89f643a91af', 2, 'charge_payment', 2, 'unknown', 'running', 'PAYMENT_UNKNOWN: DEADLINE_EXCEEDED: Deadline Exceeded', '2026-11-28 06:41:32.54339+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-3bee-7b5c-873d-da9e0cae87d6', 1, 'charge_payment', 1, 'unknown', 'running', 'PAYMENT_UNKNOWN: SANDBOX_UNAVAILABLE: the sandbox plays dead', '2026-11-28 06:41:32.657199+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-3bee-7b5c-873d-da9e0cae87d6', 2, 'charge_payment', 2, 'unknown', 'running', 'PAYMENT_UNKNOWN: SANDBOX_UNAVAILABLE: the sandbox plays dead', '2026-11-28 06:41:32.691978+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-3bee-7b5c-873d-da9e0cae87d6', 3, 'charge_payment', 3, 'unknown', 'running', 'PAYMENT_UNKNOWN: SANDBOX_UNAVAILABLE: the sandbox plays dead', '2026-11-28 06:41:32.710615+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-3bee-7b5c-873d-da9e0cae87d6', 4, 'charge_payment', 4, 'unknown', 'running', 'PAYMENT_UNKNOWN: SANDBOX_UNAVAILABLE: the sandbox plays dead', '2026-11-28 06:41:32.75633+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-3bee-7b5c-873d-da9e0cae87d6', 5, 'charge_payment', 5, 'unknown', 'running', 'PAYMENT_UNKNOWN: SANDBOX_UNAVAILABLE: the sandbox plays dead', '2026-11-28 06:41:32.780599+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-39b8-7ae9-bda7-d89f643a91af', 3, 'charge_payment', 3, 'unknown', 'running', 'PAYMENT_UNKNOWN: DEADLINE_EXCEEDED: Deadline Exceeded', '2026-11-28 06:41:32.784839+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-3bee-7b5c-873d-da9e0cae87d6', 6, 'charge_payment', 6, 'unknown', 'running', 'PAYMENT_UNKNOWN: SANDBOX_UNAVAILABLE: the sandbox plays dead', '2026-11-28 06:41:32.785391+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-3bee-7b5c-873d-da9e0cae87d6', 7, 'charge_payment', 7, 'unknown', 'running', 'PAYMENT_UNKNOWN: SANDBOX_UNAVAILABLE: the sandbox plays dead', '2026-11-28 06:41:32.817118+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-39b8-7ae9-bda7-d89f643a91af', 4, 'charge_payment', 4, 'unknown', 'running', 'PAYMENT_UNKNOWN: SANDBOX_UNAVAILABLE: the sandbox plays dead', '2026-11-28 06:41:32.849113+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-3bee-7b5c-873d-da9e0cae87d6', 8, 'charge_payment', 8, 'unknown', 'running', 'PAYMENT_UNKNOWN: SANDBOX_UNAVAILABLE: the sandbox plays dead', '2026-11-28 06:41:32.869332+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-39b8-7ae9-bda7-d89f643a91af', 5, 'charge_payment', 5, 'unknown', 'running', 'PAYMENT_UNKNOWN: SANDBOX_UNAVAILABLE: the sandbox plays dead', '2026-11-28 06:41:32.897347+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-3bee-7b5c-873d-da9e0cae87d6', 9, 'charge_payment', 9, 'unknown', 'running', 'PAYMENT_UNKNOWN: SANDBOX_UNAVAILABLE: the sandbox plays dead', '2026-11-28 06:41:32.912081+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-3bee-7b5c-873d-da9e0cae87d6', 10, 'charge_payment', 10, 'unknown', 'running', 'PAYMENT_UNKNOWN: SANDBOX_UNAVAILABLE: the sandbox plays dead', '2026-11-28 06:41:32.932031+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-414e-79f7-bac2-41b8c0e503a2', 1, 'charge_payment', 1, 'succeeded', 'running', NULL, '2026-11-28 06:41:34.03523+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-41ee-7a1c-9984-464310219855', 1, 'charge_payment', 1, 'succeeded', 'running', NULL, '2026-11-28 06:41:34.198503+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-42b4-78d9-aafa-bb9f7ce778ab', 1, 'charge_payment', 1, 'succeeded', 'running', NULL, '2026-11-28 06:41:34.393808+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-4342-7bce-be78-96ad72324227', 1, 'charge_payment', 1, 'succeeded', 'running', NULL, '2026-11-28 06:41:34.5507+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-4411-7d8d-8f2e-212df1eb5cc7', 1, 'charge_payment', 1, 'succeeded', 'running', NULL, '2026-11-28 06:41:34.746464+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-44f6-7d47-a09f-f8d62fce5ad9', 1, 'charge_payment', 1, 'succeeded', 'running', NULL, '2026-11-28 06:41:34.980138+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-44f6-7d47-a09f-f8d62fce5ad9', 2, 'assign_driver', 1, 'succeeded', 'succeeded', 'sandbox-driver-0009', '2026-11-28 06:41:34.996337+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-45c7-7c04-965a-2f44f47aa9d5', 1, 'charge_payment', 1, 'succeeded', 'running', NULL, '2026-11-28 06:41:35.189278+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-45c7-7c04-965a-2f44f47aa9d5', 2, 'assign_driver', 1, 'succeeded', 'succeeded', 'sandbox-driver-0010', '2026-11-28 06:41:35.199312+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-45c7-7c04-965a-2f44f47aa9d5', 3, '', 0, 'cancelled', 'compensating', 'changed my mind', '2026-11-28 06:41:35.21129+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-469c-75ba-b179-03216200e084', 1, 'charge_payment', 1, 'succeeded', 'running', NULL, '2026-11-28 06:41:35.396191+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-469c-75ba-b179-03216200e084', 2, 'assign_driver', 1, 'succeeded', 'succeeded', 'sandbox-driver-0011', '2026-11-28 06:41:35.404048+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-469c-75ba-b179-03216200e084', 3, '', 0, 'cancelled', 'compensating', 'changed my mind', '2026-11-28 06:41:35.425515+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-4782-778d-a5ff-8e67e65341db', 1, 'charge_payment', 1, 'succeeded', 'running', NULL, '2026-11-28 06:41:35.623528+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-4782-778d-a5ff-8e67e65341db', 2, 'assign_driver', 1, 'succeeded', 'succeeded', 'sandbox-driver-0012', '2026-11-28 06:41:35.644164+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-4782-778d-a5ff-8e67e65341db', 3, '', 0, 'cancelled', 'compensating', 'changed my mind', '2026-11-28 06:41:35.674363+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-4782-778d-a5ff-8e67e65341db', 4, 'assign_driver', 1, 'undone', 'compensating', NULL, '2026-11-28 06:41:35.68231+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-4873-7174-9d4e-6bfee50c5cbb', 1, 'charge_payment', 1, 'succeeded', 'running', NULL, '2026-11-28 06:41:35.871237+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-4873-7174-9d4e-6bfee50c5cbb', 2, 'assign_driver', 1, 'succeeded', 'succeeded', 'sandbox-driver-0013', '2026-11-28 06:41:35.877028+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-4873-7174-9d4e-6bfee50c5cbb', 3, '', 0, 'cancelled', 'compensating', 'changed my mind', '2026-11-28 06:41:35.886805+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-4873-7174-9d4e-6bfee50c5cbb', 4, 'assign_driver', 1, 'undone', 'compensating', NULL, '2026-11-28 06:41:35.894333+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-491d-7ec8-9166-d7775a500f32', 1, 'charge_payment', 1, 'succeeded', 'running', NULL, '2026-11-28 06:41:36.051435+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-4980-75a9-bcb1-f5d41e352605', 1, 'charge_payment', 1, 'succeeded', 'running', NULL, '2026-11-28 06:41:36.134714+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-4a48-7b64-ad5f-92abe657db63', 1, 'charge_payment', 1, 'succeeded', 'running', NULL, '2026-11-28 06:41:36.338872+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-4a48-7b64-ad5f-92abe657db63', 2, 'assign_driver', 1, 'unknown', 'running', 'DISPATCH_UNKNOWN: DEADLINE_EXCEEDED: Deadline Exceeded', '2026-11-28 06:41:36.556747+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-4a48-7b64-ad5f-92abe657db63', 3, 'assign_driver', 2, 'unknown', 'running', 'DISPATCH_UNKNOWN: DEADLINE_EXCEEDED: Deadline Exceeded', '2026-11-28 06:41:36.786729+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-4c57-7862-a51a-ef9ac6b73c9c', 1, 'charge_payment', 1, 'succeeded', 'running', NULL, '2026-11-28 06:41:36.869149+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-4c57-7862-a51a-ef9ac6b73c9c', 2, 'assign_driver', 1, 'unknown', 'running', 'DISPATCH_UNKNOWN: SANDBOX_UNAVAILABLE: the sandbox plays dead', '2026-11-28 06:41:36.876972+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-4c57-7862-a51a-ef9ac6b73c9c', 3, 'assign_driver', 2, 'unknown', 'running', 'DISPATCH_UNKNOWN: SANDBOX_UNAVAILABLE: the sandbox plays dead', '2026-11-28 06:41:36.894321+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-4c57-7862-a51a-ef9ac6b73c9c', 4, 'assign_driver', 3, 'unknown', 'running', 'DISPATCH_UNKNOWN: SANDBOX_UNAVAILABLE: the sandbox plays dead', '2026-11-28 06:41:36.909851+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-4d3d-742d-9568-baee2a30e7c5', 1, 'charge_payment', 1, 'succeeded', 'running', NULL, '2026-11-28 06:41:37.092578+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-4d3d-742d-9568-baee2a30e7c5', 2, 'assign_driver', 1, 'succeeded', 'succeeded', 'sandbox-driver-0016', '2026-11-28 06:41:37.100601+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-4d54-7f33-aeee-0974f8993756', 1, 'charge_payment', 1, 'succeeded', 'running', NULL, '2026-11-28 06:41:37.111691+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-4d54-7f33-aeee-0974f8993756', 2, 'assign_driver', 1, 'succeeded', 'succeeded', 'sandbox-driver-0017', '2026-11-28 06:41:37.113453+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-4d5f-7a8f-830f-0a920f67169d', 1, 'charge_payment', 1, 'succeeded', 'running', NULL, '2026-11-28 06:41:37.123736+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-4d5f-7a8f-830f-0a920f67169d', 2, 'assign_driver', 1, 'succeeded', 'succeeded', 'sandbox-driver-0018', '2026-11-28 06:41:37.127179+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-4d69-7662-a742-1b8bc64758ac', 1, 'charge_payment', 1, 'succeeded', 'running', NULL, '2026-11-28 06:41:37.132923+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-4d69-7662-a742-1b8bc64758ac', 2, 'assign_driver', 1, 'succeeded', 'succeeded', 'sandbox-driver-0019', '2026-11-28 06:41:37.135432+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-4d71-7322-a60a-85b0dbe9c5e6', 1, 'charge_payment', 1, 'succeeded', 'running', NULL, '2026-11-28 06:41:37.138241+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-4d71-7322-a60a-85b0dbe9c5e6', 2, 'assign_driver', 1, 'succeeded', 'succeeded', 'sandbox-driver-0020', '2026-11-28 06:41:37.139334+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-4d3d-742d-9568-baee2a30e7c5', 3, '', 0, 'cancelled', 'compensating', 'changed my mind', '2026-11-28 06:41:37.149189+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-4d54-7f33-aeee-0974f8993756', 3, '', 0, 'cancelled', 'compensating', 'changed my mind', '2026-11-28 06:41:37.207478+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-4d5f-7a8f-830f-0a920f67169d', 3, '', 0, 'cancelled', 'compensating', 'changed my mind', '2026-11-28 06:41:37.307996+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-4d5f-7a8f-830f-0a920f67169d', 4, 'assign_driver', 1, 'undone', 'compensating', NULL, '2026-11-28 06:41:37.314734+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-4d71-7322-a60a-85b0dbe9c5e6', 3, '', 0, 'cancelled', 'compensating', 'changed my mind', '2026-11-28 06:41:37.365115+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-4d71-7322-a60a-85b0dbe9c5e6', 4, 'assign_driver', 1, 'undone', 'compensating', NULL, '2026-11-28 06:41:37.367511+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-4d69-7662-a742-1b8bc64758ac', 3, '', 0, 'cancelled', 'compensating', 'changed my mind', '2026-11-28 06:41:37.452154+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-4d69-7662-a742-1b8bc64758ac', 4, 'assign_driver', 1, 'undone', 'compensating', NULL, '2026-11-28 06:41:37.454694+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-4fe7-75db-8730-40de4c01180c', 1, 'charge_payment', 1, 'unknown', 'running', 'PAYMENT_UNKNOWN: SANDBOX_UNAVAILABLE: the sandbox plays dead', '2026-11-28 06:41:37.780346+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-5036-7c62-a0a4-99d1a14bfaeb', 1, 'charge_payment', 1, 'unknown', 'running', 'PAYMENT_UNKNOWN: DEADLINE_EXCEEDED: Deadline Exceeded', '2026-11-28 06:41:38.050767+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-4fe7-75db-8730-40de4c01180c', 2, '', 0, 'cancelled', 'compensating', 'changed my mind', '2026-11-28 06:41:38.119586+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-5036-7c62-a0a4-99d1a14bfaeb', 2, '', 0, 'cancelled', 'compensating', 'changed my mind', '2026-11-28 06:41:38.135887+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-4fe7-75db-8730-40de4c01180c', 3, 'charge_payment', 1, 'undo_failed', 'compensating', 'PAYMENT_UNKNOWN: SANDBOX_UNAVAILABLE: the sandbox plays dead', '2026-11-28 06:41:38.127344+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-5036-7c62-a0a4-99d1a14bfaeb', 3, 'charge_payment', 1, 'undo_failed', 'compensating', 'PAYMENT_UNKNOWN: SANDBOX_UNAVAILABLE: the sandbox plays dead', '2026-11-28 06:41:38.148555+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-5249-7cbc-81ea-152a132a2a3d', 1, 'charge_payment', 1, 'succeeded', 'running', NULL, '2026-11-28 06:41:38.384709+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-5249-7cbc-81ea-152a132a2a3d', 2, 'assign_driver', 1, 'succeeded', 'succeeded', 'sandbox-driver-0021', '2026-11-28 06:41:38.3917+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-525e-7360-86ef-9aa935228468', 1, 'charge_payment', 1, 'succeeded', 'running', NULL, '2026-11-28 06:41:38.399432+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-525e-7360-86ef-9aa935228468', 2, 'assign_driver', 1, 'succeeded', 'succeeded', 'sandbox-driver-0022', '2026-11-28 06:41:38.400621+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-5249-7cbc-81ea-152a132a2a3d', 3, '', 0, 'cancelled', 'compensating', 'changed my mind', '2026-11-28 06:41:38.408157+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-5249-7cbc-81ea-152a132a2a3d', 4, 'assign_driver', 1, 'undone', 'compensating', NULL, '2026-11-28 06:41:38.418816+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-5249-7cbc-81ea-152a132a2a3d', 5, 'charge_payment', 1, 'undo_failed', 'compensating', 'PAYMENT_UNKNOWN: SANDBOX_UNAVAILABLE: the sandbox plays dead', '2026-11-28 06:41:38.427233+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-5249-7cbc-81ea-152a132a2a3d', 6, 'charge_payment', 2, 'undo_failed', 'compensating', 'PAYMENT_UNKNOWN: SANDBOX_UNAVAILABLE: the sandbox plays dead', '2026-11-28 06:41:38.451216+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-5249-7cbc-81ea-152a132a2a3d', 7, 'charge_payment', 3, 'undo_failed', 'compensating', 'PAYMENT_UNKNOWN: SANDBOX_UNAVAILABLE: the sandbox plays dead', '2026-11-28 06:41:38.484139+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-525e-7360-86ef-9aa935228468', 3, '', 0, 'cancelled', 'compensating', 'changed my mind', '2026-11-28 06:41:38.494189+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-525e-7360-86ef-9aa935228468', 4, 'assign_driver', 1, 'undo_failed', 'compensating', 'DISPATCH_UNKNOWN: SANDBOX_UNAVAILABLE: the sandbox plays dead', '2026-11-28 06:41:38.496983+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-525e-7360-86ef-9aa935228468', 5, 'assign_driver', 2, 'undo_failed', 'compensating', 'DISPATCH_UNKNOWN: SANDBOX_UNAVAILABLE: the sandbox plays dead', '2026-11-28 06:41:38.514768+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-5249-7cbc-81ea-152a132a2a3d', 8, 'charge_payment', 4, 'undo_failed', 'compensating', 'PAYMENT_UNKNOWN: SANDBOX_UNAVAILABLE: the sandbox plays dead', '2026-11-28 06:41:38.514978+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-5249-7cbc-81ea-152a132a2a3d', 9, 'charge_payment', 5, 'undo_failed', 'compensating', 'PAYMENT_UNKNOWN: SANDBOX_UNAVAILABLE: the sandbox plays dead', '2026-11-28 06:41:38.524512+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-525e-7360-86ef-9aa935228468', 6, 'assign_driver', 3, 'undo_failed', 'compensating', 'DISPATCH_UNKNOWN: SANDBOX_UNAVAILABLE: the sandbox plays dead', '2026-11-28 06:41:38.534517+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-5249-7cbc-81ea-152a132a2a3d', 10, 'charge_payment', 6, 'undo_failed', 'compensating', 'PAYMENT_UNKNOWN: SANDBOX_UNAVAILABLE: the sandbox plays dead', '2026-11-28 06:41:38.54654+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-53a4-76e5-809c-5fb8677c3381', 1, 'charge_payment', 1, 'succeeded', 'running', NULL, '2026-11-28 06:41:38.733211+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-53a4-76e5-809c-5fb8677c3381', 2, 'assign_driver', 1, 'succeeded', 'succeeded', 'sandbox-driver-0023', '2026-11-28 06:41:38.739584+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-53b8-7c62-841e-b7c43ece3242', 1, 'charge_payment', 1, 'succeeded', 'running', NULL, '2026-11-28 06:41:38.745908+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-53b8-7c62-841e-b7c43ece3242', 2, 'assign_driver', 1, 'succeeded', 'succeeded', 'sandbox-driver-0024', '2026-11-28 06:41:38.747236+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-53a4-76e5-809c-5fb8677c3381', 3, '', 0, 'cancelled', 'compensating', 'changed my mind', '2026-11-28 06:41:38.765315+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-53a4-76e5-809c-5fb8677c3381', 4, 'assign_driver', 1, 'undone', 'compensating', NULL, '2026-11-28 06:41:38.769378+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-53a4-76e5-809c-5fb8677c3381', 5, 'charge_payment', 1, 'undo_failed', 'compensating', 'PAYMENT_UNKNOWN: SANDBOX_UNAVAILABLE: the sandbox plays dead', '2026-11-28 06:41:38.792356+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-53a4-76e5-809c-5fb8677c3381', 6, 'charge_payment', 2, 'undo_failed', 'compensating', 'PAYMENT_UNKNOWN: SANDBOX_UNAVAILABLE: the sandbox plays dead', '2026-11-28 06:41:38.799542+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-53a4-76e5-809c-5fb8677c3381', 7, 'charge_payment', 2, 'needs_attention', 'compensating', '2 attempts to undo failed', '2026-11-28 06:41:38.799546+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-53a4-76e5-809c-5fb8677c3381', 8, 'charge_payment', 4, 'undo_failed', 'compensating', 'PAYMENT_UNKNOWN: SANDBOX_UNAVAILABLE: the sandbox plays dead', '2026-11-28 06:41:38.829937+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-53b8-7c62-841e-b7c43ece3242', 3, '', 0, 'cancelled', 'compensating', 'changed my mind', '2026-11-28 06:41:38.840037+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-53b8-7c62-841e-b7c43ece3242', 4, 'assign_driver', 1, 'undo_failed', 'compensating', 'DISPATCH_UNKNOWN: SANDBOX_UNAVAILABLE: the sandbox plays dead', '2026-11-28 06:41:38.841221+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-53b8-7c62-841e-b7c43ece3242', 5, 'assign_driver', 2, 'undo_failed', 'compensating', 'DISPATCH_UNKNOWN: SANDBOX_UNAVAILABLE: the sandbox plays dead', '2026-11-28 06:41:38.850801+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-53b8-7c62-841e-b7c43ece3242', 6, 'assign_driver', 2, 'needs_attention', 'compensating', '2 attempts to undo failed', '2026-11-28 06:41:38.850805+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-53b8-7c62-841e-b7c43ece3242', 7, 'assign_driver', 4, 'undo_failed', 'compensating', 'DISPATCH_UNKNOWN: SANDBOX_UNAVAILABLE: the sandbox plays dead', '2026-11-28 06:41:38.88601+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-3102-7e35-9300-d42f020fc84b', 'e2e', 'succeeded', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'succeeded', 1, 1, 2, false, NULL, NULL, 'old-done/01a220e3-308a-786e-a53e-2b53cf1a75f1', 1, NULL, NULL, '2026-11-28 06:41:29.858889+00', '2026-11-28 06:41:29.898891+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-44f6-7d47-a09f-f8d62fce5ad9', 'e2e', 'killed-succeeded-unanswered', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'succeeded', 1, 1, 2, false, NULL, NULL, 'old-killed-11/01a220e3-447d-7820-ae48-ed53f4e617aa', 1, NULL, NULL, '2026-11-28 06:41:34.966832+00', '2026-11-28 06:41:34.996337+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-3132-78ac-b3a4-6d31d5cb2390', 'e2e', 'succeeded-to-cancel', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'succeeded', 1, 1, 2, false, NULL, NULL, 'old-done/01a220e3-308a-786e-a53e-2b53cf1a75f1', 1, NULL, NULL, '2026-11-28 06:41:29.906543+00', '2026-11-28 06:41:29.911628+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-313a-7547-bbf4-72dbbd88acbb', 'e2e', 'succeeded-to-complete', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'succeeded', 1, 1, 2, false, NULL, NULL, 'old-done/01a220e3-308a-786e-a53e-2b53cf1a75f1', 1, NULL, NULL, '2026-11-28 06:41:29.914331+00', '2026-11-28 06:41:29.924593+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-3147-74d0-b597-4af5068f550e', 'e2e', 'succeeded-whole-request', '\xce5240b3980d78223485fce88c04f7117f699b628dc53323f615338dcea5f99c', 'Zoë-Õun', 987654321, 'JPY', 52.5203, 13.4049, '{"note": "zwei Stufen, \"links\"\nhoch", "shop": "7"}', 'succeeded', 1, 1, 2, false, NULL, NULL, 'old-done/01a220e3-308a-786e-a53e-2b53cf1a75f1', 1, NULL, NULL, '2026-11-28 06:41:29.927302+00', '2026-11-28 06:41:29.930713+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-314c-7d99-b637-89d518943f82', 'e2e', 'closed', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'closed', 1, 1, 3, false, NULL, NULL, 'old-done/01a220e3-308a-786e-a53e-2b53cf1a75f1', 2, NULL, NULL, '2026-11-28 06:41:29.932851+00', '2026-11-28 06:41:29.944548+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-317d-7558-a4c1-854e8fa60570', 'e2e', 'no-driver', '\x3226ec90d424d3f6d9dee8e0463b8d761d571e8fa78c8f431d52f61d99e223e2', 'user-1', 1250, 'EUR', -40, 120, NULL, 'compensated', 0, 1, 3, false, 'NO_DRIVER_AVAILABLE', NULL, 'old-done/01a220e3-308a-786e-a53e-2b53cf1a75f1', 1, NULL, NULL, '2026-11-28 06:41:29.981336+00', '2026-11-28 06:41:29.985975+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-315f-77b2-81f3-0bc08f161279', 'e2e', 'cancelled', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'compensated', 0, 1, 5, false, 'CANCELLED', 'changed my mind', 'old-done/01a220e3-308a-786e-a53e-2b53cf1a75f1', 2, NULL, NULL, '2026-11-28 06:41:29.951482+00', '2026-11-28 06:41:29.963835+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-3170-7cfd-9750-79b81b74a466', 'e2e', 'declined', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'compensated', 0, 1, 1, false, 'PAYMENT_DECLINED', 'CARD_DECLINED', 'old-done/01a220e3-308a-786e-a53e-2b53cf1a75f1', 1, NULL, NULL, '2026-11-28 06:41:29.968813+00', '2026-11-28 06:41:29.977767+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-3185-7af9-bc27-081b09204fbd', 'e2e', 'charge-answer-lost', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'compensated', 0, 1, 3, false, 'PAYMENT_UNKNOWN', 'DEADLINE_EXCEEDED: Deadline Exceeded', 'old-done/01a220e3-308a-786e-a53e-2b53cf1a75f1', 1, NULL, NULL, '2026-11-28 06:41:29.989687+00', '2026-11-28 06:41:30.606709+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-33f5-7c28-b638-29f9ac8b071f', 'e2e', 'never-charged', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'compensated', 0, 1, 3, false, 'PAYMENT_UNKNOWN', 'SANDBOX_UNAVAILABLE: the sandbox plays dead', 'old-done/01a220e3-308a-786e-a53e-2b53cf1a75f1', 1, NULL, NULL, '2026-11-28 06:41:30.613762+00', '2026-11-28 06:41:30.629957+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-3409-7d47-ae8b-61347d05a9d0', 'e2e', 'succeeded-then-stuck', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'resolved', 0, 9, 10, false, 'CANCELLED', 'changed my mind', 'old-done/01a220e3-308a-786e-a53e-2b53cf1a75f1', 2, NULL, NULL, '2026-11-28 06:41:30.633831+00', '2026-11-28 06:41:30.787568+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-37fe-7c97-86bb-4920656162e5', 'e2e', 'charge-1-own', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'running', 0, 1, 0, false, NULL, NULL, 'old-own/01a220e3-37b5-71d2-b052-d4de3011e894', 1, '2026-11-28 06:51:31.647225+00', NULL, '2026-11-28 06:41:31.646788+00', '2026-11-28 06:41:31.646788+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-38ab-79a5-a7bb-f7aea7742aa4', 'e2e', 'charge-1-not-sent-on', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'running', 0, 1, 0, false, NULL, NULL, 'old-charge/01a220e3-3841-7c1c-a83c-c51e63e45af1', 1, '2026-11-28 06:51:31.820425+00', NULL, '2026-11-28 06:41:31.819605+00', '2026-11-28 06:41:31.819605+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-38b7-7aac-ac32-b2342320fa03', 'e2e', 'charge-1-leased', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'running', 0, 1, 0, false, NULL, NULL, 'old-charge/01a220e3-3841-7c1c-a83c-c51e63e45af1', 1, '2026-11-28 06:51:31.833027+00', NULL, '2026-11-28 06:41:31.831668+00', '2026-11-28 06:41:31.831668+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-38bb-7ab0-a907-af789e5656cd', 'e2e', 'charge-1-charged', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'running', 0, 1, 0, false, NULL, NULL, 'old-charge/01a220e3-3841-7c1c-a83c-c51e63e45af1', 1, '2026-11-28 06:51:31.835994+00', NULL, '2026-11-28 06:41:31.83567+00', '2026-11-28 06:41:31.83567+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-38be-74fd-8b38-5c57fb1542e4', 'e2e', 'charge-1-charged-leased', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'running', 0, 1, 0, false, NULL, NULL, 'old-charge/01a220e3-3841-7c1c-a83c-c51e63e45af1', 1, '2026-11-28 06:51:31.838573+00', NULL, '2026-11-28 06:41:31.838313+00', '2026-11-28 06:41:31.838313+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-39b8-7ae9-bda7-d89f643a91af', 'e2e', 'charge-n-charged', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'running', 0, 6, 5, false, NULL, NULL, 'old-charge-again/01a220e3-3929-7014-b61b-cac131db4b80', 1, '2026-11-28 06:51:32.897759+00', NULL, '2026-11-28 06:41:32.088683+00', '2026-11-28 06:41:32.897347+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-3bee-7b5c-873d-da9e0cae87d6', 'e2e', 'charge-n', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'running', 0, 11, 10, false, NULL, NULL, 'old-charge-again/01a220e3-3929-7014-b61b-cac131db4b80', 1, '2026-11-28 06:51:32.932365+00', NULL, '2026-11-28 06:41:32.654712+00', '2026-11-28 06:41:32.932031+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-3dcd-7041-bf1f-413308caca99', 'e2e', 'killed-begin.after_commit', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'running', 0, 1, 0, false, NULL, NULL, 'old-killed-1/01a220e3-3d4b-725e-a290-69b0fcf9bb48', 1, '2026-11-28 06:51:33.134653+00', NULL, '2026-11-28 06:41:33.133017+00', '2026-11-28 06:41:33.133017+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-3e88-78c8-8fe5-338eba6a3105', 'e2e', 'killed-charge.before_send', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'running', 0, 1, 0, false, NULL, NULL, 'old-killed-2/01a220e3-3e13-726a-8236-9b8ee545f798', 1, '2026-11-28 06:51:33.324346+00', NULL, '2026-11-28 06:41:33.320551+00', '2026-11-28 06:41:33.320551+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-3f3a-7456-8b66-9ac8821cdeb1', 'e2e', 'killed-charge.after_receive', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'running', 0, 1, 0, false, NULL, NULL, 'old-killed-3/01a220e3-3ee1-7337-8dd0-2f89553ec54c', 1, '2026-11-28 06:51:33.498695+00', NULL, '2026-11-28 06:41:33.498272+00', '2026-11-28 06:41:33.498272+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-4004-7585-bfef-5a29fb8436ad', 'e2e', 'killed-charge.after_receive-declined', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'running', 0, 1, 0, false, NULL, NULL, 'old-killed-4/01a220e3-3f88-71c2-bd6a-ce809e357e7a', 1, '2026-11-28 06:51:33.702401+00', NULL, '2026-11-28 06:41:33.700346+00', '2026-11-28 06:41:33.700346+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-40bf-7760-9d06-a836288b1573', 'e2e', 'killed-advance.before_commit', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'running', 0, 1, 0, false, NULL, NULL, 'old-killed-5/01a220e3-4050-7624-9e36-27905ce7344d', 1, '2026-11-28 06:51:33.887765+00', NULL, '2026-11-28 06:41:33.887462+00', '2026-11-28 06:41:33.887462+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-414e-79f7-bac2-41b8c0e503a2', 'e2e', 'killed-charge.booked', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'running', 1, 1, 1, false, NULL, NULL, 'old-killed-6/01a220e3-40fc-7ce1-89da-8234e563c3cd', 1, '2026-11-28 06:51:34.035683+00', NULL, '2026-11-28 06:41:34.030625+00', '2026-11-28 06:41:34.03523+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-41ee-7a1c-9984-464310219855', 'e2e', 'killed-assign.before_pick', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'running', 1, 1, 1, false, NULL, NULL, 'old-killed-7/01a220e3-41a4-77df-82fa-a506e7986f99', 1, '2026-11-28 06:51:34.199999+00', NULL, '2026-11-28 06:41:34.190633+00', '2026-11-28 06:41:34.198503+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-42b4-78d9-aafa-bb9f7ce778ab', 'e2e', 'killed-assign.after_pick', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'running', 1, 1, 1, false, NULL, NULL, 'old-killed-8/01a220e3-4245-71b6-8546-f6119bee96a8', 1, '2026-11-28 06:51:34.394113+00', NULL, '2026-11-28 06:41:34.388555+00', '2026-11-28 06:41:34.393808+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-4342-7bce-be78-96ad72324227', 'e2e', 'killed-dispatch.before_send', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'running', 1, 1, 1, false, NULL, NULL, 'old-killed-9/01a220e3-42ef-7599-b715-919b1f92e86e', 1, '2026-11-28 06:51:34.551304+00', NULL, '2026-11-28 06:41:34.530739+00', '2026-11-28 06:41:34.5507+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-4411-7d8d-8f2e-212df1eb5cc7', 'e2e', 'killed-assign.after_pick-none', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'running', 1, 1, 1, false, NULL, NULL, 'old-killed-10/01a220e3-43a4-76cc-9841-42f88b4b860a', 1, '2026-11-28 06:51:34.746843+00', NULL, '2026-11-28 06:41:34.737849+00', '2026-11-28 06:41:34.746464+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-45c7-7c04-965a-2f44f47aa9d5', 'e2e', 'killed-release.before_send', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'compensating', 1, 1, 3, false, 'CANCELLED', 'changed my mind', 'old-killed-12/01a220e3-455f-7b1a-8557-beac0fd73060', 2, '2026-11-28 06:51:35.211491+00', NULL, '2026-11-28 06:41:35.175752+00', '2026-11-28 06:41:35.21129+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-469c-75ba-b179-03216200e084', 'e2e', 'killed-release.after_receive', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'compensating', 1, 1, 3, false, 'CANCELLED', 'changed my mind', 'old-killed-13/01a220e3-462d-7add-b48f-64124015c777', 2, '2026-11-28 06:51:35.425805+00', NULL, '2026-11-28 06:41:35.38836+00', '2026-11-28 06:41:35.425515+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-4782-778d-a5ff-8e67e65341db', 'e2e', 'killed-refund.before_send', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'compensating', 0, 1, 4, false, 'CANCELLED', 'changed my mind', 'old-killed-14/01a220e3-4707-7ee1-86b1-13363d15061f', 2, '2026-11-28 06:51:35.682713+00', NULL, '2026-11-28 06:41:35.618474+00', '2026-11-28 06:41:35.68231+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-4873-7174-9d4e-6bfee50c5cbb', 'e2e', 'killed-refund.after_receive', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'compensating', 0, 1, 4, false, 'CANCELLED', 'changed my mind', 'old-killed-15/01a220e3-4813-7d47-b6d3-bd64efbdd4aa', 2, '2026-11-28 06:51:35.898335+00', NULL, '2026-11-28 06:41:35.859092+00', '2026-11-28 06:41:35.894333+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-491d-7ec8-9166-d7775a500f32', 'e2e', 'assign-1', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'running', 1, 1, 1, false, NULL, NULL, 'old-assign/01a220e3-48cc-76b4-82f1-b603901ce84f', 1, '2026-11-28 06:51:36.051832+00', NULL, '2026-11-28 06:41:36.029925+00', '2026-11-28 06:41:36.051435+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-4980-75a9-bcb1-f5d41e352605', 'e2e', 'assign-1-assigned', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'running', 1, 1, 1, false, NULL, NULL, 'old-assign/01a220e3-48cc-76b4-82f1-b603901ce84f', 1, '2026-11-28 06:51:36.138632+00', NULL, '2026-11-28 06:41:36.128355+00', '2026-11-28 06:41:36.134714+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-4a48-7b64-ad5f-92abe657db63', 'e2e', 'assign-n-assigned', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'running', 1, 3, 3, false, NULL, NULL, 'old-assign-again/01a220e3-49ef-7e1c-80a7-7671712148bb', 1, '2026-11-28 06:51:36.787585+00', NULL, '2026-11-28 06:41:36.328714+00', '2026-11-28 06:41:36.786729+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-4c57-7862-a51a-ef9ac6b73c9c', 'e2e', 'assign-n', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'running', 1, 4, 4, false, NULL, NULL, 'old-assign-again/01a220e3-49ef-7e1c-80a7-7671712148bb', 1, '2026-11-28 06:51:36.910016+00', NULL, '2026-11-28 06:41:36.855526+00', '2026-11-28 06:41:36.909851+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-5036-7c62-a0a4-99d1a14bfaeb', 'e2e', 'undo-of-unknown-charge', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'compensating', 0, 2, 3, false, 'CANCELLED', 'changed my mind', 'old-undo-backoff/01a220e3-4f69-73ca-9992-ad2d714740ea', 1, '2026-11-28 06:51:38.148807+00', NULL, '2026-11-28 06:41:37.846776+00', '2026-11-28 06:41:38.148555+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-4d3d-742d-9568-baee2a30e7c5', 'e2e', 'undo-assign-1', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'compensating', 1, 1, 3, false, 'CANCELLED', 'changed my mind', 'old-undo/01a220e3-4cea-71e7-bc90-61a62de0713f', 2, '2026-11-28 06:51:37.14937+00', NULL, '2026-11-28 06:41:37.085262+00', '2026-11-28 06:41:37.149189+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-4d54-7f33-aeee-0974f8993756', 'e2e', 'undo-assign-1-released', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'compensating', 1, 1, 3, false, 'CANCELLED', 'changed my mind', 'old-undo/01a220e3-4cea-71e7-bc90-61a62de0713f', 2, '2026-11-28 06:51:37.210508+00', NULL, '2026-11-28 06:41:37.108951+00', '2026-11-28 06:41:37.207478+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-4d5f-7a8f-830f-0a920f67169d', 'e2e', 'undo-charge-1', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'compensating', 0, 1, 4, false, 'CANCELLED', 'changed my mind', 'old-undo/01a220e3-4cea-71e7-bc90-61a62de0713f', 2, '2026-11-28 06:51:37.314893+00', NULL, '2026-11-28 06:41:37.119661+00', '2026-11-28 06:41:37.314734+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-4d71-7322-a60a-85b0dbe9c5e6', 'e2e', 'undo-charge-1-leased', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'compensating', 0, 1, 4, false, 'CANCELLED', 'changed my mind', 'old-undo/01a220e3-4cea-71e7-bc90-61a62de0713f', 2, '2026-11-28 06:51:37.36777+00', NULL, '2026-11-28 06:41:37.137197+00', '2026-11-28 06:41:37.367511+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-4d69-7662-a742-1b8bc64758ac', 'e2e', 'undo-charge-1-refunded', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'compensating', 0, 1, 4, false, 'CANCELLED', 'changed my mind', 'old-undo/01a220e3-4cea-71e7-bc90-61a62de0713f', 2, '2026-11-28 06:51:37.454988+00', NULL, '2026-11-28 06:41:37.1294+00', '2026-11-28 06:41:37.454694+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-4fe7-75db-8730-40de4c01180c', 'e2e', 'undo-of-nothing', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'compensating', 0, 2, 3, false, 'CANCELLED', 'changed my mind', 'old-undo-backoff/01a220e3-4f69-73ca-9992-ad2d714740ea', 1, '2026-11-28 06:51:38.127631+00', NULL, '2026-11-28 06:41:37.767367+00', '2026-11-28 06:41:38.127344+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-525e-7360-86ef-9aa935228468', 'e2e', 'undo-assign-n', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'compensating', 1, 4, 6, false, 'CANCELLED', 'changed my mind', 'old-undo-again/01a220e3-51fc-79c2-8910-e561451e49a5', 2, '2026-11-28 06:51:38.534681+00', NULL, '2026-11-28 06:41:38.398212+00', '2026-11-28 06:41:38.534517+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-5249-7cbc-81ea-152a132a2a3d', 'e2e', 'undo-charge-n', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'compensating', 0, 7, 10, false, 'CANCELLED', 'changed my mind', 'old-undo-again/01a220e3-51fc-79c2-8910-e561451e49a5', 2, '2026-11-28 06:51:38.546924+00', NULL, '2026-11-28 06:41:38.377798+00', '2026-11-28 06:41:38.54654+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-53a4-76e5-809c-5fb8677c3381', 'e2e', 'attention-charge', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'compensating', 0, 5, 8, true, 'CANCELLED', 'changed my mind', 'old-attention/01a220e3-531d-785e-aeed-99b1ee7aa3aa', 2, '2026-11-28 06:51:38.830332+00', NULL, '2026-11-28 06:41:38.724432+00', '2026-11-28 06:41:38.829937+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-53b8-7c62-841e-b7c43ece3242', 'e2e', 'attention-assign', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'compensating', 1, 5, 7, true, 'CANCELLED', 'changed my mind', 'old-attention/01a220e3-531d-785e-aeed-99b1ee7aa3aa', 2, '2026-11-28 06:51:38.886313+00', NULL, '2026-11-28 06:41:38.744775+00', '2026-11-28 06:41:38.88601+00');
INSERT INTO public.payments VALUES ('01a220e3-3102-7e35-9300-d42f020fc84b', 1250, 'EUR', 'ch_1', '2026-11-28 06:41:29.888791+00', NULL, NULL);
INSERT INTO public.payments VALUES ('01a220e3-3132-78ac-b3a4-6d31d5cb2390', 1250, 'EUR', 'ch_2', '2026-11-28 06:41:29.909002+00', NULL, NULL);
INSERT INTO public.payments VALUES ('01a220e3-313a-7547-bbf4-72dbbd88acbb', 1250, 'EUR', 'ch_3', '2026-11-28 06:41:29.921889+00', NULL, NULL);
INSERT INTO public.payments VALUES ('01a220e3-3147-74d0-b597-4af5068f550e', 987654321, 'JPY', 'ch_4', '2026-11-28 06:41:29.928758+00', NULL, NULL);
INSERT INTO public.payments VALUES ('01a220e3-314c-7d99-b637-89d518943f82', 1250, 'EUR', 'ch_5', '2026-11-28 06:41:29.934009+00', NULL, NULL);
INSERT INTO public.payments VALUES ('01a220e3-315f-77b2-81f3-0bc08f161279', 1250, 'EUR', 'ch_6', '2026-11-28 06:41:29.952915+00', 1250, '2026-11-28 06:41:29.963827+00');
INSERT INTO public.payments VALUES ('01a220e3-317d-7558-a4c1-854e8fa60570', 1250, 'EUR', 'ch_8', '2026-11-28 06:41:29.982753+00', 1250, '2026-11-28 06:41:29.985969+00');
INSERT INTO public.payments VALUES ('01a220e3-3185-7af9-bc27-081b09204fbd', 1250, 'EUR', 'ch_10', '2026-11-28 06:41:30.606696+00', 1250, '2026-11-28 06:41:30.606696+00');
INSERT INTO public.payments VALUES ('01a220e3-3409-7d47-ae8b-61347d05a9d0', 1250, 'EUR', 'ch_12', '2026-11-28 06:41:30.635512+00', NULL, NULL);
INSERT INTO public.payments VALUES ('01a220e3-414e-79f7-bac2-41b8c0e503a2', 1250, 'EUR', 'ch_19', '2026-11-28 06:41:34.035218+00', NULL, NULL);
INSERT INTO public.payments VALUES ('01a220e3-41ee-7a1c-9984-464310219855', 1250, 'EUR', 'ch_20', '2026-11-28 06:41:34.198489+00', NULL, NULL);
INSERT INTO public.payments VALUES ('01a220e3-42b4-78d9-aafa-bb9f7ce778ab', 1250, 'EUR', 'ch_21', '2026-11-28 06:41:34.393795+00', NULL, NULL);
INSERT INTO public.payments VALUES ('01a220e3-4342-7bce-be78-96ad72324227', 1250, 'EUR', 'ch_22', '2026-11-28 06:41:34.550686+00', NULL, NULL);
INSERT INTO public.payments VALUES ('01a220e3-4411-7d8d-8f2e-212df1eb5cc7', 1250, 'EUR', 'ch_23', '2026-11-28 06:41:34.746451+00', NULL, NULL);
INSERT INTO public.payments VALUES ('01a220e3-44f6-7d47-a09f-f8d62fce5ad9', 1250, 'EUR', 'ch_24', '2026-11-28 06:41:34.980123+00', NULL, NULL);
INSERT INTO public.payments VALUES ('01a220e3-45c7-7c04-965a-2f44f47aa9d5', 1250, 'EUR', 'ch_25', '2026-11-28 06:41:35.189259+00', NULL, NULL);
INSERT INTO public.payments VALUES ('01a220e3-469c-75ba-b179-03216200e084', 1250, 'EUR', 'ch_26', '2026-11-28 06:41:35.396178+00', NULL, NULL);
INSERT INTO public.payments VALUES ('01a220e3-4782-778d-a5ff-8e67e65341db', 1250, 'EUR', 'ch_27', '2026-11-28 06:41:35.623516+00', NULL, NULL);
INSERT INTO public.payments VALUES ('01a220e3-4873-7174-9d4e-6bfee50c5cbb', 1250, 'EUR', 'ch_28', '2026-11-28 06:41:35.871226+00', NULL, NULL);
INSERT INTO public.payments VALUES ('01a220e3-491d-7ec8-9166-d7775a500f32', 1250, 'EUR', 'ch_30', '2026-11-28 06:41:36.051424+00', NULL, NULL);
INSERT INTO public.payments VALUES ('01a220e3-4980-75a9-bcb1-f5d41e352605', 1250, 'EUR', 'ch_31', '2026-11-28 06:41:36.134703+00', NULL, NULL);
INSERT INTO public.payments VALUES ('01a220e3-4a48-7b64-ad5f-92abe657db63', 1250, 'EUR', 'ch_32', '2026-11-28 06:41:36.338862+00', NULL, NULL);
INSERT INTO public.payments VALUES ('01a220e3-4c57-7862-a51a-ef9ac6b73c9c', 1250, 'EUR', 'ch_33', '2026-11-28 06:41:36.869142+00', NULL, NULL);
INSERT INTO public.payments VALUES ('01a220e3-4d3d-742d-9568-baee2a30e7c5', 1250, 'EUR', 'ch_34', '2026-11-28 06:41:37.09257+00', NULL, NULL);
INSERT INTO public.payments VALUES ('01a220e3-4d54-7f33-aeee-0974f8993756', 1250, 'EUR', 'ch_35', '2026-11-28 06:41:37.111683+00', NULL, NULL);
INSERT INTO public.payments VALUES ('01a220e3-4d5f-7a8f-830f-0a920f67169d', 1250, 'EUR', 'ch_36', '2026-11-28 06:41:37.123727+00', NULL, NULL);
INSERT INTO public.payments VALUES ('01a220e3-4d69-7662-a742-1b8bc64758ac', 1250, 'EUR', 'ch_37', '2026-11-28 06:41:37.132916+00', NULL, NULL);
INSERT INTO public.payments VALUES ('01a220e3-4d71-7322-a60a-85b0dbe9c5e6', 1250, 'EUR', 'ch_38', '2026-11-28 06:41:37.138132+00', NULL, NULL);
INSERT INTO public.payments VALUES ('01a220e3-5249-7cbc-81ea-152a132a2a3d', 1250, 'EUR', 'ch_41', '2026-11-28 06:41:38.384701+00', NULL, NULL);
INSERT INTO public.payments VALUES ('01a220e3-525e-7360-86ef-9aa935228468', 1250, 'EUR', 'ch_42', '2026-11-28 06:41:38.399427+00', NULL, NULL);
INSERT INTO public.payments VALUES ('01a220e3-53a4-76e5-809c-5fb8677c3381', 1250, 'EUR', 'ch_43', '2026-11-28 06:41:38.7332+00', NULL, NULL);
INSERT INTO public.payments VALUES ('01a220e3-53b8-7c62-841e-b7c43ece3242', 1250, 'EUR', 'ch_44', '2026-11-28 06:41:38.745903+00', NULL, NULL);
INSERT INTO public.schema_migrations VALUES (1, '0001_orders.sql', 'a34141055d32f5cb071afc36067042d106ec0e54674e64b19d76c7e4df01f12d', '2026-11-28 06:41:29.610586+00', 24);
INSERT INTO public.schema_migrations VALUES (2, '0002_locations.sql', '87dff21840ed8a16d6611dfdb6907462cd4748c1f0ecd9c9159ab1edf98b8e5a', '2026-11-28 06:41:29.635029+00', 4);
ALTER TABLE ONLY public.driver_locations
    ADD CONSTRAINT driver_locations_once PRIMARY KEY (driver_id, recorded_at) INCLUDE (lat, long, accuracy_m, heading_deg, speed_mps, marks);
ALTER TABLE ONLY public.drivers
    ADD CONSTRAINT drivers_pkey PRIMARY KEY (driver_id);
ALTER TABLE ONLY public.order_assignments
    ADD CONSTRAINT order_assignments_one_driver PRIMARY KEY (order_id);
ALTER TABLE ONLY public.order_saga_steps
    ADD CONSTRAINT order_saga_steps_pkey PRIMARY KEY (order_id, seq);
ALTER TABLE ONLY public.order_sagas
    ADD CONSTRAINT order_sagas_idempotency_key UNIQUE (client, idempotency_key);
ALTER TABLE ONLY public.order_sagas
    ADD CONSTRAINT order_sagas_pkey PRIMARY KEY (order_id);
ALTER TABLE ONLY public.payments
    ADD CONSTRAINT payments_one_an_order PRIMARY KEY (order_id);
ALTER TABLE ONLY public.schema_migrations
    ADD CONSTRAINT schema_migrations_pkey PRIMARY KEY (version);
CREATE INDEX driver_locations_by_time ON ONLY public.driver_locations USING brin (recorded_at) WITH (pages_per_range='32');
CREATE UNIQUE INDEX order_assignments_slot_taken ON public.order_assignments USING btree (driver_id, slot) WHERE (released_at IS NULL);
CREATE INDEX order_sagas_by_user ON public.order_sagas USING btree (user_id, order_id);
CREATE INDEX order_sagas_unfinished ON public.order_sagas USING btree (lease_until) WHERE (lease_until IS NOT NULL);
CREATE TRIGGER order_assignments_within_capacity BEFORE INSERT OR UPDATE ON public.order_assignments FOR EACH ROW WHEN (((new.slot > 1) AND (new.released_at IS NULL))) EXECUTE FUNCTION public.order_assignments_check_capacity();
CREATE TRIGGER order_saga_steps_append_only BEFORE UPDATE ON public.order_saga_steps FOR EACH ROW EXECUTE FUNCTION public.order_saga_steps_refuse_change();
CREATE TRIGGER order_sagas_only_forward BEFORE UPDATE ON public.order_sagas FOR EACH ROW WHEN (((new.state < old.state) OR (new.seq < old.seq) OR (new.epoch < old.epoch) OR ((old.state = ANY (ARRAY['closed'::public.saga_state, 'compensated'::public.saga_state, 'resolved'::public.saga_state])) AND (new.state <> old.state)))) EXECUTE FUNCTION public.order_sagas_refuse_backward();
-- books: {"effect":"charge","key":"01a220e3-3102-7e35-9300-d42f020fc84b/charge_payment","order_id":"01a220e3-3102-7e35-9300-d42f020fc84b","amount_minor":1250,"currency":"EUR","reference":"ch_1","time":"2026-11-28T06:41:29.887994Z"}
-- books: {"effect":"assign","key":"01a220e3-3102-7e35-9300-d42f020fc84b/assign_driver","order_id":"01a220e3-3102-7e35-9300-d42f020fc84b","driver_id":"sandbox-driver-0001","time":"2026-11-28T06:41:29.898430Z"}
-- books: {"effect":"charge","key":"01a220e3-3132-78ac-b3a4-6d31d5cb2390/charge_payment","order_id":"01a220e3-3132-78ac-b3a4-6d31d5cb2390","amount_minor":1250,"currency":"EUR","reference":"ch_2","time":"2026-11-28T06:41:29.908710Z"}
-- books: {"effect":"assign","key":"01a220e3-3132-78ac-b3a4-6d31d5cb2390/assign_driver","order_id":"01a220e3-3132-78ac-b3a4-6d31d5cb2390","driver_id":"sandbox-driver-0002","time":"2026-11-28T06:41:29.911342Z"}
-- books: {"effect":"charge","key":"01a220e3-313a-7547-bbf4-72dbbd88acbb/charge_payment","order_id":"01a220e3-313a-7547-bbf4-72dbbd88acbb","amount_minor":1250,"currency":"EUR","reference":"ch_3","time":"2026-11-28T06:41:29.920880Z"}
-- books: {"effect":"assign","key":"01a220e3-313a-7547-bbf4-72dbbd88acbb/assign_driver","order_id":"01a220e3-313a-7547-bbf4-72dbbd88acbb","driver_id":"sandbox-driver-0003","time":"2026-11-28T06:41:29.924126Z"}
-- books: {"effect":"charge","key":"01a220e3-3147-74d0-b597-4af5068f550e/charge_payment","order_id":"01a220e3-3147-74d0-b597-4af5068f550e","amount_minor":987654321,"currency":"JPY","reference":"ch_4","time":"2026-11-28T06:41:29.928482Z"}
-- books: {"effect":"assign","key":"01a220e3-3147-74d0-b597-4af5068f550e/assign_driver","order_id":"01a220e3-3147-74d0-b597-4af5068f550e","driver_id":"sandbox-driver-0004","time":"2026-11-28T06:41:29.930367Z"}
-- books: {"effect":"charge","key":"01a220e3-314c-7d99-b637-89d518943f82/charge_payment","order_id":"01a220e3-314c-7d99-b637-89d518943f82","amount_minor":1250,"currency":"EUR","reference":"ch_5","time":"2026-11-28T06:41:29.933779Z"}
-- books: {"effect":"assign","key":"01a220e3-314c-7d99-b637-89d518943f82/assign_driver","order_id":"01a220e3-314c-7d99-b637-89d518943f82","driver_id":"sandbox-driver-0005","time":"2026-11-28T06:41:29.935276Z"}
-- books: {"effect":"release","key":"01a220e3-314c-7d99-b637-89d518943f82/assign_driver","order_id":"01a220e3-314c-7d99-b637-89d518943f82","driver_id":"sandbox-driver-0005","time":"2026-11-28T06:41:29.940255Z"}
-- books: {"effect":"charge","key":"01a220e3-315f-77b2-81f3-0bc08f161279/charge_payment","order_id":"01a220e3-315f-77b2-81f3-0bc08f161279","amount_minor":1250,"currency":"EUR","reference":"ch_6","time":"2026-11-28T06:41:29.952545Z"}
-- books: {"effect":"assign","key":"01a220e3-315f-77b2-81f3-0bc08f161279/assign_driver","order_id":"01a220e3-315f-77b2-81f3-0bc08f161279","driver_id":"sandbox-driver-0006","time":"2026-11-28T06:41:29.954228Z"}
-- books: {"effect":"release","key":"01a220e3-315f-77b2-81f3-0bc08f161279/assign_driver","order_id":"01a220e3-315f-77b2-81f3-0bc08f161279","driver_id":"sandbox-driver-0006","time":"2026-11-28T06:41:29.961730Z"}
-- books: {"effect":"refund","key":"01a220e3-315f-77b2-81f3-0bc08f161279/charge_payment","order_id":"01a220e3-315f-77b2-81f3-0bc08f161279","amount_minor":1250,"currency":"EUR","reference":"re_7","time":"2026-11-28T06:41:29.963607Z"}
-- books: {"effect":"decline","key":"01a220e3-3170-7cfd-9750-79b81b74a466/charge_payment","order_id":"01a220e3-3170-7cfd-9750-79b81b74a466","amount_minor":1250,"currency":"EUR","reason":"CARD_DECLINED","time":"2026-11-28T06:41:29.977342Z"}
-- books: {"effect":"charge","key":"01a220e3-317d-7558-a4c1-854e8fa60570/charge_payment","order_id":"01a220e3-317d-7558-a4c1-854e8fa60570","amount_minor":1250,"currency":"EUR","reference":"ch_8","time":"2026-11-28T06:41:29.982509Z"}
-- books: {"effect":"no_driver","key":"01a220e3-317d-7558-a4c1-854e8fa60570/assign_driver","order_id":"01a220e3-317d-7558-a4c1-854e8fa60570","time":"2026-11-28T06:41:29.984203Z"}
-- books: {"effect":"refund","key":"01a220e3-317d-7558-a4c1-854e8fa60570/charge_payment","order_id":"01a220e3-317d-7558-a4c1-854e8fa60570","amount_minor":1250,"currency":"EUR","reference":"re_9","time":"2026-11-28T06:41:29.985716Z"}
-- books: {"effect":"charge","key":"01a220e3-3185-7af9-bc27-081b09204fbd/charge_payment","order_id":"01a220e3-3185-7af9-bc27-081b09204fbd","amount_minor":1250,"currency":"EUR","reference":"ch_10","time":"2026-11-28T06:41:29.991032Z"}
-- books: {"effect":"refund","key":"01a220e3-3185-7af9-bc27-081b09204fbd/charge_payment","order_id":"01a220e3-3185-7af9-bc27-081b09204fbd","amount_minor":1250,"currency":"EUR","reference":"re_11","time":"2026-11-28T06:41:30.606390Z"}
-- books: {"effect":"close","key":"01a220e3-33f5-7c28-b638-29f9ac8b071f/charge_payment","order_id":"01a220e3-33f5-7c28-b638-29f9ac8b071f","time":"2026-11-28T06:41:30.629713Z"}
-- books: {"effect":"charge","key":"01a220e3-3409-7d47-ae8b-61347d05a9d0/charge_payment","order_id":"01a220e3-3409-7d47-ae8b-61347d05a9d0","amount_minor":1250,"currency":"EUR","reference":"ch_12","time":"2026-11-28T06:41:30.635113Z"}
-- books: {"effect":"assign","key":"01a220e3-3409-7d47-ae8b-61347d05a9d0/assign_driver","order_id":"01a220e3-3409-7d47-ae8b-61347d05a9d0","driver_id":"sandbox-driver-0007","time":"2026-11-28T06:41:30.637495Z"}
-- books: {"effect":"release","key":"01a220e3-3409-7d47-ae8b-61347d05a9d0/assign_driver","order_id":"01a220e3-3409-7d47-ae8b-61347d05a9d0","driver_id":"sandbox-driver-0007","time":"2026-11-28T06:41:30.654042Z"}
-- books: {"effect":"charge","key":"01a220e3-38b7-7aac-ac32-b2342320fa03/charge_payment","order_id":"01a220e3-38b7-7aac-ac32-b2342320fa03","amount_minor":1250,"currency":"EUR","reference":"ch_13","time":"2026-11-28T06:41:31.835156Z"}
-- books: {"effect":"charge","key":"01a220e3-38bb-7ab0-a907-af789e5656cd/charge_payment","order_id":"01a220e3-38bb-7ab0-a907-af789e5656cd","amount_minor":1250,"currency":"EUR","reference":"ch_14","time":"2026-11-28T06:41:31.837572Z"}
-- books: {"effect":"charge","key":"01a220e3-38be-74fd-8b38-5c57fb1542e4/charge_payment","order_id":"01a220e3-38be-74fd-8b38-5c57fb1542e4","amount_minor":1250,"currency":"EUR","reference":"ch_15","time":"2026-11-28T06:41:31.839530Z"}
-- books: {"effect":"charge","key":"01a220e3-39b8-7ae9-bda7-d89f643a91af/charge_payment","order_id":"01a220e3-39b8-7ae9-bda7-d89f643a91af","amount_minor":1250,"currency":"EUR","reference":"ch_16","time":"2026-11-28T06:41:32.116035Z"}
-- books: {"effect":"charge","key":"01a220e3-3f3a-7456-8b66-9ac8821cdeb1/charge_payment","order_id":"01a220e3-3f3a-7456-8b66-9ac8821cdeb1","amount_minor":1250,"currency":"EUR","reference":"ch_17","time":"2026-11-28T06:41:33.502363Z"}
-- books: {"effect":"decline","key":"01a220e3-4004-7585-bfef-5a29fb8436ad/charge_payment","order_id":"01a220e3-4004-7585-bfef-5a29fb8436ad","amount_minor":1250,"currency":"EUR","reason":"CARD_DECLINED","time":"2026-11-28T06:41:33.713172Z"}
-- books: {"effect":"charge","key":"01a220e3-40bf-7760-9d06-a836288b1573/charge_payment","order_id":"01a220e3-40bf-7760-9d06-a836288b1573","amount_minor":1250,"currency":"EUR","reference":"ch_18","time":"2026-11-28T06:41:33.891491Z"}
-- books: {"effect":"charge","key":"01a220e3-414e-79f7-bac2-41b8c0e503a2/charge_payment","order_id":"01a220e3-414e-79f7-bac2-41b8c0e503a2","amount_minor":1250,"currency":"EUR","reference":"ch_19","time":"2026-11-28T06:41:34.034804Z"}
-- books: {"effect":"charge","key":"01a220e3-41ee-7a1c-9984-464310219855/charge_payment","order_id":"01a220e3-41ee-7a1c-9984-464310219855","amount_minor":1250,"currency":"EUR","reference":"ch_20","time":"2026-11-28T06:41:34.196648Z"}
-- books: {"effect":"charge","key":"01a220e3-42b4-78d9-aafa-bb9f7ce778ab/charge_payment","order_id":"01a220e3-42b4-78d9-aafa-bb9f7ce778ab","amount_minor":1250,"currency":"EUR","reference":"ch_21","time":"2026-11-28T06:41:34.393382Z"}
-- books: {"effect":"assign","key":"01a220e3-42b4-78d9-aafa-bb9f7ce778ab/assign_driver","order_id":"01a220e3-42b4-78d9-aafa-bb9f7ce778ab","driver_id":"sandbox-driver-0008","time":"2026-11-28T06:41:34.400513Z"}
-- books: {"effect":"charge","key":"01a220e3-4342-7bce-be78-96ad72324227/charge_payment","order_id":"01a220e3-4342-7bce-be78-96ad72324227","amount_minor":1250,"currency":"EUR","reference":"ch_22","time":"2026-11-28T06:41:34.535133Z"}
-- books: {"effect":"charge","key":"01a220e3-4411-7d8d-8f2e-212df1eb5cc7/charge_payment","order_id":"01a220e3-4411-7d8d-8f2e-212df1eb5cc7","amount_minor":1250,"currency":"EUR","reference":"ch_23","time":"2026-11-28T06:41:34.745969Z"}
-- books: {"effect":"no_driver","key":"01a220e3-4411-7d8d-8f2e-212df1eb5cc7/assign_driver","order_id":"01a220e3-4411-7d8d-8f2e-212df1eb5cc7","time":"2026-11-28T06:41:34.752725Z"}
-- books: {"effect":"charge","key":"01a220e3-44f6-7d47-a09f-f8d62fce5ad9/charge_payment","order_id":"01a220e3-44f6-7d47-a09f-f8d62fce5ad9","amount_minor":1250,"currency":"EUR","reference":"ch_24","time":"2026-11-28T06:41:34.979666Z"}
-- books: {"effect":"assign","key":"01a220e3-44f6-7d47-a09f-f8d62fce5ad9/assign_driver","order_id":"01a220e3-44f6-7d47-a09f-f8d62fce5ad9","driver_id":"sandbox-driver-0009","time":"2026-11-28T06:41:34.995960Z"}
-- books: {"effect":"charge","key":"01a220e3-45c7-7c04-965a-2f44f47aa9d5/charge_payment","order_id":"01a220e3-45c7-7c04-965a-2f44f47aa9d5","amount_minor":1250,"currency":"EUR","reference":"ch_25","time":"2026-11-28T06:41:35.186737Z"}
-- books: {"effect":"assign","key":"01a220e3-45c7-7c04-965a-2f44f47aa9d5/assign_driver","order_id":"01a220e3-45c7-7c04-965a-2f44f47aa9d5","driver_id":"sandbox-driver-0010","time":"2026-11-28T06:41:35.198919Z"}
-- books: {"effect":"charge","key":"01a220e3-469c-75ba-b179-03216200e084/charge_payment","order_id":"01a220e3-469c-75ba-b179-03216200e084","amount_minor":1250,"currency":"EUR","reference":"ch_26","time":"2026-11-28T06:41:35.395779Z"}
-- books: {"effect":"assign","key":"01a220e3-469c-75ba-b179-03216200e084/assign_driver","order_id":"01a220e3-469c-75ba-b179-03216200e084","driver_id":"sandbox-driver-0011","time":"2026-11-28T06:41:35.403749Z"}
-- books: {"effect":"release","key":"01a220e3-469c-75ba-b179-03216200e084/assign_driver","order_id":"01a220e3-469c-75ba-b179-03216200e084","driver_id":"sandbox-driver-0011","time":"2026-11-28T06:41:35.432114Z"}
-- books: {"effect":"charge","key":"01a220e3-4782-778d-a5ff-8e67e65341db/charge_payment","order_id":"01a220e3-4782-778d-a5ff-8e67e65341db","amount_minor":1250,"currency":"EUR","reference":"ch_27","time":"2026-11-28T06:41:35.623025Z"}
-- books: {"effect":"assign","key":"01a220e3-4782-778d-a5ff-8e67e65341db/assign_driver","order_id":"01a220e3-4782-778d-a5ff-8e67e65341db","driver_id":"sandbox-driver-0012","time":"2026-11-28T06:41:35.643625Z"}
-- books: {"effect":"release","key":"01a220e3-4782-778d-a5ff-8e67e65341db/assign_driver","order_id":"01a220e3-4782-778d-a5ff-8e67e65341db","driver_id":"sandbox-driver-0012","time":"2026-11-28T06:41:35.681884Z"}
-- books: {"effect":"charge","key":"01a220e3-4873-7174-9d4e-6bfee50c5cbb/charge_payment","order_id":"01a220e3-4873-7174-9d4e-6bfee50c5cbb","amount_minor":1250,"currency":"EUR","reference":"ch_28","time":"2026-11-28T06:41:35.870131Z"}
-- books: {"effect":"assign","key":"01a220e3-4873-7174-9d4e-6bfee50c5cbb/assign_driver","order_id":"01a220e3-4873-7174-9d4e-6bfee50c5cbb","driver_id":"sandbox-driver-0013","time":"2026-11-28T06:41:35.876678Z"}
-- books: {"effect":"release","key":"01a220e3-4873-7174-9d4e-6bfee50c5cbb/assign_driver","order_id":"01a220e3-4873-7174-9d4e-6bfee50c5cbb","driver_id":"sandbox-driver-0013","time":"2026-11-28T06:41:35.893999Z"}
-- books: {"effect":"refund","key":"01a220e3-4873-7174-9d4e-6bfee50c5cbb/charge_payment","order_id":"01a220e3-4873-7174-9d4e-6bfee50c5cbb","amount_minor":1250,"currency":"EUR","reference":"re_29","time":"2026-11-28T06:41:35.899860Z"}
-- books: {"effect":"charge","key":"01a220e3-491d-7ec8-9166-d7775a500f32/charge_payment","order_id":"01a220e3-491d-7ec8-9166-d7775a500f32","amount_minor":1250,"currency":"EUR","reference":"ch_30","time":"2026-11-28T06:41:36.050837Z"}
-- books: {"effect":"charge","key":"01a220e3-4980-75a9-bcb1-f5d41e352605/charge_payment","order_id":"01a220e3-4980-75a9-bcb1-f5d41e352605","amount_minor":1250,"currency":"EUR","reference":"ch_31","time":"2026-11-28T06:41:36.130595Z"}
-- books: {"effect":"assign","key":"01a220e3-4980-75a9-bcb1-f5d41e352605/assign_driver","order_id":"01a220e3-4980-75a9-bcb1-f5d41e352605","driver_id":"sandbox-driver-0014","time":"2026-11-28T06:41:36.143248Z"}
-- books: {"effect":"charge","key":"01a220e3-4a48-7b64-ad5f-92abe657db63/charge_payment","order_id":"01a220e3-4a48-7b64-ad5f-92abe657db63","amount_minor":1250,"currency":"EUR","reference":"ch_32","time":"2026-11-28T06:41:36.338293Z"}
-- books: {"effect":"assign","key":"01a220e3-4a48-7b64-ad5f-92abe657db63/assign_driver","order_id":"01a220e3-4a48-7b64-ad5f-92abe657db63","driver_id":"sandbox-driver-0015","time":"2026-11-28T06:41:36.347786Z"}
-- books: {"effect":"charge","key":"01a220e3-4c57-7862-a51a-ef9ac6b73c9c/charge_payment","order_id":"01a220e3-4c57-7862-a51a-ef9ac6b73c9c","amount_minor":1250,"currency":"EUR","reference":"ch_33","time":"2026-11-28T06:41:36.868805Z"}
-- books: {"effect":"charge","key":"01a220e3-4d3d-742d-9568-baee2a30e7c5/charge_payment","order_id":"01a220e3-4d3d-742d-9568-baee2a30e7c5","amount_minor":1250,"currency":"EUR","reference":"ch_34","time":"2026-11-28T06:41:37.092224Z"}
-- books: {"effect":"assign","key":"01a220e3-4d3d-742d-9568-baee2a30e7c5/assign_driver","order_id":"01a220e3-4d3d-742d-9568-baee2a30e7c5","driver_id":"sandbox-driver-0016","time":"2026-11-28T06:41:37.098820Z"}
-- books: {"effect":"charge","key":"01a220e3-4d54-7f33-aeee-0974f8993756/charge_payment","order_id":"01a220e3-4d54-7f33-aeee-0974f8993756","amount_minor":1250,"currency":"EUR","reference":"ch_35","time":"2026-11-28T06:41:37.110510Z"}
-- books: {"effect":"assign","key":"01a220e3-4d54-7f33-aeee-0974f8993756/assign_driver","order_id":"01a220e3-4d54-7f33-aeee-0974f8993756","driver_id":"sandbox-driver-0017","time":"2026-11-28T06:41:37.113216Z"}
-- books: {"effect":"charge","key":"01a220e3-4d5f-7a8f-830f-0a920f67169d/charge_payment","order_id":"01a220e3-4d5f-7a8f-830f-0a920f67169d","amount_minor":1250,"currency":"EUR","reference":"ch_36","time":"2026-11-28T06:41:37.123010Z"}
-- books: {"effect":"assign","key":"01a220e3-4d5f-7a8f-830f-0a920f67169d/assign_driver","order_id":"01a220e3-4d5f-7a8f-830f-0a920f67169d","driver_id":"sandbox-driver-0018","time":"2026-11-28T06:41:37.126092Z"}
-- books: {"effect":"charge","key":"01a220e3-4d69-7662-a742-1b8bc64758ac/charge_payment","order_id":"01a220e3-4d69-7662-a742-1b8bc64758ac","amount_minor":1250,"currency":"EUR","reference":"ch_37","time":"2026-11-28T06:41:37.132674Z"}
-- books: {"effect":"assign","key":"01a220e3-4d69-7662-a742-1b8bc64758ac/assign_driver","order_id":"01a220e3-4d69-7662-a742-1b8bc64758ac","driver_id":"sandbox-driver-0019","time":"2026-11-28T06:41:37.135225Z"}
-- books: {"effect":"charge","key":"01a220e3-4d71-7322-a60a-85b0dbe9c5e6/charge_payment","order_id":"01a220e3-4d71-7322-a60a-85b0dbe9c5e6","amount_minor":1250,"currency":"EUR","reference":"ch_38","time":"2026-11-28T06:41:37.137922Z"}
-- books: {"effect":"assign","key":"01a220e3-4d71-7322-a60a-85b0dbe9c5e6/assign_driver","order_id":"01a220e3-4d71-7322-a60a-85b0dbe9c5e6","driver_id":"sandbox-driver-0020","time":"2026-11-28T06:41:37.139158Z"}
-- books: {"effect":"release","key":"01a220e3-4d54-7f33-aeee-0974f8993756/assign_driver","order_id":"01a220e3-4d54-7f33-aeee-0974f8993756","driver_id":"sandbox-driver-0017","time":"2026-11-28T06:41:37.211818Z"}
-- books: {"effect":"release","key":"01a220e3-4d5f-7a8f-830f-0a920f67169d/assign_driver","order_id":"01a220e3-4d5f-7a8f-830f-0a920f67169d","driver_id":"sandbox-driver-0018","time":"2026-11-28T06:41:37.314410Z"}
-- books: {"effect":"release","key":"01a220e3-4d71-7322-a60a-85b0dbe9c5e6/assign_driver","order_id":"01a220e3-4d71-7322-a60a-85b0dbe9c5e6","driver_id":"sandbox-driver-0020","time":"2026-11-28T06:41:37.366800Z"}
-- books: {"effect":"release","key":"01a220e3-4d69-7662-a742-1b8bc64758ac/assign_driver","order_id":"01a220e3-4d69-7662-a742-1b8bc64758ac","driver_id":"sandbox-driver-0019","time":"2026-11-28T06:41:37.454224Z"}
-- books: {"effect":"refund","key":"01a220e3-4d69-7662-a742-1b8bc64758ac/charge_payment","order_id":"01a220e3-4d69-7662-a742-1b8bc64758ac","amount_minor":1250,"currency":"EUR","reference":"re_39","time":"2026-11-28T06:41:37.456318Z"}
-- books: {"effect":"charge","key":"01a220e3-5036-7c62-a0a4-99d1a14bfaeb/charge_payment","order_id":"01a220e3-5036-7c62-a0a4-99d1a14bfaeb","amount_minor":1250,"currency":"EUR","reference":"ch_40","time":"2026-11-28T06:41:37.850419Z"}
-- books: {"effect":"charge","key":"01a220e3-5249-7cbc-81ea-152a132a2a3d/charge_payment","order_id":"01a220e3-5249-7cbc-81ea-152a132a2a3d","amount_minor":1250,"currency":"EUR","reference":"ch_41","time":"2026-11-28T06:41:38.384404Z"}
-- books: {"effect":"assign","key":"01a220e3-5249-7cbc-81ea-152a132a2a3d/assign_driver","order_id":"01a220e3-5249-7cbc-81ea-152a132a2a3d","driver_id":"sandbox-driver-0021","time":"2026-11-28T06:41:38.391415Z"}
-- books: {"effect":"charge","key":"01a220e3-525e-7360-86ef-9aa935228468/charge_payment","order_id":"01a220e3-525e-7360-86ef-9aa935228468","amount_minor":1250,"currency":"EUR","reference":"ch_42","time":"2026-11-28T06:41:38.399227Z"}
-- books: {"effect":"assign","key":"01a220e3-525e-7360-86ef-9aa935228468/assign_driver","order_id":"01a220e3-525e-7360-86ef-9aa935228468","driver_id":"sandbox-driver-0022","time":"2026-11-28T06:41:38.400481Z"}
-- books: {"effect":"release","key":"01a220e3-5249-7cbc-81ea-152a132a2a3d/assign_driver","order_id":"01a220e3-5249-7cbc-81ea-152a132a2a3d","driver_id":"sandbox-driver-0021","time":"2026-11-28T06:41:38.412836Z"}
-- books: {"effect":"charge","key":"01a220e3-53a4-76e5-809c-5fb8677c3381/charge_payment","order_id":"01a220e3-53a4-76e5-809c-5fb8677c3381","amount_minor":1250,"currency":"EUR","reference":"ch_43","time":"2026-11-28T06:41:38.731250Z"}
-- books: {"effect":"assign","key":"01a220e3-53a4-76e5-809c-5fb8677c3381/assign_driver","order_id":"01a220e3-53a4-76e5-809c-5fb8677c3381","driver_id":"sandbox-driver-0023","time":"2026-11-28T06:41:38.739268Z"}
-- books: {"effect":"charge","key":"01a220e3-53b8-7c62-841e-b7c43ece3242/charge_payment","order_id":"01a220e3-53b8-7c62-841e-b7c43ece3242","amount_minor":1250,"currency":"EUR","reference":"ch_44","time":"2026-11-28T06:41:38.745659Z"}
-- books: {"effect":"assign","key":"01a220e3-53b8-7c62-841e-b7c43ece3242/assign_driver","order_id":"01a220e3-53b8-7c62-841e-b7c43ece3242","driver_id":"sandbox-driver-0024","time":"2026-11-28T06:41:38.746997Z"}
-- books: {"effect":"release","key":"01a220e3-53a4-76e5-809c-5fb8677c3381/assign_driver","order_id":"01a220e3-53a4-76e5-809c-5fb8677c3381","driver_id":"sandbox-driver-0023","time":"2026-11-28T06:41:38.769145Z"}
