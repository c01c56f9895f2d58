-- From the case to the yard: why a vehicle may be taken, who went, what came in, who had a link.
-- The alerts room owns these. All times are database time.

ALTER TABLE case_file DROP CONSTRAINT case_file_state_check;
ALTER TABLE case_file
    ADD CONSTRAINT case_file_state_check
        CHECK (state IN ('new', 'locating', 'dispatched', 'recovered', 'in_yard', 'released', 'closed')),
    ADD COLUMN recovered_at timestamptz,
    ADD COLUMN in_yard_at   timestamptz,
    ADD COLUMN released_at  timestamptz;

ALTER TABLE case_entry DROP CONSTRAINT case_entry_kind_check;
ALTER TABLE case_entry ADD CONSTRAINT case_entry_kind_check
    CHECK (kind IN ('opened', 'note', 'contact', 'alert_added', 'closed', 'state', 'ground', 'ground_decided',
                    'ground_withdrawn', 'photo', 'intake', 'belonging', 'belonging_returned', 'crew_link',
                    'crew_link_revoked', 'warning'));

CREATE TABLE recovery_ground (
    ground_id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    case_id          uuid NOT NULL REFERENCES case_file,
    kind             text NOT NULL CHECK (kind IN ('voluntary_handover', 'court_order', 'approved_lease_recovery')),
    reference        text NOT NULL CHECK (reference <> ''),
    document_sha256  bytea CHECK (length(document_sha256) = 32),
    dated            date NOT NULL,
    recorded_by      text NOT NULL,
    recorded_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    approved_by      text CHECK (approved_by <> recorded_by),
    approved_at      timestamptz,
    refused_by       text CHECK (refused_by <> recorded_by),
    refused_at       timestamptz,
    decision_note    text NOT NULL DEFAULT '',
    withdrawn_by     text,
    withdrawn_at     timestamptz,
    withdrawn_why    text,
    CHECK (approved_by IS NULL OR refused_by IS NULL),
    CHECK (kind = 'approved_lease_recovery' OR approved_by IS NULL AND refused_by IS NULL)
);
COMMENT ON TABLE recovery_ground IS 'Why a vehicle may be taken. Rows are decided or withdrawn, never deleted.';
COMMENT ON COLUMN recovery_ground.document_sha256 IS 'Digest of the signed paper, which the lender''s records keep.';
CREATE INDEX recovery_ground_case ON recovery_ground (case_id, ground_id);

CREATE TABLE recovery_dispatch (
    dispatch_id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    case_id          uuid NOT NULL REFERENCES case_file,
    ground_id        bigint NOT NULL REFERENCES recovery_ground,
    crew             text NOT NULL CHECK (crew <> ''),
    partner          text NOT NULL DEFAULT '',
    visit_from       timestamptz,
    visit_until      timestamptz,
    dispatched_by    text NOT NULL,
    dispatched_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at         timestamptz,
    ended_by         text,
    outcome          text CHECK (outcome IN ('recovered', 'resistance', 'not_found', 'blocked', 'third_party',
                                             'unsafe', 'called_off', 'ground_withdrawn', 'other')),
    outcome_note     text NOT NULL DEFAULT '',
    odometer_km      double precision CHECK (odometer_km >= 0),
    place            text NOT NULL DEFAULT '',
    CHECK ((visit_from IS NULL) = (visit_until IS NULL)),
    CHECK (visit_from < visit_until),
    CHECK ((ended_at IS NULL) = (outcome IS NULL))
);
CREATE UNIQUE INDEX recovery_dispatch_out ON recovery_dispatch (case_id) WHERE ended_at IS NULL;
CREATE INDEX recovery_dispatch_case ON recovery_dispatch (case_id, dispatch_id);

CREATE TABLE yard (
    yard_id          text PRIMARY KEY CHECK (yard_id ~ '^[A-Za-z0-9_-]{1,32}$'),
    name             text NOT NULL CHECK (name <> ''),
    org_id           text NOT NULL DEFAULT 'head' REFERENCES org_unit,
    lat              double precision NOT NULL CHECK (lat BETWEEN -90 AND 90),
    lon              double precision NOT NULL CHECK (lon BETWEEN -180 AND 180),
    address          text NOT NULL DEFAULT '',
    updated_at       timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE yard IS 'Where recovered vehicles stand; WGS-84.';

CREATE TABLE yard_intake (
    case_id                  uuid PRIMARY KEY REFERENCES case_file,
    yard_id                  text NOT NULL REFERENCES yard,
    odometer_km              double precision NOT NULL CHECK (odometer_km >= 0),
    keys_count               integer NOT NULL CHECK (keys_count BETWEEN 0 AND 20),
    registration_certificate boolean NOT NULL,
    condition_note           text NOT NULL DEFAULT '',
    no_belongings            boolean NOT NULL DEFAULT false,
    handed_by                text NOT NULL CHECK (handed_by <> ''),
    received_by              text NOT NULL CHECK (received_by <> ''),
    recorded_by              text NOT NULL,
    at                       timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON COLUMN yard_intake.no_belongings IS 'Said to be empty by whoever looked; silence is not an inventory.';

CREATE TABLE case_photo (
    photo_id         uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    case_id          uuid NOT NULL REFERENCES case_file,
    kind             text NOT NULL CHECK (kind IN ('front', 'rear', 'left', 'right', 'interior', 'odometer', 'keys',
                                                   'damage', 'belongings', 'document', 'other')),
    content_type     text NOT NULL CHECK (content_type IN ('image/jpeg', 'image/png', 'image/webp')),
    content          bytea NOT NULL CHECK (length(content) <= 8388608),
    width            integer NOT NULL CHECK (width > 0),
    height           integer NOT NULL CHECK (height > 0),
    sha256           bytea NOT NULL CHECK (length(sha256) = 32),
    taken_at         timestamptz,
    uploaded_by      text NOT NULL,
    uploaded_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (case_id, sha256)
);
COMMENT ON COLUMN case_photo.content IS 'Without EXIF, XMP, comments and trailing data: no place, no owner''s name travels along.';
COMMENT ON COLUMN case_photo.sha256 IS 'Of what was uploaded, before cleaning: the same picture twice is one.';
ALTER TABLE case_photo ALTER COLUMN content SET STORAGE EXTERNAL;

CREATE TABLE case_belonging (
    belonging_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    case_id          uuid NOT NULL REFERENCES case_file,
    item             text NOT NULL CHECK (item <> ''),
    quantity         integer NOT NULL CHECK (quantity BETWEEN 1 AND 9999),
    recorded_by      text NOT NULL,
    recorded_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    returned_at      timestamptz,
    returned_to      text,
    returned_by      text,
    CHECK ((returned_at IS NULL) = (returned_to IS NULL))
);
CREATE INDEX case_belonging_case ON case_belonging (case_id, belonging_id);

CREATE TABLE case_release (
    case_id          uuid PRIMARY KEY REFERENCES case_file,
    kind             text NOT NULL CHECK (kind IN ('released', 'redeemed')),
    reason           text NOT NULL CHECK (reason <> ''),
    handed_to        text NOT NULL DEFAULT '',
    released_by      text NOT NULL,
    released_at      timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE crew_link (
    link_id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    token_sha256     bytea NOT NULL UNIQUE CHECK (length(token_sha256) = 32),
    case_id          uuid NOT NULL REFERENCES case_file,
    crew             text NOT NULL CHECK (crew <> ''),
    created_by       text NOT NULL,
    created_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at       timestamptz NOT NULL,
    revoked_at       timestamptz,
    revoked_by       text,
    CHECK (expires_at <= created_at + interval '72 hours 1 minute')
);
COMMENT ON TABLE crew_link IS 'A phone page for one visit: 256 random bits of which only the SHA-256 is kept.';
CREATE INDEX crew_link_case ON crew_link (case_id, link_id);

CREATE TABLE crew_link_view (
    view_id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    link_id          bigint NOT NULL REFERENCES crew_link,
    at               timestamptz NOT NULL DEFAULT clock_timestamp(),
    ip               text NOT NULL,
    what             text NOT NULL
);
COMMENT ON TABLE crew_link_view IS 'Append-only: every time a link was used, also when it was refused.';
CREATE INDEX crew_link_view_link ON crew_link_view (link_id, view_id);
