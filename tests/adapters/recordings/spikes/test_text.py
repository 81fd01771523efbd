"""Spike times in text: what is a name, what a number, and what may be either."""

import pytest

from neurocodec.adapters.recordings.spikes.text import read_text
from neurocodec.errors import InputError

READ = {
    "a name with a number, and tabs": (
        "ON 1\t0.1\t0.2\nOFF 2\t0.3\n",
        {"ON 1": [0.1, 0.2], "OFF 2": [0.3]},
    ),
    "a name with a number, and a colon": ("ON 1: 0.1 0.2\n", {"ON 1": [0.1, 0.2]}),
    "a name in quotes": ('"ON 1" 0.1 0.2\n"a:b",3,4\n', {"ON 1": [0.1, 0.2], "a:b": [3, 4]}),
    "a name in quotes in a table": (
        'cell,time\n"ON, 1",0.1\nON 2,0.2\n',
        {"ON 2": [0.2], "ON, 1": [0.1]},
    ),
    "decimal commas between semicolons": ("A;0,12;0,55\nB;3\n", {"A": [0.12, 0.55], "B": [3]}),
    "a table of decimal commas": ("\ufeffcell;time\r\nA;0,12\r\nA;1\r\n", {"A": [0.12, 1]}),
    "commas alone": ("A,100,200\n", {"A": [100, 200]}),
    "blanks and fractions": ("A 0.1 2\n", {"A": [0.1, 2]}),
    "a name with its sign": ("a#1 0.1\nb 0.2 # late\n", {"a#1": [0.1], "b": [0.2]}),
    "a silent cell": ("A:\nB: 0.1\n", {"A": [], "B": [0.1]}),
    "numbers that are written in two ways": (
        "cell,time\n1,0.1\n01,0.2\n",
        {"01": [0.2], "1": [0.1]},
    ),
    "a number of the spike beside the cell": ("id,cell,time\n7,a,.1\n8,a,.2\n", {"a": [0.1, 0.2]}),
    "a column of nothing": ("time\n", {"s": []}),
    "a separator at the end": ("cell,time,\n1,0.5,\n", {"unit 1": [0.5]}),
    "a table with an index": ("\tcell\ttime\n0\ta\t0.1\n1\tb\t0.2\n", {"a": [0.1], "b": [0.2]}),
    "a blank that does not break": ("a\u00a00.1 0.2\n", {"a": [0.1, 0.2]}),
    "a decimal comma in quotes": ('cell,time\na,"0,5"\n', {"a": [0.5]}),
    "lines of an old Mac": ("0.1\r0.2\r", {"s": [0.1, 0.2]}),
    "an empty field that is not read": ("cell,time,amplitude\n1,0.5,\n", {"unit 1": [0.5]}),
}


@pytest.mark.parametrize("kind", READ)
def test_names_and_numbers_are_told_apart(kind, tmp_path):
    text, told = READ[kind]
    (tmp_path / "s.txt").write_bytes(text.encode())
    found = read_text(tmp_path / "s.txt").times
    assert {k: x.tolist() for k, x in found.items()} == told


REFUSED = {
    "a number of the name, or a time": (
        "ON 1 0.1 0.2\nOFF 2 0.3\n",
        "may be of the name, or a time",
    ),
    "a number before a comma": ("ON 1,0.1,0.2\n", "may be of the name, or a time"),
    "one number or two": ("A 0,12 0,55\n", "one number or two"),
    "one number or two after a comma": ("A,0,12 0,55\n", "one number or two"),
    "one number or two a line": ("0,12\n0,55\n", "one number or two"),
    "names that are comments": ("cell,time\n#1,0.1\n#2,0.3\n", "'#' is a comment"),
    "two columns of times": ("cell,time,spike_time\n1,3,.5\n", "all of which may be times"),
    "a row without a cell": ("cell,time\na,0.1\n,0.2\n", "row 3"),
    "a line without a name": (":0.1\n", "has no name"),
    "a title above numbers": ("left eye\n0.1\n0.2\n", "'eye', no number"),
    "a title of one word": ("spikes!\n0.1\n0.2\n", "the number 0.1 alone"),
    "an underscore in a number": ("0.5\n1_0\n", "'1_0', no number"),
    "a point or thousands": ('cell,time\na,"1,234"\n', "part thousands"),
    "a point or thousands after a tab": ("cell\ttime\na\t1,234\n", "one number or two"),
    "two columns of cells": ("cell,unit,time\n1,5,.1\n1,6,.2\n", "all of which may be cells"),
    "a header without times": ("sample,cell\n130,1\n", "no time among them"),
    "a name of two words": ("ON left 0.1\n", "'left'"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_may_be_either_is_refused(kind, tmp_path):
    text, told = REFUSED[kind]
    (tmp_path / "s.txt").write_text(text)
    with pytest.raises(InputError, match=told):
        read_text(tmp_path / "s.txt")


def test_hints_run(tmp_path):
    path = tmp_path / "s.txt"
    path.write_text("A: 0,12 0,55\n")
    with pytest.raises(InputError) as raised:
        read_text(path)
    import pathlib  # noqa: F401 - the hint names it

    eval(raised.value.hint.rpartition(", where")[0])  # noqa: S307 - a hint
    assert read_text(path).times["A"].tolist() == [0.12, 0.55]
    path.write_text("cell,time\n#1,0.1\n")
    with pytest.raises(InputError) as raised:
        read_text(path)
    path.write_text("cell,time\n" + raised.value.hint.split("'")[1])
    assert read_text(path).times["#1"].tolist() == [0.1]


def test_units_of_a_header_and_a_rate_are_not_both_taken(tmp_path):
    path = tmp_path / "s.csv"
    path.write_text("cell,time_ms\n1,100\n")
    assert read_text(path).times["unit 1"].tolist() == [0.1]
    with pytest.raises(InputError, match="beside the column 'time_ms'"):
        read_text(path, 1000.0)
    path.write_text("cell,time\n1,100\n")
    assert read_text(path, 1000.0).times["unit 1"].tolist() == [0.1]


def test_files_of_one_name_are_refused(tmp_path):
    (tmp_path / "a.txt").write_text("0.1\n")
    (tmp_path / "a.csv").write_text("0.2\n")
    with pytest.raises(InputError, match="two cells called 'a'"):
        read_text(tmp_path)


def test_comments_are_told(tmp_path):
    from neurocodec.adapters.recordings.account import accounting

    (tmp_path / "s.csv").write_text("cell,time\n#1,0.1\nb,0.2\n")
    with accounting() as left:
        read_text(tmp_path / "s.csv")
    assert left == ["comments in s.csv: #1,0.1"]
