/* A disk that fails, for one program: preloaded (LD_PRELOAD) it makes system calls fail while a file exists.
 *
 * OFFERLOG_FAILING_DISK names that file. Its first letter says what fails:
 *   s  fsync, fdatasync, sync_file_range and msync: EIO, as when the device loses a write
 *   w  the same, and write-like calls on regular files: EIO
 *   n  write-like calls on regular files: ENOSPC, as on a full disk
 * Nothing is written in a call that fails. Standard error stays writable: the program must be able to say why.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static char what_fails(void) {
    const char *flag = getenv("OFFERLOG_FAILING_DISK");
    char letter = 0;
    int kept = errno, file;
    if (flag == NULL || (file = open(flag, O_RDONLY | O_CLOEXEC)) < 0) {
        errno = kept;
        return 0;
    }
    if (read(file, &letter, 1) != 1) letter = 0;
    close(file);
    errno = kept;
    return letter;
}

static int is_regular(int file) {
    struct stat found;
    int kept = errno, regular = file > 2 && fstat(file, &found) == 0 && S_ISREG(found.st_mode);
    errno = kept;
    return regular;
}

static int sync_error(void) {
    char letter = what_fails();
    return letter == 's' || letter == 'w' ? EIO : 0;
}

static int write_error(int file) {
    char letter = what_fails();
    if ((letter != 'w' && letter != 'n') || !is_regular(file)) return 0;
    return letter == 'w' ? EIO : ENOSPC;
}

#define REAL(type, name, ...) \
    static type (*real)(__VA_ARGS__); \
    if (real == NULL) real = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)
#define FAIL_WITH(code) \
    do { int error = (code); if (error) { errno = error; return -1; } } while (0)

int fsync(int file) {
    REAL(int, fsync, int);
    FAIL_WITH(sync_error());
    return real(file);
}

int fdatasync(int file) {
    REAL(int, fdatasync, int);
    FAIL_WITH(sync_error());
    return real(file);
}

int sync_file_range(int file, off64_t from, off64_t bytes, unsigned int flags) {
    REAL(int, sync_file_range, int, off64_t, off64_t, unsigned int);
    FAIL_WITH(sync_error());
    return real(file, from, bytes, flags);
}

int msync(void *start, size_t bytes, int flags) {
    REAL(int, msync, void *, size_t, int);
    FAIL_WITH(sync_error());
    return real(start, bytes, flags);
}

ssize_t write(int file, const void *bytes, size_t length) {
    REAL(ssize_t, write, int, const void *, size_t);
    FAIL_WITH(write_error(file));
    return real(file, bytes, length);
}

ssize_t pwrite(int file, const void *bytes, size_t length, off_t at) {
    REAL(ssize_t, pwrite, int, const void *, size_t, off_t);
    FAIL_WITH(write_error(file));
    return real(file, bytes, length, at);
}

ssize_t pwrite64(int file, const void *bytes, size_t length, off64_t at) {
    REAL(ssize_t, pwrite64, int, const void *, size_t, off64_t);
    FAIL_WITH(write_error(file));
    return real(file, bytes, length, at);
}

ssize_t pwritev(int file, const struct iovec *parts, int number, off_t at) {
    REAL(ssize_t, pwritev, int, const struct iovec *, int, off_t);
    FAIL_WITH(write_error(file));
    return real(file, parts, number, at);
}

ssize_t pwritev64(int file, const struct iovec *parts, int number, off64_t at) {
    REAL(ssize_t, pwritev64, int, const struct iovec *, int, off64_t);
    FAIL_WITH(write_error(file));
    return real(file, parts, number, at);
}
