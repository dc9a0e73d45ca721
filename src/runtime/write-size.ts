/** How much one call writes. */

/**
 * Bytes, as in cp. Longer writes gain nothing, and may cost several times as much: since Linux 6.16 ext4 takes memory
 * for the page cache in blocks as large as the write. Measured on 6.18 in a virtual machine, 1 GiB into a new file:
 * 1.3 s in writes of 1 MiB, 0.2 s in writes of 64 to 512 KiB.
 */
export const writeBytesMax = 256 * 1024;
