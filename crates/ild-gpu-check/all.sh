#!/usr/bin/env bash
# All there is to learn on a machine with an NVIDIA GPU, the most important first, within eight
# minutes. Every step writes what it prints and its JSON into OUT before the next begins, and a step
# that fails or is too slow does not stop those after it.
#
#   all.sh FOLDER OUT     FOLDER holds gpu-check, and NVIDIA's libraries in lib64 where they are not
#                         installed; DEVICE=cpu MODEL=nano tries the script without a GPU
set -uo pipefail
programs=$(realpath "$1") out=$2
device=${DEVICE:-cuda} model=${MODEL:-t} python=${PYTHON:-}
mkdir -p "$out"
export LD_LIBRARY_PATH=$programs/lib64:${LD_LIBRARY_PATH:-}

# step NAME SECONDS COMMAND… – at most so long, and never beyond LIMIT seconds from the start
step() {
    local name=$1 seconds=$2 left=$((${LIMIT:-480} - SECONDS))
    shift 2
    ((seconds <= left)) || seconds=$left
    if ((seconds < 5)); then
        echo "$name: no time is left" | tee -a "$out/steps.txt"
        return
    fi
    local from=$SECONDS
    timeout "$seconds" "$@" >"$out/$name.txt" 2>&1
    local code=$?
    printf '%-22s exit %3d  %4d s\n' "$name" "$code" "$((SECONDS - from))" | tee -a "$out/steps.txt"
}

# check NAME SECONDS FLAGS…
check() {
    local name=$1 seconds=$2
    shift 2
    step "$name" "$seconds" "$programs/gpu-check" --device "$device" --output "$out/$name.json" "$@"
}

: >"$out/steps.txt"
[ "$device" = cpu ] || step 0-device 20 nvidia-smi
check 1-operations 90 --parts numbers --quick
check 2-one-slice 60 --parts times --models "$model" --batch 1 --rounds 3
check 3-batch-16 90 --parts times --models "$model" --batch "${BATCH:-16}" --rounds 3
check 4-numbers 120 --parts numbers --models "$model"
check 5-times 150 --parts times --models "${MODELS:-t,s,b+,l}" --batch "${BATCH:-16}" --rounds 10 ${python:+--python "$python"}
sanitizer=$(command -v compute-sanitizer)
if [ -n "$sanitizer" ]; then
    for tool in memcheck racecheck; do
        step "6-$tool" 120 "$sanitizer" --tool "$tool" "$programs/gpu-check" --device "$device" \
            --quick --models nano --batch 1 --rounds 1 --output "$out/6-$tool.json"
    done
else
    echo "6-sanitizer: compute-sanitizer is not on this machine" | tee -a "$out/steps.txt"
fi
