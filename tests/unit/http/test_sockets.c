/* Listening sockets: busy addresses, shared ports, Unix sockets and their files. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "http/server/sockets.h"

static struct http_listen listening;
static struct http_config config = {.listens = &listening, .n_listens = 1, .n_workers = 1};
static char error[320], directory[] = "/tmp/bellwether-sockets-XXXXXX", path[64];

static struct http_sockets *open_on(const char *host, uint16_t port, size_t n_workers)
{
    memset(&listening, 0, sizeof(listening));
    snprintf(listening.place.address.host, sizeof(listening.place.address.host), "%s", host);
    listening.place.address.port = port;
    config.n_workers = n_workers;
    return http_sockets_open(&config, error, sizeof(error));
}

static struct http_sockets *open_unix_at(const char *at, unsigned mode, size_t n_workers)
{
    memset(&listening, 0, sizeof(listening));
    listening.place.unix_path = (char *)(uintptr_t)at;
    listening.place.mode = mode;
    config.n_workers = n_workers;
    return http_sockets_open(&config, error, sizeof(error));
}

static void make_directory(void)
{
    cr_assert_not_null(mkdtemp(directory));
    snprintf(path, sizeof(path), "%s/s", directory);
}

static void remove_directory(void)
{
    unlink(path);
    cr_expect_eq(rmdir(directory), 0, "something was left behind");
}

Test(http_sockets, any_port_becomes_a_real_one)
{
    struct http_sockets *sockets = open_on("127.0.0.1", 0, 1);
    int fd;

    cr_assert_not_null(sockets, "%s", error);
    cr_expect_neq(http_sockets_address(sockets, 0)->port, 0);
    cr_expect_str_eq(http_sockets_address(sockets, 0)->host, "127.0.0.1");
    cr_expect_eq(strlen(http_sockets_instance(sockets)), 16);
    fd = http_sockets_take(sockets, 0, 0);
    cr_expect_geq(fd, 0);
    close(fd);
    http_sockets_free(sockets);
}

Test(http_sockets, a_second_copy_is_noticed_even_where_workers_share)
{
    for (size_t workers = 1; workers <= 3; workers += 2) {
        struct http_sockets *first = open_on("127.0.0.1", 0, workers), *second;
        char address[ADDRESS_TEXT_SIZE];
        uint16_t port;

        cr_assert_not_null(first, "%s", error);
        address_format(http_sockets_address(first, 0), address);
        port = http_sockets_address(first, 0)->port;
        second = open_on("127.0.0.1", port, workers);
        cr_expect_null(second);
        cr_expect(strstr(error, address) && strstr(error, "in use"), "%s", error);
        http_sockets_free(first);
        second = open_on("127.0.0.1", port, workers);
        cr_expect_not_null(second, "free again: %s", error);
        http_sockets_free(second);
    }
}

Test(http_sockets, workers_share_a_port)
{
    struct http_sockets *sockets = open_on("127.0.0.1", 0, 2);
    struct sockaddr_in a, b;
    socklen_t len = sizeof(a);
    int first, second;

    cr_assert_not_null(sockets, "%s", error);
    first = http_sockets_take(sockets, 0, 0);
    second = http_sockets_take(sockets, 0, 1);
    cr_expect_neq(first, second);
    cr_assert_eq(getsockname(first, (struct sockaddr *)&a, &len), 0);
    cr_assert_eq(getsockname(second, (struct sockaddr *)&b, &len), 0);
    cr_expect_eq(a.sin_port, b.sin_port);
    close(first);
    close(second);
    http_sockets_free(sockets);
}

Test(http_sockets, ipv6_beside_ipv4_on_one_port)
{
    struct http_sockets *any = NULL;

    /* of IPv4 somebody else may have the port */
    for (int tries = 0; tries < 10 && !any; tries++) {
        struct http_sockets *six = open_on("::1", 0, 1);

        if (!six) {
            cr_skip_test("no IPv6 here");
        }
        cr_expect_str_eq(http_sockets_address(six, 0)->host, "::1");
        any = open_on("0.0.0.0", http_sockets_address(six, 0)->port, 1);
        http_sockets_free(six);
    }
    cr_expect_not_null(any, "%s", error);
    http_sockets_free(any);
}

Test(http_sockets, a_name_and_an_address_that_is_not_ours)
{
    struct http_sockets *sockets = open_on("localhost", 0, 1);

    cr_expect_not_null(sockets, "%s", error);
    http_sockets_free(sockets);
    cr_expect_null(open_on("192.0.2.1", 8380, 1));
    cr_expect(strstr(error, "192.0.2.1:8380"), "%s", error);
    cr_expect_null(open_on("no-such-host.invalid", 8380, 1));
    cr_expect(strstr(error, "no-such-host.invalid:8380"), "%s", error);
}

static int connect_to(const char *at)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    snprintf(name.sun_path, sizeof(name.sun_path), "%s", at);
    if (connect(fd, (struct sockaddr *)&name, sizeof(name)) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

Test(http_sockets, unix_socket_with_its_mode_and_gone_at_the_end, .init = make_directory,
     .fini = remove_directory)
{
    struct http_sockets *sockets = open_unix_at(path, 0620, 2);
    struct stat status;
    int fd;

    cr_assert_not_null(sockets, "%s", error);
    cr_assert_eq(stat(path, &status), 0);
    cr_expect_eq(status.st_mode & 0777, 0620);
    fd = connect_to(path);
    cr_expect_geq(fd, 0);
    close(fd);
    http_sockets_free(sockets);
    cr_expect_neq(stat(path, &status), 0, "the file is still there");
}

Test(http_sockets, unix_socket_in_use, .init = make_directory, .fini = remove_directory)
{
    struct http_sockets *first = open_unix_at(path, 0600, 1);

    cr_assert_not_null(first, "%s", error);
    cr_expect_null(open_unix_at(path, 0600, 1));
    cr_expect(strstr(error, path) && strstr(error, "in use"), "%s", error);
    http_sockets_free(first);
}

Test(http_sockets, stale_unix_socket_is_replaced, .init = make_directory, .fini = remove_directory)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int left_over = socket(AF_UNIX, SOCK_STREAM, 0);
    struct http_sockets *sockets;

    snprintf(name.sun_path, sizeof(name.sun_path), "%s", path);
    cr_assert_eq(bind(left_over, (struct sockaddr *)&name, sizeof(name)), 0);
    close(left_over);
    sockets = open_unix_at(path, 0600, 1);
    cr_expect_not_null(sockets, "%s", error);
    http_sockets_free(sockets);
}

Test(http_sockets, files_that_are_not_ours_stay, .init = make_directory, .fini = remove_directory)
{
    FILE *file = fopen(path, "w");
    char longer[200];
    struct stat status;

    cr_assert_not_null(file);
    fclose(file);
    cr_expect_null(open_unix_at(path, 0600, 1));
    cr_expect(strstr(error, path), "%s", error);
    cr_expect_eq(stat(path, &status), 0);
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    cr_expect_null(open_unix_at(longer, 0600, 1));
    cr_expect(strstr(error, "at most"), "%s", error);
}

Test(http_sockets, a_successor_keeps_its_unix_socket, .init = make_directory,
     .fini = remove_directory)
{
    struct http_sockets *first = open_unix_at(path, 0600, 1), *second;
    struct stat status;

    cr_assert_not_null(first, "%s", error);
    cr_assert_eq(unlink(path), 0);
    second = open_unix_at(path, 0600, 1);
    cr_assert_not_null(second, "%s", error);
    http_sockets_free(first);
    cr_expect_eq(stat(path, &status), 0, "the first one removed the second one's file");
    http_sockets_free(second);
}
