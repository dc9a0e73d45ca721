/*
 * Disks that lose what was not flushed: `lossy-disks FOLDER MIB NAME...` mounts a FUSE file system on FOLDER with one
 * file for each disk, to be used through loop devices. It speaks the kernel's protocol itself (linux/fuse.h), so that
 * gcc is all it needs. One thread handles one request after the other.
 *
 * The model is a disk with a volatile write cache, as the block layer defines it (Documentation/block/
 * writeback_cache_control.rst):
 * - A write is answered when it is in the cache. Reads see it.
 * - A flush (the loop device turns the file system's flush and FUA into fsync) makes every write durable that was
 *   answered before the flush was issued. A write that was still in progress then is not covered: the flush was already
 *   in the queue when the write was answered (`flush->covers`).
 * - When power fails, each write that no flush has covered is present, absent, or torn, independently of all others and
 *   so of their order. A device promises no more: it may write its cache back at any time, in any order, and a sector
 *   of 512 bytes is what it writes whole. Where several of them wrote one sector, it has the content of the last that
 *   is present.
 * So every image that is left is one that a disk may hold after a power failure. Not modelled, because no log can stand
 * it: a disk that lies about flushes, sectors that can no longer be read, damage to what was durable.
 *
 * No cache is between the loop device and this program: files are opened with FOPEN_DIRECT_IO, so each write of the
 * loop device is a request here, and its fsync waits for the answers of those before it.
 *
 * Commands, one a line, on standard input; the end of the input ends the program and the mount:
 *   arm SEED COUNT write|flush|answer|uncovered NAME...   Power fails for all of these disks at the COUNT-th write or
 *       flush of the first: when a write is in the cache; before a flush has an effect; when a flush is done and not
 *       yet answered; or when COUNT writes are in the cache and no flush has covered them. From then on requests wait.
 *       Prints `armed`, and when power has failed `failed AT-RISK PRESENT ABSENT TORN`, in writes. A second `arm`
 *       replaces the first, if it is in time.
 *   end NAME...     What waits, and what comes, fails with EIO. Prints `ended`.
 *   begin NAME...   The disks go on with what the failure has left, for those that open them from now on: what still
 *       has them open gets EIO for ever, such as a file system that another mount namespace keeps. Prints `began`.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define SECTOR 512
#define WRITE_MAX (1 << 20)
#define DISKS_MAX 8

typedef struct Write {
	struct Write *next;
	uint64_t offset;
	uint32_t size;
	uint64_t number; /* In the order of their answers. */
	uint8_t bytes[];
} Write;

typedef struct Request {
	struct Request *next;
	uint64_t covers; /* Of a flush: writes answered when it was found in the queue. */
	uint32_t size;
	uint8_t bytes[];
} Request;

typedef enum { RUNS, FAILED, ENDED } State;

typedef struct {
	const char *name;
	uint8_t *cached;  /* What reads see. */
	uint8_t *durable; /* What a flush has covered. */
	Write *first, **last; /* In the cache only. */
	uint64_t uncovered;   /* Their number. */
	Request *waiting, **lastWaiting;
	State state;
	uint64_t generation; /* One more after each failure; a file opened before it is of no use any more. */
} Disk;

typedef struct {
	uint64_t count;
	uint64_t seed;
	char when;
	int disks[DISKS_MAX];
	int size;
} Failure;

static Disk disks[DISKS_MAX];
static int diskCount;
static uint64_t diskBytes;
static int fuse;
static uint64_t answered;
static Failure failure;
static uint64_t dice;

static void fail(const char *what) {
	perror(what);
	exit(1);
}

/* SplitMix64. */
static uint64_t draw(void) {
	uint64_t z = (dice += 0x9e3779b97f4a7c15u);
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static void reply(const Request *request, int error, const void *data, size_t size) {
	const struct fuse_in_header *in = (const void *)request->bytes;
	struct fuse_out_header out = { .len = sizeof out + (error ? 0 : size), .error = -error, .unique = in->unique };
	struct iovec parts[2] = { { &out, sizeof out }, { (void *)data, size } };
	/* ENOENT: the request was interrupted, and no caller waits for the answer. */
	if (writev(fuse, parts, error || size == 0 ? 1 : 2) < 0 && errno != ENOENT) fail("reply");
}

static struct fuse_attr attributesOf(uint64_t node) {
	struct fuse_attr attr = { .ino = node, .nlink = 1, .blksize = 4096 };
	attr.mode = node == FUSE_ROOT_ID ? S_IFDIR | 0700 : S_IFREG | 0600;
	attr.size = node == FUSE_ROOT_ID ? 0 : diskBytes;
	attr.blocks = attr.size / SECTOR;
	return attr;
}

/* All writes with a number up to this one. */
static void makeDurable(Disk *disk, uint64_t covers) {
	while (disk->first != NULL && disk->first->number <= covers) {
		Write *write = disk->first;
		memcpy(disk->durable + write->offset, write->bytes, write->size);
		disk->first = write->next;
		disk->uncovered--;
		free(write);
	}
	if (disk->first == NULL) disk->last = &disk->first;
}

static void addWrite(Disk *disk, const struct fuse_write_in *in, const uint8_t *bytes) {
	Write *write = malloc(sizeof *write + in->size);
	if (write == NULL) fail("malloc");
	*write = (Write){ .offset = in->offset, .size = in->size, .number = ++answered };
	memcpy(write->bytes, bytes, in->size);
	memcpy(disk->cached + in->offset, bytes, in->size);
	*disk->last = write;
	disk->last = &write->next;
	disk->uncovered++;
}

/* Leaves in `durable`, and so in `cached`, what the disk holds after a power failure. */
static void losePower(Disk *disk, uint64_t counts[4]) {
	/* How much of the cache had been written back: nothing, little, half, most or all. */
	static const int presentPercents[] = { 0, 10, 50, 90, 100 };
	int presentPercent = presentPercents[draw() % 5];
	int tornPercent = draw() % 2 == 0 ? 0 : 40;
	for (Write *write = disk->first; write != NULL; write = write->next) {
		int isTorn = (int)(draw() % 100) < tornPercent;
		int isPresent = (int)(draw() % 100) < presentPercent;
		counts[0]++;
		counts[isTorn ? 3 : isPresent ? 1 : 2]++;
		for (uint32_t at = 0; at < write->size; at += SECTOR) {
			uint32_t size = write->size - at < SECTOR ? write->size - at : SECTOR;
			int isKept = isTorn ? (int)(draw() % 2) : isPresent;
			if (isKept) memcpy(disk->durable + write->offset + at, write->bytes + at, size);
		}
	}
	while (disk->first != NULL) {
		Write *write = disk->first;
		memcpy(disk->cached + write->offset, disk->durable + write->offset, write->size);
		disk->first = write->next;
		free(write);
	}
	disk->last = &disk->first;
	disk->uncovered = 0;
	disk->state = FAILED;
}

static void failNow(void) {
	uint64_t counts[4] = { 0 };
	dice = failure.seed;
	for (int i = 0; i < failure.size; i++) losePower(&disks[failure.disks[i]], counts);
	failure.size = 0;
	printf("failed %lu %lu %lu %lu\n", counts[0], counts[1], counts[2], counts[3]);
}

/* `whens`: the first letters of the moments that this is one of. */
static int failsAt(const Disk *disk, const char *whens) {
	if (failure.size == 0 || disk != &disks[failure.disks[0]] || strchr(whens, failure.when) == NULL) return 0;
	if (failure.when == 'u') return disk->uncovered >= failure.count;
	return --failure.count == 0;
}

static void hold(Disk *disk, Request *request) {
	request->next = NULL;
	*disk->lastWaiting = request;
	disk->lastWaiting = &request->next;
}

/* Reads, writes and flushes of a disk. Returns 1 if the request waits and must not be freed. */
static int transfer(Disk *disk, Request *request) {
	const struct fuse_in_header *in = (const void *)request->bytes;
	const void *body = in + 1;
	uint64_t handle = *(const uint64_t *)body; /* The first member of each of the three. */
	if (disk->state == ENDED || handle != disk->generation) {
		reply(request, EIO, NULL, 0);
		return 0;
	}
	if (disk->state == FAILED) {
		hold(disk, request);
		return 1;
	}
	if (in->opcode == FUSE_READ) {
		const struct fuse_read_in *read = body;
		uint64_t left = read->offset < diskBytes ? diskBytes - read->offset : 0;
		reply(request, 0, disk->cached + read->offset, read->size < left ? read->size : left);
	} else if (in->opcode == FUSE_WRITE) {
		const struct fuse_write_in *write = body;
		if (write->offset + write->size > diskBytes) {
			reply(request, EFBIG, NULL, 0);
			return 0;
		}
		addWrite(disk, write, (const uint8_t *)(write + 1));
		if (failsAt(disk, "wu")) {
			failNow();
			hold(disk, request);
			return 1;
		}
		struct fuse_write_out out = { .size = write->size };
		reply(request, 0, &out, sizeof out);
	} else {
		int isTime = failsAt(disk, "fa");
		if (!isTime || failure.when == 'a') makeDurable(disk, request->covers);
		if (isTime) {
			failNow();
			hold(disk, request);
			return 1;
		}
		reply(request, 0, NULL, 0);
	}
	return 0;
}

static void initialise(const Request *request) {
	const struct fuse_init_in *in = (const void *)(request->bytes + sizeof(struct fuse_in_header));
	struct fuse_init_out out = {
		.major = FUSE_KERNEL_VERSION,
		.minor = FUSE_KERNEL_MINOR_VERSION < in->minor ? FUSE_KERNEL_MINOR_VERSION : in->minor,
		.max_readahead = in->max_readahead,
		.flags = (FUSE_ASYNC_READ | FUSE_BIG_WRITES | FUSE_MAX_PAGES) & in->flags,
		.max_background = 64,
		.congestion_threshold = 48,
		.max_write = WRITE_MAX,
		.max_pages = WRITE_MAX / 4096,
		.time_gran = 1,
	};
	reply(request, 0, &out, sizeof out);
}

/* Returns 1 if the request waits. */
static int handle(Request *request) {
	const struct fuse_in_header *in = (const void *)request->bytes;
	Disk *disk = in->nodeid > FUSE_ROOT_ID ? &disks[in->nodeid - FUSE_ROOT_ID - 1] : NULL;
	switch (in->opcode) {
	case FUSE_INIT:
		initialise(request);
		return 0;
	case FUSE_LOOKUP:
		for (int i = 0; i < diskCount; i++) {
			if (strcmp(disks[i].name, (const char *)(in + 1)) != 0) continue;
			struct fuse_entry_out out = { .nodeid = FUSE_ROOT_ID + 1 + i, .attr = attributesOf(FUSE_ROOT_ID + 1 + i) };
			reply(request, 0, &out, sizeof out);
			return 0;
		}
		reply(request, ENOENT, NULL, 0);
		return 0;
	case FUSE_GETATTR:
	case FUSE_SETATTR: { /* Times change nothing. */
		struct fuse_attr_out out = { .attr = attributesOf(in->nodeid) };
		reply(request, 0, &out, sizeof out);
		return 0;
	}
	case FUSE_STATFS: { /* What kind of file system it is the kernel says itself. */
		struct fuse_statfs_out out = { .st = { .bsize = 4096, .frsize = 4096, .namelen = 255 } };
		reply(request, 0, &out, sizeof out);
		return 0;
	}
	case FUSE_OPEN:
	case FUSE_OPENDIR: {
		struct fuse_open_out out = { 0 };
		if (disk != NULL) out = (struct fuse_open_out){ .fh = disk->generation, .open_flags = FOPEN_DIRECT_IO };
		reply(request, 0, &out, sizeof out);
		return 0;
	}
	case FUSE_READ:
	case FUSE_WRITE:
	case FUSE_FSYNC:
		if (disk != NULL) return transfer(disk, request);
		reply(request, ENOSYS, NULL, 0);
		return 0;
	case FUSE_READDIR:
	case FUSE_RELEASE:
	case FUSE_RELEASEDIR:
	case FUSE_FLUSH: /* Of close(), not of the disk. */
		reply(request, 0, NULL, 0);
		return 0;
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
		return 0;
	default:
		reply(request, ENOSYS, NULL, 0);
		return 0;
	}
}

/* Returns the next request of the queue, or NULL. */
static Request *receive(void) {
	static uint8_t buffer[WRITE_MAX + 65536];
	ssize_t size = read(fuse, buffer, sizeof buffer);
	if (size < 0) {
		if (errno == EAGAIN || errno == EINTR || errno == ENOENT) return NULL;
		if (errno == ENODEV) exit(0); /* It was unmounted. */
		fail("read of /dev/fuse");
	}
	Request *request = malloc(sizeof *request + size + 1);
	if (request == NULL) fail("malloc");
	*request = (Request){ .covers = answered, .size = size };
	memcpy(request->bytes, buffer, size);
	request->bytes[size] = 0;
	return request;
}

/* All of the queue is received before the first of it is answered; `covers` depends on that. */
static void handleQueue(void) {
	static Request *first, **last = &first;
	do {
		for (Request *next = receive(); next != NULL; next = receive()) {
			*last = next;
			last = &next->next;
		}
		Request *request = first;
		if (request == NULL) return;
		first = request->next;
		if (first == NULL) last = &first;
		if (!handle(request)) free(request);
	} while (1);
}

static int diskNamed(const char *name) {
	for (int i = 0; i < diskCount; i++)
		if (strcmp(disks[i].name, name) == 0) return i;
	fprintf(stderr, "no disk is named %s\n", name);
	exit(2);
}

static void end(Disk *disk) {
	disk->state = ENDED;
	for (Request *request = disk->waiting; request != NULL;) {
		Request *next = request->next;
		reply(request, EIO, NULL, 0);
		free(request);
		request = next;
	}
	disk->waiting = NULL;
	disk->lastWaiting = &disk->waiting;
}

static void obey(char *line) {
	char *word = strtok(line, " \n");
	if (word == NULL) return;
	if (strcmp(word, "arm") == 0) {
		failure = (Failure){ .seed = strtoull(strtok(NULL, " "), NULL, 10) };
		failure.count = strtoull(strtok(NULL, " "), NULL, 10);
		failure.when = strtok(NULL, " ")[0];
		for (char *name; (name = strtok(NULL, " \n")) != NULL;) failure.disks[failure.size++] = diskNamed(name);
		if (disks[failure.disks[0]].state != RUNS) failure.size = 0;
		puts("armed");
		return;
	}
	int ends = strcmp(word, "end") == 0;
	for (char *name; (name = strtok(NULL, " \n")) != NULL;) {
		Disk *disk = &disks[diskNamed(name)];
		if (ends) end(disk);
		else {
			disk->state = RUNS;
			disk->generation++;
		}
	}
	puts(ends ? "ended" : "began");
}

int main(int argc, char **argv) {
	if (argc < 4 || argc - 3 > DISKS_MAX) {
		fprintf(stderr, "usage: lossy-disks FOLDER MIB NAME... (at most %d)\n", DISKS_MAX);
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	diskBytes = strtoull(argv[2], NULL, 10) << 20;
	for (; diskCount < argc - 3; diskCount++) {
		Disk *disk = &disks[diskCount];
		int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
		disk->name = argv[3 + diskCount];
		disk->cached = mmap(NULL, diskBytes, PROT_READ | PROT_WRITE, flags, -1, 0);
		disk->durable = mmap(NULL, diskBytes, PROT_READ | PROT_WRITE, flags, -1, 0);
		if (disk->cached == MAP_FAILED || disk->durable == MAP_FAILED) fail("mmap");
		disk->last = &disk->first;
		disk->lastWaiting = &disk->waiting;
	}
	fuse = open("/dev/fuse", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fuse < 0) fail("/dev/fuse");
	char options[128];
	snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=0,group_id=0", fuse);
	if (mount("lossy-disks", argv[1], "fuse.lossy-disks", MS_NOSUID | MS_NODEV, options) < 0) fail("mount");
	puts("ready");
	struct pollfd sources[2] = { { .fd = fuse, .events = POLLIN }, { .fd = STDIN_FILENO, .events = POLLIN } };
	char lines[4096];
	size_t used = 0;
	for (;;) {
		if (poll(sources, 2, -1) < 0 && errno != EINTR) fail("poll");
		if (sources[0].revents != 0) handleQueue();
		if (sources[1].revents == 0) continue;
		ssize_t got = read(STDIN_FILENO, lines + used, sizeof lines - used - 1);
		if (got <= 0) break;
		used += got;
		lines[used] = 0;
		for (char *newline; (newline = memchr(lines, '\n', used)) != NULL;) {
			size_t length = newline + 1 - lines;
			*newline = 0;
			obey(lines);
			used -= length;
			memmove(lines, lines + length, used + 1);
		}
	}
	umount2(argv[1], MNT_DETACH);
	return 0;
}
