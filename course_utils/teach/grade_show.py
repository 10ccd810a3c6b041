"""What `course grade` prints when it has ended."""

from collections import Counter

from course_utils.teach import results
from course_utils.teach.key import read_key


def finished(done, options):
    """Print what was graded, what was not, and where it is written."""
    graded = [record for record in done.results.records if record.marks]
    print(f"{_counted(len(graded), 'submission')} graded, round {done.results.round}: {_attempts(done)}.")
    counts = Counter(mark.status for record in graded for mark in record.marks.values())
    print(" · ".join(f"{count} {status}" for status, count in counts.most_common()) or "Nothing to grade.")
    for _, file, reason in done.results.refused:
        print(f"not graded: {file} {reason}.")
    unmarked = sum(record.handed_in == "missing" for record in done.results.records)
    if unmarked:
        print(f"{_counted(unmarked, 'student')} of the roster handed in nothing.")
    if options.feedback:
        print(f"{options.feedback}: a page for each student.")
    print(f"Written: {', '.join(map(str, done.written))}.")


def _attempts(done):
    kept = f", {done.kept} kept from before" if done.kept else ""
    return f"{_counted(done.ran, 'attempt')} run{kept}"


def _counted(count, name):
    return f"{count} {name}{'' if count == 1 else 's'}"


def verified(path, key_path):
    """Print whether a results file is as it was written; the exit status."""
    valid, sentence = results.verify(path, read_key(key_path))
    print(sentence)
    return 0 if valid else 1
