"""The figures of spec 7, and whether what was measured meets them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One measured figure beside its target.

    Attributes:
        what: Of what.
        measured: The figure.
        unit: Of both; empty for ratios.
        most: The target is no more than this; None where it has a least.
        least: The target is no less than this.
    """

    what: str
    measured: float
    unit: str = ""
    most: float | None = None
    least: float | None = None

    @property
    def is_met(self) -> bool:
        """Whether the target is met; also where there is none."""
        return (self.most is None or self.measured <= self.most) and (self.least is None or self.measured >= self.least)

    @property
    def target(self) -> str:
        """The target as it is written in tables."""
        if self.most is not None:
            return f"<= {self.most:g} {self.unit}".rstrip()
        return "-" if self.least is None else f">= {self.least:g} {self.unit}".rstrip()

    def row(self) -> tuple[str, str, str, str]:
        """Return the cells of a table: what, figure, target, verdict."""
        has_target = self.most is not None or self.least is not None
        verdict = ("met" if self.is_met else "NOT MET") if has_target else ""
        return self.what, f"{self.measured:.3g} {self.unit}".rstrip(), self.target, verdict

    def as_json(self) -> dict[str, object]:
        """Return it for programs."""
        _, _, target, verdict = self.row()
        return {"what": self.what, "measured": self.measured, "unit": self.unit, "target": target, "verdict": verdict}
