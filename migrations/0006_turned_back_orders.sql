-- Which orders were turned back, newest first: to find the failed, cancelled and resolved ones among all others.
-- By failure_reason and not by state: a completion changes the state, and an index that looks at it would make every
-- completion write into all indexes of the table.
CREATE INDEX IF NOT EXISTS order_sagas_turned_back ON order_sagas (order_id) WHERE failure_reason IS NOT NULL;
