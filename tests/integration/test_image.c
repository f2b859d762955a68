/*
 * The root that an image is made of: what is in it, and the daemon in it as a container engine
 * would run it, as a user without a name, with nothing writable, and no /proc, /dev and /etc.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../support/certificates.h"
#include "../support/daemon.h"
#include "../support/ports.h"
#include "../support/scene.h"

SCENE_SUITE(integration_image);

#define SIZE_MAX_KB 20000
#define USER "65532"

struct image {
    char *folder; /* of the following */
    char *root;
    char *wrapper; /* a program that runs the daemon in it */
    char *secrets; /* is /secrets in there; /run is a folder, too, where that user may write */
};

static struct process_result shell(const char *script)
{
    return process_run(20000, NULL, (const char *const[]){"sh", "-euc", script, NULL});
}

static char *must(const char *script)
{
    const struct process_result result = shell(script);

    cr_assert_eq(result.exit_code, 0, "%s: %s%s", script, result.out, result.err);
    return result.out;
}

static struct image *image_make(void)
{
    static int made;
    struct image *image = scene_alloc(sizeof(*image));

    if (daemon_is_sanitized()) {
        scene_skip("a sanitizer needs /proc");
    }
    image->folder = text("%s/image-%d", scene_folder(), ++made);
    image->root = text("%s/root", image->folder);
    (void)must(text("deploy/build/image-root.sh '%s' '%s'", image->root, daemon_binary()));
    return image;
}

/*
 * Each call has mounts of its own, which end with it. Mount points are made beforehand, as an
 * engine does. @param hosts becomes /etc/hosts; NULL: there is no /etc. @param ca becomes what the
 * image trusts; NULL: what is in it.
 */
static struct image *image_run(const char *hosts, const char *ca)
{
    struct image *image = image_make();
    const char *more = "";

    if (getuid() != 0 || !process_can_run("unshare") ||
        shell("unshare -m mount -t tmpfs none /mnt").exit_code != 0) {
        scene_skip("needs root and mount namespaces");
    }
    image->secrets = text("%s/secrets", image->folder);
    image->wrapper = text("%s/in-image", image->folder);
    (void)must(text("cd '%s'; mkdir secrets run root/secrets root/run; chown " USER " secrets run",
                    image->folder));
    if (hosts) {
        file_write(text("%s/hosts", image->folder), hosts);
        (void)must(
            text("cd '%s'; chmod 644 hosts; mkdir root/etc; touch root/etc/hosts", image->folder));
        more = "mount --bind hosts root/etc/hosts; ";
    }
    if (ca) {
        more = text("%smount --bind %s $(find root -name cert.pem); ", more, ca);
    }
    file_write(image->wrapper,
               text("#!/bin/sh\n"
                    "exec env -u SSL_CERT_FILE -u SSL_CERT_DIR unshare -m sh -euc '"
                    "cd $0; mount --bind root root; "
                    "mount --bind secrets root/secrets; mount --bind run root/run; %s"
                    "mount -o remount,bind,ro $0/root; "
                    "exec chroot --userspec=" USER ":" USER " --groups= $0/root "
                    "/usr/bin/bellwether \"$@\"' %s \"$@\"\n",
                    more, image->folder));
    cr_assert_eq(chmod(image->wrapper, 0755), 0);
    return image;
}

/* Readable to the user in there only. */
static void secret_write(const struct image *image, const char *name, const char *contents)
{
    file_write(text("%s/%s", image->secrets, name), contents);
    (void)must(text("chown " USER " '%s/%s'", image->secrets, name));
}

static struct process_result run_in(const struct image *image, const char *a, const char *b)
{
    return process_run(10000, NULL, (const char *const[]){image->wrapper, a, b, NULL});
}

/* ---- what is in it ---- */

SCENE(integration_image, nothing_but_the_daemon)
{
    const struct image *image = image_make();
    const char *root = image->root;
    char *files = must(text("cd '%s'; find . -type f -printf '%%P\n' | sort", root));
    size_t libraries = 0;

    for (char *file = strtok(files, "\n"); file; file = strtok(NULL, "\n")) {
        const char *name = strrchr(file, '/') + 1;

        if (strcmp(file, "usr/bin/bellwether") == 0 || strcmp(name, "cert.pem") == 0) {
            continue;
        }
        libraries++;
        cr_expect(strstr(name, ".so"), "what is %s for?", file);
        cr_expect_eq(shell(text("ldd '%s' | grep -qF '%s'", daemon_binary(), name)).exit_code, 0,
                     "the daemon does not load %s", file);
    }
    cr_expect_str_eq(must(text("find '%s' ! -type f ! -type d", root)), "");
    cr_expect_str_eq(must(text("find '%s' -perm /7022", root)), "",
                     "nobody but root changes it, and nothing gives rights");
    cr_expect_str_eq(
        must(text("cd '%s'; ls -d etc proc dev sys tmp bin 2>/dev/null || true", root)), "");
    cr_expect_lt(strtol(must(text("du -sk --apparent-size '%s'", root)), NULL, 10), SIZE_MAX_KB);
    cr_expect_geq(
        count_in(must(text("cat $(find '%s' -name cert.pem)", root)), "BEGIN CERTIFICATE"), 50);
    /* a second time it replaces what it made, and nothing that it did not */
    (void)must(text("touch '%s/stray'; deploy/build/image-root.sh '%s' '%s'", root, root,
                    daemon_binary()));
    cr_expect_neq(access(text("%s/stray", root), F_OK), 0);
    const char *foreign = text("%s/foreign", scene_folder());
    (void)must(text("mkdir '%s'; touch '%s/file'", foreign, foreign));
    const struct process_result refused =
        shell(text("deploy/build/image-root.sh '%s' '%s'", foreign, daemon_binary()));
    cr_expect_eq(refused.exit_code, 1);
    cr_expect(strstr(refused.err, "no root that was made here"), "%s", refused.err);
    cr_expect_eq(access(text("%s/file", foreign), F_OK), 0);
    cr_expect(libraries == 0 || strstr(must(text("find '%s' -name 'ld-*'", root)), "ld-"));
}

/* ---- what it does ---- */

static void drop_certificates(void *folder)
{
    certificates_remove(folder);
}

SCENE(integration_image, serves_and_is_probed)
{
    const char *folder = scene_keep(certificates_usual(), drop_certificates);
    const uint16_t tls_port = port_reserve();
    struct image *image = image_run(NULL, NULL);
    struct cluster *cluster = cluster_start(&(struct cluster_spec){
        .nodes = 1, .sentinels = 1, .node_password = "first", .sentinel_password = "guard"});

    secret_write(image, "redis", "first\n");
    secret_write(image, "sentinel", "guard\n");
    secret_write(image, "token", "one\n");
    secret_write(image, "good.crt", file_read(text("%s/good.crt", folder)));
    secret_write(image, "good.key", file_read(text("%s/good.key", folder)));
    struct daemon *daemon = daemon_launch(&(struct daemon_spec){
        .cluster = cluster,
        .binary = image->wrapper,
        .flags = (const char *const[]){
            "--redis-password-file", "/secrets/redis", "--sentinel-password-file",
            "/secrets/sentinel", "--redis-api", "token", "--token-file", "/secrets/token",
            "--listen", "unix:/run/http.sock", "--listen", text("127.0.0.1:%u,tls", tls_port),
            "--http-cert", "/secrets/good.crt", "--http-key", "/secrets/good.key", NULL}});
    EXPECT_MASTER(daemon, &cluster->nodes[0], 4000);
    const struct http_answer *metrics = daemon_get(daemon, "/metrics");
    cr_assert(strstr(metrics->body, "process_cpu_seconds_total") &&
                  !strstr(metrics->body, "process_resident_memory_bytes"),
              "what /proc would tell is left out");
    cr_assert_eq(status_of(daemon, "/status"), 200);
    const char *pid_status = file_read(text("/proc/%d/status", (int)daemon->process->pid));
    cr_assert(strstr(pid_status, "Uid:\t" USER "\t" USER), "%s", pid_status);

    struct process_result probe = run_in(image, "--probe", text("%s/readyz/master", daemon->base));
    cr_assert_eq(probe.exit_code, 0, "%s", probe.err);
    probe = run_in(image, "--probe", text("https://127.0.0.1:%u/readyz/master", tls_port));
    cr_assert_eq(probe.exit_code, 0, "%s", probe.err);
    probe = run_in(image, "--probe", "unix:/run/http.sock:/readyz/master");
    cr_assert_eq(probe.exit_code, 0, "%s", probe.err);
    server_kill(&cluster->nodes[0]);
    EXPECT_NONE(daemon, NULL, NULL, 2000);
    probe = run_in(image, "--probe", "unix:/run/http.sock:/readyz/master");
    cr_assert_eq(probe.exit_code, 1);
    cr_assert(strstr(probe.err, ": 503: not ready: master:"), "%s", probe.err);
    process_stop(daemon->process);
    probe = run_in(image, "--probe", "unix:/run/http.sock");
    cr_assert_eq(probe.exit_code, 1);
    cr_assert(strstr(probe.err, "cannot be connected to"), "%s", probe.err);
}

static long ping_with(const struct daemon *daemon, const char *token)
{
    const char *const headers[] = {text("Authorization: Bearer %s", token), NULL};

    return http_send(&(struct http_request){.method = "POST",
                                            .base = daemon->base,
                                            .path = "/redis",
                                            .headers = headers,
                                            .body = "[\"PING\"]",
                                            .body_len = 8})
        ->status;
}

SCENE(integration_image, secrets_are_read_again)
{
    struct image *image = image_run(NULL, NULL);
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.nodes = 1, .sentinels = 1});

    secret_write(image, "token", "one\n");
    struct daemon *daemon = daemon_launch(
        &(struct daemon_spec){.cluster = cluster,
                              .binary = image->wrapper,
                              .flags = (const char *const[]){"--redis-api", "token", "--token-file",
                                                             "/secrets/token", NULL}});
    EXPECT_MASTER(daemon, &cluster->nodes[0], 4000);
    WAIT_UNTIL(2000, ping_with(daemon, "one") == 200);
    secret_write(image, "token", "two\n");
    daemon_signal(daemon, SIGHUP);
    WAIT_UNTIL(4000, ping_with(daemon, "two") == 200 && ping_with(daemon, "one") == 401);
    EXPECT_LOGGED(daemon, strstr(daemon_log(daemon), "reloading credentials"));
}

/* No --tls-ca: what the image itself trusts is looked up where its library looks. */
SCENE(integration_image, tls_with_what_the_system_trusts)
{
    const char *folder = scene_keep(certificates_usual(), drop_certificates);
    struct image *image = image_run(NULL, text("%s/ca.crt", folder));
    struct cluster *cluster = cluster_start(&(struct cluster_spec){
        .nodes = 1, .sentinels = 1, .tls = CLUSTER_TLS, .certificates = folder});
    const char *const flags[] = {
        "--sentinel", cluster->sentinels[0].address, "--sentinel-tls", "on", "--redis-tls", "on",
        NULL};
    const struct daemon *daemon =
        daemon_launch(&(struct daemon_spec){.binary = image->wrapper, .flags = flags});

    EXPECT_MASTER(daemon, &cluster->nodes[0], 4000);
    /* the same with the image's own certificates, none of which is the test's */
    image = image_run(NULL, NULL);
    daemon = daemon_launch(&(struct daemon_spec){.binary = image->wrapper, .flags = flags});
    EXPECT_REASON(daemon, "sentinel_tls", 4000);
}

SCENE(integration_image, names)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.nodes = 1, .sentinels = 1});
    const char *named = text("redis-sentinel.example:%u", (unsigned)cluster->sentinels[0].port);
    const char *const flags[] = {"--sentinel", named, NULL};
    struct image *image = image_run("127.0.0.1 redis-sentinel.example\n", NULL);
    const struct daemon *daemon =
        daemon_launch(&(struct daemon_spec){.binary = image->wrapper, .flags = flags});

    EXPECT_MASTER(daemon, &cluster->nodes[0], 4000);
    const struct process_result probe = run_in(image, "--probe", text("%s/livez", daemon->base));
    cr_assert_eq(probe.exit_code, 0, "%s", probe.err);
}

/* Neither hosts nor name servers: it says so, and what is an address, or localhost, is found. */
SCENE(integration_image, names_without_a_resolver)
{
    struct image *image = image_run(NULL, NULL);
    const char *const flags[] = {"--sentinel", "redis-sentinel.example:26379", NULL};
    const struct daemon *daemon =
        daemon_launch(&(struct daemon_spec){.binary = image->wrapper, .flags = flags});

    EXPECT_REASON(daemon, "no_sentinel_reachable", 4000);
    WAIT_UNTIL(8000, strstr(http_string(daemon_get(daemon, "/master"), "detail"),
                            "redis-sentinel.example:26379: name does not resolve"));
    struct process_result probe =
        run_in(image, "--probe", text("http://localhost:%u/livez", daemon->port));
    cr_assert_eq(probe.exit_code, 0, "%s", probe.err);
    probe = run_in(image, "--probe", "http://elsewhere.example:1");
    cr_assert_eq(probe.exit_code, 1);
    cr_assert(strstr(probe.err, "its name "), "%s", probe.err);
}

/* Standard descriptors that are closed are no others' even where there is no /dev/null. */
SCENE(integration_image, closed_descriptors)
{
    const struct image *image = image_run(NULL, NULL);
    const struct process_result result = shell(
        text("'%s' --version <&- >'%s/version'; '%s' --check-config --sentinel a:1 >&- 2>&- || "
             "echo $?",
             image->wrapper, scene_folder(), image->wrapper));

    cr_assert_eq(result.exit_code, 0, "%s", result.err);
    cr_assert(strstr(file_read(text("%s/version", scene_folder())), "bellwether "));
    cr_assert_str_eq(result.out, "1\n", "standard output cannot be written");
}
