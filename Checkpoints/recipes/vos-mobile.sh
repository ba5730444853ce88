#!/bin/sh
# Trains vos-mobile from its base network: sh vos-mobile.sh FOLDER [VOS-CLI]
# The archives are expected in data/ of the checkout, as unpacked (README.md in the folder above). Three runs of one
# thread each, two at a time; what one of them prints is in FOLDER/second.log. An interrupted run goes on.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
vos=${2:-vos-cli}
base=$here/vos-mobile-base.safetensors
mkdir -p "$1"
(
  "$vos" train "$here/vos-mobile-lookalikes.json" --init "$base" --output "$1/lookalikes" --until 800
  "$vos" train "$here/vos-mobile-rendered.json" --init "$base" --output "$1/rendered" --until 800
) > "$1/second.log" 2>&1 &
"$vos" train "$here/vos-mobile-decay.json" --init "$base" --output "$1/decay"
wait $! || { tail "$1/second.log"; exit 1; }
# The first one says what the network is: the base has no locality.
"$vos" average "$1/decay/student.safetensors" "$1/lookalikes/student.safetensors" "$1/rendered/student.safetensors" \
  "$base" --output "$1/vos-mobile.safetensors"
