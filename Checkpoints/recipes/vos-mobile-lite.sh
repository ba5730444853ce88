#!/bin/sh
# Distils vos-mobile-lite from vos-mobile: sh vos-mobile-lite.sh FOLDER [VOS-CLI]
# The archives are expected in data/ of the checkout, as unpacked (README.md in the folder above). An interrupted run
# goes on.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
vos=${2:-vos-cli}
"$vos" distill "$here/vos-mobile-lite.json" --output "$1/short"
"$vos" distill "$here/vos-mobile-lite-long.json" --output "$1/long"
"$vos" average "$1/short/student.safetensors" "$1/long/student.safetensors" --output "$1/vos-mobile-lite.safetensors"
