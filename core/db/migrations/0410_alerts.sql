-- Alerts are work: one live row per (vehicle, rule, scope). The alerts room owns these.

CREATE TABLE alert (
    alert_id       uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    vehicle_id     text,
    device_id      text,
    org_id         text NOT NULL DEFAULT 'head',
    rule           text NOT NULL,
    scope          text NOT NULL DEFAULT '',
    severity       text NOT NULL CHECK (severity IN ('P1', 'P2', 'P3', 'P4')),
    base_severity  text NOT NULL CHECK (base_severity IN ('P1', 'P2', 'P3', 'P4')),
    severity_why   text[] NOT NULL DEFAULT '{}',
    condition      text NOT NULL CHECK (condition IN ('active', 'cleared')),
    work_state     text NOT NULL DEFAULT 'new'
                   CHECK (work_state IN ('new', 'acknowledged', 'in_progress', 'resolved', 'false_alarm')),
    latched        boolean NOT NULL,
    first_seen     timestamptz NOT NULL,
    last_seen      timestamptz NOT NULL,
    cleared_at     timestamptz,
    count          integer NOT NULL DEFAULT 1,
    reopen_count   integer NOT NULL DEFAULT 0,
    late_by_s      integer NOT NULL DEFAULT 0,
    lat            double precision,
    lon            double precision,
    evidence       jsonb NOT NULL DEFAULT '{}',
    assignee       text,
    resolution     text,
    created_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    version        integer NOT NULL DEFAULT 1
);
CREATE UNIQUE INDEX alert_live ON alert (coalesce(vehicle_id, ''), rule, scope)
    WHERE work_state NOT IN ('resolved', 'false_alarm');
CREATE INDEX alert_inbox ON alert (severity, last_seen DESC) WHERE work_state NOT IN ('resolved', 'false_alarm');
CREATE INDEX alert_vehicle ON alert (vehicle_id, last_seen DESC);
CREATE INDEX alert_newest ON alert (last_seen DESC, alert_id);

CREATE TABLE alert_finding (
    finding_id     uuid PRIMARY KEY,
    alert_id       uuid NOT NULL REFERENCES alert,
    event          text NOT NULL,
    event_time     timestamptz NOT NULL,
    retracted      boolean NOT NULL DEFAULT false
);
CREATE INDEX alert_finding_alert ON alert_finding (alert_id, event_time);

-- The history of each alert and, read in (txid, seq) order, the live stream.
CREATE TABLE alert_event (
    seq            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    txid           xid8 NOT NULL DEFAULT pg_current_xact_id(),
    alert_id       uuid NOT NULL REFERENCES alert,
    at             timestamptz NOT NULL DEFAULT clock_timestamp(),
    kind           text NOT NULL,
    actor          text NOT NULL,
    reason         text,
    facts          jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX alert_event_order ON alert_event (txid, seq);
CREATE INDEX alert_event_alert ON alert_event (alert_id, seq);

CREATE TABLE case_file (
    case_id        uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    number         bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    vehicle_id     text NOT NULL,
    org_id         text NOT NULL DEFAULT 'head',
    state          text NOT NULL DEFAULT 'new' CHECK (state IN ('new', 'closed')),
    title          text NOT NULL,
    opened_by      text NOT NULL,
    opened_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    closed_at      timestamptz,
    close_reason   text,
    version        integer NOT NULL DEFAULT 1
);
CREATE INDEX case_file_vehicle ON case_file (vehicle_id);

CREATE TABLE case_alert (
    case_id        uuid NOT NULL REFERENCES case_file,
    alert_id       uuid NOT NULL REFERENCES alert,
    PRIMARY KEY (case_id, alert_id)
);
CREATE INDEX case_alert_alert ON case_alert (alert_id);

CREATE TABLE case_entry (
    entry_id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    case_id        uuid NOT NULL REFERENCES case_file,
    at             timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor          text NOT NULL,
    kind           text NOT NULL CHECK (kind IN ('opened', 'note', 'contact', 'alert_added', 'closed')),
    text           text NOT NULL DEFAULT '',
    facts          jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX case_entry_case ON case_entry (case_id, entry_id);

CREATE TABLE delivery (
    delivery_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    alert_id       uuid NOT NULL REFERENCES alert,
    event_seq      bigint NOT NULL REFERENCES alert_event,
    channel        text NOT NULL,
    state          text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'sent', 'dead')),
    attempts       integer NOT NULL DEFAULT 0,
    next_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    leased_until   timestamptz,
    sent_at        timestamptz,
    last_error     text,
    UNIQUE (event_seq, channel)
);
CREATE INDEX delivery_due ON delivery (next_at) WHERE state = 'pending';
