/*
 * Bytes as a peer would send them, through hiredis' reader, to every parser of replies. Held: no
 * fault, outputs untouched on failure, texts terminated and fit for JSON, numbers -1 or more.
 */
#include <stdlib.h>
#include <string.h>

#include "bellwether/redis/node_reply.h"
#include "bellwether/sentinel/reply.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

#define MARK 0x5a

static void hold(bool what)
{
    if (!what) {
        abort();
    }
}

static void hold_untouched(const void *memory, size_t size)
{
    const unsigned char *bytes = memory;

    for (size_t i = 0; i < size; i++) {
        hold(bytes[i] == MARK);
    }
}

static void hold_text(const char *text, size_t size)
{
    hold(memchr(text, '\0', size) != NULL);
    for (; *text != '\0'; text++) {
        hold((unsigned char)*text >= ' ' && *text != 0x7f);
    }
}

static void hold_address(const struct address *address)
{
    struct address again;
    char text[ADDRESS_TEXT_SIZE], error[512];

    hold_text(address->host, sizeof(address->host));
    hold(address_is_set(address) == (address->host[0] != '\0'));
    if (!address_is_set(address)) {
        return;
    }
    hold(address_parse(address_format(address, text), 0, &again, error, sizeof(error)) == 0);
    hold(address_equal(address, &again));
}

static void hold_master(const struct sentinel_master_row *row)
{
    hold_text(row->name, sizeof(row->name));
    hold(row->name[0] != '\0');
    hold_address(&row->address);
    hold_text(row->run_id, sizeof(row->run_id));
    hold_text(row->flags_text, sizeof(row->flags_text));
    hold_text(row->failover_state, sizeof(row->failover_state));
    hold(row->config_epoch >= -1 && row->quorum >= -1 && row->num_other_sentinels >= -1 &&
         row->num_slaves >= -1 && row->down_after_ms >= -1 && row->failover_timeout_ms >= -1);
}

static void try_rows(const redisReply *reply)
{
    struct sentinel_master_row *masters = NULL, master;
    struct sentinel_peer_row *peers = NULL;
    struct sentinel_replica_row *replicas = NULL;
    size_t n = 77;

    memset(&master, MARK, sizeof(master));
    if (sentinel_parse_master(reply, &master) == 0) {
        hold_master(&master);
    } else {
        hold_untouched(&master, sizeof(master));
    }
    if (sentinel_parse_masters(reply, &masters, &n) != 0) {
        hold(!masters && n == 77);
    }
    for (size_t i = 0; masters && i < n; i++) {
        hold_master(&masters[i]);
    }
    n = 77;
    if (sentinel_parse_peers(reply, &peers, &n) != 0) {
        hold(!peers && n == 77);
    }
    for (size_t i = 0; peers && i < n; i++) {
        hold_address(&peers[i].address);
        hold_text(peers[i].run_id, sizeof(peers[i].run_id));
        hold(peers[i].last_ok_ping_reply_ms >= -1);
    }
    n = 77;
    if (sentinel_parse_replicas(reply, &replicas, &n) != 0) {
        hold(!replicas && n == 77);
    }
    for (size_t i = 0; replicas && i < n; i++) {
        hold_address(&replicas[i].address);
        hold_address(&replicas[i].master);
        hold_text(replicas[i].run_id, sizeof(replicas[i].run_id));
        hold_text(replicas[i].flags_text, sizeof(replicas[i].flags_text));
        hold(replicas[i].priority >= -1 && replicas[i].repl_offset >= -1 &&
             replicas[i].link_down_ms >= -1);
    }
    free(masters);
    free(peers);
    free(replicas);
}

static void try_hello(const redisReply *reply)
{
    struct node_hello hello;

    memset(&hello, MARK, sizeof(hello));
    if (node_parse_hello(reply, &hello) != 0) {
        hold_untouched(&hello, sizeof(hello));
        return;
    }
    hold_text(hello.server, sizeof(hello.server));
    hold_text(hello.version, sizeof(hello.version));
    hold_text(hello.mode, sizeof(hello.mode));
    hold_text(hello.role, sizeof(hello.role));
    hold(hello.proto >= -1);
}

static void try_words(const redisReply *reply)
{
    char id[SENTINEL_RUN_ID_SIZE], word[NODE_WORD_SIZE], text[16];
    unsigned char flag[sizeof(bool)];
    bool ok;

    memset(id, MARK, sizeof(id));
    if (sentinel_parse_myid(reply, id) == 0) {
        hold_text(id, sizeof(id));
    } else {
        hold_untouched(id, sizeof(id));
    }
    memset(word, MARK, sizeof(word));
    if (node_parse_role(reply, word) == 0) {
        hold_text(word, sizeof(word));
    } else {
        hold_untouched(word, sizeof(word));
    }
    memset(word, MARK, sizeof(word));
    if (node_parse_info_role(reply, word) == 0) {
        hold_text(word, sizeof(word));
    } else {
        hold_untouched(word, sizeof(word));
    }
    memset(text, MARK, sizeof(text));
    if (sentinel_parse_ckquorum(reply, &ok, text, sizeof(text)) == 0) {
        hold_text(text, sizeof(text));
    } else {
        hold_untouched(text, sizeof(text));
    }
    memset(flag, MARK, sizeof(flag));
    memset(&ok, MARK, sizeof(ok));
    if (sentinel_parse_tilt(reply, &ok) != 0) {
        hold(memcmp(&ok, flag, sizeof(ok)) == 0);
    }
}

static void try_all(const redisReply *reply)
{
    struct address address;

    memset(&address, MARK, sizeof(address));
    if (sentinel_parse_address(reply, &address) == 0) {
        hold(address_is_set(&address));
        hold_address(&address);
    } else {
        hold_untouched(&address, sizeof(address));
    }
    try_rows(reply);
    try_hello(reply);
    try_words(reply);
    (void)sentinel_error_kind(reply);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    redisReader *reader = redisReaderCreate();
    void *reply = NULL;

    reader->maxelements = 4096; /* the connection allows more; here it would only cost time */
    redisReaderFeed(reader, (const char *)data, size);
    while (redisReaderGetReply(reader, &reply) == REDIS_OK && reply) {
        try_all(reply);
        freeReplyObject(reply);
    }
    redisReaderFree(reader);
    return 0;
}
