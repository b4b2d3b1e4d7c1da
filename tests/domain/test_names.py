"""Names that files and folders can carry."""

from auto_loop.domain.names import NAME_BYTES, within


def test_a_name_that_fits_stays_as_it_is() -> None:
    assert within("act_ot_baseline_h2jr9c") == "act_ot_baseline_h2jr9c"
    assert within("x" * NAME_BYTES) == "x" * NAME_BYTES


def test_of_a_longer_one_beginning_and_end_are_kept() -> None:
    cut = within("act_ot_" + "é" * 300 + "_h2jr9c")
    assert cut.startswith("act_ot_é")
    assert cut.endswith("_h2jr9c")
    assert NAME_BYTES - 2 <= len(cut.encode()) <= NAME_BYTES, "two bytes an é"
    assert within(cut) == cut
