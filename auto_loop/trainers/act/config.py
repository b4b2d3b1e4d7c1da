"""Every key of the ACT-OT trainer, typed, with its default, and what is wrong with a given set of them.

draccus turns a file and a command line into these classes and refuses wrong names and types; `faults` says what
types cannot. Nothing heavy is imported here, so a scheduler may read the classes in this interpreter at no cost.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

IMAGE, STATE, ENVIRONMENT_STATE, ACTION = (
    "observation.image",
    "observation.state",
    "observation.environment_state",
    "action",
)
KEYS = (IMAGE, STATE, ENVIRONMENT_STATE, ACTION)


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyConfig:
    """The network and its optimiser."""

    type: str = "act"
    device: str = "cpu"  # cpu | cuda | mps
    pretrained_path: str | None = None  # a `pretrained_model` folder to start the weights from
    chunk_size: int = 20  # actions predicted at once
    dim_model: int = 64
    n_heads: int = 4
    dim_feedforward: int = 256
    n_encoder_layers: int = 2
    n_decoder_layers: int = 1
    n_vae_encoder_layers: int = 1
    use_vae: bool = True
    latent_dim: int = 16
    kl_weight: float = 10.0
    dropout: float = 0.1
    optimizer_lr: float = 5e-4
    optimizer_weight_decay: float = 1e-4
    grad_clip_norm: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetConfig:
    """The target domain: few demonstrations to train on, and the held-out ones."""

    root: str = "outputs/data/act_ot/pick_place_target_5"


@dataclass(frozen=True, slots=True, kw_only=True)
class WandbConfig:
    """Whether and how a run is logged with W&B; metrics.jsonl is written in any case."""

    enable: bool = False
    mode: str | None = "offline"  # online | offline | disabled; null is W&B's own default
    entity: str | None = None
    project: str = "auto_loop"
    disable_artifact: bool = True  # accepted for the command line's sake: this trainer uploads none


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureConfig:
    """One term of the transport cost: how far a source and a target frame are apart in one key."""

    src_key: str = STATE
    tgt_key: str = STATE
    dim_slice: list[int] | None = None  # [start, stop) of the label's dimensions; null takes all
    use_learned_embed: bool = True
    weight_embed: float = 1.0  # on the squared distance of the policy's embeddings: carries the gradient
    weight_label: float = 0.0  # on the squared distance of the recorded values: shapes the plan only
    term_weight: float = 1.0
    term_name: str = ""  # names the metric train/ot_cost/<term_name>

    @property
    def embeds(self) -> bool:
        return self.use_learned_embed and self.weight_embed != 0


@dataclass(frozen=True, slots=True, kw_only=True)
class OtLossConfig:
    """The unbalanced transport problem that is solved at each step."""

    reg: float = 0.3
    tau_src: float = 1.0
    tau_tgt: float = 1.0
    heuristic: bool = False  # true: the pairing is fixed to the sampled pairs
    cost_scale: str = "raw"  # mean: embedding terms are divided by their batch mean, so shrinking features buys nothing
    normalize_inputs: bool = False  # true: labels are compared in the dataset's units of standard deviation
    label_steps: str = "chunk"  # an action label is the whole chunk, or with 1 its first step
    features: list[FeatureConfig] = field(default_factory=list)

    @property
    def s(self) -> float:
        return self.reg + self.tau_src + self.tau_tgt


@dataclass(frozen=True, slots=True, kw_only=True)
class OtConfig:
    """The source domain, how source and target frames are paired, and how much of each loss there is."""

    enable: bool = False  # false: plain behaviour cloning on dataset.root alone
    src_root: str = "outputs/data/act_ot/pick_place_source_99"
    pair_info_path: str = "outputs/data/act_ot/pairs_source_99_target_5.npz"
    batch_ratio: float = 1.0  # pairs a step, as a share of batch_size
    lambda_ot: float = 0.1
    window_size: int = 10  # a source frame is drawn at most this far from the aligned one
    no_window: bool = False  # true: from its whole episode
    sharpness: float = 10.0
    cutoff: float = 0.01  # the DTW distance at which an episode pair's weight is one half
    topk_src_episodes: int | None = None  # only this many nearest source episodes for each target episode
    bc_src_weight: float = 0.9  # weight of a source frame in the BC loss; a target frame has the rest to 1
    normalize_bc_weights_by_ds_size: bool = False  # true: the weights are the two domains' shares, whatever their sizes
    loss_config: OtLossConfig = field(default_factory=OtLossConfig)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """One training run."""

    output_dir: str = "outputs/train/act_ot"
    job_name: str | None = None
    resume: bool = False
    seed: int = 1000
    batch_size: int = 16
    num_workers: int = 0  # accepted for the command line's sake: the demonstrations fit in memory
    steps: int = 2000
    log_freq: int = 50
    eval_freq: int = 200  # 0: only after the last step
    save_freq: int = 0  # 0: only after the last step
    dataset: DatasetConfig = field(default_factory=DatasetConfig)
    policy: PolicyConfig = field(default_factory=PolicyConfig)
    wandb: WandbConfig = field(default_factory=WandbConfig)
    ot: OtConfig = field(default_factory=OtConfig)


def pairs_per_step(config: TrainConfig) -> int:
    """How many source-target pairs a step's transport problem has; two at least, or there is nothing to choose."""
    return max(2, round(config.batch_size * config.ot.batch_ratio))


def term_name(feature: FeatureConfig, index: int) -> str:
    """What the feature is called in metrics and messages."""
    return feature.term_name or f"{index}_{feature.src_key}"


def faults(config: TrainConfig) -> list[str]:
    """Everything that would stop or void the run, each with its path; empty when it can start."""
    found = [*_run_faults(config), *_policy_faults(config.policy)]
    if config.ot.enable:
        found += [*_ot_faults(config.ot), *_feature_list_faults(config.ot.loss_config.features)]
    return found


def _run_faults(config: TrainConfig) -> Iterator[str]:
    for name in ("steps", "batch_size", "log_freq"):
        if getattr(config, name) < 1:
            yield f"{name}: {getattr(config, name)} is below 1"
    for name in ("eval_freq", "save_freq", "num_workers", "seed"):
        if getattr(config, name) < 0:
            yield f"{name}: {getattr(config, name)} is below 0"
    if config.wandb.mode not in (None, "online", "offline", "disabled"):
        yield f"wandb.mode: {config.wandb.mode!r} is none of online, offline, disabled"


def _policy_faults(policy: PolicyConfig) -> Iterator[str]:
    if policy.type != "act":
        yield f"policy.type: {policy.type!r} is not known here; this trainer trains 'act'"
    if policy.device not in ("cpu", "cuda", "mps"):
        yield f"policy.device: {policy.device!r} is none of cpu, cuda, mps; CUDA_VISIBLE_DEVICES chooses among GPUs"
    counts = ("chunk_size", "dim_model", "n_heads", "dim_feedforward", "n_encoder_layers", "n_decoder_layers")
    for name in (*counts, "n_vae_encoder_layers", "latent_dim"):
        if getattr(policy, name) < 1:
            yield f"policy.{name}: {getattr(policy, name)} is below 1"
    if policy.n_heads >= 1 and policy.dim_model % policy.n_heads:
        yield f"policy.dim_model: {policy.dim_model} is not a multiple of policy.n_heads = {policy.n_heads}"
    if not 0 <= policy.dropout < 1:
        yield f"policy.dropout: {policy.dropout} is outside [0, 1)"
    for name in ("optimizer_lr", "grad_clip_norm"):
        yield from _not_positive(f"policy.{name}", getattr(policy, name))
    for name in ("optimizer_weight_decay", "kl_weight"):
        yield from _negative(f"policy.{name}", getattr(policy, name))


def _ot_faults(ot: OtConfig) -> Iterator[str]:
    loss = ot.loss_config
    for path, value in (
        ("loss_config.reg", loss.reg),
        ("loss_config.tau_src", loss.tau_src),
        ("loss_config.tau_tgt", loss.tau_tgt),
        ("batch_ratio", ot.batch_ratio),
        ("sharpness", ot.sharpness),
    ):
        yield from _not_positive(f"ot.{path}", value)
    yield from _negative("ot.lambda_ot", ot.lambda_ot)
    yield from _negative("ot.window_size", ot.window_size)
    if not 0 <= ot.bc_src_weight <= 1:
        yield f"ot.bc_src_weight: {ot.bc_src_weight} is outside [0, 1]"
    if ot.topk_src_episodes is not None and ot.topk_src_episodes < 1:
        yield f"ot.topk_src_episodes: {ot.topk_src_episodes} is below 1; null takes every source episode"
    if loss.cost_scale not in ("raw", "mean"):
        yield f"ot.loss_config.cost_scale: {loss.cost_scale!r} is none of raw, mean"
    if loss.label_steps not in ("chunk", "1"):
        yield f"ot.loss_config.label_steps: {loss.label_steps!r} is none of chunk, 1"


def _feature_list_faults(features: list[FeatureConfig]) -> Iterator[str]:
    if not features:
        yield "ot.loss_config.features: empty, there is no cost to transport by; add a feature or set ot.enable=false"
    names: set[str] = set()
    for index, feature in enumerate(features):
        name = term_name(feature, index)
        if name in names:
            yield f"ot.loss_config.features.{index}.term_name: {name!r} is taken by an earlier feature"
        names.add(name)
        yield from _feature_faults(feature, f"ot.loss_config.features.{index}", name)


def _feature_faults(feature: FeatureConfig, path: str, name: str) -> Iterator[str]:
    for side in ("src_key", "tgt_key"):
        if getattr(feature, side) not in KEYS:
            yield f"{path}.{side}: {getattr(feature, side)!r} is none of {', '.join(KEYS)}"
    if feature.embeds and ACTION in (feature.src_key, feature.tgt_key):
        yield f"{path} ({name}): the policy embeds no actions; set use_learned_embed=false and use weight_label"
    for weight in ("weight_embed", "weight_label", "term_weight"):
        yield from _negative(f"{path}.{weight}", getattr(feature, weight))
    cut = feature.dim_slice
    if cut is not None and (len(cut) != 2 or not 0 <= cut[0] < cut[1]):
        yield f"{path}.dim_slice: {cut} is no [start, stop) with 0 <= start < stop"
    if feature.term_weight == 0:
        yield f"{path} ({name}): nothing is left of it, term_weight is 0; remove the feature or raise term_weight"
    elif not feature.embeds and feature.weight_label == 0:
        why = "weight_embed is 0" if feature.use_learned_embed else "use_learned_embed is false"
        yield (
            f"{path} ({name}): nothing is left of it, {why} and weight_label is 0; remove the feature, raise "
            "weight_label, or enable its embedding"
        )


def _not_positive(path: str, value: float) -> Iterator[str]:
    if not (math.isfinite(value) and value > 0):
        yield f"{path}: {value} is not above 0"


def _negative(path: str, value: float) -> Iterator[str]:
    if not (math.isfinite(value) and value >= 0):
        yield f"{path}: {value} is below 0 or not finite"
