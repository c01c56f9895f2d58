-- A snapshot dated by day holds that whole day's payments, yet any later word of the same day is newer.
-- So what it covers is kept apart from when it was taken; NULL: up to the moment it was taken.
ALTER TABLE loan ADD COLUMN snapshot_covers_until timestamptz;
