"""Pairs of the learner's own: what is read, and the sentence for each thing that can be wrong."""

import json

import pytest

from course_utils.errors import CourseError
from course_utils.learn.instructions import SYSTEM, Pair, conversation, read_pairs


def written(folder, name, content):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def refused(folder, name, content, **options):
    with pytest.raises(CourseError) as caught:
        read_pairs(written(folder, name, content), **options)
    return str(caught.value)


def test_a_csv_file_gives_its_pairs_with_their_lines(tmp_path):
    path = written(
        tmp_path, "own.csv", 'question,answer\nWhat is it?,A card.\n"With, comma?","Two\nlines."\nLast?,Yes.\n'
    )
    assert read_pairs(path) == (
        Pair("What is it?", "A card.", 2),
        Pair("With, comma?", "Two\nlines.", 3),
        Pair("Last?", "Yes.", 5),
    )


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_byte_order_mark_blank_lines_and_other_columns_do_no_harm(tmp_path, end):
    text = end.join(["id, Answer ,QUESTION", "7,  A card. ,What?", "", ",,", "8,Ünïcode ✓,Wie?"])
    path = written(tmp_path, "own.CSV", b"\xef\xbb\xbf" + text.encode())
    assert [(pair.question, pair.answer) for pair in read_pairs(path)] == [("What?", "A card."), ("Wie?", "Ünïcode ✓")]


def test_a_jsonl_file_gives_its_pairs(tmp_path):
    rows = [{"question": "A?", "answer": "1\u2028still 1", "more": 3}, {"answer": "2", "question": "B?"}]
    text = "\n\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    path = written(tmp_path, "own.jsonl", b"\xef\xbb\xbf" + text.encode())
    assert read_pairs(path) == (Pair("A?", "1\u2028still 1", 1), Pair("B?", "2", 3))


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("own.xlsx", "", ("own.xlsx", "'.xlsx'", ".csv or .jsonl")),
        ("own", "", ("'nothing'", ".csv or .jsonl")),
        ("own.csv", "", ("line 1", "'question'", "question,answer")),
        ("own.csv", "question,answer\n", ("holds no pairs",)),
        ("own.jsonl", "\n\n", ("holds no pairs",)),
        ("own.csv", "prompt,answer\na,b\n", ("line 1", "no column 'question'", "'prompt', 'answer'")),
        ("own.csv", "question;answer\na;b\n", ("line 1", "';'", "comma")),
        ("own.csv", "question,answer\na?,b\nc?,\n", ("line 3", "answer is empty")),
        ("own.csv", "question,answer\n  ,b\n", ("line 2", "question is empty")),
        ("own.csv", "question,answer\na?,b,c\n", ("line 2", "3 cells", "header has 2", "double quotes")),
        ("own.csv", 'question,answer\na?,b\nc?,"d', ("line 3", "not valid CSV")),
        ("own.csv", "question,answer\nWhy so?,b\nx?,y\n why  SO?,d\n", ("line 4", "'why  SO?'", "line 2", "once")),
        ("own.csv", b"question,answer\na?,b\nc?,\xe9\n", ("line 3", "0xe9", "UTF-8")),
        ("own.csv", "question,answer\n".encode("utf-16"), ("UTF-16", "UTF-8")),
        ("own.jsonl", '{"question": "a?", "answer": "b"}\n{"question": "c?",}\n', ("line 2", "character", "not JSON")),
        ("own.jsonl", '["a?", "b"]\n', ("line 1", "list", '{"question"')),
        ("own.jsonl", '{"question": "a?", "reply": "b"}', ("line 1", "no 'answer'", "'question', 'reply'")),
        ("own.jsonl", '{"question": "a?", "answer": 12}', ("line 1", "answer is 12", "double quotes")),
        ("own.jsonl", '{"question": "a?", "answer": ""}', ("line 1", "answer is empty")),
    ],
)
def test_what_is_wrong_is_said_with_its_line_and_what_to_do(tmp_path, name, content, words):
    said = refused(tmp_path, name, content)
    assert all(word in said for word in words), said
    assert said[-1] in '.}"' or said.endswith("answer"), said


def test_a_row_that_is_too_long_names_both_lengths(tmp_path):
    said = refused(tmp_path, "own.csv", f"question,answer\na?,{'b' * 31}\n", longest=30)
    assert "line 2: the answer has 31 characters; at most 30" in said
    assert len(read_pairs(tmp_path / "own.csv", longest=31)) == 1


def test_a_missing_file_and_a_folder_give_a_sentence(tmp_path):
    (tmp_path / "folder.csv").mkdir()
    for name, words in (("none.csv", "There is no file"), ("folder.csv", "cannot be read")):
        with pytest.raises(CourseError, match=words):
            read_pairs(tmp_path / name)


def test_a_conversation_ends_with_the_answer():
    pair = Pair("Q?", "A.")
    assert conversation(pair) == [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": "Q?"},
        {"role": "assistant", "content": "A."},
    ]
    assert [message["role"] for message in conversation(pair, system=None)] == ["user", "assistant"]
