"""Reason codes of what could not be stored as a dated report. Stable: operators and tests hold on to them."""

# A whole payload, to dead_letter: core names them (topics.py bad_topic; wire.py payload_too_large,
# payload_empty, too_many_reports, not_json).

# One report, to quarantine. core.wire names the others: schema, unknown_version, ext_too_large.
NOT_JSON = "not_json"
SCHEMA = "schema"
DEVICE_MISMATCH = "device_mismatch"
UNKNOWN_DEVICE = "unknown_device"
REVOKED_DEVICE = "revoked_device"
PARTITION_CAP = "partition_cap"
INTERNAL_ERROR = "internal_error"
DATABASE_PREFIX = "database_"

# One report without a plausible time, to telemetry_undated.
NO_TIME = "no_time"
IMPLAUSIBLE = "implausible"
CLOCK_FUTURE = "clock_future"
CLOCK_PAST = "clock_past"
