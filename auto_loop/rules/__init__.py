"""Rules: packs of conditions over a run's metrics and config, and the proposals that follow from them."""

from auto_loop.domain.proposal import Proposal
from auto_loop.rules.engine import decide

__all__ = ["Proposal", "decide"]
