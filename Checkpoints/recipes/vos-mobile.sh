#!/bin/sh
# Trains vos-mobile from its base network: sh vos-mobile.sh FOLDER [VOS-CLI]
# The archives are expected in data/ of the checkout, as unpacked (README.md in the folder above). An interrupted run
# goes on. The recipes say one thread, so that all machines with the same instructions get the same weights.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
vos=${2:-vos-cli}
base=$here/vos-mobile-base.safetensors
"$vos" train "$here/vos-mobile-lookalikes.json" --init "$base" --output "$1/lookalikes" --until 800
"$vos" train "$here/vos-mobile-rendered.json" --init "$base" --output "$1/rendered" --until 800
"$vos" train "$here/vos-mobile-decay.json" --init "$base" --output "$1/decay"
# The first one says what the network is: the base has no locality.
"$vos" average "$1/decay/student.safetensors" "$1/lookalikes/student.safetensors" "$1/rendered/student.safetensors" \
  "$base" --output "$1/vos-mobile.safetensors"
