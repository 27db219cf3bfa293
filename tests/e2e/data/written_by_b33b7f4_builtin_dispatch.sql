-- What the build of git commit b33b7f4 (2026-11-21; migrations 0001 and 0002) wrote into PostgreSQL 15.20, with
-- the built-in dispatch. tests/e2e/rolling_e2etest.cc loads it. Nothing was edited by hand: every order was brought
-- where it is by the old waybill-order, waybill-sandbox and waybill themselves, and each instance name is one old process.
-- In outline, with H = --attempt-timeout 1h and N = --attempts-max 1000 --attention-after 1000 --attempt-timeout 200ms
-- --backoff 20ms --backoff-max 60ms:
--   waybill migrate; waybill-sandbox --log BOOKS; waybill-order --instance NAME --lease 10m --payment-gateway grpc://SANDBOX
--     --dispatch builtin ...
--   old-done          orders settled, completed, cancelled, declined, without a driver, resolved; then SIGTERM
--   old-own, -charge  H, the sandbox loses calls of Charge before or after it did them; kill -9
--   old-charge-again  N, the same, or UNAVAILABLE; kill -9 at attempt 3 or later
--   old-killed-*      H, WAYBILL_FAILPOINT=PLACE=kill with the PLACE that is in the key
--   old-assign-again  N, no Redis; kill -9 at attempt 3 or later
--   old-undo          H, CancelOrder while the sandbox loses Refund; kill -9
--   old-undo-backoff  --backoff 1h, CancelOrder between two attempts to charge, Refund UNAVAILABLE; kill -9
--   old-undo-again    N, CancelOrder while they are UNAVAILABLE; kill -9
--   old-attention     the same with --attention-after 2; kill -9
--   pg_dump --no-owner --no-privileges --inserts | grep -vE '^(\\(un)?restrict|--|SET |SELECT pg_catalog.set_config|$)'
-- A state "closing" did not exist yet. With the built-in dispatch the old build wrote a charge and its assignment, and
-- a release and what follows it, in one commit: step 1 at attempt 1 is never in the table.
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
INSERT INTO public.drivers VALUES ('van', 3);
INSERT INTO public.order_assignments VALUES ('01a220e3-5c98-7000-bbc6-2d5ef7286b4e', 'driver-57', 1, '2026-11-28 06:41:41.024095+00', NULL);
INSERT INTO public.order_assignments VALUES ('01a220e3-5cab-7200-83e1-77975a6cf334', 'driver-12', 1, '2026-11-28 06:41:41.038004+00', NULL);
INSERT INTO public.order_assignments VALUES ('01a220e3-5cb3-78e9-a402-57fb21f91e1e', 'driver-32', 1, '2026-11-28 06:41:41.044916+00', NULL);
INSERT INTO public.order_assignments VALUES ('01a220e3-5cb6-7c14-8bd4-57f616927bba', 'driver-3', 1, '2026-11-28 06:41:41.048645+00', NULL);
INSERT INTO public.order_assignments VALUES ('01a220e3-5cba-76c4-8518-aa3512305b21', 'van', 1, '2026-11-28 06:41:41.054854+00', NULL);
INSERT INTO public.order_assignments VALUES ('01a220e3-5cc0-7e04-a6cc-5bdd4b3b5be2', 'van', 2, '2026-11-28 06:41:41.058833+00', NULL);
INSERT INTO public.order_assignments VALUES ('01a220e3-5cc7-772b-8321-9513f2ad5f37', 'driver-7', 1, '2026-11-28 06:41:41.064723+00', '2026-11-28 06:41:41.082394+00');
INSERT INTO public.order_assignments VALUES ('01a220e3-5ce2-754b-b71b-bec0af17895d', 'driver-25', 1, '2026-11-28 06:41:41.09162+00', '2026-11-28 06:41:41.099705+00');
INSERT INTO public.order_assignments VALUES ('01a220e3-5f73-72e9-b79a-aaa578150d26', 'driver-8', 1, '2026-11-28 06:41:41.748181+00', '2026-11-28 06:41:41.751333+00');
INSERT INTO public.order_assignments VALUES ('01a220e3-69de-7512-89a7-2229def72c6e', 'driver-30', 1, '2026-11-28 06:41:44.423326+00', NULL);
INSERT INTO public.order_assignments VALUES ('01a220e3-6c04-756c-a380-75e2b4c8895d', 'driver-9', 1, '2026-11-28 06:41:44.970124+00', NULL);
INSERT INTO public.order_assignments VALUES ('01a220e3-6cc3-7ef5-8aa7-1d6f30191e40', 'driver-14', 1, '2026-11-28 06:41:45.16343+00', NULL);
INSERT INTO public.order_assignments VALUES ('01a220e3-6d81-7706-8560-16d85595947e', 'driver-19', 1, '2026-11-28 06:41:45.35315+00', '2026-11-28 06:41:45.370857+00');
INSERT INTO public.order_assignments VALUES ('01a220e3-6e18-7737-a5b4-1ed1da34affe', 'driver-33', 1, '2026-11-28 06:41:45.506298+00', '2026-11-28 06:41:45.535494+00');
INSERT INTO public.order_assignments VALUES ('01a220e3-6fd2-7aac-ba9d-bca594440a24', 'driver-10', 1, '2026-11-28 06:41:45.94433+00', '2026-11-28 06:41:45.971243+00');
INSERT INTO public.order_assignments VALUES ('01a220e3-6fe8-7e20-8205-2c8c2d26b010', 'driver-16', 1, '2026-11-28 06:41:45.962329+00', '2026-11-28 06:41:46.056149+00');
INSERT INTO public.order_assignments VALUES ('01a220e3-6fe0-7b81-9f26-91d2efbba698', 'driver-39', 1, '2026-11-28 06:41:45.956404+00', '2026-11-28 06:41:46.115549+00');
INSERT INTO public.order_assignments VALUES ('01a220e3-7496-7c8f-82aa-7268040877ff', 'driver-13', 1, '2026-11-28 06:41:47.173135+00', '2026-11-28 06:41:47.193455+00');
INSERT INTO public.order_assignments VALUES ('01a220e3-75d8-7483-9473-0e2e4b06f88e', 'driver-7', 1, '2026-11-28 06:41:47.486482+00', '2026-11-28 06:41:47.506764+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-5c98-7000-bbc6-2d5ef7286b4e', 1, 'charge_payment', 1, 'succeeded', 'succeeded', NULL, '2026-11-28 06:41:41.022306+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-5c98-7000-bbc6-2d5ef7286b4e', 2, 'assign_driver', 1, 'succeeded', 'succeeded', 'driver-57', '2026-11-28 06:41:41.024095+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-5cab-7200-83e1-77975a6cf334', 1, 'charge_payment', 1, 'succeeded', 'succeeded', NULL, '2026-11-28 06:41:41.037967+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-5cab-7200-83e1-77975a6cf334', 2, 'assign_driver', 1, 'succeeded', 'succeeded', 'driver-12', '2026-11-28 06:41:41.038004+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-5cb3-78e9-a402-57fb21f91e1e', 1, 'charge_payment', 1, 'succeeded', 'succeeded', NULL, '2026-11-28 06:41:41.044884+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-5cb3-78e9-a402-57fb21f91e1e', 2, 'assign_driver', 1, 'succeeded', 'succeeded', 'driver-32', '2026-11-28 06:41:41.044916+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-5cb6-7c14-8bd4-57f616927bba', 1, 'charge_payment', 1, 'succeeded', 'succeeded', NULL, '2026-11-28 06:41:41.047743+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-5cb6-7c14-8bd4-57f616927bba', 2, 'assign_driver', 1, 'succeeded', 'succeeded', 'driver-3', '2026-11-28 06:41:41.048645+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-5cba-76c4-8518-aa3512305b21', 1, 'charge_payment', 1, 'succeeded', 'succeeded', NULL, '2026-11-28 06:41:41.053989+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-5cba-76c4-8518-aa3512305b21', 2, 'assign_driver', 1, 'succeeded', 'succeeded', 'van', '2026-11-28 06:41:41.054854+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-5cc0-7e04-a6cc-5bdd4b3b5be2', 1, 'charge_payment', 1, 'succeeded', 'succeeded', NULL, '2026-11-28 06:41:41.058178+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-5cc0-7e04-a6cc-5bdd4b3b5be2', 2, 'assign_driver', 1, 'succeeded', 'succeeded', 'van', '2026-11-28 06:41:41.058833+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-5cc7-772b-8321-9513f2ad5f37', 1, 'charge_payment', 1, 'succeeded', 'succeeded', NULL, '2026-11-28 06:41:41.064689+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-5cc7-772b-8321-9513f2ad5f37', 2, 'assign_driver', 1, 'succeeded', 'succeeded', 'driver-7', '2026-11-28 06:41:41.064723+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-5cc7-772b-8321-9513f2ad5f37', 3, '', 0, 'closed', 'closed', NULL, '2026-11-28 06:41:41.082394+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-5ce2-754b-b71b-bec0af17895d', 1, 'charge_payment', 1, 'succeeded', 'succeeded', NULL, '2026-11-28 06:41:41.091589+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-5ce2-754b-b71b-bec0af17895d', 2, 'assign_driver', 1, 'succeeded', 'succeeded', 'driver-25', '2026-11-28 06:41:41.09162+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-5ce2-754b-b71b-bec0af17895d', 3, '', 0, 'cancelled', 'compensating', 'changed my mind', '2026-11-28 06:41:41.09966+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-5ce2-754b-b71b-bec0af17895d', 4, 'assign_driver', 1, 'undone', 'compensating', NULL, '2026-11-28 06:41:41.099705+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-5ce2-754b-b71b-bec0af17895d', 5, 'charge_payment', 1, 'undone', 'compensated', NULL, '2026-11-28 06:41:41.103587+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-5cf3-727e-808d-718e08bf420b', 1, 'charge_payment', 1, 'rejected', 'compensated', 'PAYMENT_DECLINED: CARD_DECLINED', '2026-11-28 06:41:41.108268+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-5cfc-7953-8fcd-ecbd72141431', 1, 'charge_payment', 1, 'succeeded', 'compensating', NULL, '2026-11-28 06:41:41.117607+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-5cfc-7953-8fcd-ecbd72141431', 2, 'assign_driver', 1, 'rejected', 'compensating', 'NO_DRIVER_AVAILABLE', '2026-11-28 06:41:41.117988+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-5cfc-7953-8fcd-ecbd72141431', 3, 'charge_payment', 1, 'undone', 'compensated', NULL, '2026-11-28 06:41:41.119161+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-5d02-7824-a515-debfd6763d99', 1, 'charge_payment', 1, 'unknown', 'running', 'PAYMENT_UNKNOWN: DEADLINE_EXCEEDED: Deadline Exceeded', '2026-11-28 06:41:41.42923+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-5d02-7824-a515-debfd6763d99', 2, 'charge_payment', 2, 'unknown', 'compensating', 'PAYMENT_UNKNOWN: DEADLINE_EXCEEDED: Deadline Exceeded', '2026-11-28 06:41:41.732897+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-5d02-7824-a515-debfd6763d99', 3, 'charge_payment', 1, 'undone', 'compensated', NULL, '2026-11-28 06:41:41.735052+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-5f69-78dd-a5a1-ea53960864fa', 1, 'charge_payment', 1, 'unknown', 'running', 'PAYMENT_UNKNOWN: SANDBOX_UNAVAILABLE: the sandbox plays dead', '2026-11-28 06:41:41.738801+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-5f69-78dd-a5a1-ea53960864fa', 2, 'charge_payment', 2, 'unknown', 'compensating', 'PAYMENT_UNKNOWN: SANDBOX_UNAVAILABLE: the sandbox plays dead', '2026-11-28 06:41:41.743764+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-5f69-78dd-a5a1-ea53960864fa', 3, 'charge_payment', 1, 'undone', 'compensated', 'never charged; the key is closed', '2026-11-28 06:41:41.744892+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-5f73-72e9-b79a-aaa578150d26', 1, 'charge_payment', 1, 'succeeded', 'succeeded', NULL, '2026-11-28 06:41:41.748153+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-5f73-72e9-b79a-aaa578150d26', 2, 'assign_driver', 1, 'succeeded', 'succeeded', 'driver-8', '2026-11-28 06:41:41.748181+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-5f73-72e9-b79a-aaa578150d26', 3, '', 0, 'cancelled', 'compensating', 'changed my mind', '2026-11-28 06:41:41.751299+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-5f73-72e9-b79a-aaa578150d26', 4, 'assign_driver', 1, 'undone', 'compensating', NULL, '2026-11-28 06:41:41.751333+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-5f73-72e9-b79a-aaa578150d26', 5, 'charge_payment', 1, 'undo_failed', 'compensating', 'PAYMENT_UNKNOWN: SANDBOX_UNAVAILABLE: the sandbox plays dead', '2026-11-28 06:41:41.755816+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-5f73-72e9-b79a-aaa578150d26', 6, 'charge_payment', 2, 'undo_failed', 'compensating', 'PAYMENT_UNKNOWN: SANDBOX_UNAVAILABLE: the sandbox plays dead', '2026-11-28 06:41:41.76177+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-5f73-72e9-b79a-aaa578150d26', 7, 'charge_payment', 2, 'needs_attention', 'compensating', '2 attempts to undo failed', '2026-11-28 06:41:41.761773+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-5f73-72e9-b79a-aaa578150d26', 8, '', 0, 'resolved', 'resolved', 'anna: paid back by hand', '2026-11-28 06:41:41.801262+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-63dd-787e-8388-6f76edaa54c5', 1, 'charge_payment', 1, 'unknown', 'running', 'PAYMENT_UNKNOWN: DEADLINE_EXCEEDED: Deadline Exceeded', '2026-11-28 06:41:43.08429+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-63dd-787e-8388-6f76edaa54c5', 2, 'charge_payment', 2, 'unknown', 'running', 'PAYMENT_UNKNOWN: DEADLINE_EXCEEDED: Deadline Exceeded', '2026-11-28 06:41:43.298798+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-659e-74ac-ab9a-63aa9fb5dce3', 1, 'charge_payment', 1, 'unknown', 'running', 'PAYMENT_UNKNOWN: SANDBOX_UNAVAILABLE: the sandbox plays dead', '2026-11-28 06:41:43.331284+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-659e-74ac-ab9a-63aa9fb5dce3', 2, 'charge_payment', 2, 'unknown', 'running', 'PAYMENT_UNKNOWN: SANDBOX_UNAVAILABLE: the sandbox plays dead', '2026-11-28 06:41:43.361507+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-659e-74ac-ab9a-63aa9fb5dce3', 3, 'charge_payment', 3, 'unknown', 'running', 'PAYMENT_UNKNOWN: SANDBOX_UNAVAILABLE: the sandbox plays dead', '2026-11-28 06:41:43.370746+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-659e-74ac-ab9a-63aa9fb5dce3', 4, 'charge_payment', 4, 'unknown', 'running', 'PAYMENT_UNKNOWN: SANDBOX_UNAVAILABLE: the sandbox plays dead', '2026-11-28 06:41:43.393946+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-659e-74ac-ab9a-63aa9fb5dce3', 5, 'charge_payment', 5, 'unknown', 'running', 'PAYMENT_UNKNOWN: SANDBOX_UNAVAILABLE: the sandbox plays dead', '2026-11-28 06:41:43.430631+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-659e-74ac-ab9a-63aa9fb5dce3', 6, 'charge_payment', 6, 'unknown', 'running', 'PAYMENT_UNKNOWN: SANDBOX_UNAVAILABLE: the sandbox plays dead', '2026-11-28 06:41:43.455143+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-659e-74ac-ab9a-63aa9fb5dce3', 7, 'charge_payment', 7, 'unknown', 'running', 'PAYMENT_UNKNOWN: SANDBOX_UNAVAILABLE: the sandbox plays dead', '2026-11-28 06:41:43.497957+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-63dd-787e-8388-6f76edaa54c5', 3, 'charge_payment', 3, 'unknown', 'running', 'PAYMENT_UNKNOWN: DEADLINE_EXCEEDED: Deadline Exceeded', '2026-11-28 06:41:43.517776+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-659e-74ac-ab9a-63aa9fb5dce3', 8, 'charge_payment', 8, 'unknown', 'running', 'PAYMENT_UNKNOWN: SANDBOX_UNAVAILABLE: the sandbox plays dead', '2026-11-28 06:41:43.54711+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-69de-7512-89a7-2229def72c6e', 1, 'charge_payment', 1, 'succeeded', 'succeeded', NULL, '2026-11-28 06:41:44.422038+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-69de-7512-89a7-2229def72c6e', 2, 'assign_driver', 1, 'succeeded', 'succeeded', 'driver-30', '2026-11-28 06:41:44.423326+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-6c04-756c-a380-75e2b4c8895d', 1, 'charge_payment', 1, 'succeeded', 'succeeded', NULL, '2026-11-28 06:41:44.968609+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-6c04-756c-a380-75e2b4c8895d', 2, 'assign_driver', 1, 'succeeded', 'succeeded', 'driver-9', '2026-11-28 06:41:44.970124+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-6cc3-7ef5-8aa7-1d6f30191e40', 1, 'charge_payment', 1, 'succeeded', 'succeeded', NULL, '2026-11-28 06:41:45.162402+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-6cc3-7ef5-8aa7-1d6f30191e40', 2, 'assign_driver', 1, 'succeeded', 'succeeded', 'driver-14', '2026-11-28 06:41:45.16343+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-6d81-7706-8560-16d85595947e', 1, 'charge_payment', 1, 'succeeded', 'succeeded', NULL, '2026-11-28 06:41:45.352006+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-6d81-7706-8560-16d85595947e', 2, 'assign_driver', 1, 'succeeded', 'succeeded', 'driver-19', '2026-11-28 06:41:45.35315+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-6d81-7706-8560-16d85595947e', 3, '', 0, 'cancelled', 'compensating', 'changed my mind', '2026-11-28 06:41:45.370799+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-6d81-7706-8560-16d85595947e', 4, 'assign_driver', 1, 'undone', 'compensating', NULL, '2026-11-28 06:41:45.370857+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-6e18-7737-a5b4-1ed1da34affe', 1, 'charge_payment', 1, 'succeeded', 'succeeded', NULL, '2026-11-28 06:41:45.503305+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-6e18-7737-a5b4-1ed1da34affe', 2, 'assign_driver', 1, 'succeeded', 'succeeded', 'driver-33', '2026-11-28 06:41:45.506298+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-6e18-7737-a5b4-1ed1da34affe', 3, '', 0, 'cancelled', 'compensating', 'changed my mind', '2026-11-28 06:41:45.535444+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-6e18-7737-a5b4-1ed1da34affe', 4, 'assign_driver', 1, 'undone', 'compensating', NULL, '2026-11-28 06:41:45.535494+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-6ef0-7649-87cc-01898d15d154', 1, 'charge_payment', 1, 'succeeded', 'running', NULL, '2026-11-28 06:41:45.719455+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-6ef0-7649-87cc-01898d15d154', 2, 'assign_driver', 1, 'unknown', 'running', 'DISPATCH_UNKNOWN: STORE_UNAVAILABLE: redis at 127.0.0.1:1: connect: Connection refused', '2026-11-28 06:41:45.719735+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-6ef0-7649-87cc-01898d15d154', 3, 'assign_driver', 2, 'unknown', 'running', 'DISPATCH_UNKNOWN: STORE_UNAVAILABLE: redis at 127.0.0.1:1 was unreachable a moment ago', '2026-11-28 06:41:45.732957+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-6ef0-7649-87cc-01898d15d154', 4, 'assign_driver', 3, 'unknown', 'running', 'DISPATCH_UNKNOWN: STORE_UNAVAILABLE: redis at 127.0.0.1:1: connect: Connection refused', '2026-11-28 06:41:45.747356+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-6ef0-7649-87cc-01898d15d154', 5, 'assign_driver', 4, 'unknown', 'running', 'DISPATCH_UNKNOWN: STORE_UNAVAILABLE: redis at 127.0.0.1:1: connect: Connection refused', '2026-11-28 06:41:45.814248+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-6fd2-7aac-ba9d-bca594440a24', 1, 'charge_payment', 1, 'succeeded', 'succeeded', NULL, '2026-11-28 06:41:45.943165+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-6fd2-7aac-ba9d-bca594440a24', 2, 'assign_driver', 1, 'succeeded', 'succeeded', 'driver-10', '2026-11-28 06:41:45.94433+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-6fe0-7b81-9f26-91d2efbba698', 1, 'charge_payment', 1, 'succeeded', 'succeeded', NULL, '2026-11-28 06:41:45.956374+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-6fe0-7b81-9f26-91d2efbba698', 2, 'assign_driver', 1, 'succeeded', 'succeeded', 'driver-39', '2026-11-28 06:41:45.956404+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-6fe8-7e20-8205-2c8c2d26b010', 1, 'charge_payment', 1, 'succeeded', 'succeeded', NULL, '2026-11-28 06:41:45.962297+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-6fe8-7e20-8205-2c8c2d26b010', 2, 'assign_driver', 1, 'succeeded', 'succeeded', 'driver-16', '2026-11-28 06:41:45.962329+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-6fd2-7aac-ba9d-bca594440a24', 3, '', 0, 'cancelled', 'compensating', 'changed my mind', '2026-11-28 06:41:45.971187+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-6fd2-7aac-ba9d-bca594440a24', 4, 'assign_driver', 1, 'undone', 'compensating', NULL, '2026-11-28 06:41:45.971243+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-6fe8-7e20-8205-2c8c2d26b010', 3, '', 0, 'cancelled', 'compensating', 'changed my mind', '2026-11-28 06:41:46.056108+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-6fe8-7e20-8205-2c8c2d26b010', 4, 'assign_driver', 1, 'undone', 'compensating', NULL, '2026-11-28 06:41:46.056149+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-6fe0-7b81-9f26-91d2efbba698', 3, '', 0, 'cancelled', 'compensating', 'changed my mind', '2026-11-28 06:41:46.115497+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-6fe0-7b81-9f26-91d2efbba698', 4, 'assign_driver', 1, 'undone', 'compensating', NULL, '2026-11-28 06:41:46.115549+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-714e-7b58-bfd4-2cf6798bc903', 1, 'charge_payment', 1, 'unknown', 'running', 'PAYMENT_UNKNOWN: SANDBOX_UNAVAILABLE: the sandbox plays dead', '2026-11-28 06:41:46.337701+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-71d0-7d58-8aee-bc2379c8433e', 1, 'charge_payment', 1, 'unknown', 'running', 'PAYMENT_UNKNOWN: DEADLINE_EXCEEDED: Deadline Exceeded', '2026-11-28 06:41:46.652826+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-714e-7b58-bfd4-2cf6798bc903', 2, '', 0, 'cancelled', 'compensating', 'changed my mind', '2026-11-28 06:41:46.757943+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-714e-7b58-bfd4-2cf6798bc903', 3, 'charge_payment', 1, 'undo_failed', 'compensating', 'PAYMENT_UNKNOWN: SANDBOX_UNAVAILABLE: the sandbox plays dead', '2026-11-28 06:41:46.770309+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-71d0-7d58-8aee-bc2379c8433e', 2, '', 0, 'cancelled', 'compensating', 'changed my mind', '2026-11-28 06:41:46.770119+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-71d0-7d58-8aee-bc2379c8433e', 3, 'charge_payment', 1, 'undo_failed', 'compensating', 'PAYMENT_UNKNOWN: SANDBOX_UNAVAILABLE: the sandbox plays dead', '2026-11-28 06:41:46.792045+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-7496-7c8f-82aa-7268040877ff', 1, 'charge_payment', 1, 'succeeded', 'succeeded', NULL, '2026-11-28 06:41:47.168747+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-7496-7c8f-82aa-7268040877ff', 2, 'assign_driver', 1, 'succeeded', 'succeeded', 'driver-13', '2026-11-28 06:41:47.173135+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-7496-7c8f-82aa-7268040877ff', 3, '', 0, 'cancelled', 'compensating', 'changed my mind', '2026-11-28 06:41:47.193405+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-7496-7c8f-82aa-7268040877ff', 4, 'assign_driver', 1, 'undone', 'compensating', NULL, '2026-11-28 06:41:47.193455+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-7496-7c8f-82aa-7268040877ff', 5, 'charge_payment', 1, 'undo_failed', 'compensating', 'PAYMENT_UNKNOWN: SANDBOX_UNAVAILABLE: the sandbox plays dead', '2026-11-28 06:41:47.204874+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-7496-7c8f-82aa-7268040877ff', 6, 'charge_payment', 2, 'undo_failed', 'compensating', 'PAYMENT_UNKNOWN: SANDBOX_UNAVAILABLE: the sandbox plays dead', '2026-11-28 06:41:47.234438+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-7496-7c8f-82aa-7268040877ff', 7, 'charge_payment', 3, 'undo_failed', 'compensating', 'PAYMENT_UNKNOWN: SANDBOX_UNAVAILABLE: the sandbox plays dead', '2026-11-28 06:41:47.249759+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-7496-7c8f-82aa-7268040877ff', 8, 'charge_payment', 4, 'undo_failed', 'compensating', 'PAYMENT_UNKNOWN: SANDBOX_UNAVAILABLE: the sandbox plays dead', '2026-11-28 06:41:47.272341+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-75d8-7483-9473-0e2e4b06f88e', 1, 'charge_payment', 1, 'succeeded', 'succeeded', NULL, '2026-11-28 06:41:47.485095+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-75d8-7483-9473-0e2e4b06f88e', 2, 'assign_driver', 1, 'succeeded', 'succeeded', 'driver-7', '2026-11-28 06:41:47.486482+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-75d8-7483-9473-0e2e4b06f88e', 3, '', 0, 'cancelled', 'compensating', 'changed my mind', '2026-11-28 06:41:47.506702+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-75d8-7483-9473-0e2e4b06f88e', 4, 'assign_driver', 1, 'undone', 'compensating', NULL, '2026-11-28 06:41:47.506764+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-75d8-7483-9473-0e2e4b06f88e', 5, 'charge_payment', 1, 'undo_failed', 'compensating', 'PAYMENT_UNKNOWN: SANDBOX_UNAVAILABLE: the sandbox plays dead', '2026-11-28 06:41:47.515398+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-75d8-7483-9473-0e2e4b06f88e', 6, 'charge_payment', 2, 'undo_failed', 'compensating', 'PAYMENT_UNKNOWN: SANDBOX_UNAVAILABLE: the sandbox plays dead', '2026-11-28 06:41:47.536155+00');
INSERT INTO public.order_saga_steps VALUES ('01a220e3-75d8-7483-9473-0e2e4b06f88e', 7, 'charge_payment', 2, 'needs_attention', 'compensating', '2 attempts to undo failed', '2026-11-28 06:41:47.536159+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-5c98-7000-bbc6-2d5ef7286b4e', 'e2e', 'succeeded', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'succeeded', 1, 1, 2, false, NULL, NULL, 'old-done/01a220e3-5c02-73f3-9230-685afa9edef5', 1, NULL, NULL, '2026-11-28 06:41:41.016001+00', '2026-11-28 06:41:41.024095+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-5cab-7200-83e1-77975a6cf334', 'e2e', 'succeeded-to-cancel', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'succeeded', 1, 1, 2, false, NULL, NULL, 'old-done/01a220e3-5c02-73f3-9230-685afa9edef5', 1, NULL, NULL, '2026-11-28 06:41:41.035126+00', '2026-11-28 06:41:41.038004+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-5cb3-78e9-a402-57fb21f91e1e', 'e2e', 'succeeded-to-complete', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'succeeded', 1, 1, 2, false, NULL, NULL, 'old-done/01a220e3-5c02-73f3-9230-685afa9edef5', 1, NULL, NULL, '2026-11-28 06:41:41.043558+00', '2026-11-28 06:41:41.044916+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-5cb6-7c14-8bd4-57f616927bba', 'e2e', 'succeeded-whole-request', '\xce5240b3980d78223485fce88c04f7117f699b628dc53323f615338dcea5f99c', 'Zoë-Õun', 987654321, 'JPY', 52.5203, 13.4049, '{"note": "zwei Stufen, \"links\"\nhoch", "shop": "7"}', 'succeeded', 1, 1, 2, false, NULL, NULL, 'old-done/01a220e3-5c02-73f3-9230-685afa9edef5', 1, NULL, NULL, '2026-11-28 06:41:41.046756+00', '2026-11-28 06:41:41.048645+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-5cba-76c4-8518-aa3512305b21', 'e2e', 'succeeded-in-the-van', '\x3d1946f0c7e8d7c3cf5971ccb7e88b8858d4a67a02e6176c2a7e6ec20b171345', 'user-1', 1250, 'EUR', 10, 10, NULL, 'succeeded', 1, 1, 2, false, NULL, NULL, 'old-done/01a220e3-5c02-73f3-9230-685afa9edef5', 1, NULL, NULL, '2026-11-28 06:41:41.050423+00', '2026-11-28 06:41:41.054854+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-5cc0-7e04-a6cc-5bdd4b3b5be2', 'e2e', 'succeeded-in-the-van-too', '\x3d1946f0c7e8d7c3cf5971ccb7e88b8858d4a67a02e6176c2a7e6ec20b171345', 'user-1', 1250, 'EUR', 10, 10, NULL, 'succeeded', 1, 1, 2, false, NULL, NULL, 'old-done/01a220e3-5c02-73f3-9230-685afa9edef5', 1, NULL, NULL, '2026-11-28 06:41:41.056877+00', '2026-11-28 06:41:41.058833+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-5cc7-772b-8321-9513f2ad5f37', 'e2e', 'closed', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'closed', 1, 1, 3, false, NULL, NULL, 'old-done/01a220e3-5c02-73f3-9230-685afa9edef5', 2, NULL, NULL, '2026-11-28 06:41:41.063449+00', '2026-11-28 06:41:41.082394+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-5d02-7824-a515-debfd6763d99', 'e2e', 'charge-answer-lost', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'compensated', 0, 1, 3, false, 'PAYMENT_UNKNOWN', 'DEADLINE_EXCEEDED: Deadline Exceeded', 'old-done/01a220e3-5c02-73f3-9230-685afa9edef5', 1, NULL, NULL, '2026-11-28 06:41:41.12251+00', '2026-11-28 06:41:41.735052+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-5ce2-754b-b71b-bec0af17895d', 'e2e', 'cancelled', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'compensated', 0, 1, 5, false, 'CANCELLED', 'changed my mind', 'old-done/01a220e3-5c02-73f3-9230-685afa9edef5', 2, NULL, NULL, '2026-11-28 06:41:41.090332+00', '2026-11-28 06:41:41.103587+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-5cf3-727e-808d-718e08bf420b', 'e2e', 'declined', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'compensated', 0, 1, 1, false, 'PAYMENT_DECLINED', 'CARD_DECLINED', 'old-done/01a220e3-5c02-73f3-9230-685afa9edef5', 1, NULL, NULL, '2026-11-28 06:41:41.107158+00', '2026-11-28 06:41:41.108268+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-5cfc-7953-8fcd-ecbd72141431', 'e2e', 'no-driver', '\x3226ec90d424d3f6d9dee8e0463b8d761d571e8fa78c8f431d52f61d99e223e2', 'user-1', 1250, 'EUR', -40, 120, NULL, 'compensated', 0, 1, 3, false, 'NO_DRIVER_AVAILABLE', NULL, 'old-done/01a220e3-5c02-73f3-9230-685afa9edef5', 1, NULL, NULL, '2026-11-28 06:41:41.116584+00', '2026-11-28 06:41:41.119161+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-5f69-78dd-a5a1-ea53960864fa', 'e2e', 'never-charged', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'compensated', 0, 1, 3, false, 'PAYMENT_UNKNOWN', 'SANDBOX_UNAVAILABLE: the sandbox plays dead', 'old-done/01a220e3-5c02-73f3-9230-685afa9edef5', 1, NULL, NULL, '2026-11-28 06:41:41.737556+00', '2026-11-28 06:41:41.744892+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-5f73-72e9-b79a-aaa578150d26', 'e2e', 'succeeded-then-stuck', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'resolved', 0, 4, 8, false, 'CANCELLED', 'changed my mind', 'old-done/01a220e3-5c02-73f3-9230-685afa9edef5', 2, NULL, NULL, '2026-11-28 06:41:41.747184+00', '2026-11-28 06:41:41.801262+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-62b3-7bce-897b-8af141713242', 'e2e', 'charge-1-own', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'running', 0, 1, 0, false, NULL, NULL, 'old-own/01a220e3-622f-789f-b550-c702383faac1', 1, '2026-11-28 06:51:42.580227+00', NULL, '2026-11-28 06:41:42.57974+00', '2026-11-28 06:41:42.57974+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-6331-794f-bf4b-7d9f5cbe77b2', 'e2e', 'charge-1-not-sent-on', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'running', 0, 1, 0, false, NULL, NULL, 'old-charge/01a220e3-62e4-7326-bfe0-5bcf13fcf4c3', 1, '2026-11-28 06:51:42.707724+00', NULL, '2026-11-28 06:41:42.705584+00', '2026-11-28 06:41:42.705584+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-6337-7872-9f0f-0e06b06be086', 'e2e', 'charge-1-leased', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'running', 0, 1, 0, false, NULL, NULL, 'old-charge/01a220e3-62e4-7326-bfe0-5bcf13fcf4c3', 1, '2026-11-28 06:51:42.715158+00', NULL, '2026-11-28 06:41:42.711529+00', '2026-11-28 06:41:42.711529+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-633d-7764-9ff0-f95653a0be1b', 'e2e', 'charge-1-charged', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'running', 0, 1, 0, false, NULL, NULL, 'old-charge/01a220e3-62e4-7326-bfe0-5bcf13fcf4c3', 1, '2026-11-28 06:51:42.717786+00', NULL, '2026-11-28 06:41:42.717462+00', '2026-11-28 06:41:42.717462+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-635c-72c4-b739-e5d5cb89617b', 'e2e', 'charge-1-charged-leased', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'running', 0, 1, 0, false, NULL, NULL, 'old-charge/01a220e3-62e4-7326-bfe0-5bcf13fcf4c3', 1, '2026-11-28 06:51:42.748702+00', NULL, '2026-11-28 06:41:42.748174+00', '2026-11-28 06:41:42.748174+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-63dd-787e-8388-6f76edaa54c5', 'e2e', 'charge-n-charged', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'running', 0, 4, 3, false, NULL, NULL, 'old-charge-again/01a220e3-638e-74fd-bb16-873b45f705ca', 1, '2026-11-28 06:51:43.518218+00', NULL, '2026-11-28 06:41:42.877533+00', '2026-11-28 06:41:43.517776+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-659e-74ac-ab9a-63aa9fb5dce3', 'e2e', 'charge-n', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'running', 0, 9, 8, false, NULL, NULL, 'old-charge-again/01a220e3-638e-74fd-bb16-873b45f705ca', 1, '2026-11-28 06:51:43.547352+00', NULL, '2026-11-28 06:41:43.326293+00', '2026-11-28 06:41:43.54711+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-66fe-7526-a5e8-57f8648a5604', 'e2e', 'killed-begin.after_commit', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'running', 0, 1, 0, false, NULL, NULL, 'old-killed-1/01a220e3-66bb-7b78-93d4-c550992889e4', 1, '2026-11-28 06:51:43.678963+00', NULL, '2026-11-28 06:41:43.678323+00', '2026-11-28 06:41:43.678323+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-6779-731a-9d8a-7e2526129cfa', 'e2e', 'killed-charge.before_send', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'running', 0, 1, 0, false, NULL, NULL, 'old-killed-2/01a220e3-6734-719d-9764-cc2645aa0de7', 1, '2026-11-28 06:51:43.801842+00', NULL, '2026-11-28 06:41:43.801196+00', '2026-11-28 06:41:43.801196+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-6828-7ea3-92d7-201840a1f98a', 'e2e', 'killed-charge.after_receive', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'running', 0, 1, 0, false, NULL, NULL, 'old-killed-3/01a220e3-67b0-7ed9-81e1-b9a09303ff50', 1, '2026-11-28 06:51:43.977303+00', NULL, '2026-11-28 06:41:43.976917+00', '2026-11-28 06:41:43.976917+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-68a4-7431-a322-86a5199d177d', 'e2e', 'killed-charge.after_receive-declined', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'running', 0, 1, 0, false, NULL, NULL, 'old-killed-4/01a220e3-6856-7b68-a3c1-47dcad460c5d', 1, '2026-11-28 06:51:44.100562+00', NULL, '2026-11-28 06:41:44.100263+00', '2026-11-28 06:41:44.100263+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-6926-7cbc-aacc-a3b57abdbf00', 'e2e', 'killed-advance.before_commit', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'running', 0, 1, 0, false, NULL, NULL, 'old-killed-5/01a220e3-68d5-756c-bdb2-33a8ec06dfe6', 1, '2026-11-28 06:51:44.236407+00', NULL, '2026-11-28 06:41:44.230797+00', '2026-11-28 06:41:44.230797+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-69de-7512-89a7-2229def72c6e', 'e2e', 'killed-succeeded-unanswered', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'succeeded', 1, 1, 2, false, NULL, NULL, 'old-killed-6/01a220e3-696e-709b-a795-6c2c59cde758', 1, NULL, NULL, '2026-11-28 06:41:44.414319+00', '2026-11-28 06:41:44.423326+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-6a93-772b-9f8b-c6699659736b', 'e2e', 'killed-assign.before_pick', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'running', 0, 1, 0, false, NULL, NULL, 'old-killed-7/01a220e3-6a17-7487-bbf0-fbc6c2509a26', 1, '2026-11-28 06:51:44.595973+00', NULL, '2026-11-28 06:41:44.595449+00', '2026-11-28 06:41:44.595449+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-6b4c-7fb6-8053-5eb17b1f2204', 'e2e', 'killed-assign.after_pick', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'running', 0, 1, 0, false, NULL, NULL, 'old-killed-8/01a220e3-6aea-766a-9ed6-9b775a359cdb', 1, '2026-11-28 06:51:44.784096+00', NULL, '2026-11-28 06:41:44.780984+00', '2026-11-28 06:41:44.780984+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-6c04-756c-a380-75e2b4c8895d', 'e2e', 'killed-release.before_send-nothing-written', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'succeeded', 1, 1, 2, false, NULL, NULL, 'old-killed-9/01a220e3-6b91-7b4f-94a7-f38b42954709', 2, NULL, NULL, '2026-11-28 06:41:44.964341+00', '2026-11-28 06:41:44.970124+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-6cc3-7ef5-8aa7-1d6f30191e40', 'e2e', 'killed-release.after_receive-nothing-written', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'succeeded', 1, 1, 2, false, NULL, NULL, 'old-killed-10/01a220e3-6c53-7bba-9890-e7e2d5ca928b', 2, NULL, NULL, '2026-11-28 06:41:45.155937+00', '2026-11-28 06:41:45.16343+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-6d81-7706-8560-16d85595947e', 'e2e', 'killed-refund.before_send', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'compensating', 0, 1, 4, false, 'CANCELLED', 'changed my mind', 'old-killed-11/01a220e3-6d0a-734b-abfb-c33ab8cc4dd9', 2, '2026-11-28 06:51:45.371162+00', NULL, '2026-11-28 06:41:45.345441+00', '2026-11-28 06:41:45.370857+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-6e18-7737-a5b4-1ed1da34affe', 'e2e', 'killed-refund.after_receive', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'compensating', 0, 1, 4, false, 'CANCELLED', 'changed my mind', 'old-killed-12/01a220e3-6dcb-7cb0-be49-6ac8e1cd95b8', 2, '2026-11-28 06:51:45.535751+00', NULL, '2026-11-28 06:41:45.496452+00', '2026-11-28 06:41:45.535494+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-6ef0-7649-87cc-01898d15d154', 'e2e', 'assign-n', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'running', 1, 5, 5, false, NULL, NULL, 'old-assign-again/01a220e3-6e79-7b02-bddc-9233beac7147', 1, '2026-11-28 06:51:45.815635+00', NULL, '2026-11-28 06:41:45.712394+00', '2026-11-28 06:41:45.814248+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-6fd2-7aac-ba9d-bca594440a24', 'e2e', 'undo-charge-1', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'compensating', 0, 1, 4, false, 'CANCELLED', 'changed my mind', 'old-undo/01a220e3-6f8c-7b02-9647-0f4b8acfd8f5', 2, '2026-11-28 06:51:45.971391+00', NULL, '2026-11-28 06:41:45.938667+00', '2026-11-28 06:41:45.971243+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-6fe0-7b81-9f26-91d2efbba698', 'e2e', 'undo-charge-1-refunded', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'compensating', 0, 1, 4, false, 'CANCELLED', 'changed my mind', 'old-undo/01a220e3-6f8c-7b02-9647-0f4b8acfd8f5', 2, '2026-11-28 06:51:46.116251+00', NULL, '2026-11-28 06:41:45.95272+00', '2026-11-28 06:41:46.115549+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-6fe8-7e20-8205-2c8c2d26b010', 'e2e', 'undo-charge-1-leased', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'compensating', 0, 1, 4, false, 'CANCELLED', 'changed my mind', 'old-undo/01a220e3-6f8c-7b02-9647-0f4b8acfd8f5', 2, '2026-11-28 06:51:46.056862+00', NULL, '2026-11-28 06:41:45.960885+00', '2026-11-28 06:41:46.056149+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-714e-7b58-bfd4-2cf6798bc903', 'e2e', 'undo-of-nothing', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'compensating', 0, 2, 3, false, 'CANCELLED', 'changed my mind', 'old-undo-backoff/01a220e3-7102-77be-bdda-96db7aff8754', 1, '2026-11-28 06:51:46.774261+00', NULL, '2026-11-28 06:41:46.31871+00', '2026-11-28 06:41:46.770309+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-71d0-7d58-8aee-bc2379c8433e', 'e2e', 'undo-of-unknown-charge', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'compensating', 0, 2, 3, false, 'CANCELLED', 'changed my mind', 'old-undo-backoff/01a220e3-7102-77be-bdda-96db7aff8754', 1, '2026-11-28 06:51:46.794256+00', NULL, '2026-11-28 06:41:46.448835+00', '2026-11-28 06:41:46.792045+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-7496-7c8f-82aa-7268040877ff', 'e2e', 'undo-charge-n', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'compensating', 0, 5, 8, false, 'CANCELLED', 'changed my mind', 'old-undo-again/01a220e3-7440-77f3-a196-114bd08eb9df', 2, '2026-11-28 06:51:47.274219+00', NULL, '2026-11-28 06:41:47.158787+00', '2026-11-28 06:41:47.272341+00');
INSERT INTO public.order_sagas VALUES ('01a220e3-75d8-7483-9473-0e2e4b06f88e', 'e2e', 'attention-charge', '\xa522d78ce40b58bbab47e4d8ba22f7ee6186d18c5114636978717843fb5cea59', 'user-1', 1250, 'EUR', NULL, NULL, NULL, 'compensating', 0, 3, 7, true, 'CANCELLED', 'changed my mind', 'old-attention/01a220e3-755c-7560-9743-bebb710e036a', 2, '2026-11-28 06:51:47.536563+00', NULL, '2026-11-28 06:41:47.480283+00', '2026-11-28 06:41:47.536159+00');
INSERT INTO public.payments VALUES ('01a220e3-5c98-7000-bbc6-2d5ef7286b4e', 1250, 'EUR', 'ch_1', '2026-11-28 06:41:41.022294+00', NULL, NULL);
INSERT INTO public.payments VALUES ('01a220e3-5cab-7200-83e1-77975a6cf334', 1250, 'EUR', 'ch_2', '2026-11-28 06:41:41.037959+00', NULL, NULL);
INSERT INTO public.payments VALUES ('01a220e3-5cb3-78e9-a402-57fb21f91e1e', 1250, 'EUR', 'ch_3', '2026-11-28 06:41:41.044879+00', NULL, NULL);
INSERT INTO public.payments VALUES ('01a220e3-5cb6-7c14-8bd4-57f616927bba', 987654321, 'JPY', 'ch_4', '2026-11-28 06:41:41.047739+00', NULL, NULL);
INSERT INTO public.payments VALUES ('01a220e3-5cba-76c4-8518-aa3512305b21', 1250, 'EUR', 'ch_5', '2026-11-28 06:41:41.053982+00', NULL, NULL);
INSERT INTO public.payments VALUES ('01a220e3-5cc0-7e04-a6cc-5bdd4b3b5be2', 1250, 'EUR', 'ch_6', '2026-11-28 06:41:41.058136+00', NULL, NULL);
INSERT INTO public.payments VALUES ('01a220e3-5cc7-772b-8321-9513f2ad5f37', 1250, 'EUR', 'ch_7', '2026-11-28 06:41:41.064684+00', NULL, NULL);
INSERT INTO public.payments VALUES ('01a220e3-5ce2-754b-b71b-bec0af17895d', 1250, 'EUR', 'ch_8', '2026-11-28 06:41:41.091583+00', 1250, '2026-11-28 06:41:41.10358+00');
INSERT INTO public.payments VALUES ('01a220e3-5cfc-7953-8fcd-ecbd72141431', 1250, 'EUR', 'ch_10', '2026-11-28 06:41:41.117602+00', 1250, '2026-11-28 06:41:41.119154+00');
INSERT INTO public.payments VALUES ('01a220e3-5d02-7824-a515-debfd6763d99', 1250, 'EUR', 'ch_12', '2026-11-28 06:41:41.735045+00', 1250, '2026-11-28 06:41:41.735045+00');
INSERT INTO public.payments VALUES ('01a220e3-5f73-72e9-b79a-aaa578150d26', 1250, 'EUR', 'ch_14', '2026-11-28 06:41:41.748149+00', NULL, NULL);
INSERT INTO public.payments VALUES ('01a220e3-69de-7512-89a7-2229def72c6e', 1250, 'EUR', 'ch_21', '2026-11-28 06:41:44.422028+00', NULL, NULL);
INSERT INTO public.payments VALUES ('01a220e3-6c04-756c-a380-75e2b4c8895d', 1250, 'EUR', 'ch_24', '2026-11-28 06:41:44.968601+00', NULL, NULL);
INSERT INTO public.payments VALUES ('01a220e3-6cc3-7ef5-8aa7-1d6f30191e40', 1250, 'EUR', 'ch_25', '2026-11-28 06:41:45.162394+00', NULL, NULL);
INSERT INTO public.payments VALUES ('01a220e3-6d81-7706-8560-16d85595947e', 1250, 'EUR', 'ch_26', '2026-11-28 06:41:45.351995+00', NULL, NULL);
INSERT INTO public.payments VALUES ('01a220e3-6e18-7737-a5b4-1ed1da34affe', 1250, 'EUR', 'ch_27', '2026-11-28 06:41:45.503294+00', NULL, NULL);
INSERT INTO public.payments VALUES ('01a220e3-6ef0-7649-87cc-01898d15d154', 1250, 'EUR', 'ch_29', '2026-11-28 06:41:45.719445+00', NULL, NULL);
INSERT INTO public.payments VALUES ('01a220e3-6fd2-7aac-ba9d-bca594440a24', 1250, 'EUR', 'ch_30', '2026-11-28 06:41:45.943157+00', NULL, NULL);
INSERT INTO public.payments VALUES ('01a220e3-6fe0-7b81-9f26-91d2efbba698', 1250, 'EUR', 'ch_31', '2026-11-28 06:41:45.956366+00', NULL, NULL);
INSERT INTO public.payments VALUES ('01a220e3-6fe8-7e20-8205-2c8c2d26b010', 1250, 'EUR', 'ch_32', '2026-11-28 06:41:45.96229+00', NULL, NULL);
INSERT INTO public.payments VALUES ('01a220e3-7496-7c8f-82aa-7268040877ff', 1250, 'EUR', 'ch_35', '2026-11-28 06:41:47.168738+00', NULL, NULL);
INSERT INTO public.payments VALUES ('01a220e3-75d8-7483-9473-0e2e4b06f88e', 1250, 'EUR', 'ch_36', '2026-11-28 06:41:47.485086+00', NULL, NULL);
INSERT INTO public.schema_migrations VALUES (1, '0001_orders.sql', 'a34141055d32f5cb071afc36067042d106ec0e54674e64b19d76c7e4df01f12d', '2026-11-28 06:41:40.705815+00', 22);
INSERT INTO public.schema_migrations VALUES (2, '0002_locations.sql', '87dff21840ed8a16d6611dfdb6907462cd4748c1f0ecd9c9159ab1edf98b8e5a', '2026-11-28 06:41:40.728439+00', 3);
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
-- books: {"effect":"charge","key":"01a220e3-5c98-7000-bbc6-2d5ef7286b4e/charge_payment","order_id":"01a220e3-5c98-7000-bbc6-2d5ef7286b4e","amount_minor":1250,"currency":"EUR","reference":"ch_1","time":"2026-11-28T06:41:41.021704Z"}
-- books: {"effect":"charge","key":"01a220e3-5cab-7200-83e1-77975a6cf334/charge_payment","order_id":"01a220e3-5cab-7200-83e1-77975a6cf334","amount_minor":1250,"currency":"EUR","reference":"ch_2","time":"2026-11-28T06:41:41.037595Z"}
-- books: {"effect":"charge","key":"01a220e3-5cb3-78e9-a402-57fb21f91e1e/charge_payment","order_id":"01a220e3-5cb3-78e9-a402-57fb21f91e1e","amount_minor":1250,"currency":"EUR","reference":"ch_3","time":"2026-11-28T06:41:41.044666Z"}
-- books: {"effect":"charge","key":"01a220e3-5cb6-7c14-8bd4-57f616927bba/charge_payment","order_id":"01a220e3-5cb6-7c14-8bd4-57f616927bba","amount_minor":987654321,"currency":"JPY","reference":"ch_4","time":"2026-11-28T06:41:41.047546Z"}
-- books: {"effect":"charge","key":"01a220e3-5cba-76c4-8518-aa3512305b21/charge_payment","order_id":"01a220e3-5cba-76c4-8518-aa3512305b21","amount_minor":1250,"currency":"EUR","reference":"ch_5","time":"2026-11-28T06:41:41.053719Z"}
-- books: {"effect":"charge","key":"01a220e3-5cc0-7e04-a6cc-5bdd4b3b5be2/charge_payment","order_id":"01a220e3-5cc0-7e04-a6cc-5bdd4b3b5be2","amount_minor":1250,"currency":"EUR","reference":"ch_6","time":"2026-11-28T06:41:41.057834Z"}
-- books: {"effect":"charge","key":"01a220e3-5cc7-772b-8321-9513f2ad5f37/charge_payment","order_id":"01a220e3-5cc7-772b-8321-9513f2ad5f37","amount_minor":1250,"currency":"EUR","reference":"ch_7","time":"2026-11-28T06:41:41.064464Z"}
-- books: {"effect":"charge","key":"01a220e3-5ce2-754b-b71b-bec0af17895d/charge_payment","order_id":"01a220e3-5ce2-754b-b71b-bec0af17895d","amount_minor":1250,"currency":"EUR","reference":"ch_8","time":"2026-11-28T06:41:41.091361Z"}
-- books: {"effect":"refund","key":"01a220e3-5ce2-754b-b71b-bec0af17895d/charge_payment","order_id":"01a220e3-5ce2-754b-b71b-bec0af17895d","amount_minor":1250,"currency":"EUR","reference":"re_9","time":"2026-11-28T06:41:41.103357Z"}
-- books: {"effect":"decline","key":"01a220e3-5cf3-727e-808d-718e08bf420b/charge_payment","order_id":"01a220e3-5cf3-727e-808d-718e08bf420b","amount_minor":1250,"currency":"EUR","reason":"CARD_DECLINED","time":"2026-11-28T06:41:41.108030Z"}
-- books: {"effect":"charge","key":"01a220e3-5cfc-7953-8fcd-ecbd72141431/charge_payment","order_id":"01a220e3-5cfc-7953-8fcd-ecbd72141431","amount_minor":1250,"currency":"EUR","reference":"ch_10","time":"2026-11-28T06:41:41.117425Z"}
-- books: {"effect":"refund","key":"01a220e3-5cfc-7953-8fcd-ecbd72141431/charge_payment","order_id":"01a220e3-5cfc-7953-8fcd-ecbd72141431","amount_minor":1250,"currency":"EUR","reference":"re_11","time":"2026-11-28T06:41:41.118888Z"}
-- books: {"effect":"charge","key":"01a220e3-5d02-7824-a515-debfd6763d99/charge_payment","order_id":"01a220e3-5d02-7824-a515-debfd6763d99","amount_minor":1250,"currency":"EUR","reference":"ch_12","time":"2026-11-28T06:41:41.127982Z"}
-- books: {"effect":"refund","key":"01a220e3-5d02-7824-a515-debfd6763d99/charge_payment","order_id":"01a220e3-5d02-7824-a515-debfd6763d99","amount_minor":1250,"currency":"EUR","reference":"re_13","time":"2026-11-28T06:41:41.734095Z"}
-- books: {"effect":"close","key":"01a220e3-5f69-78dd-a5a1-ea53960864fa/charge_payment","order_id":"01a220e3-5f69-78dd-a5a1-ea53960864fa","time":"2026-11-28T06:41:41.744699Z"}
-- books: {"effect":"charge","key":"01a220e3-5f73-72e9-b79a-aaa578150d26/charge_payment","order_id":"01a220e3-5f73-72e9-b79a-aaa578150d26","amount_minor":1250,"currency":"EUR","reference":"ch_14","time":"2026-11-28T06:41:41.747888Z"}
-- books: {"effect":"charge","key":"01a220e3-6337-7872-9f0f-0e06b06be086/charge_payment","order_id":"01a220e3-6337-7872-9f0f-0e06b06be086","amount_minor":1250,"currency":"EUR","reference":"ch_15","time":"2026-11-28T06:41:42.717175Z"}
-- books: {"effect":"charge","key":"01a220e3-633d-7764-9ff0-f95653a0be1b/charge_payment","order_id":"01a220e3-633d-7764-9ff0-f95653a0be1b","amount_minor":1250,"currency":"EUR","reference":"ch_16","time":"2026-11-28T06:41:42.724649Z"}
-- books: {"effect":"charge","key":"01a220e3-635c-72c4-b739-e5d5cb89617b/charge_payment","order_id":"01a220e3-635c-72c4-b739-e5d5cb89617b","amount_minor":1250,"currency":"EUR","reference":"ch_17","time":"2026-11-28T06:41:42.750353Z"}
-- books: {"effect":"charge","key":"01a220e3-63dd-787e-8388-6f76edaa54c5/charge_payment","order_id":"01a220e3-63dd-787e-8388-6f76edaa54c5","amount_minor":1250,"currency":"EUR","reference":"ch_18","time":"2026-11-28T06:41:42.887395Z"}
-- books: {"effect":"charge","key":"01a220e3-6828-7ea3-92d7-201840a1f98a/charge_payment","order_id":"01a220e3-6828-7ea3-92d7-201840a1f98a","amount_minor":1250,"currency":"EUR","reference":"ch_19","time":"2026-11-28T06:41:43.980897Z"}
-- books: {"effect":"decline","key":"01a220e3-68a4-7431-a322-86a5199d177d/charge_payment","order_id":"01a220e3-68a4-7431-a322-86a5199d177d","amount_minor":1250,"currency":"EUR","reason":"CARD_DECLINED","time":"2026-11-28T06:41:44.105141Z"}
-- books: {"effect":"charge","key":"01a220e3-6926-7cbc-aacc-a3b57abdbf00/charge_payment","order_id":"01a220e3-6926-7cbc-aacc-a3b57abdbf00","amount_minor":1250,"currency":"EUR","reference":"ch_20","time":"2026-11-28T06:41:44.241020Z"}
-- books: {"effect":"charge","key":"01a220e3-69de-7512-89a7-2229def72c6e/charge_payment","order_id":"01a220e3-69de-7512-89a7-2229def72c6e","amount_minor":1250,"currency":"EUR","reference":"ch_21","time":"2026-11-28T06:41:44.421592Z"}
-- books: {"effect":"charge","key":"01a220e3-6a93-772b-9f8b-c6699659736b/charge_payment","order_id":"01a220e3-6a93-772b-9f8b-c6699659736b","amount_minor":1250,"currency":"EUR","reference":"ch_22","time":"2026-11-28T06:41:44.601934Z"}
-- books: {"effect":"charge","key":"01a220e3-6b4c-7fb6-8053-5eb17b1f2204/charge_payment","order_id":"01a220e3-6b4c-7fb6-8053-5eb17b1f2204","amount_minor":1250,"currency":"EUR","reference":"ch_23","time":"2026-11-28T06:41:44.789745Z"}
-- books: {"effect":"charge","key":"01a220e3-6c04-756c-a380-75e2b4c8895d/charge_payment","order_id":"01a220e3-6c04-756c-a380-75e2b4c8895d","amount_minor":1250,"currency":"EUR","reference":"ch_24","time":"2026-11-28T06:41:44.968209Z"}
-- books: {"effect":"charge","key":"01a220e3-6cc3-7ef5-8aa7-1d6f30191e40/charge_payment","order_id":"01a220e3-6cc3-7ef5-8aa7-1d6f30191e40","amount_minor":1250,"currency":"EUR","reference":"ch_25","time":"2026-11-28T06:41:45.161989Z"}
-- books: {"effect":"charge","key":"01a220e3-6d81-7706-8560-16d85595947e/charge_payment","order_id":"01a220e3-6d81-7706-8560-16d85595947e","amount_minor":1250,"currency":"EUR","reference":"ch_26","time":"2026-11-28T06:41:45.351655Z"}
-- books: {"effect":"charge","key":"01a220e3-6e18-7737-a5b4-1ed1da34affe/charge_payment","order_id":"01a220e3-6e18-7737-a5b4-1ed1da34affe","amount_minor":1250,"currency":"EUR","reference":"ch_27","time":"2026-11-28T06:41:45.501174Z"}
-- books: {"effect":"refund","key":"01a220e3-6e18-7737-a5b4-1ed1da34affe/charge_payment","order_id":"01a220e3-6e18-7737-a5b4-1ed1da34affe","amount_minor":1250,"currency":"EUR","reference":"re_28","time":"2026-11-28T06:41:45.539994Z"}
-- books: {"effect":"charge","key":"01a220e3-6ef0-7649-87cc-01898d15d154/charge_payment","order_id":"01a220e3-6ef0-7649-87cc-01898d15d154","amount_minor":1250,"currency":"EUR","reference":"ch_29","time":"2026-11-28T06:41:45.719177Z"}
-- books: {"effect":"charge","key":"01a220e3-6fd2-7aac-ba9d-bca594440a24/charge_payment","order_id":"01a220e3-6fd2-7aac-ba9d-bca594440a24","amount_minor":1250,"currency":"EUR","reference":"ch_30","time":"2026-11-28T06:41:45.942772Z"}
-- books: {"effect":"charge","key":"01a220e3-6fe0-7b81-9f26-91d2efbba698/charge_payment","order_id":"01a220e3-6fe0-7b81-9f26-91d2efbba698","amount_minor":1250,"currency":"EUR","reference":"ch_31","time":"2026-11-28T06:41:45.956057Z"}
-- books: {"effect":"charge","key":"01a220e3-6fe8-7e20-8205-2c8c2d26b010/charge_payment","order_id":"01a220e3-6fe8-7e20-8205-2c8c2d26b010","amount_minor":1250,"currency":"EUR","reference":"ch_32","time":"2026-11-28T06:41:45.961672Z"}
-- books: {"effect":"refund","key":"01a220e3-6fe0-7b81-9f26-91d2efbba698/charge_payment","order_id":"01a220e3-6fe0-7b81-9f26-91d2efbba698","amount_minor":1250,"currency":"EUR","reference":"re_33","time":"2026-11-28T06:41:46.117430Z"}
-- books: {"effect":"charge","key":"01a220e3-71d0-7d58-8aee-bc2379c8433e/charge_payment","order_id":"01a220e3-71d0-7d58-8aee-bc2379c8433e","amount_minor":1250,"currency":"EUR","reference":"ch_34","time":"2026-11-28T06:41:46.452267Z"}
-- books: {"effect":"charge","key":"01a220e3-7496-7c8f-82aa-7268040877ff/charge_payment","order_id":"01a220e3-7496-7c8f-82aa-7268040877ff","amount_minor":1250,"currency":"EUR","reference":"ch_35","time":"2026-11-28T06:41:47.168401Z"}
-- books: {"effect":"charge","key":"01a220e3-75d8-7483-9473-0e2e4b06f88e/charge_payment","order_id":"01a220e3-75d8-7483-9473-0e2e4b06f88e","amount_minor":1250,"currency":"EUR","reference":"ch_36","time":"2026-11-28T06:41:47.483954Z"}
