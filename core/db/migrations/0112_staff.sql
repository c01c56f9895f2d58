-- Who may come in, as what, and into which branch. The collateral room owns these.

CREATE TABLE user_account (
    user_id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    login          text NOT NULL UNIQUE CHECK (login ~ '^[a-z0-9][a-z0-9._@-]{0,63}$'),
    display_name   text NOT NULL,
    password_hash  text NOT NULL,
    roles          text[] NOT NULL CHECK (cardinality(roles) > 0 AND roles <@ ARRAY['admin', 'risk_analyst',
                       'recovery', 'recovery_partner', 'disposal', 'auditor', 'device_manager', 'bidder', 'service']),
    org_id         text NOT NULL REFERENCES org_unit,
    disabled_at    timestamptz,
    created_at     timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE api_token (
    token_id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    token_sha256   bytea NOT NULL UNIQUE CHECK (length(token_sha256) = 32),
    name           text NOT NULL,
    role           text NOT NULL CHECK (role IN ('admin', 'risk_analyst', 'recovery', 'recovery_partner', 'disposal',
                                                 'auditor', 'device_manager', 'bidder', 'service')),
    org_id         text NOT NULL REFERENCES org_unit,
    created_at     timestamptz NOT NULL DEFAULT now(),
    expires_at     timestamptz,
    revoked_at     timestamptz
);
COMMENT ON TABLE api_token IS 'Tokens are 256 random bits, so one unsalted SHA-256 keeps them; the token itself is nowhere.';

-- A session belongs to a user, or to nobody but a role (it came from a sign-in link).
CREATE TABLE user_session (
    session_sha256 bytea PRIMARY KEY CHECK (length(session_sha256) = 32),
    user_id        bigint REFERENCES user_account,
    role           text,
    org_id         text NOT NULL REFERENCES org_unit,
    csrf_secret    text NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT now(),
    expires_at     timestamptz NOT NULL,
    revoked_at     timestamptz,
    CHECK ((user_id IS NULL) <> (role IS NULL))
);
CREATE INDEX user_session_user ON user_session (user_id);

CREATE TABLE sign_in_link (
    link_sha256    bytea PRIMARY KEY CHECK (length(link_sha256) = 32),
    role           text NOT NULL,
    org_id         text NOT NULL REFERENCES org_unit,
    created_at     timestamptz NOT NULL DEFAULT now(),
    expires_at     timestamptz NOT NULL,
    used_at        timestamptz
);
