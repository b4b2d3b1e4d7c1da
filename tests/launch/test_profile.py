import pytest

from auto_loop.domain.errors import MisuseError
from auto_loop.domain.failure import Failure
from auto_loop.launch.profile import Starter, Style
from auto_loop.launch.profile_text import common_failures, parse_profile, shipped_profile, shipped_profile_names


def test_shipped_profiles_all_read() -> None:
    assert shipped_profile_names() == ("accelerate-script", "act_ot", "lerobot", "script")
    for name in shipped_profile_names():
        assert shipped_profile(name).name == name


def test_what_the_shipped_ones_say() -> None:
    act, lerobot, script = map(shipped_profile, ("act_ot", "lerobot", "script"))
    assert act.target.shipped == "trainers/act/train.py"
    assert act.starter is lerobot.starter is Starter.ACCELERATE
    assert lerobot.target.files == ("src/lerobot/scripts/lerobot_train.py",)
    assert lerobot.always == {"policy.push_to_hub": False}
    assert lerobot.eval_freq == ("eval_freq", "eval_steps")
    assert script.starter is Starter.PYTHON
    assert script.device == script.wandb.mode == ""


def test_where_the_seed_is_and_whether_it_pairs_the_batches() -> None:
    act, script = shipped_profile("act_ot"), shipped_profile("script")
    assert (act.seed, act.paired_streams, script.seed, script.paired_streams) == ("seed", True, "seed", False)
    assert parse_profile('[config]\nseed = ""').seed == ""
    assert parse_profile('[config]\nseed = "train.seed"\npaired_streams = true').paired_streams
    for text in ("a..b", "runs.*.seed", " "):
        with pytest.raises(MisuseError, match=r"p:2: .* is not the path of one value"):
            parse_profile(f"[config]\nseed = {text!r}", "p")


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(MisuseError, match=r"no profile is called 'lerobt'.*act_ot, lerobot, script"):
        shipped_profile("lerobt")


def test_defaults_of_an_empty_profile() -> None:
    made = parse_profile("", "mine")
    assert (made.name, made.starter, made.style, made.steps) == ("mine", Starter.ACCELERATE, Style.DRACCUS, ("steps",))


def test_a_key_can_have_other_names_or_none() -> None:
    made = parse_profile('[keys]\nsteps = "trainer.max_steps"\nlog_freq = ""\neval_freq = ["a", "b"]')
    assert (made.steps, made.log_freq, made.eval_freq) == (("trainer.max_steps",), (), ("a", "b"))


def test_broken_toml_points_into_the_text() -> None:
    with pytest.raises(MisuseError) as caught:
        parse_profile('starter = "python"\n[config\nstyle = 1', "p.toml")
    assert "p.toml:2: not TOML" in str(caught.value)
    assert "    [config\n           ^" in str(caught.value)


def test_every_fault_at_once_with_its_line() -> None:
    text = """starter = "slurm"
colour = "red"

[config]
style = "xml"
class = "no class"
int_fields = ["a", 3]

[keys]
step = "steps"

[device]
key = 5

[[failure]]
name = "oom"
pattern = "("
"""
    with pytest.raises(MisuseError) as caught:
        parse_profile(text, "p")
    said = {fault.where: fault.what for fault in caught.value.faults}
    assert said["p:1"] == "starter = 'slurm' is none of: accelerate, torchrun, python"
    assert said["p:2"] == "unknown key 'colour'"
    assert said["p:5"] == "style = 'xml' is none of: draccus, flags, hydra, json, yaml"
    assert said["p:6"] == "'no class' is not module:Class or file.py:Class"
    assert said["p:7"] == "int_fields must be a list of texts"
    assert said["p:10"] == "unknown key 'step' in [keys]"
    assert said["p:13"] == "key must be a text, not a number"
    assert said["p:16"].startswith("'oom' is no class of failures; known: out of memory, not finite, hang, preempted")
    assert said["p:17"].startswith("not a regular expression")
    assert len(caught.value.faults) == 9
    assert '    colour = "red"\n    ~~~~~^' in str(caught.value)


def test_failures_need_both_parts() -> None:
    with pytest.raises(MisuseError, match="needs both name and pattern"):
        parse_profile('[[failure]]\nname = "x"')
    with pytest.raises(MisuseError, match="failure must be a list, not a text"):
        parse_profile('failure = "x"')
    with pytest.raises(MisuseError, match="is a table with name and pattern"):
        parse_profile('failure = ["x"]')


def test_a_profile_s_own_failures_go_before_those_of_every_trainer() -> None:
    made = parse_profile('[[failure]]\nname = "transient"\npattern = "^bus [0-9]+ late$"')
    assert (made.failures[0].failure, made.failures[1:]) == (Failure.TRANSIENT, common_failures())
    assert made.failures[0].pattern.search("monday\nbus 12 late\n")  # ^ and $ are of lines
    assert parse_profile("").failures == common_failures()


HITS = [
    (Failure.OUT_OF_MEMORY, "torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB"),
    (Failure.OUT_OF_MEMORY, "OutOfMemoryError: CUDA out of memory."),
    (Failure.OUT_OF_MEMORY, "[rank1]: torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB"),
    (Failure.OUT_OF_MEMORY, "RuntimeError: CUDA error: out of memory"),
    (Failure.OUT_OF_MEMORY, "RuntimeError: CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    (Failure.OUT_OF_MEMORY, "RuntimeError: MPS backend out of memory (MPS allocated: 8.87 GB)"),
    (
        Failure.OUT_OF_MEMORY,
        "RuntimeError: [enforce fail at alloc_cpu.cpp:75] err == 0. DefaultCPUAllocator: can't allocate memory: you "
        "tried to allocate 40000000000 bytes. Error code 12 (Cannot allocate memory)",
    ),
    (Failure.OUT_OF_MEMORY, "MemoryError"),
    (Failure.OUT_OF_MEMORY, "numpy.core._exceptions._ArrayMemoryError: Unable to allocate 7.45 GiB for an array"),
    (Failure.OUT_OF_MEMORY, "OSError: [Errno 12] Cannot allocate memory"),
    (Failure.OUT_OF_MEMORY, "RuntimeError: DataLoader worker (pid 4711) is killed by signal: Killed. "),
    (
        Failure.OUT_OF_MEMORY,
        "RuntimeError: DataLoader worker (pid(s) 4711) exited unexpectedly\nERROR: Unexpected bus error encountered in "
        "worker. This might be caused by insufficient shared memory (shm).",
    ),
    (
        Failure.OUT_OF_MEMORY,
        "RuntimeError: unable to write to file </torch_4711_12>: No space left on device (28)",
    ),
    (Failure.OUT_OF_MEMORY, "slurmstepd: error: Detected 1 oom_kill event in StepId=12.0. Some step tasks have been"),
    (
        Failure.OUT_OF_MEMORY,
        "terminate called after throwing an instance of 'std::bad_alloc'\n  what():  std::bad_alloc",
    ),
    (
        Failure.OUT_OF_MEMORY,
        "torch.distributed.DistBackendError: NCCL error in: x.cpp:12, unhandled cuda error\n"
        "ncclUnhandledCudaError: Call to CUDA function failed.\nLast error:\nCuda failure 'out of memory'",
    ),
    (Failure.NOT_FINITE, "step 3: loss is nan"),
    (Failure.NOT_FINITE, "FloatingPointError: Loss became infinite or NaN at iteration=12!"),
    (Failure.NOT_FINITE, "RuntimeError: Function 'MulBackward0' returned nan values in its 0th output."),
    (
        Failure.NOT_FINITE,
        "ValueError: Expected parameter loc (Tensor of shape (2, 2)) of distribution Normal(loc: 2) to "
        "satisfy the constraint Real(), but found invalid values:\ntensor([[nan, nan],",
    ),
    (Failure.DISK_FULL, "OSError: [Errno 28] No space left on device: 'checkpoints/000100'"),
    (
        Failure.DISK_FULL,
        "safetensors_rust.SafetensorError: Error while serializing: IoError(Os { code: 28, kind: "
        'StorageFull, message: "No space left on device" })',
    ),
    (Failure.DISK_FULL, "OSError: [Errno 122] Disk quota exceeded"),
    (
        Failure.DISK_FULL,
        "RuntimeError: [enforce fail at inline_container.cc:595] . unexpected pos 192 vs 86, "
        "PytorchStreamWriter failed writing file data/0: file write failed",
    ),
    (Failure.DISK_FULL, "sqlite3.OperationalError: database or disk is full"),
    (Failure.GPU_LOST, "RuntimeError: CUDA error: unknown error"),
    (Failure.GPU_LOST, "Unable to determine the device handle for GPU 0000:3B:00.0: GPU is lost.  Reboot the system"),
    (Failure.GPU_LOST, "NVRM: Xid (PCI:0000:3b:00): 79, pid=12, GPU has fallen off the bus."),
    (Failure.GPU_LOST, "RuntimeError: CUDA error: no CUDA-capable device is detected"),
    (Failure.GPU_LOST, "RuntimeError: CUDA driver initialization failed, you might not have a CUDA gpu."),
    (Failure.GPU_LOST, "torch.AcceleratorError: CUDA error: uncorrectable ECC error encountered"),
    (Failure.GPU_LOST, "error: policy.device: cuda is not to be had, this process was given cpu"),
    (Failure.PREEMPTED, "slurmstepd: error: *** JOB 12 ON n1 CANCELLED AT 2026-01-01T00:00:00 DUE TO PREEMPTION ***"),
    (Failure.PREEMPTED, "torch.distributed.elastic.multiprocessing.api.SignalException: Process 71 got signal: 15"),
    (Failure.CONFIG_REFUSED, "train.py: error: unrecognized arguments: --lrr=3"),
    (Failure.CONFIG_REFUSED, "usage: train.py [-h]\ntrain.py: error: argument --steps: invalid int value: 'x'"),
    (Failure.CONFIG_REFUSED, "draccus.utils.DecodingError: `policy`: The fields `lrr` are not valid for ACTConfig"),
    (Failure.CONFIG_REFUSED, "ParsingError: Couldn't instantiate class"),
    (Failure.CONFIG_REFUSED, "TypeError: TrainConfig.__init__() got an unexpected keyword argument 'lrr'"),
    (Failure.CONFIG_REFUSED, "omegaconf.errors.ConfigAttributeError: Key 'lrr' is not in struct"),
    (Failure.TRANSIENT, "RuntimeError: The server socket has failed to listen: EADDRINUSE"),
    (Failure.TRANSIENT, "OSError: [Errno 98] Address already in use"),
    (
        Failure.TRANSIENT,
        "ConnectionError: Tried to launch distributed communication on port `29500`, but another process is utilizing "
        "it. Please specify a different port",
    ),
    (Failure.TRANSIENT, "torch.distributed.DistNetworkError: The client socket has failed to connect to any network"),
    (Failure.TRANSIENT, "ConnectionResetError: [Errno 104] Connection reset by peer"),
    (Failure.TRANSIENT, "torch.distributed.elastic.rendezvous.api.RendezvousConnectionError: The connection to the"),
    (Failure.TRANSIENT, "torch.distributed.DistBackendError: NCCL error: ncclRemoteError: A call failed possibly due"),
    (
        Failure.TRANSIENT,
        "[rank0]:[E1] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=12, OpType=ALLREDUCE",
    ),
    (
        Failure.TRANSIENT,
        "requests.exceptions.ReadTimeout: HTTPSConnectionPool(host='example.org', port=443): Read timed",
    ),
    (Failure.TRANSIENT, "requests.exceptions.HTTPError: 503 Server Error: Service Unavailable for url: x"),
    (Failure.TRANSIENT, "OSError: [Errno 16] Device or resource busy: '/dev/video0'"),
    (Failure.TRANSIENT, "RuntimeError: CUDA error: all CUDA-capable devices are busy or unavailable"),
    (Failure.TRANSIENT, "socket.gaierror: [Errno -3] Temporary failure in name resolution"),
]

# What a log says on the way to another end.
NO_HITS = [
    "all is well",
    "WARNING: CUDA out of memory in the probe, trying a smaller batch",
    "INFO: reserve 2 GiB so that we do not run out of memory",
    "eval: 12 of 200 frames were skipped, non-finite depth",
    "GradScaler: non-finite gradients, step skipped",
    "step 200: loss 0.41, nan_count 0, inference 3 ms",
    "loss is nancy's favourite",
    "WARNING torch.distributed.elastic: Sending process 71 closing signal SIGTERM",
    "Error: ENOSPC: System limit for number of file watchers reached",
    "wandb: Network error (ConnectionResetError), entering retry loop.",
    "wandb: WARNING port 6006: address already in use, trying 6007",
    "WARNING: Temporary failure in name resolution, working offline",
    "HTTPSConnectionPool(host='example.org'): Connection refused, using the cached file",
    "UserWarning: CUDA initialization: CUDA unknown error - this may be due to an incorrectly set up environment",
    "wandb: ERROR HTTPError 503, retrying; ReadTimeout was 20 s",
    "requests.exceptions.HTTPError: 404 Client Error: Not Found for url: x",
    "the argument parser found 12 arguments",
    "TypeError: forward() got an unexpected keyword argument 'mask'",
    "ValueError: error: argument must be positive",
    "KeyError: 'memory'",
    "",
]


@pytest.mark.parametrize(("failure", "text"), HITS)
def test_failure_classes_of_a_log(failure: Failure, text: str) -> None:
    for log in (text, f"step 100: loss 0.3\n{text}\nmore"):
        hits = [one.failure for one in shipped_profile("act_ot").failures if one.pattern.search(log)]
        assert hits[:1] == [failure]


@pytest.mark.parametrize("line", NO_HITS)
@pytest.mark.parametrize("name", shipped_profile_names())
def test_what_a_log_says_in_passing_is_no_failure(name: str, line: str) -> None:
    hits = [one for one in shipped_profile(name).failures if one.pattern.search(f"step 1\n{line}\nstep 2")]
    assert hits == []
