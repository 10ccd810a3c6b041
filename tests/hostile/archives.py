"""Hostile folders, archives and names. Each function hands one in; its sentence says what it must get."""

import io
import json
import os
import stat
import struct
import zipfile

from hostile.scene import zipped

MEGABYTE = 1_000_000


def link_to_a_neighbour(scene):
    """Hands in a symbolic link to the right notebook of another student; must not be graded."""
    os.symlink(scene.submissions / scene.honest / "lab.ipynb", scene.folder("link_to_a_neighbour") / "lab.ipynb")


def linked_folder(scene):
    """Is a symbolic link to another student's folder; must not be graded."""
    os.symlink(scene.submissions / scene.honest, scene.submissions / "linked_folder")


def link_to_a_secret(scene):
    """Hands in symbolic links to a file of the instructor's and to an endless device; must not be graded."""
    folder = scene.folder("link_to_a_secret")
    os.symlink(scene.secret, folder / "lab.ipynb")
    os.symlink("/dev/zero", folder / "more.ipynb")
    os.symlink("/", folder / "all")


def named_pipe(scene):
    """Hands in a named pipe, on which a reader waits for ever; must not be graded."""
    os.mkfifo(scene.folder("named_pipe") / "lab.ipynb")


def folder_for_a_file(scene):
    """Hands in folders whose names end as a notebook's and an archive's do; must not be graded."""
    folder = scene.folder("folder_for_a_file")
    (folder / "lab.ipynb").mkdir()
    (folder / "lab.zip").mkdir()


def deep_folders(scene):
    """Buries its notebook under 300 folders; must get 0 or not be graded."""
    folder = scene.folder("deep_folders")
    for _ in range(300):
        folder = folder / "deeper"
        folder.mkdir()
    (folder / "lab.ipynb").write_text(json.dumps(scene.notebook))


def link_in_a_zip(scene):
    """Has a symbolic link to another student's notebook in its archive; must not be graded."""
    link = zipfile.ZipInfo("lab.ipynb")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    scene.zip("link_in_a_zip", [(link, f"../{scene.honest}/lab.ipynb")])


def upward_names(scene):
    """Has names with `..` in its archive, which would overwrite grades and a neighbour's notebook; must get 0."""
    names = (f"../{scene.honest}/lab.ipynb", "../../grades.csv", "..\\..\\grades.csv", "a/../../../canary-zip.txt")
    scene.zip("upward_names", [(name, json.dumps(scene.notebook)) for name in names])


def absolute_names(scene):
    """Has absolute names in its archive; must get 0."""
    names = (str(scene.secret), "/tmp/canary-zip.txt", "C:\\canary-zip.txt", "//host/share/lab.ipynb")
    scene.zip("absolute_names", [(name, json.dumps(scene.notebook)) for name in names])


def neighbours_name(scene):
    """Has a wrong notebook in its archive under another student's name; must not touch that student's grade."""
    scene.zip("neighbours_name", [(f"{scene.honest}/lab.ipynb", json.dumps(scene.notebook))])


def neighbours_lms_name(scene):
    """Has a wrong notebook in its archive under the name that an LMS gives another student's; must not touch her grade."""
    names = (f"{scene.honest}_1234567_assignsubmission_file_/lab.ipynb", f"{scene.honest}_12345_67890_lab.ipynb")
    scene.zip("neighbours_lms_name", [(name, json.dumps(scene.notebook)) for name in names])


def zip_bomb(scene):
    """Unpacks 300 KB to 300 MB; must not be graded, and must not be unpacked."""
    scene.zip("zip_bomb", [("lab.ipynb", b"9" * (300 * MEGABYTE))])


def lying_zip(scene):
    """Says that its member of 100 MB has 100 bytes; must not be graded."""
    data = bytearray(zipped([("lab.ipynb", b"9" * (100 * MEGABYTE))]))
    size = struct.pack("<I", 100 * MEGABYTE)
    (scene.submissions / "lying_zip.zip").write_bytes(bytes(data.replace(size, struct.pack("<I", 100))))


def nested_zips(scene):
    """Packs an archive into an archive, twenty times; must not be graded."""
    inner = json.dumps(scene.notebook).encode()
    for depth in range(20):
        inner = zipped([("lab.ipynb" if depth == 0 else "lab.zip", inner)])
    (scene.submissions / "nested_zips.zip").write_bytes(inner)


def zip_of_bombs(scene):
    """Packs fifty archives of 100 MB each into one; must not be graded."""
    bomb = zipped([("lab.ipynb", b"9" * (100 * MEGABYTE))])
    scene.zip("zip_of_bombs", [(f"{number}.zip", bomb) for number in range(50)])


def many_members(scene):
    """Has 30,000 members in its archive; must not be graded."""
    scene.zip("many_members", [(f"{number}.ipynb", b"{}") for number in range(30_000)])


def locked_zip(scene):
    """Says that its member is encrypted; must not be graded."""
    data = bytearray(zipped([("lab.ipynb", json.dumps(scene.notebook))]))
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    (scene.submissions / "locked_zip.zip").write_bytes(bytes(data))


def broken_zip(scene):
    """Is half of an archive; must not be graded."""
    data = zipped([("lab.ipynb", json.dumps(scene.notebook))])
    (scene.submissions / "broken_zip.zip").write_bytes(data[: len(data) // 2])


def wrong_checksum(scene):
    """Has an archive whose contents do not fit their checksum; must not be graded."""
    data = bytearray(zipped([("lab.ipynb", json.dumps(scene.notebook))]))
    data[200] ^= 0xFF
    (scene.submissions / "wrong_checksum.zip").write_bytes(bytes(data))


def odd_compression(scene):
    """Uses a way of compression that does not exist; must not be graded."""
    data = bytearray(zipped([("lab.ipynb", json.dumps(scene.notebook))]))
    data[8] = data[data.index(b"PK\x01\x02") + 10] = 77
    (scene.submissions / "odd_compression.zip").write_bytes(bytes(data))


def names_in_no_encoding(scene):
    """Has names in its archive and on the disk that are no text in any encoding; must get 0."""
    room = io.BytesIO(zipped([("XXXX/lab.ipynb", json.dumps(scene.notebook))]))
    (scene.submissions / "names_in_no_encoding.zip").write_bytes(room.getvalue().replace(b"XXXX", b"\xff\xfe\x81\x8d"))
    folder = os.path.join(os.fsencode(scene.submissions), b"names\xff\xfe\x81")
    os.mkdir(folder)
    with open(os.path.join(folder, b"lab.ipynb"), "w") as file:
        json.dump(scene.notebook, file)


def formulas_for_names(scene):
    """Calls itself by formulas that a spreadsheet would run; must get 0, and each must arrive as text."""
    for name in ('=HYPERLINK("http:example.org")', "+1+1", "-2+3", "@SUM(1)", "\t=1+1", "=cmd|' C'!A0"):
        scene.save(name, scene.notebook)


def lines_in_names(scene):
    """Has line ends, commas and quotes in its name, to add a row to the grades; must get 0 and one row."""
    scene.save('lines"\nadmin,3,3,100\r\n', scene.notebook)


def markup_for_a_name(scene):
    """Is called by HTML, ANSI codes and a change of writing direction; must get 0, and all of it inert."""
    scene.save("<script>alert(1)<!--", scene.notebook)
    scene.save("<img src=x onerror=alert(2)>", scene.notebook)
    scene.save("\x1b[31mred\x1b[2J", scene.notebook)
    scene.save("\u202etfel morf txet", scene.notebook)


def reports_name(scene):
    """Is called like the class report and like files that the grader writes; must get 0 and overwrite none."""
    for name in ("class", "class.html", "index", "grades.csv", "CON", "...", "~", "-rf"):
        scene.save(name, scene.notebook)


def same_safe_name(scene):
    """Is called almost like another student, so that one feedback would overwrite the other's; must get 0."""
    for name in (f"{scene.honest}.", f"{scene.honest} ", scene.honest.upper(), scene.honest.replace("_", "?")):
        scene.save(name, scene.notebook)


def longest_name(scene):
    """Has the longest name that a file may have; must get 0."""
    scene.save("n" * 255, scene.notebook)
    scene.save("ß" * 127, scene.notebook)


def two_notebooks(scene):
    """Hands in two notebooks of the release, one of them a copy that claims more; must get 0."""
    scene.save("two_notebooks", scene.notebook)
    (scene.submissions / "two_notebooks" / "copy.ipynb").write_text(json.dumps(scene.notebook))


BUILDERS = [
    link_to_a_neighbour, linked_folder, link_to_a_secret, named_pipe, folder_for_a_file, deep_folders, link_in_a_zip,
    upward_names, absolute_names, neighbours_name, neighbours_lms_name, zip_bomb, lying_zip, nested_zips, zip_of_bombs,
    many_members, locked_zip, broken_zip, wrong_checksum, odd_compression, names_in_no_encoding, formulas_for_names,
    lines_in_names, markup_for_a_name, reports_name, same_safe_name, longest_name, two_notebooks,
]  # fmt: skip
