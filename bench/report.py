"""Tables, and goals that are reached or missed."""


def table(head, rows):
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |"
                     for line in lines) + "\n"


def shares(cpu):
    """Processor time by role, in words."""
    return ", ".join(f"{role} {used:.1f}" for role, used in cpu.items())


class Goals:
    def __init__(self):
        self.rows = []

    def check(self, what, goal, measured, reached):
        self.rows.append((what, goal, measured, "yes" if reached else "no"))

    def at_least(self, what, value, share, other, unit=""):
        self.check(what, f"≥ {share:g} × {other:,.0f}{unit}",
                   f"{value:,.0f}{unit} ({value / other:.2f} ×)",
                   value >= share * other)

    def at_most(self, what, value, limit, unit, digits=0):
        self.check(what, f"≤ {limit:,.{digits}f}{unit}",
                   f"{value:,.{digits}f}{unit}", value <= limit)

    def table(self):
        return table(["what", "goal", "measured", "reached"], self.rows)
