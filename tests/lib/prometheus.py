"""A strict reader of Prometheus' text exposition format, version 0.0.4.

    figures = prometheus.parse(text)
    figures.value("polysocket_sessions", state="open")

Where Prometheus itself is lenient, this is not: every metric needs its HELP
and its TYPE, once, in front of its samples; labels and samples are not
repeated; totals are counters and nothing else is. Standard library only.
"""

import math
import re

METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"')
VALUE = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?|[-+]?Inf|NaN")
TYPES = ("counter", "gauge")        # we have no others
ESCAPES = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}


class FormatError(Exception):
    """The text is none, and where."""


class Figures:
    def __init__(self):
        self.types = {}         # by name
        self.helps = {}
        self.samples = {}       # value by (name, ((label, value), ...))

    def value(self, name, **labels):
        return self.samples[name, tuple(sorted(labels.items()))]

    def sum(self, name, **labels):
        """Of the samples that have these labels among theirs."""
        return sum(value for (found, theirs), value in self.samples.items()
                   if found == name and labels.items() <= dict(theirs).items())


def parse(text):
    if text and not text.endswith("\n"):
        raise FormatError("the last line has no end")
    figures, current = Figures(), None
    for number, line in enumerate(text.split("\n")[:-1], 1):
        try:
            if line.startswith("# HELP "):
                current = read_help(figures, line[7:])
            elif line.startswith("# TYPE "):
                read_type(figures, current, line[7:])
            else:
                read_sample(figures, current, line)
        except FormatError as error:
            raise FormatError(f"line {number}: {error}: {line}") from None
    for name in figures.helps:
        if name not in figures.types:
            raise FormatError(f"{name} has no type")
    return figures


def check(condition, complaint):
    if not condition:
        raise FormatError(complaint)


def read_help(figures, text):
    name, _, sentence = text.partition(" ")
    check(METRIC.fullmatch(name), "no name of a metric")
    check(name not in figures.helps, "a second HELP, or a metric in two parts")
    check(sentence.strip(), "an empty HELP")
    check(not re.search(r"\\(?![\\n])", sentence.replace("\\\\", "")),
          "a bad escape")
    figures.helps[name] = sentence
    return name


def read_type(figures, current, text):
    name, _, kind = text.partition(" ")
    check(name == current, "a TYPE without its HELP in front")
    check(name not in figures.types, "a second TYPE")
    check(kind in TYPES, "no type")
    check((kind == "counter") == name.endswith("_total"),
          "counters end in _total, others do not")
    figures.types[name] = kind


def read_sample(figures, current, line):
    name = METRIC.match(line)
    check(name, "neither sample nor comment")
    name, rest = name.group(), line[name.end():]
    check(name == current, "a sample that does not follow its HELP")
    check(name in figures.types, "a sample in front of its TYPE")
    labels = {}
    if rest.startswith("{"):
        labels, rest = read_labels(rest[1:])
    check(rest.startswith(" "), "no space in front of the value")
    check(VALUE.fullmatch(rest[1:]), "no value")
    value = float(rest[1:])
    check(figures.types[name] != "counter" or
          (value >= 0 and not math.isinf(value)), "no value of a counter")
    key = name, tuple(sorted(labels.items()))
    check(key not in figures.samples, "the sample is there twice")
    figures.samples[key] = value


def read_labels(text):
    labels = {}
    while not text.startswith("}"):
        found = LABEL.match(text)
        check(found, "no label")
        label, value = found.groups()
        check(not label.startswith("__"), "a reserved label")
        check(label not in labels, "a label is there twice")
        labels[label] = re.sub(r"\\.", lambda m: ESCAPES[m.group()], value)
        text = text[found.end():]
        check(text[:1] in (",", "}"), "labels are not separated")
        text = text.removeprefix(",")
    return labels, text[1:]
