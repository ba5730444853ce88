#!/bin/sh
# Trains vos-mobile-lite as it is shipped, from vos-mobile: sh vos-mobile-lite.sh FOLDER [VOS-CLI]
# DAVIS and stills are expected in data/ of the checkout (README.md beside this folder). An interrupted run goes on.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
vos=${2:-vos-cli}
for seed in 1 2; do "$vos" train "$here/vos-mobile-lite-$seed.json" --output "$1/$seed"; done
"$vos" average "$1/1/student.safetensors" "$1/2/student.safetensors" --output "$1/vos-mobile-lite.safetensors"
