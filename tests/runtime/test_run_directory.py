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
