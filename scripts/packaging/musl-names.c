/*
 * Names of glibc that Debian's libstdc++ and libgcc_s ask for, for programs on musl's loader. Debian has musl but no
 * libstdc++ for it; this lets the machine that makes a release run the musl binaries. It is in no package.
 *
 * gcc -shared -nostdlib -fPIC -fno-builtin -o ld-linux-x86-64.so.2 musl-names.c
 */
typedef unsigned long size_t;

extern long getrandom(void *, size_t, unsigned);
extern size_t strftime_l(char *, size_t, const char *, const void *, void *);
extern int pthread_key_create(unsigned *, void (*)(void *));
extern int pthread_setspecific(unsigned, const void *);
extern int pthread_once(int *, void (*)(void));
extern void *malloc(size_t);
extern void free(void *);

unsigned arc4random(void) {
  unsigned value = 0;
  getrandom(&value, sizeof value, 0);
  return value;
}

size_t __strftime_l(char *to, size_t max, const char *format, const void *time, void *locale) {
  return strftime_l(to, max, format, time, locale);
}

char __libc_single_threaded = 0;

/* Processor features for functions with several versions: none are claimed. */
struct { unsigned vendor, type, subtype, features[1]; } __cpu_model;
int __cpu_indicator_init(void) { return 0; }

/* Destructors of a thread's variables, last registered first. */
struct last { void (*call)(void *); void *of; struct last *before; };
static unsigned key;
static int made;
static __thread struct last *lasts;

static void end_thread(void *first) {
  (void)first;
  while (lasts) {
    struct last *each = lasts;
    lasts = each->before;
    each->call(each->of);
    free(each);
  }
}
static void make_key(void) { pthread_key_create(&key, end_thread); }

int __cxa_thread_atexit_impl(void (*call)(void *), void *of, void *library) {
  (void)library;
  struct last *each = malloc(sizeof *each);
  if (!each) return -1;
  pthread_once(&made, make_key);
  each->call = call, each->of = of, each->before = lasts;
  lasts = each;
  return pthread_setspecific(key, each);
}

/* Where exceptions are unwound: the loaded object that holds an address. ELF64 throughout. */
struct header { unsigned type, flags; size_t offset, at, physical, in_file, in_memory, align; };
struct object { size_t base; const char *name; const struct header *headers; unsigned short count; };
extern int dl_iterate_phdr(int (*)(struct object *, size_t, void *), void *);
struct found { unsigned long long flags; void *from, *to, *map, *frames, *reserved[7]; };
struct question { size_t at; struct found *answer; };

static int looks_in(struct object *object, size_t size, void *data) {
  (void)size;
  struct question *asked = data;
  size_t frames = 0, from = 0, to = 0;
  for (unsigned i = 0; i < object->count; i++) {
    const struct header *each = &object->headers[i];
    size_t start = object->base + each->at, end = start + each->in_memory;
    if (each->type == 0x6474e550) frames = start; /* PT_GNU_EH_FRAME */
    if (each->type == 1 && asked->at >= start && asked->at < end) from = start, to = end; /* PT_LOAD */
  }
  if (!to || !frames) return 0;
  asked->answer->flags = 0, asked->answer->map = 0;
  asked->answer->from = (void *)from, asked->answer->to = (void *)to, asked->answer->frames = (void *)frames;
  return 1;
}

int _dl_find_object(void *at, struct found *answer) {
  struct question asked = { (size_t)at, answer };
  return dl_iterate_phdr(looks_in, &asked) == 1 ? 0 : -1;
}
