/* The settings that every command has. */
#ifndef FP_CLI_GLOBALS_H
#define FP_CLI_GLOBALS_H

#include <stdbool.h>
#include <stdint.h>

#define CLI_DEFAULT_RPC "tcp://127.0.0.1:7700"

struct cli_globals {
    char *rpc;
    char *token_file;
    char *bus_ca_file, *bus_cert_file, *bus_key_file; /* for tls+tcp:// */
    bool json;
    int64_t timeout_ms;
};

#endif
