-- What was said of an order is found by it. It can be built beside a running service before (CREATE INDEX CONCURRENTLY).
CREATE INDEX IF NOT EXISTS webhook_inbox_order ON webhook_inbox (order_id) WHERE order_id IS NOT NULL;
