import errno
import os
import pathlib
import sys
import threading

import pytest
import tensorflow as tf

from tfsq.files import (
    check_not_read,
    checked_empty,
    name_for_tensorflow,
    writing_folder,
    writing_whole,
)

ODD_NAMES = [
    "run [1]",
    "a*b",
    "q?",
    "back\\slash",
    os.fsdecode(b"caf\xe9"),
    "é中",
    "n\nl",
    "x" * 255,
]


def contents(folder):
    return {file.name: file.read_text() for file in folder.iterdir()}


def test_threads_do_not_see_each_other_s_permissions(tmp_path):
    before, interval = os.umask(0o027), sys.getswitchinterval()
    sys.setswitchinterval(1e-6)

    def write(number):
        for i in range(50):
            with writing_whole(tmp_path / f"{number}_{i}") as file:
                file.write_text("x")

    try:
        threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)
        sys.setswitchinterval(interval)
    modes = {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()}
    assert len(list(tmp_path.iterdir())) == 400
    assert modes == {0o640}


def test_what_is_private_is_never_open_to_others(tmp_path):
    file = tmp_path / "file"
    file.write_text("before")
    file.chmod(0o600)
    with writing_whole(file) as unfinished:
        assert unfinished.stat().st_mode & 0o777 == 0o600
        unfinished.write_text("after")
    assert file.stat().st_mode & 0o777 == 0o600
    assert contents(tmp_path) == {"file": "after"}


@pytest.mark.parametrize("name", ODD_NAMES)
def test_files_and_folders_of_any_name_are_written_whole_or_not_at_all(name, tmp_path):
    for writing, write in (
        (writing_whole, lambda place, text: place.write_text(text)),
        (writing_folder, lambda place, text: (place / "entry").write_text(text)),
    ):
        folder = tmp_path / writing.__name__
        folder.mkdir()
        with pytest.raises(KeyError), writing(folder / name) as place:
            write(place, "unfinished")
            raise KeyError
        assert list(folder.iterdir()) == []
        for text in ("first", "second"):
            with writing(folder / name) as place:
                write(place, text)
            assert [entry.name for entry in folder.iterdir()] == [name]
    assert (tmp_path / "writing_whole" / name).read_text() == "second"
    assert contents(tmp_path / "writing_folder" / name) == {"entry": "second"}


def test_what_else_is_in_a_folder_stays(tmp_path):
    folder = tmp_path / "folder"
    with writing_folder(folder) as unfinished:
        (unfinished / "a").write_text("1")
    (folder / "card").write_text("of the user")
    with writing_folder(folder) as unfinished:
        (unfinished / "a").write_text("2")
        (unfinished / "b").write_text("3")
    assert contents(folder) == {"a": "2", "b": "3", "card": "of the user"}
    with pytest.raises(KeyError), writing_folder(folder) as unfinished:
        (unfinished / "a").write_text("4")
        raise KeyError
    assert contents(folder) == {"a": "2", "b": "3", "card": "of the user"}


def test_what_was_private_stays_so_and_mount_points_stay(tmp_path, monkeypatch):
    folder = tmp_path / "folder"
    (folder / "a").mkdir(parents=True)
    folder.chmod(0o700)
    rename = pathlib.Path.rename

    def busy(self, target):
        if self == folder:
            raise OSError(errno.EBUSY, "Device or resource busy")
        return rename(self, target)

    for is_mounted in (False, True):
        if is_mounted:
            monkeypatch.setattr(pathlib.Path, "rename", busy)
            inode = folder.stat().st_ino
        with writing_folder(folder) as unfinished:
            (unfinished / "a").mkdir()
            (unfinished / "a" / str(is_mounted)).write_text("x")
            (unfinished / "b").write_text(str(is_mounted))
        assert folder.stat().st_mode & 0o777 == 0o700
        assert os.listdir(folder / "a") == [str(is_mounted)]
        assert (folder / "b").read_text() == str(is_mounted)
        assert sorted(os.listdir(folder)) == ["a", "b"]
        assert os.listdir(tmp_path) == ["folder"]
    assert folder.stat().st_ino == inode


def test_a_folder_comes_back_if_another_cannot_take_its_name(tmp_path, monkeypatch):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a").write_text("1")
    rename = pathlib.Path.rename

    def failing(self, target):
        if target == folder and (self / "a").read_text() == "2":
            raise OSError(errno.EIO, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(pathlib.Path, "rename", failing)
    with pytest.raises(OSError, match="Input/output error"), writing_folder(folder) as unfinished:
        (unfinished / "a").write_text("2")
    assert contents(folder) == {"a": "1"}
    assert os.listdir(tmp_path) == ["folder"]


def test_a_file_is_no_empty_folder(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="`output` must not exist, or be an empty folder"):
        checked_empty(tmp_path / "file", "output")
    assert checked_empty(tmp_path / "none", "output") == tmp_path / "none"


def test_errors_of_the_system_name_the_file(tmp_path):
    for given in (None, "temporary"):
        with pytest.raises(OSError) as caught, writing_whole(tmp_path / "file") as temporary:
            raise OSError(errno.ENOSPC, "No space left", given and str(temporary))
        assert caught.value.filename == str(tmp_path / "file")
    with pytest.raises(OSError) as caught, writing_whole(tmp_path / "file"):
        raise OSError(errno.ENOENT, "No such file", "another")
    assert caught.value.filename == "another"


def test_links_that_lead_to_themselves_are_refused(tmp_path):
    loop = tmp_path / "loop"
    loop.symlink_to("loop")
    with pytest.raises(OSError, match="symbolic links.*loop"), writing_whole(loop):
        pass
    with pytest.raises(OSError, match="symbolic links.*loop"), writing_folder(loop):
        pass
    assert os.listdir(tmp_path) == ["loop"]


def test_what_is_read_is_not_written_to(tmp_path):
    source = tmp_path / "source"
    source.write_text("x")
    (tmp_path / "link").symlink_to("source")
    os.link(source, tmp_path / "hard")
    (tmp_path / "folder").mkdir()
    others = [tmp_path / "missing", tmp_path / "folder"]
    for target in (source, tmp_path / "link", tmp_path / "hard", tmp_path / "folder/../source"):
        with pytest.raises(ValueError, match="is the file to read; write to another one"):
            check_not_read(target, [*others, source])
    check_not_read(tmp_path / "new", [source])
    check_not_read(source, others)


@pytest.mark.parametrize("name", ODD_NAMES)
def test_checkpoints_and_saved_models_are_found_in_folders_of_any_name(name, tmp_path):
    # What a pattern would match, too.
    other = tmp_path / "aXb" / "checkpoints"
    other.mkdir(parents=True)
    (other / "ckpt-1.index").write_text("of another run")
    variable = tf.Variable(1.0)
    (tmp_path / name).mkdir()
    with name_for_tensorflow(tmp_path / name) as folder:
        checkpoint = tf.train.Checkpoint(v=variable)
        manager = tf.train.CheckpointManager(checkpoint, str(folder / "checkpoints"), max_to_keep=1)
        manager.save()
        manager.save()
        module = tf.Module()
        module.v = variable
        tf.saved_model.save(module, str(folder / "model"))
    variable.assign(2.0)
    with name_for_tensorflow(tmp_path / name) as folder:
        latest = tf.train.latest_checkpoint(str(folder / "checkpoints"))
        checkpoint.restore(latest).assert_consumed()
        assert float(tf.saved_model.load(str(folder / "model")).v) == 1.0
    assert float(variable) == 1.0
    assert len(list((tmp_path / name / "checkpoints").glob("*.index"))) == 1
    assert (other / "ckpt-1.index").exists()


def test_plain_names_stay(tmp_path):
    with name_for_tensorflow(tmp_path / "run") as folder:
        assert folder == tmp_path / "run"
