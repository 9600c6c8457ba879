#!/usr/bin/env python3
"""extract_btf.py BZIMAGE FILE: writes the raw BTF of the kernel held inside a bzImage."""

import shutil
import struct
import subprocess
import sys

# Magic number at the start of a payload -> the command that unpacks it from stdin.
DECOMPRESSORS = {
    b'\xfd7zXZ\x00': ['xz', '-dc', '--single-stream'],
    b'\x28\xb5\x2f\xfd': ['zstd', '-dcq'],
    b'\x1f\x8b\x08': ['gzip', '-dc'],
    b'\x02\x21\x4c\x18': ['lz4', '-dc'],
}


def payload(image):
    """The compressed kernel, by the setup header (Documentation/arch/x86/boot.rst)."""
    if image[0x202:0x206] != b'HdrS':
        sys.exit('extract_btf: not a bzImage')
    setup_sectors = image[0x1f1] or 4
    offset, length = struct.unpack_from('<II', image, 0x248)
    start = (setup_sectors + 1) * 512 + offset
    return image[start:start + length]


def unpack(data):
    for magic, command in DECOMPRESSORS.items():
        if data.startswith(magic):
            break
    else:
        sys.exit('extract_btf: unknown compression')
    if not shutil.which(command[0]):
        sys.exit(f'extract_btf: run: apt-get install {command[0]}')
    # The payload ends with four bytes of length that no unpacker expects.
    kernel = subprocess.run(command, input=data[:-4], stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL, check=False).stdout
    if not kernel.startswith(b'\x7fELF'):
        sys.exit('extract_btf: the payload is not an ELF kernel')
    return kernel


def section(elf, wanted):
    """The bytes of one section of a 64-bit little-endian ELF file."""
    table, = struct.unpack_from('<Q', elf, 0x28)
    entry_size, count, names_index = struct.unpack_from('<HHH', elf, 0x3a)

    def header(index):
        name, _, _, _, offset, size = struct.unpack_from('<IIQQQQ', elf, table + index * entry_size)
        return name, offset, size

    _, names, _ = header(names_index)
    for index in range(count):
        name, offset, size = header(index)
        start = names + name
        if elf[start:elf.index(b'\0', start)] == wanted:
            return elf[offset:offset + size]
    return sys.exit(f'extract_btf: the kernel has no section {wanted.decode()}')


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    with open(sys.argv[1], 'rb') as f:
        btf = section(unpack(payload(f.read())), b'.BTF')
    with open(sys.argv[2], 'wb') as f:
        f.write(btf)


if __name__ == '__main__':
    main()
