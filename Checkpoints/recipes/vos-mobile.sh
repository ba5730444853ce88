#!/bin/sh
# Trains vos-mobile from its base network: sh vos-mobile.sh FOLDER [VOS-CLI]
# The archives are expected in data/ of the checkout, as unpacked (README.md in the folder above). An interrupted run
# goes on. The recipes say how many threads, so that all machines with the same instructions get the same weights.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
vos=${2:-vos-cli}
start=$1/start/student.safetensors
"$vos" train "$here/vos-mobile-start.json" --output "$1/start"
"$vos" train "$here/vos-mobile-lookalikes.json" --init "$start" --output "$1/lookalikes" --until 800
"$vos" train "$here/vos-mobile-decay.json" --init "$start" --output "$1/decay"
"$vos" train "$here/vos-mobile-decay.json" --init "$start" --seed 14 --output "$1/decay-14"
"$vos" average "$1/decay/student.safetensors" "$1/decay-14/student.safetensors" "$1/lookalikes/student.safetensors" \
  --output "$1/vos-mobile.safetensors"
