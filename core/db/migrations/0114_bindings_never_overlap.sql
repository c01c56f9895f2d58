-- A report belongs to one vehicle. An exclusion constraint would need a contrib extension (btree_gist),
-- so a statement trigger looks; writers of one device wait for each other on its device row.

CREATE FUNCTION refuse_overlapping_bindings() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    culprit text;
BEGIN
    SELECT fresh.device_id INTO culprit
    FROM fresh JOIN device_binding other
      ON other.device_id = fresh.device_id AND other.binding_id <> fresh.binding_id
     AND other.valid_from < fresh.valid_to AND fresh.valid_from < other.valid_to
    LIMIT 1;
    IF culprit IS NOT NULL THEN
        RAISE EXCEPTION 'device % would be in two vehicles at one time', culprit
            USING ERRCODE = 'exclusion_violation', TABLE = 'device_binding';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER binding_overlap_insert AFTER INSERT ON device_binding
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION refuse_overlapping_bindings();
CREATE TRIGGER binding_overlap_update AFTER UPDATE ON device_binding
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION refuse_overlapping_bindings();
