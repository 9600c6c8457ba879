# Booting guests with the module and the test programs, and counting what they report.
# Sourced by tools/kernel-test, never run. Needs: filter, and cache.sh.
# shellcheck shell=bash

# Of the caller: which tests to run, all when empty.
filter="${filter:-}"
work="$(mktemp -d "${TMPDIR:-/tmp}/weft-kernel-test.XXXXXX")"
# Lines "pass NAME", "fail NAME", "skip NAME: REASON", as tools/lib/stages.sh has them.
results="${WEFT_RESULTS:-${work}/results}"
: >>"${results}"
summary=()

# Used by the caller.
# shellcheck disable=SC2034
static_modules="nfit nd_pmem dax_pmem device_dax fsdev_dax null_blk"
# shellcheck disable=SC2034
cxl_modules="cxl_acpi cxl_pci cxl_mem cxl_pmem cxl_port dax_cxl device_dax fsdev_dax null_blk"

# result pass|fail|skip NAME [REASON]
result() {
  echo "$1 $2${3:+: $3}" | tee -a "${results}"
}

# Turns what the tests of a guest printed into results: guest_results OUTPUT GUEST.
guest_results() {
  awk -v guest="$2" '
    /^not ok / { print "fail " guest " " $5; next }
    /^ok .* # SKIP/ { reason = $0; sub(/.* # SKIP /, "", reason)
                      print "skip " guest " " $4 ": " reason; next }
    /^ok / { print "pass " guest " " $4 }' "$1"
}

build_selftests() {
  make -s -C "${weft_root}/kmod/selftest" O="${work}/bin"
}

# An ext4 whose allocations are aligned to 2 MiB, for the bench.
build_ext4() {
  truncate -s 118M "${work}/ext4"
  mkfs.ext4 -q -b 4096 -E stride=512,stripe_width=512 "${work}/ext4"
  gzip -1 <"${work}/ext4" >"${work}/bin/ext4.gz"
}

module_builds() {
  if "${qemu_dir}/build_module" "$1" >/dev/null; then
    result pass "$1 module builds without a warning"
  else
    result fail "$1 module builds without a warning"
    return 1
  fi
}

# A kernel whose private structures are not what the module was written for must not be built
# for: here it is the module that has a field too many.
layout_is_checked() {
  local entry="${kernels_dir}/$1" copy="${work}/$1-layout"
  cp -r "${weft_root}/kmod" "${copy}"
  sed -i 's/^\tunsigned int align;/\tunsigned int moved;\n&/' "${copy}/compat/dax_private.h"
  make -s -C "${copy}" KDIR="${entry}/kdir" O="${copy}/objects" sources
  if ! make -C "${entry}/kdir" M="${copy}/objects" VMLINUX="${entry}/btf" compat/driver_dax.o \
    >"${copy}.log" 2>&1 && grep -q "struct dev_dax of .* has .*align.* elsewhere" "${copy}.log"; then
    result pass "$1 another layout fails the build, which names the field"
  else
    tail -n 20 "${copy}.log"
    result fail "$1 another layout fails the build, which names the field"
  fi
}

# The kernel's own style checker comes with the source of the debug kernel.
module_style() {
  local checkpatch="${kernels_dir}/debug/kdir/scripts/checkpatch.pl" name="checkpatch --strict"
  if [[ ! -e "${checkpatch}" ]]; then
    result skip "${name}" "no debug kernel in the cache: run tools/kernel-test debug"
  elif (cd "${work}" && "${checkpatch}" --no-tree --strict --quiet --no-summary --file \
    "${weft_root}"/kmod/{,compat/,uapi/}*.[ch]); then
    result pass "${name}"
  else
    result fail "${name}"
  fi
}

# guest_boot NAME SERIES KIND MODULES STAGES TIMEOUT_S APPEND: leaves the guest's output and
# kernel log in the directory it prints.
guest_boot() {
  local directory="${work}/${1// /-}" entry="${kernels_dir}/$2" file files=()
  mkdir -p "${directory}"
  for file in "${work}"/bin/*; do files+=("${file}=$(basename "${file}")"); done
  "${qemu_dir}/make_initramfs" "${directory}/initramfs" "${entry}" "$4" \
    "${entry}/build/weft.ko=weft.ko" "${files[@]}"
  "${qemu_dir}/boot" "$3" "${directory}" "${entry}/vmlinuz" \
    "weft.run=$5 $7" "${WEFT_GUEST_TIMEOUT_S:-$6}"
}

# guest_finished DIRECTORY NAME: that it came to its end by itself is a result.
guest_finished() {
  if grep -q '^# guest finished' "$1/output" && ! grep -q '^Bail out!' "$1/output"; then
    result pass "$2 ran to its end"
  else
    tail -n 40 "$1/console"
    result fail "$2 ran to its end"
  fi
}

# guest_log_is_clean DIRECTORY NAME: so is that its kernel found nothing to complain of.
guest_log_is_clean() {
  if "${qemu_dir}/check_log" "$1/console"; then
    result pass "$2 has a clean kernel log"
  else
    result fail "$2 has a clean kernel log"
  fi
}

# As guest_boot; prints what the guest printed and counts it.
run_guest() {
  local name="$1" directory="${work}/${1// /-}"
  printf '\n# %s: kernel %s\n' "${name}" "$(<"${kernels_dir}/$2/release")"
  guest_boot "$@" || true
  cat "${directory}/output"
  guest_results "${directory}/output" "${name}" >"${directory}/results"
  cat "${directory}/results" >>"${results}"
  summary+=("${name}: $(tally "${directory}/results")")
  guest_finished "${directory}" "${name}"
  guest_log_is_clean "${directory}" "${name}"
}

# A host whose revoke is not done in time restarts: the guest must not come to its end.
run_fence_guest() {
  local name="$1 fence_action=reboot" directory="${work}/$1-fence"
  guest_boot "$1-fence" "$1" static "${static_modules}" static_devices,fence_reboot 120 "" || true
  if grep -q '^# fencing' "${directory}/output" &&
    ! grep -q '^# guest finished' "${directory}/output"; then
    result pass "${name}"
  else
    cat "${directory}/output"
    result fail "${name}"
  fi
}

# tally RESULTS: "N passed, N failed, N skipped".
tally() {
  awk '{ n[$1]++ } END { printf "%d passed, %d failed, %d skipped\n", n["pass"], n["fail"], n["skip"] }' "$1"
}

# Prints the counts and ends the script.
results_end() {
  local failed=0
  printf '\n'
  printf '%s\n' "${summary[@]}"
  if grep '^fail ' "${results}"; then failed=1; fi
  tally "${results}"
  if ((failed)); then
    echo "logs: ${work}" >&2
  else
    rm -rf "${work}"
  fi
  exit "${failed}"
}
