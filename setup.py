"""Packaging of tf_l2t; the configs in gin/ are installed as the package tf_l2t.configs."""

import pathlib
import runpy

import setuptools

ROOT = pathlib.Path(__file__).resolve().parent


def requirements() -> list[str]:
    """Returns the lines of requirements.txt that name a package."""
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def long_description() -> str:
    """Returns the README, where it is there."""
    readme = ROOT / "README.md"
    return readme.read_text(encoding="utf-8") if readme.exists() else ""


setuptools.setup(
    name="tf-l2t",
    version=runpy.run_path(str(ROOT / "tf_l2t" / "version.py"))["__version__"],
    description="Learning to teach with dynamic loss functions, on TensorFlow and Keras 3",
    long_description=long_description(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.10,<3.14",
    packages=[*setuptools.find_packages(include=["tf_l2t", "tf_l2t.*"]), "tf_l2t.configs"],
    package_dir={"tf_l2t.configs": "gin"},
    package_data={
        "tf_l2t.data": ["embedded/*/*.gz", "embedded/*/*.txt"],
        "tf_l2t.configs": ["**/*.gin"],
    },
    install_requires=requirements(),
    extras_require={
        "dev": [
            "pytest>=8,<10",
            "pytest-timeout>=2.3,<3",
            "pytest-xdist>=3.6,<4",
            "ruff>=0.17,<0.18",
            "mypy>=2,<3",
            "setuptools>=70.1",
        ],
    },
    zip_safe=False,
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
