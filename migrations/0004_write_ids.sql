-- Which write a saga's row comes from: the number that the journal gave to the write, whatever process made it. Whether a
-- write whose answer was lost took effect is read from here; epoch and sequence alone cannot tell two writes apart.
-- Rows that were last written by an older version have none.
ALTER TABLE order_sagas ADD COLUMN write_id bigint;
