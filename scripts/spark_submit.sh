#!/usr/bin/env bash
# Load or apply a day on a cluster, through spark-submit:
#
#   scripts/spark_submit.sh [--deploy-mode client|cluster] [--venv FILE] [OPTION OF spark-submit …] \
#       apply|load --day D [--master M] [OPTION OF THE RUNNER …]
#
# The project's code is packaged for the cluster's machines; --venv hands over a Python environment,
# too (venv-pack, conda-pack). What spark-submit is told, and what the machines need: docs/clusters.md.
set -euo pipefail
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
python="${PYSPARK_DRIVER_PYTHON:-$root/.venv/bin/python}"
if ! command -v "$python" >/dev/null; then
    python=python3
fi
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"
exec "$python" -m staging_loaders.submit "$@"
