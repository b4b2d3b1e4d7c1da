DROP VIEW job_whole;

-- A warm job starts from the last checkpoint of another; one that is ahead goes before the rest of the queue.
ALTER TABLE job ADD COLUMN warm_from INTEGER REFERENCES job (id);
ALTER TABLE job ADD COLUMN ahead     INTEGER NOT NULL DEFAULT 0 CHECK (ahead IN (0, 1));
DROP INDEX job_queue;
CREATE INDEX job_queue ON job (loop, not_before, ahead DESC, position) WHERE state = 'queued';

-- The rounds up to this one have been decided; forks may already wait in the next ones.
ALTER TABLE tally ADD COLUMN decided INTEGER NOT NULL DEFAULT 0 CHECK (decided >= 0);
UPDATE tally
SET decided = CASE WHEN (SELECT ended_at FROM loop WHERE loop.number = tally.loop) IS NULL
                   THEN max(round - 1, 0) ELSE round END;

CREATE TABLE rulebook (
    fingerprint TEXT PRIMARY KEY,
    text        TEXT NOT NULL
) STRICT;

CREATE TABLE decision (
    id       INTEGER PRIMARY KEY,
    loop     INTEGER NOT NULL REFERENCES loop (number),
    round    INTEGER NOT NULL CHECK (round >= 0),
    kind     TEXT NOT NULL CHECK (kind <> ''),
    at       REAL NOT NULL,
    rulebook TEXT REFERENCES rulebook (fingerprint),
    detail   TEXT NOT NULL
) STRICT;
CREATE INDEX decision_of_loop ON decision (loop, id);
CREATE TRIGGER round_decided AFTER INSERT ON decision WHEN NEW.kind = 'round' BEGIN
    UPDATE tally SET decided = max(decided, NEW.round) WHERE loop = NEW.loop;
END;

ALTER TABLE proposal RENAME TO proposal_before;
CREATE TABLE proposal (
    id          INTEGER PRIMARY KEY,
    loop        INTEGER NOT NULL REFERENCES loop (number),
    round       INTEGER NOT NULL,
    parent      INTEGER NOT NULL REFERENCES job (id),
    verdict     TEXT NOT NULL CHECK (verdict IN ('accepted', 'refused', 'no place', 'waiting')),
    child       INTEGER UNIQUE REFERENCES job (id),
    changes     TEXT NOT NULL,
    reason      TEXT NOT NULL,
    rule        TEXT NOT NULL,
    proposer    TEXT NOT NULL,
    priority    INTEGER NOT NULL,
    purpose     TEXT NOT NULL,
    evidence    TEXT NOT NULL,
    edits       TEXT NOT NULL,
    reasons     TEXT NOT NULL,
    predictions TEXT NOT NULL DEFAULT '{}',
    decision    INTEGER REFERENCES decision (id),
    improved    INTEGER CHECK (improved IS NULL OR (improved IN (0, 1) AND child IS NOT NULL)),
    CHECK (child IS NULL OR verdict = 'accepted')
) STRICT;
INSERT INTO proposal (id, loop, round, parent, verdict, child, changes, reason, rule, proposer, priority, purpose,
                      evidence, edits, reasons)
SELECT id, loop, round, parent, verdict, child, changes, reason, rule, proposer, priority, purpose,
       evidence, edits, reasons
FROM proposal_before;
DROP TABLE proposal_before;
CREATE INDEX proposal_of_loop ON proposal (loop, id);
CREATE INDEX proposal_waiting ON proposal (loop, id) WHERE verdict = 'waiting';

CREATE VIEW job_whole AS
SELECT job.*, loop.study AS study, config.text AS text
FROM job
JOIN loop ON loop.number = job.loop
JOIN config ON config.fingerprint = job.config;

UPDATE meta SET value = 3 WHERE key = 'schema_version';
