import pytest

from tf_l2t.runtime.run_directory import RunDirectory, RunDirectoryError

CONFIG = "# Parameters\nBudget.num_steps = 5\nRecipe.update_rule = \\\n    @tf_l2t.SGD\n"


def test_a_directory_is_claimed_once_and_then_gone_on_with(tmp_path) -> None:
    directory = RunDirectory(tmp_path / "runs" / "name")
    assert not directory.claim(CONFIG)
    assert directory.claim(CONFIG)
    assert directory.claim("# other comment\n" + CONFIG.replace("\\\n   ", ""))


def test_what_differs_is_listed(tmp_path) -> None:
    RunDirectory(tmp_path).claim(CONFIG)
    with pytest.raises(RunDirectoryError) as error:
        RunDirectory(tmp_path).claim(CONFIG.replace("5", "6"))
    assert "there: Budget.num_steps = 5" in str(error.value)
    assert "here:  Budget.num_steps = 6" in str(error.value)
    assert "Recipe" not in str(error.value)


def test_damaged_results_are_named(tmp_path) -> None:
    directory = RunDirectory(tmp_path)
    assert directory.read_results() == {}
    directory.results.write_text('{"rows": ')
    with pytest.raises(RunDirectoryError, match="results.json is damaged"):
        directory.read_results()


def test_a_file_in_its_place_is_refused(tmp_path) -> None:
    (tmp_path / "name").write_text("")
    with pytest.raises(RunDirectoryError, match="not the directory of a run"):
        RunDirectory(tmp_path / "name").claim(CONFIG)


def test_a_long_value_is_compared_in_its_order(tmp_path) -> None:
    long = "mlp.hidden = \\\n    (500,\n     500,\n     20)\n"
    RunDirectory(tmp_path).claim(long)
    assert RunDirectory(tmp_path).claim(long)
    for other in ("(500,\n     20,\n     500)", "(500,\n     500,\n     500,\n     20)"):
        with pytest.raises(RunDirectoryError):
            RunDirectory(tmp_path).claim(f"mlp.hidden = \\\n    {other}\n")


def test_what_a_kill_leaves_of_config_gin_is_no_obstacle(tmp_path) -> None:
    (tmp_path / ".config.gin.abc123").write_text("Budget")
    assert not RunDirectory(tmp_path).claim(CONFIG)


RUN = CONFIG + "Experiment.name = 'x'\n"


def listing(path):
    return sorted(str(p.relative_to(path)) for p in path.rglob("*") if p.name != ".lock")


def test_never_refuses_what_is_there_and_must_asks_for_it(tmp_path) -> None:
    with pytest.raises(RunDirectoryError, match="--resume=must, and there is no run"):
        RunDirectory(tmp_path / "run").claim(RUN, resume="must")
    assert not (tmp_path / "run").exists()
    assert not RunDirectory(tmp_path / "run").claim(RUN, resume="never")
    assert RunDirectory(tmp_path / "run").claim(RUN, resume="must")
    with pytest.raises(RunDirectoryError, match="--resume=never"):
        RunDirectory(tmp_path / "run").claim(RUN, resume="never")


def test_overwrite_removes_what_a_run_wrote_and_no_more(tmp_path) -> None:
    run = tmp_path / "run"
    directory = RunDirectory(run)
    directory.claim(RUN)
    directory.write_results({"rows": {}})
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "precious").write_text("")
    directory.teacher.symlink_to(tmp_path / "elsewhere")
    (directory.figures / "deep").mkdir(parents=True)
    (run / "notes.txt").write_text("mine")
    directory.release()
    assert not RunDirectory(run).claim(RUN.replace("5", "6"), overwrite=True)
    assert listing(run) == ["checkpoints", "checkpoints/config.gin", "config.gin", "notes.txt"]
    assert "= 6" in directory.config.read_text()
    assert (tmp_path / "elsewhere" / "precious").exists()


def test_overwrite_leaves_alone_what_is_not_of_a_run(tmp_path) -> None:
    (tmp_path / "config.gin").write_text("train.model = @resnet\n")
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(RunDirectoryError, match="is not overwritten"):
        RunDirectory(tmp_path).claim(RUN, overwrite=True)
    (tmp_path / "config.gin").rename(tmp_path / "other.txt")
    with pytest.raises(RunDirectoryError, match="not the directory of a run"):
        RunDirectory(tmp_path).claim(RUN, overwrite=True)
    assert listing(tmp_path) == ["checkpoints", "other.txt"]


def test_what_killed_writers_left_is_removed(tmp_path) -> None:
    directory = RunDirectory(tmp_path)
    directory.claim(RUN)
    for name in (".results.json.abc12345.tmp", "checkpoints/.teacher-00000001.npz.abc12345.tmp"):
        (tmp_path / name).write_text("half")
    (tmp_path / ".teacher.new" / "variables").mkdir(parents=True)
    directory.claim(RUN)
    assert listing(tmp_path) == ["checkpoints", "checkpoints/config.gin", "config.gin"]


def test_a_damaged_config_gin_is_mended_from_its_copy(tmp_path, caplog) -> None:
    directory = RunDirectory(tmp_path)
    directory.claim(RUN)
    for damage in (b"", b"\xff\xfe\0", RUN.encode()[:20], b"   )"):
        directory.config.write_bytes(damage)
        assert directory.claim(RUN)
        assert directory.config.read_text() == RUN
        assert "config.gin was damaged" in caplog.text
    directory.config.write_bytes(b"\xff\xfe\0")
    with pytest.raises(RunDirectoryError, match="another configuration"):
        directory.claim(RUN.replace("5", "6"))


RESULTS = {"rows": {"taught": {"dev": 0.25, "nan": float("nan"), "Φ": (1, 2)}}, "status": "running"}


def test_every_cut_and_flip_of_results_is_seen_and_mended_from_the_copy(tmp_path, caplog) -> None:
    directory = RunDirectory(tmp_path)
    directory.write_results(RESULTS)
    whole = directory.results.read_bytes()
    expected = directory.read_results()
    assert expected["rows"]["taught"] == {"dev": 0.25, "nan": None, "Φ": [1, 2]}
    damaged = [whole[:length] for length in range(len(whole) - 1)]
    for position in range(len(whole)):
        for bit in (0, 5, 7):
            flipped = bytearray(whole)
            flipped[position] ^= 1 << bit
            damaged.append(bytes(flipped))
    damaged += [b"[]", b"3", b'"x"', b"{}", b"[" * 100_000]
    for content in damaged:
        directory.results.write_bytes(content)
        assert directory.read_results() == expected
    assert "results.json is damaged" in caplog.text
    (tmp_path / "checkpoints" / "results.json").write_bytes(b"{}")
    with pytest.raises(RunDirectoryError, match="results.json is damaged .*made again"):
        directory.read_results()
