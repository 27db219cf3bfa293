-- By themselves, so that they can be built beside a running service before: see docs/operations.md.
CREATE INDEX IF NOT EXISTS order_sagas_waiting ON order_sagas (wakes_at) WHERE lease_until IS NULL AND wakes_at IS NOT NULL;
-- Those that wait and need a person are found without looking through all that wait.
CREATE INDEX IF NOT EXISTS order_sagas_needing_attention ON order_sagas (order_id) WHERE needs_attention;
