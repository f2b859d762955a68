/*
 * The names that rules may use without a server being asked: commands, subcommands and categories
 * of Redis 6.2 to 8 and Valkey 7.2 to 9. They decide nothing about a command; they tell a slip of
 * the pen from a name that this version of the server happens not to have.
 */
#include "command_names.h"

#include <string.h>

#include "bellwether/base/names.h"

static const char *const categories[] = {
    "admin",       "all",     "bitmap",     "blocking", "bloom",       "cms",
    "connection",  "cuckoo",  "dangerous",  "fast",     "geo",         "hash",
    "hyperloglog", "json",    "keyspace",   "list",     "pubsub",      "read",
    "scripting",   "search",  "set",        "slow",     "sortedset",   "stream",
    "string",      "tdigest", "timeseries", "topk",     "transaction", "write",
};

/* Sorted by their bytes. */
/* clang-format off */
static const char *const names[] = {
    "acl", "acl|cat", "acl|deluser", "acl|dryrun", "acl|genpass", "acl|getuser", "acl|help", "acl|list",
    "acl|load", "acl|log", "acl|save", "acl|setuser", "acl|users", "acl|whoami", "append", "asking", "auth",
    "bgrewriteaof", "bgsave", "bitcount", "bitfield", "bitfield_ro", "bitop", "bitpos", "blmove", "blmpop",
    "blpop", "brpop", "brpoplpush", "bzmpop", "bzpopmax", "bzpopmin", "client", "client|caching",
    "client|capa", "client|getname", "client|getredir", "client|help", "client|id", "client|import-source",
    "client|info", "client|kill", "client|list", "client|no-evict", "client|no-touch", "client|pause",
    "client|reply", "client|setinfo", "client|setname", "client|tracking", "client|trackinginfo",
    "client|unblock", "client|unpause", "cluster", "clusterscan", "cluster|addslots",
    "cluster|addslotsrange", "cluster|bumpepoch", "cluster|cancelslotmigrations",
    "cluster|count-failure-reports", "cluster|countkeysinslot", "cluster|delslots", "cluster|delslotsrange",
    "cluster|failover", "cluster|flushslots", "cluster|forget", "cluster|getkeysinslot",
    "cluster|getslotmigrations", "cluster|help", "cluster|info", "cluster|keyslot", "cluster|links",
    "cluster|meet", "cluster|migrateslots", "cluster|migration", "cluster|myid", "cluster|myshardid",
    "cluster|nodes", "cluster|replicas", "cluster|replicate", "cluster|reset", "cluster|saveconfig",
    "cluster|set-config-epoch", "cluster|setslot", "cluster|shards", "cluster|slaves", "cluster|slot-stats",
    "cluster|slots", "cluster|syncslots", "command", "commandlog", "commandlog|get", "commandlog|help",
    "commandlog|len", "commandlog|reset", "command|count", "command|docs", "command|getkeys",
    "command|getkeysandflags", "command|help", "command|info", "command|list", "config", "config|get",
    "config|help", "config|resetstat", "config|rewrite", "config|set", "copy", "dbsize", "debug", "decr",
    "decrby", "del", "delex", "delifeq", "digest", "discard", "dump", "echo", "eval", "eval_ro", "evalsha",
    "evalsha_ro", "exec", "exists", "expire", "expireat", "expiretime", "failover", "fcall", "fcall_ro",
    "flushall", "flushdb", "function", "function|delete", "function|dump", "function|flush", "function|help",
    "function|kill", "function|list", "function|load", "function|restore", "function|stats", "geoadd",
    "geodist", "geohash", "geopos", "georadius", "georadius_ro", "georadiusbymember", "georadiusbymember_ro",
    "geosearch", "geosearchstore", "get", "getbit", "getdel", "getex", "getrange", "getset", "hdel", "hello",
    "hexists", "hexpire", "hexpireat", "hexpiretime", "hget", "hgetall", "hgetdel", "hgetex", "hincrby",
    "hincrbyfloat", "hkeys", "hlen", "hmget", "hmset", "host:", "hotkeys", "hotkeys|get", "hotkeys|help",
    "hotkeys|reset", "hotkeys|start", "hotkeys|stop", "hpersist", "hpexpire", "hpexpireat", "hpexpiretime",
    "hpttl", "hrandfield", "hscan", "hset", "hsetex", "hsetnx", "hstrlen", "httl", "hvals", "incr", "incrby",
    "incrbyfloat", "increx", "info", "keys", "lastsave", "latency", "latency|doctor", "latency|graph",
    "latency|help", "latency|histogram", "latency|history", "latency|latest", "latency|reset", "lcs",
    "lindex", "linsert", "llen", "lmove", "lmpop", "lolwut", "lpop", "lpos", "lpush", "lpushx", "lrange",
    "lrem", "lset", "ltrim", "memory", "memory|doctor", "memory|help", "memory|malloc-stats", "memory|purge",
    "memory|stats", "memory|usage", "mget", "migrate", "module", "module|help", "module|list", "module|load",
    "module|loadex", "module|unload", "monitor", "move", "mset", "msetex", "msetnx", "multi", "object",
    "object|encoding", "object|freq", "object|help", "object|idletime", "object|refcount", "persist",
    "pexpire", "pexpireat", "pexpiretime", "pfadd", "pfcount", "pfdebug", "pfmerge", "pfselftest", "ping",
    "post", "psetex", "psubscribe", "psync", "pttl", "publish", "pubsub", "pubsub|channels", "pubsub|help",
    "pubsub|numpat", "pubsub|numsub", "pubsub|shardchannels", "pubsub|shardnumsub", "punsubscribe", "quit",
    "randomkey", "readonly", "readwrite", "rename", "renamenx", "replconf", "replicaof", "reset", "restore",
    "restore-asking", "role", "rpop", "rpoplpush", "rpush", "rpushx", "sadd", "save", "scan", "scard",
    "script", "script|debug", "script|exists", "script|flush", "script|help", "script|kill", "script|load",
    "script|show", "sdiff", "sdiffstore", "select", "sentinel", "sentinel|ckquorum", "sentinel|config",
    "sentinel|debug", "sentinel|failover", "sentinel|flushconfig", "sentinel|get-master-addr-by-name",
    "sentinel|get-primary-addr-by-name", "sentinel|help", "sentinel|info-cache",
    "sentinel|is-master-down-by-addr", "sentinel|is-primary-down-by-addr", "sentinel|master",
    "sentinel|masters", "sentinel|monitor", "sentinel|myid", "sentinel|pending-scripts",
    "sentinel|primaries", "sentinel|primary", "sentinel|remove", "sentinel|replicas", "sentinel|reset",
    "sentinel|sentinels", "sentinel|set", "sentinel|simulate-failure", "sentinel|slaves", "set", "setbit",
    "setex", "setnx", "setrange", "shutdown", "sinter", "sintercard", "sinterstore", "sismember", "slaveof",
    "slowlog", "slowlog|get", "slowlog|help", "slowlog|len", "slowlog|reset", "smembers", "smismember",
    "smove", "sort", "sort_ro", "spop", "spublish", "srandmember", "srem", "sscan", "ssubscribe", "stralgo",
    "strlen", "subscribe", "substr", "sunion", "sunionstore", "sunsubscribe", "swapdb", "sync", "time",
    "touch", "trimslots", "ttl", "type", "unlink", "unsubscribe", "unwatch", "vadd", "vcard", "vdim", "vemb",
    "vgetattr", "vinfo", "vismember", "vlinks", "vrandmember", "vrange", "vrem", "vsetattr", "vsim", "wait",
    "waitaof", "watch", "xack", "xackdel", "xadd", "xautoclaim", "xcfgset", "xclaim", "xdel", "xdelex",
    "xgroup", "xgroup|create", "xgroup|createconsumer", "xgroup|delconsumer", "xgroup|destroy",
    "xgroup|help", "xgroup|setid", "xinfo", "xinfo|consumers", "xinfo|groups", "xinfo|help", "xinfo|stream",
    "xlen", "xnack", "xpending", "xrange", "xread", "xreadgroup", "xrevrange", "xsetid", "xtrim", "zadd",
    "zcard", "zcount", "zdiff", "zdiffstore", "zincrby", "zinter", "zintercard", "zinterstore", "zlexcount",
    "zmpop", "zmscore", "zpopmax", "zpopmin", "zrandmember", "zrange", "zrangebylex", "zrangebyscore",
    "zrangestore", "zrank", "zrem", "zremrangebylex", "zremrangebyrank", "zremrangebyscore", "zrevrange",
    "zrevrangebylex", "zrevrangebyscore", "zrevrank", "zscan", "zscore", "zunion", "zunionstore",
};
/* clang-format on */

#define N_NAMES (sizeof(names) / sizeof(names[0]))
#define N_CATEGORIES (sizeof(categories) / sizeof(categories[0]))

bool command_name_copy(char out[COMMAND_NAME_SIZE], const char *bytes, size_t size)
{
    if (size == 0 || size >= COMMAND_NAME_SIZE || memchr(bytes, '\0', size)) {
        return false;
    }
    for (size_t i = 0; i < size; i++) {
        out[i] = (char)(bytes[i] >= 'A' && bytes[i] <= 'Z' ? bytes[i] - 'A' + 'a' : bytes[i]);
    }
    out[size] = '\0';
    return true;
}

bool command_category_exists(const char *category)
{
    return names_have(categories, N_CATEGORIES, category);
}

/* `name`, or `name|sub`. */
static void join(char out[2 * COMMAND_NAME_SIZE], const char *name, const char *sub)
{
    size_t size = strlen(name);

    memcpy(out, name, size + 1);
    if (*sub != '\0') {
        out[size] = '|';
        memcpy(out + size + 1, sub, strlen(sub) + 1);
    }
}

bool command_is_core(const char *name, const char *sub)
{
    char whole[2 * COMMAND_NAME_SIZE];

    join(whole, name, sub);
    return names_have(names, N_NAMES, whole);
}

/* One letter more, less, or another one, or two that changed places. */
static bool is_slip(const char *a, const char *b)
{
    size_t size_a = strlen(a), size_b = strlen(b), same = 0;

    while (a[same] != '\0' && a[same] == b[same]) {
        same++;
    }
    a += same;
    b += same;
    if (size_a == size_b) {
        return *a != '\0' && (strcmp(a + 1, b + 1) == 0 ||
                              (a[0] == b[1] && a[1] == b[0] && strcmp(a + 2, b + 2) == 0));
    }
    return size_a > size_b ? strcmp(a + 1, b) == 0 : strcmp(a, b + 1) == 0;
}

const char *command_meant(const char *name, const char *sub)
{
    char whole[2 * COMMAND_NAME_SIZE];

    join(whole, name, sub);
    if (command_is_core(name, sub) || strchr(name, '.') || strlen(whole) < 4) {
        return NULL;
    }
    for (size_t i = 0; i < N_NAMES; i++) {
        if (is_slip(whole, names[i])) {
            return names[i];
        }
    }
    return NULL;
}
