"""The files that keeper, runner and house exchange: which fields each holds and what they mean.

All are JSON, UTF-8, one object; all but the request are written aside and appear whole. Times are unix seconds.
`keeper.py` does not import this module (it costs start-up time); the tests hold it to these tuples.

Request (the house sends it by `forkserver.py`, or it is a file for `keeper.py REQUEST`):

    attempt    id of the attempt, copied into the exit
    token      secret-free random text; goes into the job's environment as AUTO_LOOP_TOKEN, so that strays can be found
    argv       the command; its first word is looked up on env's PATH if it has no slash
    env        the whole environment of the command; null: the keeper's own
    cwd        working folder of the command
    log_file   opened for appending as stdout and stderr of the command; stdin is /dev/null
    claim      path of the claim: made by link(), so that one of keeper, second keeper and tombstone wins
    exit       path of the exit
    inner      path of the inner cause, goes into the environment as AUTO_LOOP_INNER; may be missing or null
    lock_fds   inherited descriptors to hold open, and to keep from the command; may be missing
    linger_s   how long descendants may outlive the command before the keeper kills them; missing or null: for ever. The
               service of wandb 0.16 outlives a killed trainer for ever, in its own session, its environment blanked

Launch, through the socket pair that is descriptor 0 of `forkserver.py` (unix, packets): the server says `ready` once;
then each packet is one launch, its byte without meaning, its SCM_RIGHTS descriptors the talk of that launch (a stream
socket) and those that the keeper holds. On the talk comes the request, to the end of what is sent, and the answer, one
line of JSON, as soon as the claim is decided:

    code       0 claimed, 111 and 112 as below
    error      why there is no claim, else null
    claim      the claim as it was made, else null

The talk's end without an answer means that the keeper, or before it the server, was killed: the claim's file tells
which of both, claimed or never to be, is the case.

Claim: pid, start_time (field 22 of /proc/<pid>/stat), boot_id, token. A keeper that finds a claim (or a tombstone) in
its place runs nothing and ends with 111; one that cannot make a claim at all, or cannot read its request, ends with
112. After a claim the keeper always ends with 0, and what happened is in the exit.

Exit: written when the keeper has no child left, not when the command ended:

    attempt, token     as in the request
    returncode         of the command; negative: the signal that killed it; 127 not found, 126 could not be started
    signal             that signal's number, else null
    error              why the command could not be started, else null
    started_at         when the command was started
    leader_ended_at    when the command itself ended
    ended_at           when the last of its descendants had ended
    leftover           true if descendants were alive when the command ended
    inner              the earliest inner cause of all ranks, else null

Inner cause (`run.py` writes it; the main process to the path itself, rank k > 0 to `<path>.rank<k>`):

    type, message      of the exception that nobody caught; SystemExit when the script itself asked for a code not 0
    traceback          the end of what python printed
    exit_code          what python ends with, as far as it can be known before
    signal             SIGTERM if that was what made the script end, else null
    rank               RANK of the process, 0 without one
    pid, at            which process, and when

To stop an attempt, signal the keeper's process group (SIGTERM: the keeper ignores it); never SIGKILL the group, which
would kill the keeper and lose the exit: kill its descendants.

A row of `wandb-history.jsonl` (`mirror.py` writes it): one log call, not one step, so rows are merged by `_step`, the
later wins. `_step`, `_runtime`, `_timestamp`, then the metrics as they were passed: nested mappings stay nested, NaN
and Infinity are bare as Python's json writes them, media are `{"_type": ...}`. `_late: true` marks a row that wandb
dropped because its step had passed.
"""

REQUEST_FIELDS = (
    "attempt",
    "token",
    "argv",
    "env",
    "cwd",
    "log_file",
    "claim",
    "exit",
    "inner",
    "lock_fds",
    "linger_s",
)
ANSWER_FIELDS = ("code", "error", "claim")
CLAIM_FIELDS = ("pid", "start_time", "boot_id", "token")
EXIT_FIELDS = (
    "attempt",
    "token",
    "returncode",
    "signal",
    "error",
    "started_at",
    "leader_ended_at",
    "ended_at",
    "leftover",
    "inner",
)
INNER_FIELDS = ("type", "message", "traceback", "exit_code", "signal", "rank", "pid", "at")
ROW_FIELDS = ("_step", "_runtime", "_timestamp")
LATE = "_late"
CLAIM_TAKEN = 111
CANNOT_CLAIM = 112
