/** How much one call writes. */

/**
 * Bytes, as in cp. Longer writes gain nothing, and may cost several times as much where the page cache takes memory in
 * blocks as large as the write (ext4 with large folios, Linux 6.16 and later). Measured on ext4 and Linux 6.18 in a
 * virtual machine, 1 GiB into a new file: 1.3 s in writes of 1 MiB, 0.2 s in writes of 64 to 512 KiB.
 */
export const writeBytesMax = 256 * 1024;
