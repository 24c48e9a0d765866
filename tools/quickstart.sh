#!/usr/bin/env bash
# On a fresh machine with Python 3: makes an environment, installs tf_l2t, and runs the main job,
# which trains a teacher for LeNet on MNIST and compares it with fixed losses.
#
#   tools/quickstart.sh [flags of tf_l2t.train, such as --gin_bindings='NUM_STEPS = 400']
#
# It uses the active virtual environment, or else makes .venv in this checkout, and can be run again.
set -eu -o pipefail

source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

# TensorFlow's own start-up messages would hide ours.
export TF_CPP_MIN_LOG_LEVEL="${TF_CPP_MIN_LOG_LEVEL:-3}"
say "Running python -m tf_l2t.train --gin_file=gin/lenet_mnist.gin $*"
"$PYTHON" -m tf_l2t.train --gin_file=gin/lenet_mnist.gin "$@"

say "Done. What to look at, unless --run_dir or another name was given:"
cat <<EOF
  $PWD/runs/lenet_mnist/results.json   test errors of every loss
  $PWD/runs/lenet_mnist/figures/       how the teacher learnt, and the loss it teaches
  $PYTHON -m tensorboard.main --logdir "$PWD/runs"
EOF
