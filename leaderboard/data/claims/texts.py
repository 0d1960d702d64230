"""The claims about a suite as plain text."""

from __future__ import annotations

from collections.abc import Sequence

from tabulate import tabulate

from benchmark.records.places import DIGITS
from leaderboard.data.claims.catalog import ClaimReport, ClaimResult
from leaderboard.data.claims.findings import ClaimFinding
from leaderboard.data.claims.runs import CONDITIONS
from leaderboard.data.claims.seeds import SeedComparison
from leaderboard.data.rankings import DASH, MINUS, render_number

__all__ = ["asked", "claims_text", "interval_text", "seeds_verdict", "target_text", "value_text"]


def value_text(value: float | None) -> str:
    """A value to three digits, to more where it is small but not 0; a dash for none."""
    if value is None or round(value, 3) or not value:
        return render_number(value)
    return render_number(value, next((count for count in range(4, DIGITS) if round(value, count)), DIGITS))


def interval_text(finding: ClaimFinding | SeedComparison) -> str:
    """The 95 % interval; for a permutation test its p-value; a dash for none."""
    if finding.low is not None and finding.high is not None:
        return f"{value_text(finding.low)} to {value_text(finding.high)}"
    p_value = finding.p_value if isinstance(finding, ClaimFinding) else None
    return DASH if p_value is None else f"p = {value_text(p_value)}"


def asked(finding: ClaimFinding) -> str:
    """What the claim asks of a value, such as `above 0`."""
    if finding.apart:
        return f"over {finding.bound:g} from 0"
    if finding.p_value is not None:
        return "larger than by chance"
    short = round(finding.bound, 2) == finding.bound
    return f"above {format(finding.bound, 'g').replace('-', MINUS) if short else value_text(finding.bound)}"


def target_text(target: str | None) -> str:
    """The target of a finding in words."""
    return target or "all targets"


def seeds_verdict(item: SeedComparison) -> str:
    """The verdict of a comparison over seeds, with the name of who leads."""
    names = {"first leads": f"{item.first} leads", "second leads": f"{item.second} leads"}
    return names.get(item.verdict, item.verdict) + (f" ({item.reason})" if item.reason else "")


def _block(claim: ClaimResult) -> str:
    rows = []
    for finding in claim.findings:
        note = finding.reason if finding.value is None or finding.p_value is None else "permutations of the taps"
        verdict = finding.verdict if finding.decides else f"({finding.verdict})"
        rows.append([
            target_text(finding.target), finding.part, value_text(finding.value), interval_text(finding),
            asked(finding), verdict, note,
        ])  # fmt: skip
    head = ["target", f"of {claim.submission}", "value", "95 % interval", "claim", "verdict", "note"]
    lines = [f"{claim.sentence}", f"  {claim.verdict.upper()}{f': {claim.reason}' if claim.reason else ''}", ""]
    lines.append(tabulate(rows, headers=head, tablefmt="simple", disable_numparse=True))
    lines += [f"With {other.submission}: {other.verdict}{f' ({other.reason})' if other.reason else ''}"
              for other in claim.others]  # fmt: skip
    return "\n".join(lines)


def _seeds(items: Sequence[SeedComparison], why: str) -> str:
    title = "modular and end_to_end over training seeds; a lead within the spread of seeds is a tie"
    if not items:
        return f"{title}\n  UNDETERMINED: {why}"
    rows = [
        [item.target, CONDITIONS[item.condition], item.axis.upper(), f"{item.seeds[0]} and {item.seeds[1]}",
         value_text(item.lead), interval_text(item), value_text(item.spread), seeds_verdict(item)]
        for item in items
    ]  # fmt: skip
    head = ["target", "condition", "axis", "seeds", "lead of modular", "95 % over seeds", "spread", "verdict"]
    return f"{title}\n\n{tabulate(rows, headers=head, tablefmt='simple', disable_numparse=True)}"


def claims_text(report: ClaimReport) -> str:
    """All claims with their findings, the comparison over seeds, and what it all rests on."""
    head = f"Claims of {report.source} on {report.suite}"
    rests = "\n".join(f"- {line}" for line in report.rests_on)
    blocks = [_block(claim) for claim in report.claims]
    return "\n\n".join([head, *blocks, _seeds(report.seeds, report.no_seeds), f"Rests on\n{rests}"])
