-- A saga that has succeeded for good, while a participant has still to be told. In a migration of its own, since Postgres does
-- not let a new value be used in the transaction that adds it.
ALTER TYPE saga_state ADD VALUE 'closing' BEFORE 'closed';
