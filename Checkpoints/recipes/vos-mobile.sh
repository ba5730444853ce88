#!/bin/sh
# Trains vos-mobile as it is shipped, from the base network: sh vos-mobile.sh FOLDER [VOS-CLI]
# DAVIS and stills are expected in data/ of the checkout (README.md beside this folder). An interrupted run goes on.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
vos=${2:-vos-cli}
"$vos" train "$here/vos-mobile-lookalikes.json" --output "$1/lookalikes" --until 800
"$vos" train "$here/vos-mobile-decay.json" --output "$1/decay"
"$vos" average "$1/decay/student.safetensors" "$1/lookalikes/student.safetensors" --output "$1/vos-mobile.safetensors"
