/* The test's side of faults: a table in a file of the test's folder, mapped by both. */
#include "faults.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon.h"
#include "scene.h"

static const char *table_path(void)
{
    return text("%s/faults", scene_folder());
}

static void unmap(void *faults)
{
    (void)munmap(faults, sizeof(struct faults));
}

struct faults *faults_new(void)
{
    const int fd = open(table_path(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    cr_assert(fd >= 0 && ftruncate(fd, sizeof(struct faults)) == 0);
    struct faults *faults = mmap(NULL, sizeof(*faults), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    (void)close(fd);
    cr_assert(faults != MAP_FAILED);
    return scene_keep(faults, unmap);
}

const char *faults_variable(void)
{
    return text("%s=%s", FAULTS_VARIABLE, table_path());
}

const char *faults_binary(void)
{
    return text("%s-faults", daemon_binary());
}

void faults_end(struct faults *faults)
{
    for (size_t i = 0; i < FAULTS_COUNT; i++) {
        atomic_store(&faults->every[i], 0);
    }
}
