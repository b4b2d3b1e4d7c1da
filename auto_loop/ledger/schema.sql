-- The ledger as it is today. A change here is a new file in migrations/ as well: both must give the same schema.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT;

CREATE TABLE study (
    name       TEXT PRIMARY KEY CHECK (name <> ''),
    pack       TEXT NOT NULL,
    profile    TEXT NOT NULL,
    created_at REAL NOT NULL
) STRICT;

-- A loop's number names its folder, so it is unique over all studies.
CREATE TABLE loop (
    number     INTEGER PRIMARY KEY,
    study      TEXT NOT NULL REFERENCES study (name),
    flags      TEXT NOT NULL,
    started_at REAL NOT NULL,
    ended_at   REAL,
    end_reason TEXT NOT NULL DEFAULT '',
    CHECK ((ended_at IS NULL) = (end_reason = ''))
) STRICT;
CREATE INDEX loop_of_study ON loop (study, number);
CREATE INDEX loop_unfinished ON loop (study, number) WHERE ended_at IS NULL;

-- Counts per loop, kept by the triggers below, so that a snapshot never counts. The rounds up to `decided` have been
-- decided; forks may already wait in the next ones.
CREATE TABLE tally (
    loop   INTEGER PRIMARY KEY REFERENCES loop (number),
    round  INTEGER NOT NULL DEFAULT 0,
    jobs   INTEGER NOT NULL DEFAULT 0,
    queued INTEGER NOT NULL DEFAULT 0 CHECK (queued >= 0),
    active INTEGER NOT NULL DEFAULT 0 CHECK (active >= 0),
    done   INTEGER NOT NULL DEFAULT 0 CHECK (done >= 0),
    decided INTEGER NOT NULL DEFAULT 0 CHECK (decided >= 0),
    CHECK (jobs = queued + active + done)
) STRICT;
CREATE TRIGGER loop_opened AFTER INSERT ON loop BEGIN
    INSERT INTO tally (loop) VALUES (NEW.number);
END;

CREATE TABLE config (
    fingerprint TEXT PRIMARY KEY,
    text        TEXT NOT NULL
) STRICT;

-- A warm job starts from the last checkpoint of another; one that is ahead goes before the rest of the queue.
CREATE TABLE job (
    id          INTEGER PRIMARY KEY,
    loop        INTEGER NOT NULL REFERENCES loop (number),
    round       INTEGER NOT NULL CHECK (round >= 0),
    position    INTEGER NOT NULL CHECK (position >= 1),
    name        TEXT NOT NULL CHECK (name <> ''),
    cfg_file    TEXT NOT NULL,
    config      TEXT NOT NULL REFERENCES config (fingerprint),
    output_dir  TEXT NOT NULL,
    parent      INTEGER REFERENCES job (id),
    parent_cfg  TEXT NOT NULL,
    proposer    TEXT NOT NULL,
    rule        TEXT NOT NULL,
    reason      TEXT NOT NULL,
    changes     TEXT NOT NULL,
    notes       TEXT NOT NULL,
    state       TEXT NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'starting', 'running', 'done')),
    outcome     TEXT CHECK (outcome IN ('succeeded', 'failed', 'stopped', 'cancelled', 'lost')),
    not_before  REAL NOT NULL DEFAULT 0 CHECK (not_before >= 0),
    cause       TEXT NOT NULL DEFAULT '',
    warm_from INTEGER REFERENCES job (id),
    ahead     INTEGER NOT NULL DEFAULT 0 CHECK (ahead IN (0, 1)),
    CHECK ((state = 'done') = (outcome IS NOT NULL)),
    CHECK (cause = '' OR outcome IS 'cancelled'),
    UNIQUE (loop, name),
    UNIQUE (loop, position)
) STRICT;
CREATE INDEX job_of_round ON job (loop, round, state);
CREATE INDEX job_queue ON job (loop, not_before, ahead DESC, position) WHERE state = 'queued';
CREATE INDEX job_active ON job (loop, position) WHERE state IN ('starting', 'running');

CREATE TRIGGER job_added AFTER INSERT ON job BEGIN
    UPDATE tally
    SET round  = max(round, NEW.round),
        jobs   = jobs + 1,
        queued = queued + (NEW.state = 'queued'),
        active = active + (NEW.state IN ('starting', 'running')),
        done   = done + (NEW.state = 'done')
    WHERE loop = NEW.loop;
END;
CREATE TRIGGER job_moved AFTER UPDATE OF state ON job BEGIN
    UPDATE tally
    SET queued = queued + (NEW.state = 'queued') - (OLD.state = 'queued'),
        active = active + (NEW.state IN ('starting', 'running')) - (OLD.state IN ('starting', 'running')),
        done   = done + (NEW.state = 'done') - (OLD.state = 'done')
    WHERE loop = NEW.loop;
END;
CREATE TRIGGER job_kept BEFORE DELETE ON job BEGIN
    SELECT raise(ABORT, 'a job is never deleted');
END;

-- An attempt is open while ended_at is null. Its handle's columns and started_at are set together.
CREATE TABLE attempt (
    id         INTEGER PRIMARY KEY,
    job        INTEGER NOT NULL REFERENCES job (id),
    loop       INTEGER NOT NULL REFERENCES loop (number),
    number     INTEGER NOT NULL CHECK (number >= 1),
    slot       INTEGER NOT NULL CHECK (slot >= 0),
    gpus       TEXT NOT NULL,
    token      TEXT NOT NULL CHECK (token <> ''),
    command    TEXT NOT NULL,
    output_dir TEXT NOT NULL,
    log_file   TEXT NOT NULL,
    claim_file TEXT NOT NULL,
    exit_file  TEXT NOT NULL,
    request    TEXT NOT NULL,
    created_at REAL NOT NULL,
    started_at REAL,
    launcher   TEXT,
    pid        INTEGER,
    start_time INTEGER,
    boot_id    TEXT,
    reference  TEXT,
    ended_at   REAL,
    outcome    TEXT CHECK (outcome IN ('succeeded', 'failed', 'stopped', 'cancelled', 'lost')),
    returncode INTEGER,
    cause      TEXT NOT NULL DEFAULT '',
    log_tail   TEXT NOT NULL DEFAULT '',
    stop_at    REAL,
    stop_cause TEXT CHECK ((stop_cause IS NULL) = (stop_at IS NULL)),
    stop_text  TEXT NOT NULL DEFAULT '' CHECK (stop_text = '' OR stop_at IS NOT NULL),
    stop_grace REAL CHECK ((stop_grace IS NULL) = (stop_at IS NULL)),
    stop_sent  INTEGER NOT NULL DEFAULT 0 CHECK (stop_sent IN (0, stop_at IS NOT NULL)),
    failure    TEXT NOT NULL DEFAULT '' CHECK (failure = '' OR (ended_at IS NOT NULL AND outcome <> 'succeeded')),
    CHECK ((ended_at IS NULL) = (outcome IS NULL)),
    CHECK (ended_at IS NOT NULL OR (returncode IS NULL AND cause = '' AND log_tail = '')),
    CHECK ((started_at IS NULL) = (launcher IS NULL) AND (started_at IS NULL) = (pid IS NULL)
       AND (started_at IS NULL) = (start_time IS NULL) AND (started_at IS NULL) = (boot_id IS NULL)
       AND (started_at IS NULL) = (reference IS NULL)),
    UNIQUE (job, number)
) STRICT;
CREATE UNIQUE INDEX attempt_open_of_job ON attempt (job) WHERE ended_at IS NULL;
CREATE UNIQUE INDEX attempt_open_of_slot ON attempt (loop, slot) WHERE ended_at IS NULL;
CREATE INDEX attempt_of_loop ON attempt (loop);

-- What the trainer logged, in numbers. Config, outcome and log tail are the job's and the attempt's own.
CREATE TABLE summary (
    attempt     INTEGER PRIMARY KEY REFERENCES attempt (id),
    run_dir     TEXT NOT NULL,
    config_file TEXT NOT NULL,
    wandb_url   TEXT NOT NULL,
    metrics     TEXT NOT NULL,
    notes       TEXT NOT NULL
) STRICT;

-- What decisions were made by, beside the runs: the packs' texts, what makes a config another, the types of its fields.
CREATE TABLE rulebook (
    fingerprint TEXT PRIMARY KEY,
    text        TEXT NOT NULL
) STRICT;

-- One asking of the rules, whole: what was seen, so that it can be derived again; or what a confirmation showed.
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

-- `improved` says whether the child was measured to be better than its parent; null while nothing can be said.
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
CREATE INDEX proposal_of_loop ON proposal (loop, id);
CREATE INDEX proposal_waiting ON proposal (loop, id) WHERE verdict = 'waiting';

CREATE TABLE silence (
    id     INTEGER PRIMARY KEY,
    loop   INTEGER NOT NULL REFERENCES loop (number),
    round  INTEGER NOT NULL,
    parent INTEGER NOT NULL REFERENCES job (id),
    cause  TEXT NOT NULL CHECK (cause <> ''),
    detail TEXT NOT NULL,
    UNIQUE (loop, round, parent)
) STRICT;

CREATE TABLE event (
    id     INTEGER PRIMARY KEY,
    loop   INTEGER NOT NULL REFERENCES loop (number),
    job    INTEGER REFERENCES job (id),
    kind   TEXT NOT NULL CHECK (kind <> ''),
    at     REAL NOT NULL,
    detail TEXT NOT NULL
) STRICT;
CREATE INDEX event_of_loop ON event (loop, id);

CREATE TABLE request (
    id          INTEGER PRIMARY KEY,
    study       TEXT NOT NULL REFERENCES study (name),
    kind        TEXT NOT NULL CHECK (kind <> ''),
    payload     TEXT NOT NULL,
    created_at  REAL NOT NULL,
    answered_at REAL,
    answer      TEXT NOT NULL DEFAULT '',
    CHECK (answered_at IS NOT NULL OR answer = '')
) STRICT;
CREATE INDEX request_open ON request (study, id) WHERE answered_at IS NULL;

-- Who drives a study, or did. The flock beside the ledger is the lease; this row says whose, on another host too.
CREATE TABLE supervisor (
    study      TEXT PRIMARY KEY REFERENCES study (name),
    host       TEXT NOT NULL,
    boot_id    TEXT NOT NULL,
    pid        INTEGER NOT NULL,
    start_time INTEGER NOT NULL,
    since      REAL NOT NULL,
    ended_at   REAL
) STRICT;

-- The slots of a loop as its supervisor last saw them; cause says why one is idle, and is empty while a job holds it.
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

-- Why a config file exists, by its fingerprint: what generate_and_run remembers until a loop launches it.
CREATE TABLE origin (
    fingerprint TEXT PRIMARY KEY,
    parent      INTEGER REFERENCES job (id),
    parent_cfg  TEXT NOT NULL,
    proposer    TEXT NOT NULL,
    rule        TEXT NOT NULL,
    reason      TEXT NOT NULL,
    changes     TEXT NOT NULL,
    notes       TEXT NOT NULL
) STRICT;

CREATE VIEW job_whole AS
SELECT job.*, loop.study AS study, config.text AS text
FROM job
JOIN loop ON loop.number = job.loop
JOIN config ON config.fingerprint = job.config;

INSERT INTO meta (key, value) VALUES ('schema_version', 3);
