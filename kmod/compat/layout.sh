#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# layout.sh VMLINUX: writes, as C definitions, where the fields of the dax bus's private
# structures are in the kernel VMLINUX (an ELF file with BTF, or raw BTF): one
# WEFT_LAYOUT_<struct>_<field> for each field there is, WEFT_LAYOUT_<struct> for the size.
set -eu

vmlinux="$1"
structs="dev_dax dev_dax_range dax_device_driver"

fail() {
	echo "compat/layout.sh: $*" >&2
	exit 1
}

[ -n "$vmlinux" ] || fail "this kernel has no fsdev_dax, so the layout of its private" \
	"structures must be checked: say VMLINUX=/path/to/vmlinux (with BTF) of that kernel"
[ -r "$vmlinux" ] || fail "cannot read $vmlinux"
command -v pahole >/dev/null || fail "pahole is needed (package dwarves or pahole)"

echo "/* Written by compat/layout.sh. */"
for struct in $structs; do
	text="$(pahole -C "$struct" "$vmlinux" 2>/dev/null)" || text=
	[ -n "$text" ] || fail "$vmlinux has no BTF for struct $struct"
	# Fields end in "name; /* offset size */"; a function pointer's name is "(*name)(...)".
	echo "$text" | awk -v struct="$struct" '
		match($0, /;[ \t]*\/\*[ \t]*[0-9]+[ \t]+[0-9]+/) {
			split(substr($0, RSTART + 1, RLENGTH - 1), at, /[ \t]+|\/\*/)
			name = substr($0, 1, RSTART - 1)
			if (match(name, /\(\*[a-z_0-9]+\)/)) {
				name = substr(name, RSTART + 2, RLENGTH - 3)
			} else {
				sub(/\[[0-9]*\]$/, "", name)
				sub(/.*[ \t*]/, "", name)
			}
			for (i = 1; at[i] == ""; i++) { }
			print "#define WEFT_LAYOUT_" struct "_" name " " at[i]
		}
		match($0, /\/\* size: [0-9]+/) {
			print "#define WEFT_LAYOUT_" struct " " substr($0, RSTART + 9, RLENGTH - 9)
		}'
done
