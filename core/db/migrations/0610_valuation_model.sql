-- Fitted valuation models: arrays in a compressed .npz, never a pickle. The valuation room owns the table.

CREATE TABLE valuation_model (
    version     text PRIMARY KEY,
    currency    text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    channel     text NOT NULL CHECK (channel IN ('auction', 'retail', 'private', 'trade')),
    data_cut    date NOT NULL,
    fitted_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    rows        bigint NOT NULL CHECK (rows > 0),
    metrics     jsonb NOT NULL,
    artifact    bytea NOT NULL,
    sha256      bytea NOT NULL CHECK (octet_length(sha256) = 32)
);
COMMENT ON COLUMN valuation_model.version IS 'Hash of the rows it learned from and of the way it was fitted.';
COMMENT ON COLUMN valuation_model.data_cut IS 'The latest day whose prices it may know.';
COMMENT ON COLUMN valuation_model.fitted_at IS 'When this version was last fitted; the latest serves.';
COMMENT ON COLUMN valuation_model.metrics IS 'Scores on rows that were kept out of the training.';
CREATE INDEX valuation_model_market ON valuation_model (currency, channel, fitted_at DESC);
-- Compressed already.
ALTER TABLE valuation_model ALTER COLUMN artifact SET STORAGE EXTERNAL;
