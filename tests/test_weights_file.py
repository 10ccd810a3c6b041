import json
import os
import pickle
import struct
import zipfile

import pytest
import torch
from safetensors.torch import save_file

from course_utils.errors import CourseError
from course_utils.learn import weights_file
from course_utils.learn.weights_file import Weights, check_weights

TENSORS = {
    "unet.weight": torch.zeros(2, 3, dtype=torch.float16),
    "unet.bias": torch.zeros(3),
    "one": torch.tensor(1.0),
    "none": torch.zeros(0, 4),
}
ENTRY = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


class Trap:
    """Whoever unpickles this makes the file `sprung`."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


def written(path, header, data=b""):
    """A safetensors file by the format's rules: length, header, data."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


@pytest.fixture
def whole(tmp_path):
    save_file(TENSORS, tmp_path / "model.safetensors", metadata={"format": "pt", "author": "Ilse"})
    return tmp_path / "model.safetensors"


def refused(path, words):
    with pytest.raises(CourseError, match=words):
        check_weights(path)


def test_a_whole_file_is_counted_with_its_dtypes_and_remarks(whole):
    expected = Weights(4, whole.stat().st_size, ("F16", "F32"), {"format": "pt", "author": "Ilse"})
    assert check_weights(whole) == expected
    assert check_weights(str(whole)) == expected


def test_an_empty_table_of_tensors_is_whole(tmp_path):
    assert check_weights(written(tmp_path / "empty.safetensors", {})) == Weights(0, 10, (), {})


def test_tensors_may_stand_in_any_order_in_the_header(tmp_path):
    header = {"b": {**ENTRY, "data_offsets": [8, 16]}, "a": ENTRY}
    assert check_weights(written(tmp_path / "w.safetensors", header, bytes(16))).tensors == 2


def test_a_dtype_that_is_newer_than_this_program_is_named_and_not_measured(tmp_path):
    header = {"a": {"dtype": "F3", "shape": [8], "data_offsets": [0, 3]}}
    assert check_weights(written(tmp_path / "w.safetensors", header, bytes(3))).dtypes == ("F3",)


def test_a_large_file_is_not_read(tmp_path):
    bytes_of_tensors = 40 * 2**30
    header = {"a": {"dtype": "U8", "shape": [bytes_of_tensors], "data_offsets": [0, bytes_of_tensors]}}
    path = written(tmp_path / "large.safetensors", header)
    os.truncate(path, path.stat().st_size + bytes_of_tensors)  # a hole: it takes no room on the disk
    assert check_weights(path).size_bytes > bytes_of_tensors


@pytest.mark.parametrize("length", [0x280, 0x480, 0x23C])
def test_a_header_whose_length_begins_like_another_kind_of_file_is_read(length, tmp_path):
    text = json.dumps({"a": ENTRY}).encode()
    path = written(tmp_path / "w.safetensors", text.ljust(length), bytes(8))
    assert path.read_bytes()[:1] in (b"\x80", b"<")
    assert check_weights(path).tensors == 1


def test_a_file_that_is_not_there_is_named(tmp_path):
    refused(tmp_path / "no.safetensors", "There is no file .*no.safetensors. Check the name: it ends in .safetensors")
    refused(tmp_path, "is a folder. Name one .safetensors file in it")


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("name", ["model.ckpt", "model.safetensors"])
def test_a_pickle_is_refused_by_its_content_and_never_opened(name, protocol, tmp_path):
    path, sprung = tmp_path / name, tmp_path / "sprung"
    path.write_bytes(pickle.dumps(Trap(sprung), protocol=protocol))
    refused(path, f"{name} is a pickle, whatever its name says: loading a pickle can run any program that its author")
    assert not sprung.exists()
    pickle.loads(path.read_bytes()).close()
    assert sprung.exists(), "the trap works"


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.safetensors"])
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "older form"])
def test_what_torch_saves_is_refused(name, zipped, tmp_path):
    torch.save(
        {"a": torch.zeros(2), "trap": Trap(tmp_path / "sprung")}, tmp_path / name, _use_new_zipfile_serialization=zipped
    )
    refused(tmp_path / name, "loading a pickle can run any program .* Take the .safetensors file of the same model")
    assert not (tmp_path / "sprung").exists()


def test_a_zip_that_was_cut_off_is_refused_as_a_pickle(tmp_path):
    torch.save(torch.zeros(2), tmp_path / "model.pt")
    path = tmp_path / "cut.pt"
    path.write_bytes((tmp_path / "model.pt").read_bytes()[:200])
    refused(path, "cut.pt is a zip archive, in which torch.save keeps a pickle")


def test_a_zip_of_something_else_is_to_be_unpacked(tmp_path):
    with zipfile.ZipFile(tmp_path / "model.zip", "w") as archive:
        archive.writestr("model.safetensors", b"weights")
    refused(tmp_path / "model.zip", "is a zip archive without weights of PyTorch's. Unpack it")


@pytest.mark.parametrize(
    "content, words",
    [
        (b"", "is empty. Download it again"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 0), "is a GGUF file, which llama.cpp and its relatives read"),
        (b"<!DOCTYPE html><html><head>", "is a web page: .* probably a page that asks to log in"),
        (b"\xef\xbb\xbf\r\n  <html>", "is a web page"),
        (b'{"weight_map": {}}', "is JSON, such as an index or a configuration. Name a .safetensors file"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 4265146304\n",
            "is a Git LFS pointer: .* stand for the file of 4,265,146,304 bytes. Type: git lfs pull",
        ),
        (
            b"version https://git-lfs.github.com/spec/v1\n",
            "is a Git LFS pointer: .* stand for the file. Type: git lfs pull",
        ),
        (b"\x01\x02", r"is no safetensors file, or damaged: no header follows its first 8 bytes \(01 02\)"),
        (bytes(4096), "is no safetensors file, or damaged: no header follows its first 8 bytes"),
        (b"cos\nsystem\n(S'touch sprung'\ntR.", "is no safetensors file"),
    ],
)
def test_another_kind_of_file_is_named_whatever_its_name(content, words, tmp_path):
    (tmp_path / "model.safetensors").write_bytes(content)
    refused(tmp_path / "model.safetensors", f"^model.safetensors {words}")


def test_a_file_cut_anywhere_gives_a_sentence(whole, tmp_path):
    content, cut = whole.read_bytes(), tmp_path / "cut.safetensors"
    for length in range(len(content)):
        cut.write_bytes(content[:length])
        refused(cut, "^cut.safetensors is (cut off|empty|no safetensors file)")


def test_a_cut_header_and_cut_tensors_say_how_much_is_there(whole, tmp_path):
    content = whole.read_bytes()
    header_bytes = int.from_bytes(content[:8], "little")
    (tmp_path / "a.safetensors").write_bytes(content[:20])
    refused(
        tmp_path / "a.safetensors", f"its header alone is {header_bytes} bytes long, and the file ends after 20 bytes"
    )
    (tmp_path / "b.safetensors").write_bytes(content[:-1])
    refused(tmp_path / "b.safetensors", "its header promises 28 bytes of tensors, and 27 are there. Download it again")
    (tmp_path / "c.safetensors").write_bytes(content + b"\0")
    refused(tmp_path / "c.safetensors", "is damaged: its header promises 28 bytes of tensors, and 29 are there")


@pytest.mark.parametrize(
    "header, words",
    [
        (b'{"a": ', "its header is no valid JSON"),
        (b'{"a": "\xff\xfe"}', "its header is no valid JSON"),
        (b'{"a":' + b"[" * 100_000, "its header is no valid JSON"),
        ({"a": 7}, "its header's entry of 'a' cannot be read"),
        ({"a": {**ENTRY, "shape": [-2]}}, "entry of 'a' cannot be read"),
        ({"a": {**ENTRY, "shape": "2"}}, "entry of 'a' cannot be read"),
        ({"a": {**ENTRY, "dtype": None}}, "entry of 'a' cannot be read"),
        ({"a": {**ENTRY, "data_offsets": [0]}}, "entry of 'a' cannot be read"),
        ({"a": {**ENTRY, "data_offsets": [0, "8"]}}, "entry of 'a' cannot be read"),
        ({"a" * 500: 7}, "entry of 'a{79}…' cannot be read"),
        ({"a": {**ENTRY, "shape": [3]}}, r"tensor 'a' \(3 F32\) has 8 bytes"),
        ({"a": {**ENTRY, "shape": []}}, r"tensor 'a' \(scalar F32\) has 8 bytes"),
        ({"a": {**ENTRY, "data_offsets": [8, 0]}}, "tensor 'a' begins at byte 8 of the data, not at 0"),
        ({"a": ENTRY, "b": ENTRY}, "tensor 'b' begins at byte 0 of the data, not at 8"),
        ({"a": {**ENTRY, "data_offsets": [4, 12]}}, "tensor 'a' begins at byte 4 of the data, not at 0"),
        ({"__metadata__": "pt"}, r"its remarks \(__metadata__\) are no table"),
    ],
)
def test_a_damaged_header_says_what_is_wrong(header, words, tmp_path):
    refused(written(tmp_path / "w.safetensors", header, bytes(8)), f"^w.safetensors is damaged: .*{words}")


def test_a_header_beyond_the_formats_limit_is_not_read(tmp_path):
    path = tmp_path / "w.safetensors"
    path.write_bytes(struct.pack("<Q", weights_file.MOST_HEADER_BYTES + 1) + b"{")
    refused(path, "no header follows")


def test_a_file_that_may_not_be_read_gives_a_sentence(whole, monkeypatch):
    def forbidden(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(weights_file, "open", forbidden, raising=False)
    refused(whole, "cannot be read: Permission denied. Check its permissions")


def test_every_dtype_that_safetensors_writes_is_measured(tmp_path):
    kinds = [torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.float16]
    kinds += [torch.bfloat16, torch.float32, torch.float64, torch.float8_e4m3fn, torch.float8_e5m2, torch.complex64]
    for number, kind in enumerate(kinds):
        path = tmp_path / f"{number}.safetensors"
        save_file({"a": torch.zeros(3, 5).to(kind)}, path)
        found = check_weights(path)
        assert found.dtypes[0] in weights_file._BITS
        shorter = path.read_bytes().replace(b'"shape":[3,5]', b'"shape":[3,4]')
        path.write_bytes(shorter)
        refused(path, r"tensor 'a' \(3×4")
