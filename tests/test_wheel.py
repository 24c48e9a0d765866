"""An installed wheel brings the configs and MNIST along."""

import os
import pathlib
import subprocess
import sys
import zipfile

ROOT = pathlib.Path(__file__).resolve().parents[1]


def test_wheel_holds_configs_and_mnist(tmp_path):
    """Builds a wheel of a copy of this tree and uses it from elsewhere."""
    copy = tmp_path / "copy"
    for file in ("setup.py", "requirements.txt", "pyproject.toml", "LICENSE", "tf_l2t", "gin"):
        copied = copy / file
        copied.parent.mkdir(exist_ok=True)
        copied.symlink_to(ROOT / file)
    # fmt: off
    command = [
        sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation",
        "--no-index", "--wheel-dir", str(tmp_path), str(copy),
    ]
    # fmt: on
    subprocess.run(command, check=True, timeout=120)
    (wheel,) = tmp_path.glob("tf_l2t-*.whl")
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        archive.extractall(site)
    configs = {path.relative_to(ROOT / "gin") for path in (ROOT / "gin").rglob("*.gin")}
    assert names >= {f"tf_l2t/configs/{config.as_posix()}" for config in configs}
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"tf_l2t"}

    program = (
        "from tf_l2t import gin_files\n"
        "from tf_l2t.data import embedded_mnist\n"
        "assert gin_files.__file__.startswith(%r), gin_files.__file__\n"
        "assert gin_files._exists('gin/lenet_mnist.gin')\n"
        "assert embedded_mnist().num_classes == 10\n"
    )
    environment = os.environ | {"PYTHONPATH": str(site)}
    subprocess.run(
        [sys.executable, "-c", program % str(site)],
        check=True,
        timeout=120,
        cwd=tmp_path,
        env=environment,
    )
