-- What has failed for good is found by how long it has been so, and lives again when somebody says so. The indexes are small, and
-- can be built beside a running service before (CREATE INDEX CONCURRENTLY).
CREATE INDEX IF NOT EXISTS webhook_deliveries_dead_since ON webhook_deliveries (COALESCE(last_at, created_at)) WHERE state = 'dead';
CREATE INDEX IF NOT EXISTS webhook_inbox_dead_since ON webhook_inbox (settled_at) WHERE state = 'attention';

ALTER TABLE reconciliation_cases ADD COLUMN compared_at timestamptz;
COMMENT ON COLUMN reconciliation_cases.compared_at IS 'When somebody last had it compared again, and it was still so; NULL: nobody has.';
CREATE INDEX reconciliation_cases_open_since ON reconciliation_cases (COALESCE(compared_at, opened_at)) WHERE closed_at IS NULL;

-- As before, and what needs attention may be looked at once more.
CREATE OR REPLACE TRIGGER webhook_inbox_only_forward BEFORE UPDATE ON webhook_inbox FOR EACH ROW
    WHEN (OLD.state <> NEW.state AND NOT (OLD.state = 'new' OR (OLD.state = 'unmatched' AND NEW.state <> 'new')
          OR (OLD.state = 'attention' AND NEW.state IN ('ignored', 'new'))))
    EXECUTE FUNCTION webhook_inbox_refuse_backward();
