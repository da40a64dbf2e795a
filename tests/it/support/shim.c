/* A disk that fails and a clock that jumps, for a program that does not know: LD_PRELOAD.
 *
 * TGW_TEST_SHIM names a folder. While it holds
 *   fail        every fsync and fdatasync below .../log/ fails with EIO;
 *   fail-next   the next one does, and the file is removed;
 *   fail-nth    (text: a number N) the N-th one from the start of the process does, once;
 *   clock       (text: seconds) the wall clock is off by that much.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static atomic_long syncs;

/* The number in a file of the folder, or `none` where there is no such file. */
static long number(const char *name, long none) {
    const char *folder = getenv("TGW_TEST_SHIM");
    char path[4096], text[32];
    if (!folder) return none;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return none;
    ssize_t got = read(file, text, sizeof text - 1);
    close(file);
    text[got > 0 ? got : 0] = 0;
    return atol(text);
}

static int removed(const char *name) {
    const char *folder = getenv("TGW_TEST_SHIM");
    char path[4096];
    if (!folder) return 0;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return unlink(path) == 0;
}

static int fails(int file) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t got = readlink(link, path, sizeof path - 1);
    if (got <= 0) return 0;
    path[got] = 0;
    if (!strstr(path, "/data/log")) return 0;
    long nth = atomic_fetch_add(&syncs, 1) + 1;
    return number("fail", -1) >= 0 || number("fail-nth", -1) == nth || removed("fail-next");
}

int fsync(int file) {
    if (fails(file)) { errno = EIO; return -1; }
    return (int)syscall(SYS_fsync, file);
}

int fdatasync(int file) {
    if (fails(file)) { errno = EIO; return -1; }
    return (int)syscall(SYS_fdatasync, file);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int got = (int)syscall(SYS_clock_gettime, clock, now);
    if (got == 0 && clock == CLOCK_REALTIME) now->tv_sec += number("clock", 0);
    return got;
}
