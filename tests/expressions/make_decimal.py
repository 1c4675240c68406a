#!/usr/bin/env python3
"""Fills decimal.tsv: DECIMAL arithmetic on numbers of every size, computed with Python's exact fractions.

The rule: 28 significant digits, at most 28 of them after the point; `+ - * %` exact or an error, `/` rounded half to
even. PostgreSQL cannot be asked, since its numeric has no such bounds. The numbers come from a fixed seed.
"""

import pathlib
import random
from fractions import Fraction

DIGITS = 28


def text(value):
    """A fraction whose denominator is a power of ten, if it has at most 28 digits and places."""
    scale = 0
    while (value * 10**scale).denominator != 1:
        scale += 1
        if scale > DIGITS:
            return "error"
    digits = str(abs(int(value * 10**scale)))
    if len(digits) > DIGITS:
        return "error"
    digits = digits.rjust(scale + 1, "0")
    whole, places = (digits[:-scale], digits[-scale:]) if scale else (digits, "")
    return ("-" if value < 0 else "") + whole + ("." + places if places else "")


def divided(a, b):
    if b == 0:
        return "error"
    exact = a / b
    places = DIGITS
    while abs(round(exact * 10**places)) >= 10**DIGITS:
        places -= 1
        if places < 0:
            return "error"
    return text(Fraction(round(exact * 10**places), 10**places))


def rest(a, b):
    if b == 0:
        return "error"
    quotient = abs(a) // abs(b)
    return text(a - b * quotient * (1 if (a < 0) == (b < 0) else -1))


def number(random):
    digits = random.randint(1, random.choice([3, 10, 20, 28]))
    scale = random.randint(0, random.choice([2, 10, 28]))
    value = random.randint(0, 10**digits - 1)
    if random.random() < 0.3:
        value -= value % 10 ** random.randint(0, digits)
    return Fraction(random.choice([1, -1]) * value, 10**scale)


def main():
    source = random.Random(28)
    lines = ["# DECIMAL arithmetic, from make_decimal.py."]
    while len(lines) < 601:
        a, b = number(source), number(source)
        if "error" in (text(a), text(b)):
            continue
        for sign, result in (("+", text(a + b)), ("-", text(a - b)), ("*", text(a * b)), ("/", divided(a, b)), ("%", rest(a, b))):
            lines.append(f"({text(a)})::decimal {sign} ({text(b)})::decimal\t{result}")
    pathlib.Path(__file__).with_name("decimal.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
