-- Every statement of the ledger, by its name. Parameters are named; the rooms' code holds no SQL.

-- name: ensure_study
INSERT INTO study (name, pack, profile, created_at) VALUES (:name, :pack, :profile, :created_at)
ON CONFLICT (name) DO UPDATE SET pack = excluded.pack, profile = excluded.profile;

-- name: study
SELECT * FROM study WHERE name = :name;

-- name: studies
SELECT * FROM study ORDER BY created_at, name;

-- name: open_loop
INSERT INTO loop (number, study, flags, started_at) VALUES (:number, :study, :flags, :started_at);

-- name: close_loop
UPDATE loop SET ended_at = :ended_at, end_reason = :reason
WHERE number = :number AND study = :study AND ended_at IS NULL;

-- name: loop
SELECT * FROM loop WHERE number = :number AND study = :study;

-- name: loops
SELECT * FROM loop WHERE study = :study ORDER BY number;

-- name: unfinished_loop
SELECT * FROM loop WHERE study = :study AND ended_at IS NULL ORDER BY number DESC LIMIT 1;

-- name: last_loop_number
SELECT max(number) AS number FROM loop;

-- name: tally
SELECT * FROM tally WHERE loop = :loop;

-- name: add_config
INSERT INTO config (fingerprint, text) VALUES (:fingerprint, :text) ON CONFLICT (fingerprint) DO NOTHING;

-- name: add_job
INSERT INTO job (loop, round, position, name, cfg_file, config, output_dir,
                 parent, parent_cfg, proposer, rule, reason, changes, notes, warm_from, ahead)
SELECT tally.loop, :round, tally.jobs + 1, :name, :cfg_file, :config, :output_dir,
       :parent, :parent_cfg, :proposer, :rule, :reason, :changes, :notes, :warm_from, :ahead
FROM tally JOIN loop ON loop.number = tally.loop
WHERE tally.loop = :loop AND loop.study = :study AND loop.ended_at IS NULL
RETURNING id;

-- name: job_starting
UPDATE job SET state = 'starting', not_before = 0 WHERE id = :job AND state = 'queued';

-- name: job_running
UPDATE job SET state = 'running' WHERE id = :job AND state = 'starting';

-- name: job_done
UPDATE job SET state = 'done', outcome = :outcome WHERE id = :job AND state IN ('starting', 'running');

-- name: job_cancelled
UPDATE job SET state = 'done', outcome = 'cancelled', cause = :cause WHERE id = :job AND state = 'queued';

-- name: job_requeued
UPDATE job SET state = 'queued', outcome = NULL, cause = '', not_before = :not_before
WHERE id = :job AND state = 'done' AND outcome <> 'succeeded';

-- name: start_attempt
INSERT INTO attempt (job, loop, number, slot, gpus, token, command, output_dir, log_file, claim_file, exit_file,
                     request, created_at)
SELECT job.id, job.loop, 1 + coalesce((SELECT max(number) FROM attempt WHERE attempt.job = :job), 0),
       :slot, :gpus, :token, :command, :output_dir, :log_file, :claim_file, :exit_file, :request, :created_at
FROM job WHERE job.id = :job
RETURNING id;

-- name: mark_running
UPDATE attempt
SET started_at = :started_at, launcher = :launcher, pid = :pid, start_time = :start_time, boot_id = :boot_id,
    reference = :reference
WHERE id = :attempt AND started_at IS NULL AND ended_at IS NULL
RETURNING job;

-- name: ask_to_stop
UPDATE attempt SET stop_at = :at, stop_cause = :cause, stop_text = :text, stop_grace = :grace
WHERE id = :attempt AND ended_at IS NULL;

-- name: stop_sent
UPDATE attempt SET stop_sent = 1 WHERE id = :attempt AND stop_at IS NOT NULL;

-- name: finish_attempt
UPDATE attempt
SET ended_at = :ended_at, outcome = :outcome, returncode = :returncode, failure = :failure, cause = :cause,
    log_tail = :log_tail
WHERE id = :attempt AND ended_at IS NULL
RETURNING job;

-- name: record_summary
INSERT INTO summary (attempt, run_dir, config_file, wandb_url, metrics, notes)
VALUES (:attempt, :run_dir, :config_file, :wandb_url, :metrics, :notes)
ON CONFLICT (attempt) DO UPDATE
SET run_dir = excluded.run_dir, config_file = excluded.config_file, wandb_url = excluded.wandb_url,
    metrics = excluded.metrics, notes = excluded.notes;

-- name: record_proposal
INSERT INTO proposal (loop, round, parent, verdict, child, changes, reason, rule, proposer, priority, purpose,
                      evidence, edits, reasons, predictions, decision)
VALUES (:loop, :round, :parent, :verdict, :child, :changes, :reason, :rule, :proposer, :priority, :purpose,
        :evidence, :edits, :reasons, :predictions, :decision);

-- name: waiting_proposals
SELECT * FROM proposal WHERE loop = :loop AND verdict = 'waiting' AND id > :after ORDER BY id;

-- name: count_waiting
SELECT count(*) AS number FROM proposal WHERE loop = :loop AND verdict = 'waiting';

-- name: settle_proposal
UPDATE proposal SET verdict = :verdict, child = :child, edits = :edits, reasons = :reasons
WHERE id = :proposal AND verdict = 'waiting';

-- name: record_improved
UPDATE proposal SET improved = :improved WHERE child = :child;

-- name: track_records
SELECT rule, count(*) AS fired, count(child) AS accepted, count(improved) AS measured,
       coalesce(sum(improved), 0) AS improved
FROM loop CROSS JOIN proposal ON proposal.loop = loop.number
WHERE loop.study = :study AND rule <> '' GROUP BY rule ORDER BY rule;

-- name: add_rulebook
INSERT INTO rulebook (fingerprint, text) VALUES (:fingerprint, :text) ON CONFLICT (fingerprint) DO NOTHING;

-- name: rulebook
SELECT text FROM rulebook WHERE fingerprint = :fingerprint;

-- name: record_decision
INSERT INTO decision (loop, round, kind, at, rulebook, detail)
VALUES (:loop, :round, :kind, :at, :rulebook, :detail)
RETURNING id;

-- name: decisions_of_study
SELECT decision.* FROM loop JOIN decision ON decision.loop = loop.number
WHERE loop.study = :study ORDER BY decision.id;

-- name: decisions_of_kind
SELECT decision.* FROM loop JOIN decision ON decision.loop = loop.number
WHERE loop.study = :study AND decision.kind = :kind ORDER BY decision.id;

-- name: record_silence
INSERT INTO silence (loop, round, parent, cause, detail) VALUES (:loop, :round, :parent, :cause, :detail);

-- name: record_event
INSERT INTO event (loop, job, kind, at, detail) VALUES (:loop, :job, :kind, :at, :detail);

-- name: remember_origin
INSERT INTO origin (fingerprint, parent, parent_cfg, proposer, rule, reason, changes, notes)
VALUES (:fingerprint, :parent, :parent_cfg, :proposer, :rule, :reason, :changes, :notes)
ON CONFLICT (fingerprint) DO UPDATE
SET parent = excluded.parent, parent_cfg = excluded.parent_cfg, proposer = excluded.proposer, rule = excluded.rule,
    reason = CASE WHEN excluded.reason = '' AND excluded.changes = changes THEN reason ELSE excluded.reason END,
    changes = excluded.changes, notes = excluded.notes;

-- name: origin_of
SELECT * FROM origin WHERE fingerprint = :fingerprint;

-- name: job
SELECT * FROM job_whole WHERE id = :job;

-- name: active_jobs
SELECT * FROM job_whole WHERE loop = :loop AND state IN ('starting', 'running') ORDER BY position;

-- name: queue_head
SELECT * FROM job_whole WHERE loop = :loop AND state = 'queued' ORDER BY not_before, ahead DESC, position LIMIT :head;

-- name: jobs_of_round
SELECT * FROM job_whole WHERE loop = :loop AND round = :round ORDER BY position;

-- name: jobs_of_study
SELECT * FROM job_whole WHERE study = :study ORDER BY id;

-- name: configs_of_study
SELECT job.id, job.config FROM loop CROSS JOIN job ON job.loop = loop.number WHERE loop.study = :study;

-- name: open_jobs_of_study
SELECT job_whole.* FROM loop
CROSS JOIN job_whole ON job_whole.loop = loop.number AND job_whole.state IN ('starting', 'running')
WHERE loop.study = :study ORDER BY job_whole.id;

-- name: unread_jobs_of_study
SELECT job_whole.* FROM loop
CROSS JOIN attempt ON attempt.loop = loop.number
CROSS JOIN job_whole ON job_whole.id = attempt.job AND job_whole.state = 'done'
WHERE loop.study = :study AND NOT EXISTS (SELECT 1 FROM summary WHERE summary.attempt = attempt.id)
  AND attempt.number = (SELECT max(number) FROM attempt AS other WHERE other.job = attempt.job)
ORDER BY job_whole.id;

-- name: outcomes_of_loop
SELECT name, outcome FROM job WHERE loop = :loop ORDER BY position;

-- name: attempts_of_job
SELECT * FROM attempt WHERE job = :job ORDER BY number;

-- name: attempts_of_study
SELECT attempt.* FROM loop JOIN attempt ON attempt.loop = loop.number
WHERE loop.study = :study ORDER BY attempt.job, attempt.number;

-- name: attempt_request
SELECT request FROM attempt WHERE id = :attempt;

-- name: summaries_of_study
SELECT summary.*, attempt.job FROM loop
JOIN attempt ON attempt.loop = loop.number
JOIN summary ON summary.attempt = attempt.id
WHERE loop.study = :study ORDER BY attempt.job, attempt.number;

-- name: summaries_of_job
SELECT summary.*, attempt.job FROM attempt JOIN summary ON summary.attempt = attempt.id
WHERE attempt.job = :job ORDER BY attempt.number;

-- name: proposals_of_study
SELECT proposal.* FROM loop JOIN proposal ON proposal.loop = loop.number
WHERE loop.study = :study ORDER BY proposal.id;

-- name: silences_of_study
SELECT silence.* FROM loop JOIN silence ON silence.loop = loop.number
WHERE loop.study = :study ORDER BY silence.id;

-- name: rounds
SELECT round, sum(state = 'queued') AS queued, sum(state IN ('starting', 'running')) AS active,
       sum(state = 'done') AS done
FROM job WHERE loop = :loop GROUP BY round ORDER BY round;

-- name: queued_in_round
SELECT count(*) AS number FROM job WHERE loop = :loop AND round = :round AND state = 'queued';

-- name: configs_tried
SELECT fingerprint FROM config
WHERE fingerprint IN (
    SELECT job.config FROM loop CROSS JOIN job ON job.loop = loop.number
    WHERE loop.study = :study
      AND (loop.number = :loop
        OR (job.state <> 'queued' AND (job.outcome IS NULL OR job.outcome NOT IN ('cancelled', 'lost'))))
)
ORDER BY rowid;

-- name: launches_tried
SELECT job.config, job.loop, job.warm_from FROM loop CROSS JOIN job ON job.loop = loop.number
WHERE loop.study = :study
  AND (loop.number = :loop
    OR (job.state <> 'queued' AND (job.outcome IS NULL OR job.outcome NOT IN ('cancelled', 'lost'))))
GROUP BY job.config, job.loop, job.warm_from
ORDER BY min(job.id);

-- name: events
SELECT event.*, loop.study FROM event JOIN loop ON loop.number = event.loop
WHERE event.loop = :loop AND event.id > :after ORDER BY event.id LIMIT :count;

-- name: add_request
INSERT INTO request (study, kind, payload, created_at)
SELECT name, :kind, :payload, :created_at FROM study WHERE name = :study
RETURNING id;

-- name: open_requests
SELECT * FROM request WHERE study = :study AND answered_at IS NULL ORDER BY id;

-- name: request
SELECT * FROM request WHERE id = :request;

-- name: answer_request
UPDATE request SET answered_at = :answered_at, answer = :answer WHERE id = :request AND answered_at IS NULL;

-- name: ensure_supervisor
INSERT INTO supervisor (study, host, boot_id, pid, start_time, since)
VALUES (:study, :host, :boot_id, :pid, :start_time, :since)
ON CONFLICT (study) DO UPDATE
SET host = excluded.host, boot_id = excluded.boot_id, pid = excluded.pid, start_time = excluded.start_time,
    since = excluded.since, ended_at = NULL;

-- name: supervisor_left
UPDATE supervisor SET ended_at = :ended_at WHERE study = :study AND ended_at IS NULL;

-- name: supervisor
SELECT * FROM supervisor WHERE study = :study;

-- name: record_slot
INSERT INTO slot (loop, slot, place, gpus, numbers, cause, since)
VALUES (:loop, :slot, :place, :gpus, :numbers, :cause, :since)
ON CONFLICT (loop, slot) DO UPDATE
SET place = excluded.place, gpus = excluded.gpus, numbers = excluded.numbers, cause = excluded.cause,
    since = excluded.since;

-- name: drop_slots
DELETE FROM slot WHERE loop = :loop;

-- name: slots
SELECT * FROM slot WHERE loop = :loop ORDER BY slot;

-- name: job_named
SELECT job_whole.* FROM job_whole WHERE name = :name AND (:study IS NULL OR study = :study) ORDER BY loop DESC LIMIT 1;

-- name: ahead_of
SELECT count(*) AS number FROM job
WHERE loop = :loop AND state = 'queued' AND (not_before, -ahead, position) < (:not_before, -:ahead, :position);

-- name: children_of_job
SELECT * FROM job_whole WHERE loop = :loop AND parent = :job ORDER BY position;

-- name: children_in_round
SELECT * FROM job_whole WHERE loop = :loop AND round = :round AND parent = :job ORDER BY position;

-- name: firsts_of_round
SELECT job.parent, job.config, made_of.config AS parent_config, coalesce(proposal.purpose, '') AS purpose
FROM job LEFT JOIN job AS made_of ON made_of.id = job.parent LEFT JOIN proposal ON proposal.child = job.id
WHERE job.loop = :loop AND job.round = :round AND job.proposer NOT IN ('repeat', 'confirmation', 'remedy')
ORDER BY job.position;

-- name: not_asked_about
SELECT * FROM job_whole
WHERE loop = :loop AND state = 'done' AND outcome <> 'cancelled'
  AND proposer NOT IN ('repeat', 'confirmation', 'remedy') -- of a cell its first job speaks for all of them
  AND id NOT IN (SELECT parent FROM silence WHERE loop = :loop)
  AND id NOT IN (SELECT proposal.parent FROM proposal JOIN decision ON decision.id = proposal.decision
                 WHERE proposal.loop = :loop AND decision.kind = 'job')
ORDER BY position;

-- name: is_read
SELECT 1 AS found FROM summary WHERE attempt = :attempt;

-- name: config
SELECT text FROM config WHERE fingerprint = :fingerprint;

-- name: replaced_in_loop
SELECT failed.name FROM job JOIN job AS failed ON failed.id = job.parent
WHERE job.loop = :loop AND job.proposer = 'remedy';
