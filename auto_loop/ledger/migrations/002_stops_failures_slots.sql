ALTER TABLE attempt ADD COLUMN stop_at    REAL;
ALTER TABLE attempt ADD COLUMN stop_cause TEXT CHECK ((stop_cause IS NULL) = (stop_at IS NULL));
ALTER TABLE attempt ADD COLUMN stop_text  TEXT NOT NULL DEFAULT '' CHECK (stop_text = '' OR stop_at IS NOT NULL);
ALTER TABLE attempt ADD COLUMN stop_grace REAL CHECK ((stop_grace IS NULL) = (stop_at IS NULL));
ALTER TABLE attempt ADD COLUMN stop_sent  INTEGER NOT NULL DEFAULT 0 CHECK (stop_sent IN (0, stop_at IS NOT NULL));
ALTER TABLE attempt ADD COLUMN failure    TEXT NOT NULL DEFAULT ''
    CHECK (failure = '' OR (ended_at IS NOT NULL AND outcome <> 'succeeded'));

CREATE TABLE supervisor (
    study      TEXT PRIMARY KEY REFERENCES study (name),
    host       TEXT NOT NULL,
    boot_id    TEXT NOT NULL,
    pid        INTEGER NOT NULL,
    start_time INTEGER NOT NULL,
    since      REAL NOT NULL,
    ended_at   REAL
) STRICT;

CREATE TABLE slot (
    loop    INTEGER NOT NULL REFERENCES loop (number),
    slot    INTEGER NOT NULL CHECK (slot >= 0),
    place   TEXT NOT NULL,
    gpus    TEXT NOT NULL,
    numbers TEXT NOT NULL,
    cause   TEXT NOT NULL,
    since   REAL NOT NULL,
    PRIMARY KEY (loop, slot)
) STRICT;

UPDATE meta SET value = 2 WHERE key = 'schema_version';
